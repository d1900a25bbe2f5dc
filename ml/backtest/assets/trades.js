"use strict";
// The list of trades: sorted, filtered, paged; and the start of everything.
(() => {
  const { data, $, el, number, money, moment, span } = report;
  const t = data.trades;
  const PAGE = innerWidth <= 640 ? 10 : 25;
  const digits = (i) => data.digits[t.symbol[i]];
  const net = (i) => (t.net[i] > 0 ? "gain" : t.net[i] < 0 ? "loss" : "");
  // name, title, value to sort by, text, class; `minor` columns are left out on a phone
  const columns = [
    ["id", "#", (i) => t.id[i], (i) => String(t.id[i]), "num"],
    ["symbol", "Symbol", (i) => data.symbols[t.symbol[i]], (i) => data.symbols[t.symbol[i]], ""],
    ["side", "Side", (i) => t.side[i], (i) => (t.side[i] > 0 ? "Long" : "Short"), ""],
    ["lots", "Lots", (i) => t.lots[i], (i) => number(t.lots[i], 2), "num"],
    ["entry", "Entry", (i) => t.entry[i], (i) => moment(t.entry[i] / 1000), ""],
    ["entry_price", "At", (i) => t.entry_price[i], (i) => number(t.entry_price[i], digits(i)), "num"],
    ["exit", "Exit", (i) => t.exit[i], (i) => moment(t.exit[i] / 1000), ""],
    ["exit_price", "At", (i) => t.exit_price[i], (i) => number(t.exit_price[i], digits(i)), "num"],
    ["hold", "Held", (i) => t.exit[i] - t.entry[i], (i) => span((t.exit[i] - t.entry[i]) / 1000), "num"],
    ["exit_name", "Closed by", (i) => data.exits[t.exit_name[i]], (i) => data.exits[t.exit_name[i]], "exit"],
    ["mae", "Worst %", (i) => t.mae[i], (i) => number(t.mae[i], 2), "num minor"],
    ["mfe", "Best %", (i) => t.mfe[i], (i) => number(t.mfe[i], 2), "num minor"],
    ["gross", "Gross", (i) => t.gross[i], (i) => money(t.gross[i], true), "num minor"],
    ["costs", "Costs", (i) => cost(i), (i) => money(cost(i)), "num minor"],
    ["net", "Net", (i) => t.net[i], (i) => money(t.net[i], true), "num net"],
  ].filter(([name]) => name !== "symbol" || data.symbols.length > 1)
    .map(([name, title, value, text, style]) => ({ name, title, value, text, style }));
  const cost = (i) => t.gross[i] - t.net[i];
  const all = t.id.map((_, i) => i);
  const form = $("trade-filters"), body = $("trade-table").tBodies[0], pager = $("trade-pager");
  const state = { sort: "id", down: true, page: 0, rows: all };

  const words = (i) => columns.map((c) => c.text(i)).join(" ").toLowerCase();
  const matches = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    const { symbol, side, result } = form.elements;
    return all.filter((i) =>
      (symbol.value === "" || t.symbol[i] === Number(symbol.value)) &&
      (side.value === "" || t.side[i] === Number(side.value)) &&
      (result.value === "" || (result.value === "win" ? t.net[i] > 0 : t.net[i] < 0)) &&
      (!text || words(i).includes(text)));
  };
  const sorted = (rows) => {
    const { value } = columns.find((c) => c.name === state.sort);
    const sign = state.down ? -1 : 1;
    return rows.slice().sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return (x < y ? -sign : x > y ? sign : 0) || t.id[a] - t.id[b];
    });
  };
  const row = (i) => {
    const line = el("tr");
    for (const column of columns) {
      const cell = el("td", undefined, `c-${column.name} ${column.style}`);
      if (column.name === "id") {
        const button = el("button", column.text(i), "show");
        button.type = "button";
        button.setAttribute("aria-label", `Show trade ${t.id[i]} in the price chart`);
        cell.append(button);
      } else cell.textContent = column.text(i);
      if (column.name === "net" && net(i)) cell.classList.add(net(i));
      line.append(cell);
    }
    line.addEventListener("click", () => { if (!String(getSelection())) report.showTrade(i); });
    return line;
  };
  const draw = () => {
    const pages = Math.max(Math.ceil(state.rows.length / PAGE), 1);
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const first = state.page * PAGE;
    body.replaceChildren(...state.rows.slice(first, first + PAGE).map(row));
    if (!state.rows.length) {
      const cell = el("td", all.length ? "No trade matches." : "No trade was closed.", "nothing");
      cell.colSpan = columns.length;
      const line = el("tr"); line.append(cell); body.append(line);
    }
    const sum = state.rows.reduce((total, i) => total + t.net[i], 0);
    const some = state.rows.length < all.length ? ` of ${all.length.toLocaleString("en-US")}` : "";
    $("trade-count").textContent = `${state.rows.length.toLocaleString("en-US")}${some} trades, net ${money(sum, true)} ${data.currency}`;
    for (const head of $("trade-table").tHead.rows[0].cells) {
      if (head.dataset.name === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    form.elements.sort.value = `${state.sort}${state.down ? "-" : "+"}`;
    pager.hidden = pages < 2;
    pager.querySelector("span").textContent = `Page ${state.page + 1} of ${pages}`;
    const buttons = pager.querySelectorAll("button");
    [0, 1].forEach((k) => { buttons[k].disabled = state.page === 0; });
    [2, 3].forEach((k) => { buttons[k].disabled = state.page === pages - 1; });
  };
  const refresh = () => { state.rows = sorted(matches()); state.page = 0; draw(); };

  const csv = () => {
    const quote = (text) => {
      const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text; // no formulas from names
      return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const names = ["id", "symbol", "side", "lots", "entry_utc", "entry_price", "exit_utc", "exit_price", "closed_by", "gross",
      "spread_cost", "slippage_cost", "commission", "swap", "net", "worst_percent", "best_percent"];
    const lines = state.rows.map((i) => [t.id[i], data.symbols[t.symbol[i]], t.side[i] > 0 ? "long" : "short", t.lots[i],
      new Date(t.entry[i]).toISOString(), t.entry_price[i], new Date(t.exit[i]).toISOString(), t.exit_price[i], data.exits[t.exit_name[i]],
      t.gross[i], t.spread_cost[i], t.slippage_cost[i], t.commission[i], t.swap[i], t.net[i], t.mae[i], t.mfe[i]].map((v) => quote(String(v ?? ""))).join(","));
    const link = el("a");
    link.href = URL.createObjectURL(new Blob([[names.join(","), ...lines].join("\n") + "\n"], { type: "text/csv" }));
    link.download = "trades.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const build = () => {
    $("trade-table").classList.toggle("several", data.symbols.length > 1);
    for (const column of columns) {
      const head = el("th", undefined, column.style), button = el("button", column.title);
      head.scope = "col"; head.dataset.name = column.name; button.type = "button";
      button.addEventListener("click", () => {
        state.down = state.sort === column.name ? !state.down : column.style.includes("num");
        state.sort = column.name; refresh();
      });
      head.append(button);
      $("trade-table").tHead.rows[0].append(head);
      for (const [mark, word] of [["-", "high to low"], ["+", "low to high"]]) {
        const option = el("option", `${column.title === "At" ? (column.name === "entry_price" ? "In at" : "Out at") : column.title}, ${word}`);
        option.value = column.name + mark;
        form.elements.sort.append(option);
      }
    }
    data.symbols.forEach((name, i) => { const option = el("option", name); option.value = i; form.elements.symbol.append(option); });
    form.elements.symbol.parentElement.hidden = data.symbols.length < 2;
    [["«", "First page", () => 0], ["‹ Newer", "Previous page", () => state.page - 1], ["Older ›", "Next page", () => state.page + 1],
      ["»", "Last page", () => Infinity]].forEach(([text, label, page], k) => {
      const button = el("button", k === 1 ? "‹" : k === 2 ? "›" : text);
      button.type = "button"; button.setAttribute("aria-label", label);
      button.addEventListener("click", () => { state.page = page(); draw(); });
      if (k === 2) pager.append(el("span"));
      pager.append(button);
    });
    form.addEventListener("submit", (e) => e.preventDefault());
    form.addEventListener("input", (e) => {
      if (e.target.name === "sort") { state.sort = e.target.value.slice(0, -1); state.down = e.target.value.endsWith("-"); }
      refresh();
    });
    form.elements.csv.addEventListener("click", csv);
    form.hidden = !all.length;
    refresh();
  };

  report.start();
  build();
  document.documentElement.dataset.ready = "true";
})();
