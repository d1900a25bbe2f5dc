"""The report in a real browser: it draws, zooms, sorts, filters, pages and asks for nothing."""

import importlib.util
import shutil

import pytest

from ml.backtest.report import write_report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="playwright is not installed"
    ),
]


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(make_run, tmp_path_factory):
    run = make_run(count=2_500, symbols=("EURUSD", "GBPUSD<b>"))
    return write_report(run, tmp_path_factory.mktemp("browser") / "report.html")[0]


@pytest.fixture
def visit(chromium, file):
    """Opens the report; on leaving, nothing may have gone wrong or been asked for."""
    contexts, wrong = [], []

    def open_page(width=1440, height=900, path=file, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "blob:")) else wrong.append(r.url),
        )
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=true]", timeout=10_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def view(page):
    return page.evaluate("[report.view.min, report.view.max]")


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_draws_four_charts_and_fits_the_screen(visit, width, height, scheme):
    page = visit(width, height, color_scheme=scheme, has_touch=width < 600)
    assert page.locator("canvas").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") == width
    painted = page.evaluate("""[...document.querySelectorAll("canvas")].map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value > 0);
    })""")
    assert painted == [True] * 4


def test_dragging_one_chart_zooms_all_and_a_double_click_shows_everything(visit):
    page = visit()
    everything = view(page)
    box = page.locator("#chart-equity .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 50, steps=4)
    page.mouse.up()
    page.wait_for_function("full => report.view.max < full", arg=everything[1])
    start, end = view(page)
    share = (end - start) / (everything[1] - everything[0])
    assert 0.18 < share < 0.22
    page.mouse.dblclick(box["x"] + 100, box["y"] + 50)
    page.wait_for_function("full => report.view.max === full", arg=everything[1])
    assert view(page) == everything


def test_the_cursor_tells_the_values_of_all_charts(visit):
    page = visit()
    chart = page.locator("#chart-drawdown .u-over")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 30)
    tip = page.locator("#tip").inner_text()
    for word in ("UTC", "Equity", "Drawdown", "Exposure", "EURUSD", "Close"):
        assert word in tip


def test_a_chart_obeys_the_keyboard(visit):
    page = visit()
    everything = view(page)
    page.locator("#chart-price").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").is_visible()
    page.keyboard.press("+")
    start, end = view(page)
    assert end - start < 0.7 * (everything[1] - everything[0])
    page.keyboard.press("Escape")
    assert view(page) == everything
    assert page.locator("#tip").is_hidden()


def column(page, name):
    texts = page.locator(f"#trade-table td.c-{name}").all_inner_texts()
    return [float(text.replace(",", "")) for text in texts]


def test_trades_sort_filter_and_page(visit):
    page = visit()
    assert column(page, "id") == sorted(column(page, "id"), reverse=True)
    page.locator("th[data-name=net] button").click()
    assert column(page, "net") == sorted(column(page, "net"), reverse=True)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.locator("th[data-name=net] button").click()
    assert column(page, "net") == sorted(column(page, "net"))
    page.locator("select[name=result]").select_option("win")
    assert min(column(page, "net")) > 0
    before = column(page, "id")
    page.get_by_label("Next page").click()
    assert not set(before) & set(column(page, "id"))
    page.locator("select[name=symbol]").select_option(label="GBPUSD<b>")
    page.get_by_label("Search").fill("stop loss")
    assert "No trade matches." in page.locator("#trade-table").inner_text()
    page.locator("select[name=result]").select_option("loss")
    assert page.locator("#trade-table tbody tr").count() > 1
    assert " of " in page.locator("#trade-count").inner_text()


def test_a_trade_picked_in_the_list_is_shown_in_its_price_chart(visit):
    page = visit()
    page.locator("select[name=symbol]").select_option(label="GBPUSD<b>")
    page.locator("#trade-table .show").first.press("Enter")
    first = page.locator("#trade-table .show").first.inner_text()
    spans = page.evaluate(
        """id => { const t = report.data.trades, i = t.id.indexOf(id);
        return [t.entry[i] / 1000, t.exit[i] / 1000]; }""",
        int(first),
    )
    start, end = view(page)
    assert start < spans[0] <= spans[1] < end
    assert "GBPUSD<b>" in page.locator("#chart-price figcaption").inner_text()
    assert page.evaluate("document.activeElement.id") == "chart-price"


def test_filtered_trades_can_be_saved(visit):
    page = visit()
    page.locator("select[name=side]").select_option("-1")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("id,symbol,side,")
    assert len(lines) > 10
    assert {line.split(",")[2] for line in lines[1:]} == {"short"}


def test_a_finger_moves_the_cursor_on_a_phone(visit):
    page = visit(390, 844, has_touch=True)
    page.locator("#chart-equity").scroll_into_view_if_needed()
    box = page.locator("#chart-equity .u-over").bounding_box()
    page.touchscreen.tap(box["x"] + 100, box["y"] + 60)
    page.wait_for_selector("#tip:not([hidden])")
    tip = page.locator("#tip").bounding_box()
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 390


def test_it_is_readable_without_javascript(visit, chromium, file):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("noscript svg, svg.still").first.is_visible()
    assert "need JavaScript" in page.inner_text("body")
    assert page.locator(".heat td").first.is_visible()
    context.close()


def test_an_empty_run_opens_without_an_error(visit, small_run, tmp_path):
    (path,) = write_report(small_run(), tmp_path / "empty.html")
    page = visit(path=path)
    assert "No trade was closed." in page.locator("#trade-table").inner_text()
    assert "no prices" in page.locator("#chart-price").inner_text()
