"""The statistics of a backtest as text for a terminal, and the verdict in two sentences."""

import math
import unicodedata

from ml.backtest.format import day, duration, moment, number, percent, probability
from ml.backtest.statistics import Statistics

WIDTH = 80
_COLUMN = 38  # two of them and a gap
FEW_TRADES = 30
FEW_DAYS = 60


def verdict(statistics: Statistics) -> str:
    """What happened, what costs took and how much the record proves, in plain sentences."""
    s = statistics
    money, count = s.money_digits, s.all_trades.trades
    if count == 0 and s.open_positions == 0:
        return (
            f"No trade was made, so there is nothing to judge: the account stayed at "
            f"{number(s.final_equity, money)} {s.currency}."
        )
    if count == 0 and not s.ruined:
        return (
            f"No trade was closed: what is still open moved the account from "
            f"{number(s.initial_equity, money)} to {number(s.final_equity, money)} {s.currency} "
            f"({percent(s.total_return, sign=True)}). That proves nothing."
        )
    text = (
        f"{count:,} closed trade{'' if count == 1 else 's'} took the account from "
        f"{number(s.initial_equity, money)} to {number(s.final_equity, money)} {s.currency} "
        f"({percent(s.total_return, sign=True)})."
    )
    if s.ruined:
        return text + " The account was ruined: equity fell to zero or below."
    if s.costs.gross > 0.0 and s.costs.total >= s.costs.gross:
        text += " There was a profit before costs, but costs took more than all of it."
    elif s.costs.gross > 0.0 and s.costs.total > 0.0:
        text += f" Costs took {percent(s.costs.of_gross, 0)} of the gross profit."
    elif s.costs.total > 0.0:
        text += " It lost money before costs, and costs added to that."
    return text + _proof(s)


def _proof(s: Statistics) -> str:
    if s.all_trades.trades < FEW_TRADES or s.trading_days < FEW_DAYS:
        return " That is too short a record to prove anything."
    if not math.isfinite(s.psr):
        return ""
    return (
        f" Taken alone, this record makes it {probability(s.psr)} likely that the true "
        "Sharpe ratio is above zero; every other variant that was tried lowers that."
    )


def cautions(statistics: Statistics) -> tuple[str, ...]:
    """What a reader must know before believing the numbers; often empty."""
    s = statistics
    found: list[str] = []
    if s.ruined:
        found.append("Equity fell to zero or below: a real account would have been closed.")
    if s.halted_ns:
        found.append(
            f"The drawdown limit ended trading on {day(s.halted_ns)}: every figure includes the "
            "idle time after it."
        )
    if 0 < s.trading_days < FEW_DAYS:
        found.append(
            f"Annualised from {s.trading_days} trading days: yearly figures say little here."
        )
    if 0 < s.all_trades.trades < FEW_TRADES:
        found.append(f"Only {s.all_trades.trades} closed trades: luck cannot be told from skill.")
    if s.open_positions:
        found.append(
            f"{s.open_positions} position{'' if s.open_positions == 1 else 's'} open at the end, "
            f"marked at {number(s.open_profit, s.money_digits, sign=True)} {s.currency}: counted "
            "in equity, not in the trades."
        )
    if abs(s.unexplained) >= 0.5 * 10.0**-s.money_digits:
        found.append(
            f"The deals do not explain the balance: {number(s.unexplained, s.money_digits)} "
            f"{s.currency} is missing from them."
        )
    return tuple(found)


def text_summary(statistics: Statistics) -> str:
    """Statistics as aligned ASCII text, 80 columns, no trailing newline."""
    s, every = statistics, statistics.all_trades
    money = s.money_digits
    lines = [
        _clip(f"Backtest: {s.strategy or 'strategy'} on {', '.join(s.symbols)} {s.timeframe}"),
        _clip(
            f"{moment(s.start_ns)} to {moment(s.end_ns)} UTC, {number(s.years)} years, "
            f"{s.trading_days:,} trading days"
        ),
        "",
        *_wrap(verdict(s)),
        *_section(
            f"Account, {s.currency}",
            [
                ("Initial equity", number(s.initial_equity, money)),
                ("Final equity", number(s.final_equity, money)),
                ("Net profit", number(s.net_profit, money, sign=True)),
                ("Return", percent(s.total_return, sign=True)),
                ("CAGR", percent(s.cagr, sign=True)),
                ("Volatility a year", percent(s.volatility)),
                ("Sharpe", number(s.sharpe)),
                ("Sortino", number(s.sortino)),
                ("Calmar", number(s.calmar)),
                ("P(true Sharpe > 0)", probability(s.psr)),
                ("Max drawdown", percent(s.max_drawdown_fraction)),
                ("Max drawdown, money", number(s.max_drawdown_money, money)),
                ("Longest drawdown", duration(s.longest_drawdown_ns)),
                ("Time in market", percent(s.exposure, 1)),
            ],
        ),
        *_section(
            "Closed trades",
            [
                ("Trades", f"{every.trades:,}"),
                ("Win rate", percent(every.win_rate, 1)),
                ("Profit factor", number(every.profit_factor)),
                ("Expectancy", number(every.expectancy, money, sign=True)),
                ("Average win", number(every.average_win, money)),
                ("Average loss", number(every.average_loss, money)),
                ("Largest win", number(every.largest_win, money)),
                ("Largest loss", number(every.largest_loss, money)),
                ("Longest win streak", str(every.longest_win_streak)),
                ("Longest loss streak", str(every.longest_loss_streak)),
                ("Average hold", duration(every.average_hold_ns)),
                ("Turnover a year", _times(s.turnover_a_year)),
            ],
        ),
        *_section(
            f"Costs, {s.currency}",
            [
                ("Gross profit", number(s.costs.gross, money, sign=True)),
                ("Spread", number(-s.costs.spread, money, sign=True)),
                ("Slippage", number(-s.costs.slippage, money, sign=True)),
                ("Commission", number(s.costs.commission, money, sign=True)),
                ("Swap", number(s.costs.swap, money, sign=True)),
                ("Costs of gross profit", percent(s.costs.of_gross, 1)),
            ],
        ),
    ]
    for caution in cautions(s):
        lines += ["", *_wrap("Caution: " + caution)]
    lines += ["", "Simulated on historical prices; past results say little about future ones."]
    return "\n".join(line.rstrip() for line in lines)


def period(statistics: Statistics) -> str:
    """First and last day of a run."""
    return f"{day(statistics.start_ns)} to {day(statistics.end_ns)}"


def _times(ratio: float) -> str:
    return number(ratio, 1) + (" x equity" if math.isfinite(ratio) else "")


def _section(title: str, rows: list[tuple[str, str]]) -> list[str]:
    """Two columns, read downwards."""
    half = (len(rows) + 1) // 2
    lines = ["", f"{title} ".ljust(WIDTH, "-")]
    for i in range(half):
        left = _cell(*rows[i])
        right = _cell(*rows[i + half]) if i + half < len(rows) else ""
        lines.append(f"{left}    {right}")
    return lines


def _cell(label: str, value: str) -> str:
    return label + value.rjust(_COLUMN - len(label))


def _wrap(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        fits = len(lines[-1]) + len(word) < WIDTH
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if fits else [lines[-1], word]
    return lines


def _clip(line: str) -> str:
    """One line of at most 80 columns; control characters of names do not reach the terminal."""
    clean = "".join("?" if unicodedata.category(c)[0] == "C" else c for c in line)
    return clean if len(clean) <= WIDTH else clean[: WIDTH - 3] + "..."
