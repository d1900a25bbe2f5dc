"use strict";
// Linked time charts (equity, drawdown, exposure, price) drawn by uPlot, which is inlined before this.
const report = (() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const $ = (id) => document.getElementById(id);
  const el = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };

  // --- values ---------------------------------------------------------------------------------
  const summed = (steps, start, scale) => {
    let total = start;
    return steps.map((step) => (total += step) / scale);
  };
  const times = (chart) => summed(chart.steps, chart.start, 1000); // seconds, as uPlot wants
  const formats = new Map();
  const number = (value, digits, sign) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return "n/a";
    const key = `${digits}${sign ? "+" : ""}`;
    if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en-US", {
      minimumFractionDigits: digits, maximumFractionDigits: digits,
      signDisplay: sign ? "exceptZero" : "negative" }));
    return formats.get(key).format(value);
  };
  const money = (value, sign) => number(value, data.money_digits, sign);
  const iso = (seconds) => new Date(Math.round(seconds * 1000)).toISOString();
  const moment = (seconds, withSeconds) => iso(seconds).slice(0, withSeconds ? 19 : 16).replace("T", " ");
  const span = (seconds) => {
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = units.findIndex(([, size]) => seconds >= size);
    if (first < 0) return `${Math.round(seconds * 1000)} ms`;
    const whole = Math.floor(seconds / units[first][1]);
    const next = units[first + 1];
    const rest = next ? Math.floor((seconds - whole * units[first][1]) / next[1]) : 0;
    return `${whole.toLocaleString("en-US")} ${units[first][0]}` + (rest ? ` ${rest} ${next[0]}` : "");
  };
  const MONTH = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const tick = (seconds, step) => {
    const d = new Date(seconds * 1000);
    const [month, year] = [MONTH[d.getUTCMonth()], d.getUTCFullYear()];
    if (step >= 300 * 86400) return String(year);
    if (step >= 27 * 86400) return d.getUTCMonth() === 0 ? String(year) : month;
    const date = `${d.getUTCDate()} ${month}`;
    if (step >= 86400) return date;
    const time = iso(seconds).slice(11, step < 60 ? 19 : 16);
    return time === "00:00" || time === "00:00:00" ? date : time;
  };
  // last index with list[index] <= value, -1 if none
  const at = (list, value) => {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= value) low = middle + 1; else high = middle;
    }
    return low - 1;
  };

  // --- colours --------------------------------------------------------------------------------
  const theme = {};
  const readTheme = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "soft", "muted", "line", "hair", "accent", "gain", "loss", "price", "band", "wash", "surface"])
      theme[name] = style.getPropertyValue(`--${name}`).trim();
  };
  readTheme();

  // --- charts ---------------------------------------------------------------------------------
  const charts = [];
  const full = { min: data.start / 1000, max: data.end / 1000 };
  if (!(full.max > full.min)) full.max = full.min + 3600;
  const phone = () => innerWidth <= 640;
  const tip = $("tip");
  let view = { ...full };

  const setView = (min, max) => {
    const size = Math.min(Math.max(max - min, 60), full.max - full.min);
    const start = Math.min(Math.max(min, full.min), full.max - size);
    view = { min: start, max: start + size };
    charts.forEach((u) => u.setScale("x", view));
    markRange();
  };
  const zoom = (factor, centre) => {
    const middle = centre ?? (view.min + view.max) / 2;
    setView(middle - (middle - view.min) * factor, middle + (view.max - middle) * factor);
  };
  // A view set by dragging one chart reaches the others; equal views end the round.
  const follow = (u, key) => {
    if (key !== "x") return;
    const { min, max } = u.scales.x;
    if (min === null || (min === view.min && max === view.max)) return;
    setView(min, max);
  };

  const lookUp = [];  // (seconds) => [[label, text], ...] of every chart
  const rowsAt = (seconds) => lookUp.flatMap((rows) => rows(seconds));
  const showTip = (x, y, title, groups) => {
    tip.replaceChildren(el("strong", title));
    groups.forEach((rows, i) => {
      if (i) tip.append(el("hr"));
      for (const [label, text, tone] of rows) {
        const line = el("div");
        line.append(el("span", label), el("span", text, tone));
        tip.append(line);
      }
    });
    tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = x + 18 + width > innerWidth - 8 ? x - 18 - width : x + 18;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, Math.min(y - height - 14, innerHeight - height - 8))}px`;
  };
  const hideTip = () => { tip.hidden = true; };

  const tipAt = (u, left, top) => {
    const box = u.over.getBoundingClientRect();
    const seconds = u.posToVal(left, "x");
    const near = u.nearest ? u.nearest(left, top) : null;
    const groups = near ? [near, rowsAt(seconds)] : [rowsAt(seconds)];
    showTip(box.left + left, box.top + Math.max(top, 0), `${moment(seconds)} UTC`, groups);
  };

  const pointers = (u, host) => {
    const down = new Map();
    let pinch = null, leaving = 0;
    const inside = (e) => {
      const box = u.over.getBoundingClientRect();
      return [e.clientX - box.left, e.clientY - box.top];
    };
    u.over.addEventListener("pointerdown", (e) => {
      if (e.pointerType === "mouse") return;
      down.set(e.pointerId, inside(e));
      clearTimeout(leaving);
      if (down.size === 1) {
        const [left, top] = inside(e);
        u.setCursor({ left, top }, true, true);
        tipAt(u, left, top);
      }
      if (down.size === 2) {
        const [a, b] = [...down.values()];
        pinch = { size: Math.abs(a[0] - b[0]) || 1, centre: u.posToVal((a[0] + b[0]) / 2, "x"), ...view };
      }
    });
    u.over.addEventListener("pointermove", (e) => {
      const [left, top] = inside(e);
      if (e.pointerType === "mouse") {
        if (!e.buttons) tipAt(u, left, top); else hideTip();
        return;
      }
      if (!down.has(e.pointerId)) return;
      down.set(e.pointerId, [left, top]);
      if (down.size === 2 && pinch) {
        const [a, b] = [...down.values()];
        const factor = pinch.size / (Math.abs(a[0] - b[0]) || 1);
        setView(pinch.centre - (pinch.centre - pinch.min) * factor, pinch.centre + (pinch.max - pinch.centre) * factor);
        hideTip();
      } else if (down.size === 1) {
        u.setCursor({ left, top }, true, true);
        tipAt(u, left, top);
      }
    });
    const up = (e) => { down.delete(e.pointerId); pinch = null; if (e.pointerType !== "mouse" && !down.size) leaving = setTimeout(hideTip, 4000); };
    u.over.addEventListener("pointerup", up);
    u.over.addEventListener("pointercancel", up);
    // a finger that lifts leaves too, but what it showed is still being read
    u.over.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse") hideTip(); });
    u.over.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.metaKey) return; // a plain wheel scrolls the page
      e.preventDefault();
      zoom(e.deltaY > 0 ? 1.25 : 0.8, u.posToVal(inside(e)[0], "x"));
    }, { passive: false });
    host.addEventListener("keydown", (e) => {
      const width = u.over.clientWidth, height = u.over.clientHeight;
      const left = u.cursor.left >= 0 ? u.cursor.left : width / 2;
      const step = e.shiftKey ? width / 10 : Math.max(width / 100, 1);
      const go = (to) => {
        const place = Math.max(0, Math.min(to, width - 1));
        u.setCursor({ left: place, top: height / 3 }, true, true);
        tipAt(u, place, height / 3);
      };
      const keys = {
        ArrowLeft: () => go(left - step), ArrowRight: () => go(left + step), Home: () => go(0), End: () => go(width),
        "+": () => zoom(0.6, u.posToVal(left, "x")), "=": () => zoom(0.6, u.posToVal(left, "x")), "-": () => zoom(1.6, u.posToVal(left, "x")),
        Escape: () => { hideTip(); setView(full.min, full.max); },
      };
      if (!keys[e.key] || e.altKey || e.ctrlKey || e.metaKey) return;
      e.preventDefault();
      keys[e.key]();
    });
    host.addEventListener("blur", hideTip);
  };

  const make = (id, { values, series, height, axis, label, range, hooks = {}, last }) => {
    const host = $(id);
    const caption = el("figcaption");
    const reading = el("b", last || "");
    caption.append(el("span", label || host.dataset.label), reading);
    host.append(caption);
    host.tabIndex = 0;
    host.setAttribute("role", "group");
    host.setAttribute("aria-roledescription", "chart");
    host.setAttribute("aria-label", `${label || host.dataset.label}. ${last || ""}`);
    const font = () => `${phone() ? 11 : 12}px ${getComputedStyle(document.body).fontFamily}`;
    const lines = { stroke: () => theme.hair, width: 1 };
    const options = {
      width: host.clientWidth, height: height(), padding: [8, 18, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: true }, points: { size: 7, width: 2 },
        sync: { key: "report", setSeries: false }, bind: { dblclick: () => () => { setView(full.min, full.max); return null; } } },
      select: { show: true },
      scales: { x: { time: true, range: (u, min, max) => [min, max] }, y: { range } },
      axes: [
        { stroke: () => theme.muted, grid: lines, ticks: { show: false }, font: font(), size: 26, gap: 4, space: phone() ? 56 : 76,
          values: (u, splits, i, space, step) => splits.map((s) => tick(s, step)) },
        { stroke: () => theme.muted, grid: lines, ticks: { show: false }, font: font(), size: phone() ? 52 : 68, gap: 6, space: 34,
          values: (u, splits, i, space, step) => splits.map((s) => axis(s, step)) },
      ],
      series: [{}, ...series],
      hooks: { setScale: [follow], ...hooks },
    };
    const u = new uPlot(options, values, host);
    u.resize = () => u.setSize({ width: host.clientWidth, height: height() });
    u.label = (text) => host.setAttribute("aria-label", text);
    charts.push(u);
    pointers(u, host);
    return u;
  };

  // decimals that a step of an axis needs: 2.5 needs one, 0.0005 four
  const decimals = (step) => {
    for (let digits = 0; digits < 8; digits++) if (Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6) return digits;
    return 8;
  };
  const compact = (value, step) => {
    const digits = decimals(step);
    return value !== 0 && step >= 1e4
      ? new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 }).format(value)
      : number(value, digits);
  };
  const padded = (u, min, max) => {
    if (min === null || min === undefined) return [0, 1];
    const room = (max - min) * 0.06 || Math.abs(max) * 0.01 || 1;
    return [min - room, max + room];
  };

  const equityCharts = () => {
    const scale = 10 ** data.money_digits;
    const account = data.account, x = times(account);
    if (!x.length) { for (const id of ["chart-equity", "chart-drawdown", "chart-exposure"]) $(id).remove(); return; }
    const equity = summed(account.equity, 0, scale), balance = summed(account.balance, 0, scale);
    const { drawdown, exposure } = account;
    const baseline = { draw: [(u) => {
      const y = u.valToPos(data.initial_equity, "y", true);
      if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
      const { ctx } = u;
      ctx.save();
      ctx.strokeStyle = theme.muted; ctx.setLineDash([4, 4]); ctx.lineWidth = devicePixelRatio;
      ctx.beginPath(); ctx.moveTo(u.bbox.left, y); ctx.lineTo(u.bbox.left + u.bbox.width, y); ctx.stroke();
      ctx.restore();
    }] };
    make("chart-equity", {
      values: [x, balance, equity], height: () => (phone() ? 230 : 320), axis: compact, range: padded, hooks: baseline,
      last: `${money(equity.at(-1))} at the end`,
      series: [
        { stroke: () => theme.muted, width: 1, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        { stroke: () => theme.accent, width: 1.75, points: { show: false } }] });
    make("chart-drawdown", {
      values: [x, drawdown], height: () => (phone() ? 110 : 138), axis: (v, step) => `${number(v, decimals(step))}%`,
      range: (u, min) => [min === null || min >= 0 ? -1 : min * 1.08, 0],
      last: `deepest ${number(data.deepest, 2)}%`,
      series: [{ stroke: () => theme.loss, fill: () => `color-mix(in srgb, ${theme.loss} 16%, transparent)`, width: 1.25, points: { show: false } }] });
    make("chart-exposure", {
      values: [x, exposure], height: () => (phone() ? 110 : 138), axis: (v, step) => number(v, decimals(step)),
      range: (u, min, max) => [Math.min(min ?? 0, 0) * 1.08, Math.max(max ?? 0, 0) * 1.08 || 1],
      series: [{ stroke: "transparent", fill: () => `color-mix(in srgb, ${theme.accent} 55%, transparent)`, width: 0, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }] });
    lookUp.push((seconds) => {
      const i = at(x, seconds);
      if (i < 0) return [];
      const rows = [["Equity", money(equity[i])], ["Balance", money(balance[i])], ["Drawdown", `${number(drawdown[i], 2)}%`],
        ["Exposure", `${number(exposure[i], 2)} ${account.unit}`]];
      if (account.thinned) rows.unshift(["Sample of", moment(x[i])]);
      return rows;
    });
  };

  // --- price ----------------------------------------------------------------------------------
  let price = null;     // chart
  let marks = [];       // trades of the symbol shown, in order of entry
  let shown = 0;        // index in data.prices
  let chosen = -1;      // id of the trade picked in the list
  const columns = data.trades;

  const series = (p) => {
    const scale = 10 ** p.digits;
    const close = summed(p.close, 0, scale);
    return [times(p), close, close.map((c, i) => c + p.high[i] / scale), close.map((c, i) => c - p.low[i] / scale), close.map((c, i) => c + p.open[i] / scale)];
  };
  const marksOf = (row) => columns.id.map((id, i) => i).filter((i) => columns.symbol[i] === row)
    .map((i) => ({ i, id: columns.id[i], from: columns.entry[i] / 1000, to: columns.exit[i] / 1000, a: columns.entry_price[i],
      b: columns.exit_price[i], side: columns.side[i], net: columns.net[i] })).sort((a, b) => a.from - b.from);
  const barWidth = (u) => {
    const x = u.data[0];
    if (x.length < 2) return 0;
    const first = Math.max(at(x, u.scales.x.min), 0), last = Math.max(at(x, u.scales.x.max), 0);
    return u.bbox.width / Math.max(last - first, 1);
  };
  const candles = (u) => barWidth(u) > 4.5 * devicePixelRatio && data.prices[shown].has_range;
  const drawCandles = (u) => {
    if (!candles(u)) return;
    const [x, close, high, low, open] = u.data, { ctx } = u;
    const first = Math.max(at(x, u.scales.x.min), 0), last = Math.min(at(x, u.scales.x.max) + 1, x.length - 1);
    const width = Math.max(Math.floor(barWidth(u) * 0.6), 1);
    ctx.save();
    ctx.beginPath(); ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); ctx.clip();
    ctx.lineWidth = devicePixelRatio; ctx.strokeStyle = ctx.fillStyle = theme.price;
    for (let i = first; i <= last; i++) {
      const px = Math.round(u.valToPos(x[i], "x", true));
      const [t, b] = [u.valToPos(Math.max(open[i], close[i]), "y", true), u.valToPos(Math.min(open[i], close[i]), "y", true)];
      ctx.beginPath(); ctx.moveTo(px, u.valToPos(high[i], "y", true)); ctx.lineTo(px, u.valToPos(low[i], "y", true)); ctx.stroke();
      const body = [px - width / 2, t, width, Math.max(b - t, 1)];
      if (close[i] < open[i]) ctx.fillRect(...body);
      else { ctx.fillStyle = theme.surface; ctx.fillRect(...body); ctx.strokeRect(...body); ctx.fillStyle = theme.price; }
    }
    ctx.restore();
  };
  const visible = (u) => marks.filter((m) => m.to >= u.scales.x.min && m.from <= u.scales.x.max);
  const place = (u, t, p, canvas) => [u.valToPos(t, "x", canvas), u.valToPos(p, "y", canvas)];
  const drawMarks = (u) => {
    const { ctx } = u, r = devicePixelRatio, seen = visible(u);
    const dense = seen.length > u.bbox.width / r / 16;
    ctx.save();
    ctx.beginPath(); ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); ctx.clip();
    for (const m of seen) {
      const [x0, y0] = place(u, m.from, m.a, true), [x1, y1] = place(u, m.to, m.b, true);
      const picked = m.id === chosen;
      ctx.strokeStyle = ctx.fillStyle = m.net >= 0 ? theme.gain : theme.loss;
      ctx.globalAlpha = picked || !dense ? 1 : 0.85;
      ctx.lineWidth = (picked ? 3 : 1.75) * r;
      ctx.beginPath(); ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); ctx.stroke();
      if (dense && !picked) { ctx.fillRect(x0 - r, y0 - r, 2 * r, 2 * r); continue; }
      const size = (picked ? 8 : 6) * r, up = m.side;
      ctx.strokeStyle = theme.surface; ctx.lineWidth = r;
      ctx.beginPath(); ctx.moveTo(x0, y0 + up * 2 * r); ctx.lineTo(x0 - size, y0 + up * (2 * r + size * 1.5)); ctx.lineTo(x0 + size, y0 + up * (2 * r + size * 1.5)); ctx.closePath(); ctx.fill(); ctx.stroke();
      ctx.beginPath(); ctx.rect(x1 - size / 2, y1 - size / 2, size, size); ctx.fill(); ctx.stroke();
    }
    ctx.restore();
  };
  const tradeRows = (m) => [
    [`Trade ${m.id}`, m.side > 0 ? "long" : "short"],
    ["Net", money(m.net, true), m.net >= 0 ? "gain" : "loss"],
    ["Lots", String(columns.lots[m.i])],
    ["In", `${moment(m.from)} at ${number(m.a, data.prices[shown].digits)}`],
    ["Out", `${moment(m.to)} at ${number(m.b, data.prices[shown].digits)}`],
    ["Exit", data.exits[columns.exit_name[m.i]]]];
  const nearest = (u, left, top) => {
    let best = null, reach = 14;
    for (const m of visible(u)) for (const [t, p] of [[m.from, m.a], [m.to, m.b]]) {
      const [x, y] = place(u, t, p, false);
      const distance = Math.hypot(x - left, y - top);
      if (distance < reach) [best, reach] = [m, distance];
    }
    return best && tradeRows(best);
  };
  const priceChart = () => {
    const host = $("chart-price");
    const first = data.prices.findIndex((p) => p.steps.length);
    if (first < 0) { host.append(el("p", "The run has no prices.", "nothing")); return; }
    shown = first;
    marks = marksOf(shown);
    let values = series(data.prices[shown]);
    price = make("chart-price", {
      values, height: () => (phone() ? 280 : 420), axis: (v, step) => number(v, decimals(step)),
      range: padded, label: data.prices[shown].symbol, last: `${number(values[1].at(-1), data.prices[shown].digits)} at the end`,
      hooks: { draw: [drawCandles, drawMarks] },
      series: [
        { stroke: (u) => (candles(u) ? "transparent" : theme.price), width: 1.25, points: { show: false } },
        { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } }] });
    price.addBand({ series: [2, 3], fill: (u) => (candles(u) ? "transparent" : theme.band) });
    price.nearest = (left, top) => nearest(price, left, top);
    lookUp.push((seconds) => {
      const i = at(values[0], seconds), digits = data.prices[shown].digits;
      if (i < 0) return [];
      const p = data.prices[shown];
      return p.has_range
        ? [[p.symbol, ""], ["High, low", `${number(values[2][i], digits)}, ${number(values[3][i], digits)}`], ["Close", number(values[1][i], digits)]]
        : [[p.symbol, number(values[1][i], digits)]];
    });
    const pick = $("symbol-pick"), select = pick.querySelector("select");
    data.prices.forEach((p, i) => { const option = el("option", p.symbol); option.value = i; select.append(option); });
    pick.hidden = data.prices.length < 2;
    select.value = shown;
    price.show = (row) => {
      if (!data.prices[row].steps.length) return;
      shown = row;
      select.value = row;
      marks = marksOf(row);
      values = series(data.prices[row]);
      price.setData(values, false);
      price.setScale("x", view);
      $("chart-price").querySelector("figcaption span").textContent = data.prices[row].symbol;
      $("chart-price").querySelector("figcaption b").textContent = `${number(values[1].at(-1), data.prices[row].digits)} at the end`;
      price.label(`${data.prices[row].symbol} price with trades`);
    };
    select.addEventListener("change", () => { chosen = -1; price.show(Number(select.value)); });
  };

  // --- range buttons --------------------------------------------------------------------------
  const DAY = 86400;
  const ranges = [["1 w", 7], ["1 m", 30.44], ["3 m", 91.3], ["1 y", 365.25], ["All", Infinity]].map(([name, days]) => [name, days * DAY]);
  const rangeButtons = [];
  const markRange = () => rangeButtons.forEach(([button, size]) => {
    const here = size === Infinity ? view.min === full.min && view.max === full.max : Math.abs(view.max - view.min - size) < 1;
    button.setAttribute("aria-pressed", String(here));
  });
  const rangeTools = () => {
    if (!charts.length) return;
    for (const box of document.querySelectorAll("[data-ranges]")) {
      box.hidden = false;
      const step = (text, label, action) => {
        const button = el("button", text); button.type = "button"; button.setAttribute("aria-label", label);
        button.addEventListener("click", action); box.append(button);
      };
      for (const [name, size] of ranges) {
        if (size !== Infinity && size >= full.max - full.min) continue;
        const button = el("button", name); button.type = "button";
        button.addEventListener("click", () => {
          if (size === Infinity) setView(full.min, full.max);
          else { const whole = view.max - view.min >= full.max - full.min; const end = whole ? full.max : (view.min + view.max + size) / 2; setView(end - size, end); }
        });
        box.append(button); rangeButtons.push([button, size]);
      }
      step("←", "Earlier", () => { const d = (view.max - view.min) / 2; setView(view.min - d, view.max - d); });
      step("→", "Later", () => { const d = (view.max - view.min) / 2; setView(view.min + d, view.max + d); });
    }
    markRange();
  };

  // --- page -----------------------------------------------------------------------------------
  const repaint = () => { readTheme(); charts.forEach((u) => u.redraw(false)); };
  const resize = () => charts.forEach((u) => u.resize());
  const start = () => {
    equityCharts();
    priceChart();
    rangeTools();
    setView(full.min, full.max);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    let waiting = 0;
    addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(resize); });
    addEventListener("beforeprint", () => { // paper is white and narrow
      document.documentElement.classList.add("printing");
      document.querySelectorAll("details").forEach((node) => { node.open = true; });
      repaint();
      charts.forEach((u) => u.setSize({ width: Math.min(680, u.width), height: u.height }));
    });
    addEventListener("afterprint", () => { document.documentElement.classList.remove("printing"); repaint(); resize(); });
    const links = [...document.querySelectorAll(".page-nav a")];
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) for (const link of links) link.classList.toggle("here", link.hash === `#${entry.target.id}`);
    }, { rootMargin: "-56px 0px -70% 0px" });
    document.querySelectorAll("main > section").forEach((section) => watch.observe(section));
  };
  const showTrade = (i) => {
    if (!price) return;
    chosen = columns.id[i];
    if (columns.symbol[i] !== shown) price.show(columns.symbol[i]);
    const from = columns.entry[i] / 1000, to = columns.exit[i] / 1000;
    const room = Math.max((to - from) * 1.5, 12 * 3600);
    setView(from - room, to + room);
    price.redraw(false);
    $("price").scrollIntoView();
    $("chart-price").focus({ preventScroll: true });
  };
  return { data, $, el, number, money, moment, span, start, showTrade, get view() { return view; } };
})();
