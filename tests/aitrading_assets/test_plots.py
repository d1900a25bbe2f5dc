"""Plots and tables of the metadata."""

import base64
import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from aitrading_assets.plots import Line, bar_plot, line_plot, range_plot
from aitrading_assets.tables import table

SVG = "{http://www.w3.org/2000/svg}"


def image(markdown) -> Any:
    text = markdown.value
    assert text.startswith("![")
    encoded = text.partition("base64,")[2].removesuffix(")")
    return ET.fromstring(base64.b64decode(encoded))


def words(root) -> list[Any]:
    return [each.text for each in root.iter(f"{SVG}text")]


def test_a_line_has_holes_where_there_is_no_number():
    root = image(line_plot("t", [Line(name="n", x=range(5), y=[1, 2, math.nan, 3, 4])]))
    [path] = root.iter(f"{SVG}path")
    assert path.get("d").count("M") == 2
    assert path.get("d").count("L") == 2


def test_a_long_line_is_thinned_and_keeps_its_peak():
    y = np.zeros(50_000)
    y[31_415] = 7.0
    root = image(line_plot("t", [Line(name="", x=np.arange(50_000), y=y)]))
    [path] = root.iter(f"{SVG}path")
    points = path.get("d").replace("M", "L").split("L")[1:]
    assert len(points) < 2_000
    assert min(float(point.split()[1]) for point in points) == pytest.approx(30.0)


@pytest.mark.parametrize("y", [[], [math.nan], [5.0], [5.0, 5.0], [-1e-9, 1e9]])
def test_whatever_comes_out_of_a_run_can_be_drawn(y):
    assert words(image(line_plot("title", [Line(name="n", x=range(len(y)), y=y)])))[0] == "title"


def test_axes_of_time_say_days_and_short_ones_hours():
    start = 1_500_000_000
    days = image(line_plot("t", [Line(name="", x=[start, start + 9e6], y=[0, 1])], of_time=True))
    assert any(text.startswith("2017-0") for text in words(days))
    hours = image(line_plot("t", [Line(name="", x=[start, start + 9e4], y=[0, 1])], of_time=True))
    assert any(":" in text for text in words(hours))


def test_bars_of_the_same_label_stand_on_top_of_each_other():
    root = image(bar_plot("t", ["a", "b"], {"one": [1.0, 2.0], "two": [3.0, 1.0]}, level=2.0))
    _, *boxes = list(root.iter(f"{SVG}rect"))
    tops = [float(box.get("y")) for box in boxes]
    bottoms = [float(box.get("y")) + float(box.get("height")) for box in boxes]
    assert bottoms[2] == pytest.approx(tops[0], abs=0.2)
    assert {"one", "two", "a", "b"} <= set(words(root))


def test_quantiles_are_drawn_for_every_name():
    root = image(range_plot("t", ["x", "y"], [[-2, -1, 0, 1, 2], [-3, -1, 0.5, 1, 4]]))
    assert {"x", "y"} <= set(words(root))


def test_a_name_that_looks_like_markup_stays_text():
    root = image(bar_plot("<script>", ["<b>"], {"&": [1.0]}))
    assert {"<script>", "<b>"} <= set(words(root))


def test_a_table_keeps_bars_of_its_cells_apart_from_its_own():
    text = table([{"a|b": 1_234_567, "c": "x|y", "d": True, "e": 0.123456789}]).value
    head, rule, row = text.splitlines()
    assert head == "| a\\|b | c | d | e |"
    assert rule.count("|") == 5
    assert row == "| 1,234,567 | x\\|y | yes | 0.123457 |"


def test_an_empty_table_says_so():
    assert table([]).value == "*nothing*"
