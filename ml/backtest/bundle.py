"""Backtest a model bundle: its own features, model and decision, through the loop's kernels."""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.backtest.report import write_report
from ml.backtest.request import BacktestError
from ml.backtest.run import DataSource, Run
from ml.backtest.statistics import Statistics, statistics
from ml.bundle import decision_table
from realtime.bundle import Bundle
from realtime.desk import new_desk
from realtime.kernels.bars import PIECE_STATE, TIME_BAR, time_bars_fold
from realtime.kernels.features.catalogue import CLOCKS_NS, parse
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.jit import sources_hash
from realtime.kernels.layout import BAR, TICK
from realtime.model import load_model
from realtime.model_fold import Folded, fold_models
from realtime.settings import DecisionSettings, Settings, SymbolSettings
from realtime.symbols import load_symbols

_DAY_NS = 86_400_000_000_000
_IDLE = DecisionSettings(allow_long=False, allow_short=False)


def backtest_bundle(
    directory: Path,
    ticks: NDArray[np.void],
    settings: Settings,
    *,
    symbols: Sequence[str] = (),
    data: Sequence[DataSource] = (),
    limit_model_age: bool = False,
) -> Run:
    """Trade a bundle over ticks that it was not trained on.

    Ticks up to its ``trained_through_ns`` only warm its features up: it predicts nothing there.
    What is reported begins after them, with the holdout.

    Args:
        directory: of the bundle.
        ticks: (n,) TICK in the order of the feed; `symbol` is the place in `symbols`.
        settings: account, limits and costs; the decision is the bundle's own.
        symbols: names of the ticks' symbols; only the bundle's if not given. The others convert
            currencies or feed cross-symbol features, and are not traded.
        data: where the ticks came from, for the report.
        limit_model_age: whether ``max_model_age`` holds, as it does live; a holdout of years would
            otherwise end after its first months.

    Raises:
        BundleError: the bundle cannot be used.
        BacktestError: the ticks do not go with it.
        SettingsError: a symbol is unknown, or one that converts currencies is missing.
    """
    model = load_model(directory)
    bundle = model.bundle
    names = tuple(symbols) or (bundle.symbol,)
    own = _row_of(bundle, names)
    used = _after_training(bundle, ticks)
    override = settings.paths.specifications
    known = load_symbols(Path(override) if override else None)
    desk = new_desk(
        names,
        start_ns=int(used["time_ns"][0]) - _DAY_NS,
        end_ns=int(used["time_ns"][-1]) + _DAY_NS,
        account=settings.account,
        account_limits=settings.account_limits,
        each=_each(bundle, _aged(settings, names, limited=limit_model_age), names),
        known=known,
    )
    start = time.perf_counter()
    idle = FeatureSet(features=(f"{bundle.clock}_log_return_1",))
    folded = fold_models(
        desk,
        feature_sets=[bundle.chosen if row == own else idle for row in range(len(names))],
        clocks=[bundle.clock] * len(names),
        models=[model if row == own else None for row in range(len(names))],
        ticks=used,
        rows=[_rows_of(bundle, names) if row == own else () for row in range(len(names))],
        on_holdout=True,
    )
    seconds = time.perf_counter() - start
    run = run_of(bundle, settings, names, desk, used, folded, since_ns=bundle.trained_through_ns)
    return replace(run, data=tuple(data), wall_seconds=seconds)


def write_bundle_report(run: Run, path: Path) -> dict[str, float]:
    """Write the HTML report of a run (and its data beside it); return the numbers that matter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(run, path)
    return summary_of(statistics(run))


def summary_of(found: Statistics) -> dict[str, float]:
    """Return the few numbers that a run is known by; NaN where one is not defined."""
    return {
        "net_profit": found.net_profit,
        "total_return": found.total_return,
        "sharpe": found.sharpe,
        "psr": found.psr,
        "max_drawdown_fraction": found.max_drawdown_fraction,
        "trades": float(found.all_trades.trades),
        "win_rate": found.all_trades.win_rate,
        "costs": found.costs.total,
        "gross": found.costs.gross,
        "trading_days": float(found.trading_days),
    }


def _row_of(bundle: Bundle, names: tuple[str, ...]) -> int:
    missing = [name for name in (bundle.symbol, *bundle.symbols) if name not in names]
    if missing:
        msg = f"bundle {bundle.id} needs ticks of {', '.join(missing)}; given: {', '.join(names)}"
        raise BacktestError(msg)
    return names.index(bundle.symbol)


def _rows_of(bundle: Bundle, names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(names.index(name) for name in bundle.symbols)


def _aged(
    settings: Settings, names: tuple[str, ...], *, limited: bool
) -> dict[str, SymbolSettings]:
    """Settings of each symbol, with or without the limit of the model's age."""
    found = {name: settings.of(name) for name in names}
    if limited:
        return found
    return {
        name: replace(own, limits=replace(own.limits, max_model_age_ns=0))
        for name, own in found.items()
    }


