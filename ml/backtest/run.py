"""What one backtest leaves behind: everything that statistics and the report are made of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from realtime.kernels import layout

NO_BARS: Mapping[str, NDArray[np.void]] = MappingProxyType({})
NO_SETTINGS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of an importer's quality report.

    Args:
        reason: what was found, for example "crossed quote".
        rows: how many rows.
        action: what was done with them, for example "quarantined", "repaired", "kept".
        detail: an example, row number or remedy; may be empty.
    """

    reason: str
    rows: int
    action: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where the prices of a run came from and what became of their rows.

    Args:
        file: name of the file or lake partition as the user gave it.
        format: detected format, for example "MT5 export bars".
        zone: time zone the file was read in, and whether it was given or detected.
        rows_read: rows found in the source.
        rows_kept: rows the run used, repaired ones among them.
        rows_repaired: rows changed before use.
        rows_quarantined: rows set aside.
        first_ns: time of the first row kept, UTC.
        last_ns: time of the last row kept, UTC.
        sha256: hash of the source, empty if unknown.
        findings: the quality report, one entry per reason.
    """

    file: str
    format: str = ""
    zone: str = ""
    rows_read: int = 0
    rows_kept: int = 0
    rows_repaired: int = 0
    rows_quarantined: int = 0
    first_ns: int = 0
    last_ns: int = 0
    sha256: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """One finished backtest. Arrays are the engine's own and are never changed.

    Args:
        symbols: names; the `symbol` field of every array is an index into this tuple.
        currency: account currency.
        initial_balance: balance before the first tick, above 0, without credit.
        orders: finished orders, `layout.ORDER`.
        fills: deals in the order the account booked them, `layout.FILL`.
        decisions: `layout.DECISION`.
        equity: account samples, `layout.EQUITY`, times never decreasing.
        open_positions: positions left at the end, `layout.POSITION`.
        account: the account at the end, `layout.ACCOUNT`, shape (1,).
        specs: `layout.SPEC` a symbol, or None; needed for turnover and leverage.
        bars: `layout.BAR` by symbol name, for the price chart and for excursions; may be empty.
        strategy: name of the strategy or model.
        timeframe: of the decision bars, for people.
        settings: everything that was set, values plain or one level of mapping.
        data: where the prices came from.
        feature_identity: hash of the feature set, empty if none.
        fingerprint: hash that identifies the run (data, settings, code).
        wall_seconds: time the fold took, NaN if not measured.

    Raises:
        TypeError: an array has another dtype.
        ValueError: a value is out of its range or the arrays do not belong together.
    """

    symbols: tuple[str, ...]
    currency: str
    initial_balance: float
    orders: NDArray[np.void]
    fills: NDArray[np.void]
    decisions: NDArray[np.void]
    equity: NDArray[np.void]
    open_positions: NDArray[np.void]
    account: NDArray[np.void]
    specs: NDArray[np.void] | None = None
    bars: Mapping[str, NDArray[np.void]] = field(default_factory=lambda: NO_BARS)
    strategy: str = ""
    timeframe: str = ""
    settings: Mapping[str, object] = field(default_factory=lambda: NO_SETTINGS)
    data: tuple[DataSource, ...] = ()
    feature_identity: str = ""
    fingerprint: str = ""
    wall_seconds: float = math.nan

    def __post_init__(self) -> None:
        if not self.symbols:
            msg = "a run needs at least one symbol"
            raise ValueError(msg)
        if not (math.isfinite(self.initial_balance) and self.initial_balance > 0.0):
            msg = f"initial_balance must be above 0, not {self.initial_balance!r}"
            raise ValueError(msg)
        self._check_dtypes()
        self._check_shapes()

    def _check_dtypes(self) -> None:
        expected = {
            "orders": layout.ORDER,
            "fills": layout.FILL,
            "decisions": layout.DECISION,
            "equity": layout.EQUITY,
            "open_positions": layout.POSITION,
            "account": layout.ACCOUNT,
        }
        arrays = {name: getattr(self, name) for name in expected}
        if self.specs is not None:
            expected["specs"], arrays["specs"] = layout.SPEC, self.specs
        for name, bars in self.bars.items():
            expected[f"bars[{name!r}]"], arrays[f"bars[{name!r}]"] = layout.BAR, bars
        for name, dtype in expected.items():
            if arrays[name].dtype != dtype:
                msg = f"{name} must have the layout {dtype}, not {arrays[name].dtype}"
                raise TypeError(msg)

    def _check_shapes(self) -> None:
        if self.account.shape != (1,):
            msg = f"account must have the shape (1,), not {self.account.shape}"
            raise ValueError(msg)
        if self.specs is not None and self.specs.shape != (len(self.symbols),):
            msg = f"{len(self.symbols)} symbols need as many specs, not {self.specs.shape}"
            raise ValueError(msg)
        for name in ("orders", "fills", "decisions", "equity", "open_positions"):
            rows = getattr(self, name)["symbol"]
            if np.any((rows < 0) | (rows >= len(self.symbols))):
                msg = f"{name} names a symbol outside of {self.symbols}"
                raise ValueError(msg)
        if not np.all(np.isfinite(self.equity["equity"])):
            msg = "equity must be finite in every sample"
            raise ValueError(msg)
        if np.any(np.diff(self.equity["time_ns"]) < 0):
            msg = "equity rows must be in order of time"
            raise ValueError(msg)

    @property
    def initial_equity(self) -> float:
        """What profit is counted from: the balance and the broker's credit before the first tick.

        Credit is lent: it carries positions like a balance, and is nobody's profit.
        """
        return self.initial_balance + float(self.account["credit"][0])

    @property
    def money_digits(self) -> int:
        """Decimals of the account currency as booked; 2 if the account does not round."""
        digits = int(self.account["money_digits"][0])
        return digits if digits >= 0 else 2
