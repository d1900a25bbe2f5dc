"""The report is one offline file that says what the run says, whatever the run's names are."""

import base64
import csv
import dataclasses
import hashlib
import json
import re
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.backtest import charts, report, sections
from ml.backtest.report import write_report
from ml.backtest.run import DataSource, Finding
from ml.backtest.statistics import statistics
from ml.backtest.trades import match
from realtime.kernels import codes, layout

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


class Page(HTMLParser):
    """Elements in order, with the text of scripts, and a check that every tag is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.scripts, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and tag != "polyline":
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @cached_property
    def payload(self):
        (data,) = [text for attributes, text in self.scripts if "type" in attributes]
        return json.loads(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def written(run, folder):
    (path, *_) = write_report(run, folder / "report.html")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(three_years, tmp_path_factory):
    return written(three_years, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


# --- one offline file ----------------------------------------------------------------------------


def test_the_same_run_gives_the_same_bytes(three_years, make_run, tmp_path):
    first = write_report(three_years, tmp_path / "a.html")[0].read_bytes()
    assert write_report(make_run(), tmp_path / "b.html")[0].read_bytes() == first


def test_nothing_is_loaded_from_anywhere(text, page):
    assert text.startswith("<!doctype html>")
    assert not page.all("link")
    assert not page.all("img")
    assert not page.all("iframe")
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in text
    assert "url(" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_only_the_reports_own_scripts_may_run(page):
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    scripts = [body for attributes, body in page.scripts if "type" not in attributes]
    assert len(scripts) == 3
    for body in scripts:
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        allowed.remove(digest)
    assert not allowed
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_the_page_is_under_two_megabytes(text):
    assert len(text.encode()) < 2_000_000


def test_the_vendored_library_brings_its_licence(text):
    assert "The MIT License" in text
    assert "Leon Sorokin" in text
    folder = Path(report.__file__).parent / "assets" / "uplot"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        content = (folder / name).read_bytes()
        assert f"| `{name}` | `{hashlib.sha256(content).hexdigest()}` |" in readme
    version = re.search(r"uPlot \(v([\d.]+)\)", text)
    assert version is not None
    assert readme.startswith(f"# uPlot {version[1]}\n")


def test_an_older_report_is_replaced_and_no_draft_is_left(three_years, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report(three_years, path) == (path,)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


# --- for everyone --------------------------------------------------------------------------------


def test_every_id_is_used_once_and_every_reference_has_its_target(page):
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_tables_have_captions_and_scoped_headings(page):
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") >= 8
    assert all(a.get("scope") in {"col", "row"} for a in page.all("th"))
    assert len(page.all("h1")) == 1
    assert page.all("html") == [{"lang": "en"}]


def test_regions_that_scroll_can_be_reached_and_are_named(page):
    regions = [a for _, a in page.elements if "scroll" in a.get("class", "").split()]
    assert regions
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
    assert all(a["aria-label"] for _, a in page.elements if a.get("role") == "img")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_colours_stand_out_from_their_ground(text, scheme):
    block = re.findall(r":root[^{]*\{([^}]*--bg:[^}]*)\}", text)[scheme]
    colours = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})\b", block))
    colours = {k: v if len(v) == 7 else "#" + "".join(c * 2 for c in v[1:]) for k, v in
               colours.items()}  # fmt: skip
    pairs = [(ink, ground) for ink in ("ink", "soft", "muted", "gain", "loss", "accent")
             for ground in ("bg", "surface")] + [("caution", "caution-bg")]  # fmt: skip
    for ink, ground in pairs:
        light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


# --- what it says --------------------------------------------------------------------------------


def test_the_numbers_of_the_run_are_on_the_page(page, three_years):
    found = statistics(three_years)
    for expected in (
        f"{found.net_profit:+,.2f}",
        f"{found.sharpe:.2f}",
        f"{-found.costs.spread:+,.2f}",
        f"{found.costs.swap:+,.2f}",
        three_years.fingerprint,
        three_years.feature_identity,
        "crossed quote",
        "first at row 2,118",
        "UTC (given)",
        "Everything here is simulated.",
        "stop_loss_fraction",
        "spread 103",
    ):
        assert expected in page.text
    for name in ("below threshold", "enter long", "exit signal"):
        assert name in page.text


def test_embedded_series_decode_to_the_runs_own(page, three_years):
    account = page.payload["account"]
    run = three_years
    assert (account["start"] + np.cumsum(account["steps"])).tolist() == (
        run.equity["time_ns"] // 10**6
    ).tolist()
    assert np.allclose(np.cumsum(account["equity"]) / 100, run.equity["equity"], atol=0.00501)
    (price,) = page.payload["prices"]
    bars = run.bars["EURUSD"]
    close = np.cumsum(price["close"]) / 1e5
    assert np.allclose(close, bars["close"], atol=1e-9)
    assert np.allclose(close + np.array(price["high"]) / 1e5, bars["high"], atol=1e-9)
    assert np.allclose(close - np.array(price["low"]) / 1e5, bars["low"], atol=1e-9)
    assert np.allclose(close + np.array(price["open"]) / 1e5, bars["open"], atol=1e-9)


def test_all_trades_are_in_the_list(page, three_years):
    trades = match(three_years).trades
    columns = page.payload["trades"]
    assert {len(column) for column in columns.values()} == {trades.size}
    assert np.allclose(columns["net"], trades["net"], atol=0.00501)
    assert {page.payload["exits"][i] for i in columns["exit_name"]} == {
        "exit signal",
        "take profit",
        "stop loss",
    }


def test_too_many_trades_are_written_beside_the_page(three_years, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_TRADES", 100)
    path, table = write_report(
        dataclasses.replace(three_years, symbols=("=1+1",), bars={}), tmp_path / "long.html"
    )
    page = Page(path.read_text(encoding="utf-8"))
    trades = match(three_years).trades
    assert page.payload["trades"]["id"] == trades["id"][-100:].tolist()
    assert f"last 100 of {trades.size:,} trades" in page.text
    assert "All are in long.trades.csv" in page.text
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == trades.size
    assert [float(row["net"]) for row in rows] == trades["net"].tolist()
    assert rows[0]["symbol_name"] == "'=1+1"


def test_hostile_names_stay_text(three_years, tmp_path):
    source = DataSource(
        file=HOSTILE, format=HOSTILE, zone=HOSTILE, sha256=HOSTILE,
        findings=(Finding(reason=HOSTILE, rows=1, action=HOSTILE, detail=HOSTILE),),
    )  # fmt: skip
    run = dataclasses.replace(
        three_years, symbols=(HOSTILE,), bars={HOSTILE: three_years.bars["EURUSD"]},
        strategy=HOSTILE, timeframe=HOSTILE, currency=HOSTILE, data=(source,),
        settings={HOSTILE: HOSTILE, "inner": {HOSTILE: HOSTILE}}, fingerprint=HOSTILE,
        feature_identity=HOSTILE,
    )  # fmt: skip
    text = written(run, tmp_path)
    page = Page(text)
    assert len(page.scripts) == 4
    assert not page.all("img")
    assert "<script>alert" not in text
    assert page.payload["symbols"] == [HOSTILE]
    assert HOSTILE in " ".join(page.words)


def test_json_cannot_end_its_script_element():
    separator = "\u2028"
    embedded = str(report._embedded({"name": f"</script><!--&{separator}"}))
    assert not set(embedded) & set("<>&" + separator)
    assert json.loads(embedded) == {"name": f"</script><!--&{separator}"}


def test_several_symbols_have_their_own_prices_and_groups(make_run, tmp_path):
    run = make_run(count=900, symbols=("EURUSD", "GBPUSD", "XAUUSD"))
    page = Page(written(run, tmp_path))
    assert [price["symbol"] for price in page.payload["prices"]] == list(run.symbols)
    assert "EURUSD, GBPUSD, XAUUSD" in page.text
    assert all(name in page.text for name in ("Long", "Short", "GBPUSD"))


def test_a_run_without_anything_has_a_report(small_run, tmp_path):
    page = Page(written(small_run(), tmp_path))
    assert "No trade was made" in page.text
    assert "n/a" in page.text
    assert "nan" not in page.text.lower().split()
    assert page.payload["trades"]["id"] == []


def test_a_ruined_account_has_a_report(small_run, tmp_path):
    day = 24 * 3600 * 10**9
    equity = [
        {"time_ns": (20_000 + i) * day, "equity": value, "position_lots": 1.0, "mid": 1.1}
        for i, value in enumerate([9_000.0, -50.0, -60.0])
    ]
    page = Page(written(small_run(equity=equity), tmp_path))
    assert "would have been closed" in page.text


# --- charts --------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 4_000),
    buckets=st.integers(1, 60),
    clumped=st.booleans(),
)
def test_thinning_loses_no_extreme_of_any_bucket(seed, size, buckets, clumped):
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, 3 if clumped else 1_000, size)
    time_ns = np.cumsum(steps).astype(np.int64)
    series = (rng.standard_normal(size).cumsum(), rng.integers(-3, 3, size).astype(float))
    rows = charts.extremes(time_ns, series, buckets)
    assert np.all(np.diff(rows) > 0)
    assert rows[0] == 0
    assert rows[-1] == size - 1
    assert rows.size <= max(6 * buckets, min(size, 6 * buckets))
    width = -(-(int(time_ns[-1] - time_ns[0]) + 1) // buckets)
    bucket = (time_ns - time_ns[0]) // width
    for number in np.unique(bucket):
        kept = rows[bucket[rows] == number]
        for values in series:
            inside = values[bucket == number]
            assert values[kept].min() == inside.min()
            assert values[kept].max() == inside.max()
            assert values[kept[0]] == inside[0]
            assert values[kept[-1]] == inside[-1]


def test_half_a_million_samples_become_a_drawable_number_and_keep_the_worst(small_run, tmp_path):
    size = 500_000
    rng = np.random.default_rng(5)
    equity = np.zeros(size, dtype=layout.EQUITY)
    equity["time_ns"] = 1_577_923_200 * 10**9 + np.arange(size) * 60 * 10**9
    equity["equity"] = 10_000.0 + np.round(rng.standard_normal(size).cumsum(), 2)
    equity["equity"][123_456] = 4_000.0
    equity["balance"] = equity["equity"]
    run = dataclasses.replace(small_run(), equity=equity)
    page = Page(written(run, tmp_path))
    drawn = np.cumsum(page.payload["account"]["equity"]) / 100
    assert drawn.size <= 8 * charts.MAX_BUCKETS
    assert drawn.min() == 4_000.0
    assert drawn.max() == pytest.approx(equity["equity"].max())
    assert "of 500,000 samples are drawn" in page.text


def test_too_many_bars_are_joined_with_their_extremes(three_years, monkeypatch):
    monkeypatch.setattr(charts, "MAX_BARS", 1_000)
    chart = charts.price_chart(three_years, 0)
    bars = three_years.bars["EURUSD"]
    assert chart.shown <= 1_000 < chart.total == bars.size
    payload: dict[str, Any] = dict(chart.payload)
    close = np.cumsum(payload["close"]) / 1e5
    assert (close + np.array(chart.payload["high"]) / 1e5).max() == pytest.approx(
        bars["high"].max()
    )
    assert (close - np.array(chart.payload["low"]) / 1e5).min() == pytest.approx(bars["low"].min())
    assert close[-1] == pytest.approx(bars["close"][-1])


def test_without_bars_the_price_chart_shows_the_sampled_mids(three_years):
    chart = charts.price_chart(dataclasses.replace(three_years, bars={}), 0)
    assert chart.total == three_years.equity.size


def test_price_digits_come_from_the_point_or_from_the_fills(small_run):
    fills = [{"price": price, "side": 1, "volume_lots": 1.0} for price in (1.1, 1.234)]
    run = small_run(fills)
    assert charts.price_digits(run, 0) == 3
    spec = np.zeros(1, dtype=layout.SPEC)
    spec["point"] = 0.00001
    assert charts.price_digits(dataclasses.replace(run, specs=spec), 0) == 5


def test_cost_bars_start_where_the_last_one_ended(three_years):
    gross, *costs, net = sections.cost_bars(statistics(three_years))
    assert gross.low == net.low == 0.0
    level = gross.high
    for bar in costs:
        assert bar.high == pytest.approx(level, abs=1e-3)
        level = bar.low
    assert level == pytest.approx(net.high, abs=1e-3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_every_trade_is_in_one_bin_of_the_histogram(small_run, results):
    fills = []
    for i, net in enumerate(results):
        fills.append({"side": 1, "volume_lots": 1.0, "price": 1.0, "time_ns": i})
        fills.append({"side": -1, "volume_lots": 1.0, "price": 1.0, "profit": net, "time_ns": i})
    run = small_run(fills)
    bars = sections.distribution(statistics(run), match(run).trades)
    assert sum(int(bar.value.replace(",", "")) for bar in bars) == len(results)
    winners = sum(int(b.value.replace(",", "")) for b in bars if b.tone == "gain")
    assert winners == sum(net >= 0.0 for net in results)
    assert len(bars) <= 40


def test_risk_refusals_are_counted_by_limit(three_years):
    (bar,) = sections.risk_bars(three_years)
    refused = int(np.sum(three_years.decisions["risk_code"] == codes.RISK_SPREAD))
    assert (bar.label, bar.value) == ("spread", f"{refused:,}")
