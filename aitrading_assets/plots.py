"""Plots for the metadata of materialisations: SVG inside Markdown, a few kilobytes each."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import dagster as dg
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 34
_COLOURS = ("#2f6fb2", "#d9822b", "#3d9a5f", "#8d6cc4", "#c0504d", "#6b7785")
_GRID, _INK = "#e3e7eb", "#3b4652"
_MOST_POINTS = 1_500
_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a plot.

    Attributes:
        name: in the legend; empty = not in it.
        x: (n,) in order; seconds since 1970 where the axis is of time.
        y: (n,); the line has a hole where it is not finite.
        marked: a dot at each point.
        faint: grey and thin, for what is only compared with.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    marked: bool = False
    faint: bool = False


def line_plot(
    title: str, lines: Sequence[Line], *, of_time: bool = False, x_label: str = ""
) -> dg.MarkdownMetadataValue:
    """Draw lines.

    Args:
        title: above the plot, with the unit of y.
        lines: drawn in order; long ones are thinned to what can be seen.
        of_time: x is seconds since 1970 (UTC).
        x_label: below the plot.
    """
    shown = [(line, *_thinned(_floats(line.x), _floats(line.y))) for line in lines]
    sheet = _Sheet(title, x=_span(x for _, x, _ in shown), y=_span(y for _, _, y in shown))
    sheet.y_axis()
    sheet.x_axis(of_time=of_time, label=x_label)
    colours = iter(_COLOURS * len(lines))
    for line, x, y in shown:
        colour = "#9aa5b1" if line.faint else next(colours)
        sheet.path(x, y, colour, 1.0 if line.faint else 1.4)
        if line.marked:
            sheet.dots(x, y, colour)
        sheet.legend(line.name, colour)
    return sheet.markdown()


def bar_plot(
    title: str,
    labels: Sequence[object],
    stacks: Mapping[str, Sequence[float]],
    *,
    level: float | None = None,
) -> dg.MarkdownMetadataValue:
    """Draw bars, those of the same label on top of each other.

    Args:
        title: above the plot, with the unit.
        labels: below the bars; some are left out where there are many.
        stacks: heights by name.
        level: a line across the plot.
    """
    heights = np.array([list(values) for values in stacks.values()], np.float64)
    total = heights.sum(axis=0) if heights.size else np.zeros(len(labels))
    top = [0.0, *total.tolist(), *([] if level is None else [level])]
    sheet = _Sheet(title, x=(-0.5, max(len(labels), 1) - 0.5), y=_span([np.array(top)]))
    sheet.y_axis()
    sheet.names(labels)
    below = np.zeros(len(labels))
    for (name, values), colour in zip(stacks.items(), _COLOURS * len(stacks), strict=False):
        sheet.bars(below, below + np.array(values, np.float64), colour)
        below = below + np.array(values, np.float64)
        sheet.legend(name if len(stacks) > 1 else "", colour)
    if level is not None:
        sheet.path(np.array([-0.5, len(labels) - 0.5]), np.array([level, level]), _INK, 1.0)
    return sheet.markdown()


def range_plot(
    title: str, names: Sequence[str], quantiles: Sequence[Sequence[float]]
) -> dg.MarkdownMetadataValue:
    """Draw five quantiles of each name: thin from the first to the last, thick in the middle.

    Args:
        title: above the plot.
        names: one a row.
        quantiles: of each name (least, lower, middle, upper, most).
    """
    values = np.array(quantiles, np.float64).reshape(len(names), 5)
    height = _TOP + _BOTTOM + 15 * len(names)
    sheet = _Sheet(title, x=_span([values]), y=(len(names) - 0.5, -0.5), height=height, left=190)
    sheet.x_axis()
    for row, name in enumerate(names):
        least, lower, middle, upper, most = values[row]
        at = np.array([row, row], np.float64)
        sheet.text(sheet.left - 6, sheet.y_of(row) + 4, name, anchor="end")
        sheet.path(np.array([least, most]), at, "#9aa5b1", 1.2)
        sheet.path(np.array([lower, upper]), at, _COLOURS[0], 6.0)
        sheet.dots(np.array([middle]), at[:1], "#ffffff")
    return sheet.markdown()


class _Sheet:
    """An SVG image with a frame of numbers."""

    def __init__(
        self,
        title: str,
        *,
        x: tuple[float, float],
        y: tuple[float, float],
        height: int = _HEIGHT,
        left: int = _LEFT,
    ) -> None:
        self.left, self._height, self._title = left, height, title
        self._x, self._y = x, y
        self._parts: list[str] = []
        self._legend_end = float(_WIDTH - _RIGHT)
        self.text(8, 18, title, size=13, weight="600")

    def x_of(self, value: float) -> float:
        """Pixel of a value on the x axis."""
        low, high = self._x
        return self.left + (value - low) / (high - low) * (_WIDTH - _RIGHT - self.left)

    def y_of(self, value: float) -> float:
        """Pixel of a value on the y axis."""
        low, high = self._y
        bottom = self._height - _BOTTOM
        return bottom - (value - low) / (high - low) * (bottom - _TOP)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        size: int = 11,
        weight: str = "400",
        colour: str = _INK,
    ) -> None:
        """Write."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
            f' font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
        )

    def y_axis(self) -> None:
        """Draw the y axis and its grid."""
        for value in _steps(*self._y):
            at = self.y_of(value)
            self._line(self.left, at, _WIDTH - _RIGHT, at, _GRID)
            self.text(self.left - 6, at + 4, _number(value), anchor="end")

    def x_axis(self, *, of_time: bool = False, label: str = "") -> None:
        """Draw the x axis and its grid."""
        bottom = self._height - _BOTTOM
        low, high = self._x
        for value in _moments(low, high) if of_time else _steps(low, high):
            at = self.x_of(value)
            self._line(at, _TOP, at, bottom, _GRID)
            said = _moment(value, high - low) if of_time else _number(value)
            self.text(at, bottom + 15, said, anchor="middle")
        if label:
            self.text(_WIDTH - _RIGHT, self._height - 4, label, anchor="end")

    def names(self, labels: Sequence[object]) -> None:
        """Write labels below bars, as many as there is room for."""
        step = max(-(-len(labels) // 14), 1)
        for at in range(0, len(labels), step):
            self.text(self.x_of(at), self._height - _BOTTOM + 15, str(labels[at]), anchor="middle")

    def legend(self, name: str, colour: str) -> None:
        """Write a name in the colour of its line, from the right."""
        if name:
            self.text(self._legend_end, 18, name, anchor="end", weight="600", colour=colour)
            self._legend_end -= 7.0 * len(name) + 14

    def path(self, x: Floats, y: Floats, colour: str, width: float) -> None:
        """Draw a line with holes where a point is not finite."""
        commands: list[str] = []
        pen_down = False
        for each_x, each_y in zip(x.tolist(), y.tolist(), strict=True):
            if not (math.isfinite(each_x) and math.isfinite(each_y)):
                pen_down = False
                continue
            commands.append(
                f"{'L' if pen_down else 'M'}{self.x_of(each_x):.1f} {self.y_of(each_y):.1f}"
            )
            pen_down = True
        self._parts.append(
            f'<path d="{"".join(commands)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def dots(self, x: Floats, y: Floats, colour: str) -> None:
        """Draw points."""
        for each_x, each_y in zip(x.tolist(), y.tolist(), strict=True):
            if math.isfinite(each_x) and math.isfinite(each_y):
                at = f'cx="{self.x_of(each_x):.1f}" cy="{self.y_of(each_y):.1f}"'
                self._parts.append(f'<circle {at} r="2.5" fill="{colour}"/>')

    def bars(self, low: Floats, high: Floats, colour: str) -> None:
        """Draw one bar a label."""
        width = max((self.x_of(1) - self.x_of(0)) * 0.8, 0.8)
        for at, (start, end) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            if math.isfinite(start) and math.isfinite(end):
                top, bottom = sorted((self.y_of(start), self.y_of(end)))
                self._parts.append(
                    f'<rect x="{self.x_of(at) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}"'
                    f' height="{bottom - top:.1f}" fill="{colour}"/>'
                )

    def _line(self, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self._parts.append(f'<line {ends} stroke="{colour}"/>')

    def markdown(self) -> dg.MarkdownMetadataValue:
        """Return the image as Markdown."""
        image = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{self._height}"'
            f' viewBox="0 0 {_WIDTH} {self._height}" font-family="sans-serif">'
            f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(self._parts)}</svg>'
        )
        encoded = base64.b64encode(image.encode()).decode()
        title = self._title.replace("[", "(").replace("]", ")")
        return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep the least and the most of each stretch of a long line, so that no peak is lost."""
    if len(x) <= _MOST_POINTS:
        return x, y
    kept: list[int] = [0]
    for part in np.array_split(np.arange(len(x)), _MOST_POINTS // 2):
        values = np.where(np.isfinite(y[part]), y[part], 0.0)
        kept += sorted({int(part[values.argmin()]), int(part[values.argmax()])})
    kept.append(len(x) - 1)
    chosen = np.unique(kept)
    return x[chosen], y[chosen]


def _span(arrays: Iterable[Floats]) -> tuple[float, float]:
    """Return least and most of all finite values, apart in any case."""
    joined = np.concatenate([np.ravel(each) for each in arrays] or [np.zeros(1)])
    finite = joined[np.isfinite(joined)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _steps(low: float, high: float) -> list[float]:
    """Return about five round numbers in a range."""
    low, high = min(low, high), max(low, high)
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _moments(low: float, high: float) -> list[float]:
    """Return about eight moments in a range of time, on whole days where it is long."""
    step = (high - low) / 8
    step = max(round(step / _DAY_S), 1) * _DAY_S if step > _DAY_S else step
    first = math.ceil(low / step) * step
    return [first + k * step for k in range(int((high - first) / step) + 1)]


def _moment(seconds: float, span_s: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if span_s > 8 * _DAY_S else f"{moment:%d %H:%M}"


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1e5:
        return f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value / 1e3:g}k"
    return f"{value:.5g}"