def _each(
    bundle: Bundle, own: dict[str, SymbolSettings], names: tuple[str, ...]
) -> dict[str, SymbolSettings]:
    return {
        name: replace(own[name], decision=bundle.decision if name == bundle.symbol else _IDLE)
        for name in names
    }


def _after_training(bundle: Bundle, ticks: NDArray[np.void]) -> NDArray[np.void]:
    """Return the ticks from far enough before the end of the training to warm features up."""
    if ticks.dtype != TICK:
        msg = f"a bundle is fed ticks: {ticks.dtype.names} are none; see realtime.history.bar_ticks"
        raise BacktestError(msg)
    times_ns = ticks["time_ns"]
    if len(ticks) == 0 or int(times_ns[-1]) <= bundle.trained_through_ns:
        msg = f"bundle {bundle.id} was trained on all of these ticks: give later ones"
        raise BacktestError(msg)
    first = int(np.searchsorted(times_ns, bundle.trained_through_ns - _warm_up_ns(bundle)))
    return ticks[first:]


def _warm_up_ns(bundle: Bundle) -> int:
    """Return a time in which every feature surely becomes warm: weekends take a third of it."""
    longest = max(
        CLOCKS_NS[parse(name).clock] * (bars + 2) for name, bars in bundle.chosen.warm_up.items()
    )
    return 3 * longest + 14 * _DAY_NS


def _bars(desk: np.void, row: int, ticks: NDArray[np.void], clock: str) -> NDArray[np.void]:
    own = ticks[ticks["symbol"] == row]
    spec = desk["specs"][row]
    out = np.zeros(len(own) + 2, BAR)
    state, piece = np.zeros(1, TIME_BAR)[0], np.zeros(1, PIECE_STATE)[0]
    first, last = int(spec["first_day"]), int(spec["last_day"])
    count = time_bars_fold(state, piece, own, desk["days"], first, last, CLOCKS_NS[clock], out)
    return out[: max(count, 0)].copy()


def run_of(
    bundle: Bundle,
    settings: Settings,
    names: tuple[str, ...],
    desk: np.void,
    ticks: NDArray[np.void],
    folded: Folded,
    *,
    since_ns: int,
) -> Run:
    """Return the run after `since_ns`, the moment up to which nothing could be traded."""
    result = folded.result
    later = ticks[ticks["time_ns"] > since_ns]
    return Run(
        symbols=names,
        currency=settings.account.currency,
        initial_balance=settings.account.balance,
        orders=result.orders,
        fills=result.fills,
        decisions=result.decisions[result.decisions["time_ns"] > since_ns],
        equity=result.equity[result.equity["time_ns"] > since_ns],
        open_positions=desk["positions"][: desk["account"]["open_positions"]].copy(),
        account=np.array([desk["account"]]),
        specs=desk["specs"][: len(names)].copy(),
        bars={name: _bars(desk, row, later, bundle.clock) for row, name in enumerate(names)},
        strategy=f"model {bundle.id}",
        timeframe=bundle.clock.upper(),
        settings=_shown(bundle, settings),
        feature_identity=bundle.feature_set,
        fingerprint=_fingerprint(bundle, settings, desk, ticks),
    )


def _shown(bundle: Bundle, settings: Settings) -> dict[str, object]:
    own = settings.of(bundle.symbol)
    return {
        "bundle": bundle.id,
        "account": asdict(settings.account),
        "account_limits": asdict(settings.account_limits),
        "limits": asdict(own.limits),
        "decision": decision_table(bundle.decision),
        "costs": asdict(own.costs),
    }


def _fingerprint(bundle: Bundle, settings: Settings, desk: np.void, ticks: NDArray[np.void]) -> str:
    digest = hashlib.sha256(bundle.id.encode())
    digest.update(np.ascontiguousarray(ticks).view(np.uint8).data)
    digest.update(desk["specs"].tobytes())
    digest.update(desk["days"].tobytes())
    digest.update(repr(_shown(bundle, settings)).encode())
    digest.update(sources_hash().encode())
    return digest.hexdigest()


def finite_only(numbers: dict[str, float]) -> dict[str, float]:
    """Return the numbers that are defined: registries take no NaN."""
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
