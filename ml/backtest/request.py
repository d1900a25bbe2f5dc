"""What a backtest is asked for, and what it refuses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from realtime.settings import Settings

STRATEGIES = ("sma", "ema", "model")


class BacktestError(Exception):
    """A backtest cannot be run as asked; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One backtest: what to trade on which data.

    Attributes:
        files: market data, one a symbol: ticks for all or bars of one timeframe for all.
        symbols: their names, in the same order.
        quotes_only: symbols that only convert currencies and are not traded.
        strategy: ``"sma"`` or ``"ema"`` (crossover of two averages of the close), or ``"model"``
            (probabilities from `predictions`).
        fast: window of the fast average, bars.
        slow: window of the slow average, bars.
        timeframe: of the deciding bars, e.g. ``"m15"``; None = that of the bars, m1 for ticks.
        predictions: for ``"model"``, one file a traded symbol with columns time and probability.
        zone: clock of the files; None = as they say, or found.
        date_order: ``"day"`` or ``"month"`` first in dates like 03/04/2024; None = found.
        format: format of the files; None = recognised.
        spread_points: spread used where bars have none; None = the symbol's typical one.
        ask_bars: bars are of the ask; the spread is taken off to get the bid.
        close_only: decide and fill at closes, without the path inside the bar.
        settings: account, limits, decision and costs.
    """

    files: tuple[Path, ...]
    symbols: tuple[str, ...]
    quotes_only: tuple[str, ...] = ()
    strategy: str = "sma"
    fast: int = 10
    slow: int = 30
    timeframe: str | None = None
    predictions: tuple[Path, ...] = ()
    zone: str | None = None
    date_order: Literal["day", "month"] | None = None
    format: str | None = None
    spread_points: float | None = None
    ask_bars: bool = False
    close_only: bool = False
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for wrong, msg in self._checks():
            if wrong:
                raise BacktestError(msg)

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        given, traded = len(self.predictions), len(self.symbols) - len(self.quotes_only)
        strangers = [name for name in self.quotes_only if name not in self.symbols]
        return (
            (not self.files, "name at least one file: --data FILE --symbol EURUSD"),
            (
                len(self.files) != len(self.symbols),
                (
                    f"{len(self.files)} files need as many symbols, got {len(self.symbols)}:"
                    " repeat --data FILE --symbol NAME for each"
                ),
            ),
            (
                len(set(self.symbols)) != len(self.symbols),
                f"a symbol is named twice among {', '.join(self.symbols)}",
            ),
            (bool(strangers), f"--quotes-only {' '.join(strangers)}: not among --symbol"),
            (traded < 1, "every symbol is quotes-only: nothing is traded"),
            (
                self.strategy not in STRATEGIES,
                f"unknown strategy {self.strategy!r}: choose one of {', '.join(STRATEGIES)}",
            ),
            (
                not 1 <= self.fast < self.slow,
                (
                    f"--fast {self.fast} --slow {self.slow}: the fast window must be at least 1"
                    " and smaller than the slow one"
                ),
            ),
            (
                self.strategy == "model" and given != traded,
                (
                    f"strategy model needs --predictions FILE once for each of {traded} traded"
                    f" symbols, got {given}"
                ),
            ),
            (
                self.strategy != "model" and self._sizes_by_volatility(),
                (
                    f"strategy {self.strategy} knows no volatility, which sizing"
                    ' "volatility_target" needs: use "fixed" or "kelly", or a model whose'
                    " predictions have a column volatility"
                ),
            ),
            (
                self.strategy != "model" and given > 0,
                "--predictions is only read by --strategy model",
            ),
            (
                self.spread_points is not None and not 0.0 <= self.spread_points < 1e6,
                f"--spread-points {self.spread_points}: must be 0 or more",
            ),
        )

    def _sizes_by_volatility(self) -> bool:
        traded = [name for name in self.symbols if name not in self.quotes_only]
        return any(self.settings.of(name).decision.sizing == "volatility_target" for name in traded)
