"""What the report's tables and bars say, ready for the template: names, texts, shares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ml.backtest.format import NOT_AVAILABLE, day, duration, moment, number, percent, probability
from ml.backtest.run import Run
from ml.backtest.statistics import Statistics, TradeGroup
from realtime.kernels import codes

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOUR_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Card:
    """One of the numbers at the top."""

    label: str
    value: str
    note: str
    tone: str = ""  # gain, loss or nothing


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart made of boxes; `low` and `high` are shares of the axis, 0 to 1."""

    label: str
    value: str
    low: float
    high: float
    tone: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the heat table; `heat` is 0 to 1."""

    text: str
    tone: str = ""
    heat: float = 0.0


Rows = list[tuple[str, ...]]


def cards(s: Statistics) -> list[Card]:
    """The eight numbers that a reader looks for first."""
    every, money = s.all_trades, s.money_digits
    return [
        Card(
            "Net profit",
            number(s.net_profit, money, sign=True),
            f"{percent(s.total_return, sign=True)} on {number(s.initial_equity, 0)} {s.currency}",
            tone(s.net_profit),
        ),
        Card(
            "CAGR",
            percent(s.cagr, sign=True),
            _note(s.volatility, f"volatility {percent(s.volatility, 1)} a year", "too few days"),
            tone(s.cagr),
        ),
        Card(
            "Sharpe",
            number(s.sharpe),
            _note(s.psr, f"above zero: {probability(s.psr)} likely", "needs days that vary"),
        ),
        Card(
            "Max drawdown",
            percent(-s.max_drawdown_fraction),
            f"longest {duration(s.longest_drawdown_ns)}" if s.worst_drawdowns else "never below",
            tone(-s.max_drawdown_fraction),
        ),
        Card(
            "Profit factor",
            number(every.profit_factor),
            _note(every.win_rate, f"{percent(every.win_rate, 1)} winners", "no trade closed"),
        ),
        Card(
            "Trades",
            f"{every.trades:,}",
            _note(
                every.expectancy,
                f"{number(every.expectancy, money, sign=True)} {s.currency} a trade",
                "none closed",
            ),
        ),
        Card(
            "Costs",
            number(s.costs.total, money),
            _note(
                s.costs.of_gross,
                f"{percent(s.costs.of_gross, 0)} of gross profit",
                "no gross profit to compare",
            ),
        ),
        Card(
            "Time in market",
            percent(s.exposure, 1),
            _note(
                every.average_hold_ns,
                f"average hold {duration(every.average_hold_ns)}",
                "no trade closed",
            ),
        ),
    ]


def _note(value: float, text: str, without: str) -> str:
    return text if math.isfinite(value) else without


def tone(value: float) -> str:
    """Colour of a signed number: gain, loss, or neither."""
    return "gain" if value > 0.0 else "loss" if value < 0.0 else ""


def figures(s: Statistics) -> list[tuple[str, Rows]]:
    """All statistics, in titled lists of (label, value)."""
    money = s.money_digits
    turnover = number(s.turnover_a_year, 1)
    return [
        (
            "Return",
            [
                (f"Initial equity, {s.currency}", number(s.initial_equity, money)),
                (f"Final equity, {s.currency}", number(s.final_equity, money)),
                ("Total return", percent(s.total_return, sign=True)),
                ("CAGR", percent(s.cagr, sign=True)),
                ("Best day", percent(s.best_day, sign=True)),
                ("Worst day", percent(s.worst_day, sign=True)),
                ("Winning days", percent(s.winning_days, 1)),
            ],
        ),
        (
            "Risk",
            [
                ("Volatility a year", percent(s.volatility)),
                ("Max drawdown", percent(s.max_drawdown_fraction)),
                (f"Max drawdown, {s.currency}", number(s.max_drawdown_money, money)),
                ("Longest drawdown", duration(s.longest_drawdown_ns)),
                ("Skewness of days", number(s.skew)),
                ("Kurtosis of days (normal: 3)", number(s.kurtosis)),
                ("Time in market", percent(s.exposure, 1)),
            ],
        ),
        (
            "Ratios and proof",
            [
                ("Sharpe", number(s.sharpe)),
                ("Sortino", number(s.sortino)),
                ("Calmar", number(s.calmar)),
                ("P(true Sharpe > 0)", probability(s.psr)),
                ("Record needed for 95%", _days(s.minimum_track_record_days)),
                ("Trading days on record", f"{s.trading_days:,}"),
                ("Turnover a year", f"{turnover}× equity" if turnover != NOT_AVAILABLE else "n/a"),
            ],
        ),
    ]


def _days(days: float) -> str:
    return f"{math.ceil(days):,} days" if math.isfinite(days) else NOT_AVAILABLE


GROUP_HEADINGS = (
    "Trades", "Net", "Win rate", "Profit factor", "Expectancy", "Average win", "Average loss",
    "Largest win", "Largest loss", "Average hold", "Win streak", "Loss streak",
)  # fmt: skip


def group_rows(s: Statistics) -> list[tuple[TradeGroup, list[tuple[str, str]]]]:
    """(group, [(text, tone)]) in the order of `GROUP_HEADINGS`."""
    money = s.money_digits
    return [
        (
            group,
            [
                (f"{group.trades:,}", ""),
                (number(group.net, money, sign=True), tone(group.net)),
                (percent(group.win_rate, 1), ""),
                (number(group.profit_factor), ""),
                (number(group.expectancy, money, sign=True), tone(group.expectancy)),
                (number(group.average_win, money), ""),
                (number(group.average_loss, money), ""),
                (number(group.largest_win, money), ""),
                (number(group.largest_loss, money), ""),
                (duration(group.average_hold_ns), ""),
                (str(group.longest_win_streak), ""),
                (str(group.longest_loss_streak), ""),
            ],
        )
        for group in s.groups
    ]


def heat_table(s: Statistics) -> list[tuple[str, list[Cell], Cell]]:
    """(year, twelve months, whole year) of the monthly returns."""
    hottest = max((abs(value) for _, _, value in s.monthly), default=0.0) or 1.0
    years: list[tuple[str, list[Cell], Cell]] = []
    for year, found in groupby(s.monthly, key=lambda entry: entry[0]):
        by_month = {month: value for _, month, value in found}
        cells = [
            _cell(by_month[month], hottest) if month in by_month else Cell("")
            for month in range(1, 13)
        ]
        growth = math.prod(1.0 + value for value in by_month.values()) - 1.0
        years.append((str(year), cells, Cell(percent(growth, 1, sign=True), tone(growth))))
    return years


def _cell(value: float, hottest: float) -> Cell:
    heat = round(min(abs(value) / hottest, 1.0), 3)
    return Cell(number(value * 100.0, 1, sign=True), tone(value), heat)


def cost_bars(s: Statistics) -> list[Bar]:
    """From gross to net profit, each cost where the one before ends."""
    c = s.costs
    steps = (
        ("Gross profit", c.gross),
        ("Spread", -c.spread),
        ("Slippage", -c.slippage),
        ("Commission", c.commission),
        ("Swap", c.swap),
    )
    spans: list[tuple[str, float, float, float]] = []
    level = 0.0
    for label, change in steps:
        spans.append((label, change, level, level + change))
        level += change
    spans.append(("Net profit", s.net_profit, 0.0, s.net_profit))
    low = min(min(start, end) for _, _, start, end in spans)
    high = max(max(start, end) for _, _, start, end in spans)
    size = (high - low) or 1.0
    return [
        Bar(
            label,
            number(change, s.money_digits, sign=True),
            round((min(start, end) - low) / size, 4),
            round((max(start, end) - low) / size, 4),
            tone(change),
        )
        for label, change, start, end in spans
    ]


def distribution(s: Statistics, trades: NDArray[np.void]) -> list[Bar]:
    """Histogram of net results: bins with an edge at 0; the outer bins hold the tails."""
    net = trades["net"]
    if net.size == 0:
        return []
    reach = float(np.quantile(np.abs(net), 0.99)) or 1.0
    width = _nice(reach / 14.0)
    last = min(max(math.ceil(reach / width), 1), 20)
    bins = np.clip(np.floor(net / width).astype(np.int64), -last, last - 1)
    counts = np.bincount(bins + last, minlength=2 * last)
    first = int(np.flatnonzero(counts)[0])
    final = int(np.flatnonzero(counts)[-1])
    bars: list[Bar] = []
    for place in range(min(first, last), max(final, last - 1) + 1):
        start = (place - last) * width
        count = int(counts[place])
        begin = "less" if place == 0 else number(start, 2 if width < 1 else 0)
        end = "more" if place == 2 * last - 1 else number(start + width, 2 if width < 1 else 0)
        text = f"{begin} to {end} {s.currency}: {count:,} trades"
        height = round(count / int(counts.max()), 4)
        bars.append(Bar(begin, f"{count:,}", 0.0, height, "gain" if start >= 0 else "loss", text))
    return bars


def _nice(size: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= size * 0.999)


def by_hour(s: Statistics, trades: NDArray[np.void]) -> list[Bar]:
    """Net result by hour of entry, UTC."""
    hours = (trades["entry_ns"] // _HOUR_NS) % 24
    return _signed_bars(s, trades["net"], hours, [f"{hour:02d}" for hour in range(24)])


def by_weekday(s: Statistics, trades: NDArray[np.void]) -> list[Bar]:
    """Net result by weekday of entry, UTC; weekend days only where there are trades."""
    days = (trades["entry_ns"] // (24 * _HOUR_NS) + 3) % 7  # 1970-01-01 was a Thursday
    labels = [name for row, name in enumerate(WEEKDAYS) if row < 5 or np.any(days == row)]
    return _signed_bars(s, trades["net"], days, labels)


def _signed_bars(
    s: Statistics, net: NDArray[np.float64], groups: NDArray[np.int64], labels: list[str]
) -> list[Bar]:
    if net.size == 0:
        return []
    count = max(len(labels), int(groups.max()) + 1)
    sums = np.bincount(groups, weights=net, minlength=count)
    counts = np.bincount(groups, minlength=count)
    low, high = min(float(sums.min()), 0.0), max(float(sums.max()), 0.0)
    size = (high - low) or 1.0
    bars: list[Bar] = []
    for label, total, trades in zip(labels, sums.tolist(), counts.tolist(), strict=False):
        text = number(total, s.money_digits, sign=True)
        bars.append(
            Bar(
                label,
                text,
                round((min(total, 0.0) - low) / size, 4),
                round((max(total, 0.0) - low) / size, 4),
                tone(total),
                f"{label}: {text} {s.currency} in {trades:,} trades",
            )
        )
    return bars


def drawdown_rows(s: Statistics) -> Rows:
    """Depth, money, peak, trough, recovery and length of the deepest drawdowns."""
    return [
        (
            percent(-float(fall["fraction"])),
            number(-float(fall["money"]), s.money_digits),
            day(int(fall["peak_ns"])),
            day(int(fall["trough_ns"])),
            day(int(fall["recovered_ns"])) if fall["recovered_ns"] >= 0 else "not yet",
            duration(int(fall["duration_ns"])),
        )
        for fall in s.worst_drawdowns
    ]


def decision_bars(run: Run) -> list[Bar]:
    """How often the decision kernel gave each reason."""
    return _count_bars(run.decisions["decision_code"], codes.DECISION_NAMES)


def risk_bars(run: Run) -> list[Bar]:
    """How often each limit allowed less than was asked."""
    risk = run.decisions["risk_code"]
    return _count_bars(risk[risk != codes.RISK_OK], codes.RISK_NAMES)


def order_bars(run: Run) -> list[Bar]:
    """How orders ended, by the broker's return code."""
    return _count_bars(run.orders["retcode"], codes.RETCODE_NAMES)


