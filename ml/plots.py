"""Plots of one training as SVG: calibration, what candidates earned, which features matter."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.evaluation.evaluation import Evaluation
    from ml.training import Trained

_WIDTH, _HEIGHT, _LEFT, _EDGE = 640, 400, 60, 40
_ROW = 18
_BLUE, _RED, _GREY = "#1f6f8b", "#c8553d", "#999999"
_SHOWN = 20


def write_plots(folder: Path, trained: "Trained", evaluation: "Evaluation") -> tuple[Path, ...]:
    """Write all plots; return their paths."""
    plots = {
        "calibration": calibration_plot(evaluation),
        "features": feature_plot(trained),
        "trials": trial_plot(trained),
    }
    paths: list[Path] = []
    for name, text in plots.items():
        path = folder / f"{name}.svg"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return tuple(paths)


def calibration_plot(evaluation: "Evaluation") -> str:
    """Said against happened, by decile of the holdout."""
    said = [each.said for each in evaluation.deciles]
    happened = [each.happened for each in evaluation.deciles]
    low, high = min([*said, *happened]), max([*said, *happened])
    span = high - low or 1.0

    def x(value: float) -> float:
        return _LEFT + (value - low) / span * (_WIDTH - _LEFT - _EDGE)

    def y(value: float) -> float:
        return _HEIGHT - _EDGE - (value - low) / span * (_HEIGHT - 2 * _EDGE)

    dots = "".join(
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" fill="{_BLUE}"/>'
        for a, b in zip(said, happened, strict=True)
    )
    ends = "".join(
        f'<text x="{x(value):.0f}" y="{_HEIGHT - 18}" text-anchor="middle">{value:.3f}</text>'
        f'<text x="{_LEFT - 6}" y="{y(value):.0f}" text-anchor="end">{value:.3f}</text>'
        for value in (low, high)
    )
    line = f'<path d="M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}" stroke="{_GREY}"/>'
    error = evaluation.calibration_error
    title = f"Said (across) and happened (up) on the holdout, expected error {error:.3f}"
    return _svg(title, line + dots + ends, _HEIGHT)


def feature_plot(trained: "Trained") -> str:
    """Shares of the features in what the trees gained."""
    ranked = sorted(trained.gains.items(), key=lambda each: -each[1])[:_SHOWN]
    names, shares = [name for name, _ in ranked], [share for _, share in ranked]
    return _bars("Share of each feature in the gain", names, shares, [_BLUE] * len(names))


def trial_plot(trained: "Trained") -> str:
    """Net Sharpe ratios of all trials, the chosen one marked."""
    ratios = [trial.record.sharpe for trial in trained.trials]
    names = [f"trial {k + 1}" for k in range(len(ratios))]
    colours = [_RED if k == trained.chosen else _BLUE for k in range(len(ratios))]
    return _bars("Net Sharpe ratio a bar, walk-forward (chosen in red)", names, ratios, colours)


def _bars(title: str, names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> str:
    left, room = 250, _WIDTH - 250 - 80
    low, high = min(0.0, *values), max(0.0, *values)
    span = high - low or 1.0
    zero = left - low / span * room
    rows: list[str] = []
    for k, (name, value, colour) in enumerate(zip(names, values, colours, strict=True)):
        top, width = _EDGE + k * _ROW, abs(value) / span * room
        start = zero if value >= 0.0 else zero - width
        rows.append(
            f'<text x="8" y="{top + 12}">{escape(name)}</text>'
            f'<rect x="{start:.1f}" y="{top + 2}" width="{width:.1f}" height="{_ROW - 5}"'
            f' fill="{colour}"/>'
            f'<text x="{_WIDTH - 8}" y="{top + 12}" text-anchor="end">{value:.4f}</text>'
        )
    return _svg(title, "".join(rows), 2 * _EDGE + len(names) * _ROW)


def _svg(title: str, body: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="11">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
        f'<text x="8" y="20" font-size="14">{escape(title)}</text>{body}</svg>\n'
    )