def _count_bars(values: NDArray[np.int64], names: Mapping[int, str]) -> list[Bar]:
    found, counts = np.unique(values, return_counts=True)
    order = np.lexsort((found, -counts))
    total, most = int(counts.sum()), int(counts.max()) if counts.size else 1
    return [
        Bar(
            plain(names.get(int(found[i]), f"code {int(found[i])}")),
            f"{int(counts[i]):,}",
            0.0,
            round(int(counts[i]) / most, 4),
            title=percent(int(counts[i]) / total, 1),
        )
        for i in order
    ]


def plain(name: str) -> str:
    """A code's name as words."""
    return name.replace("_", " ")


def exit_names(trades: NDArray[np.void]) -> list[str]:
    """Why each trade was closed: the deal's reason, or the decision behind an expert's deal."""
    names: list[str] = []
    pairs = zip(trades["exit_reason"].tolist(), trades["exit_decision"].tolist(), strict=True)
    for reason, decision in pairs:
        if reason == codes.REASON_EXPERT and decision in codes.DECISION_NAMES:
            names.append(plain(codes.DECISION_NAMES[decision]))
        else:
            names.append(plain(codes.REASON_NAMES.get(reason, f"reason {reason}")))
    return names


def open_rows(run: Run) -> Rows:
    """Positions left at the end."""
    return [
        (
            run.symbols[int(position["symbol"])],
            "long" if position["side"] > 0 else "short",
            number(float(position["volume_lots"])),
            moment(int(position["open_ns"])),
            f"{float(position['open_price']):g}",
            number(float(position["profit"]), run.money_digits, sign=True),
            number(float(position["swap"]), run.money_digits, sign=True),
        )
        for position in run.open_positions
    ]


def setting_groups(settings: Mapping[str, object]) -> list[tuple[str, Rows]]:
    """Settings as titled lists; plain values come first under "General"."""
    general: Rows = []
    groups: list[tuple[str, Rows]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[object, object]", value)
            groups.append((plain(key), [(str(k), _text(v)) for k, v in inner.items()]))
        else:
            general.append((key, _text(value)))
    return [("General", general), *groups] if general else groups


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
