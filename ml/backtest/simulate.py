"""Run a request through the engine: rules, desk, fold, and what is left of it as a `Run`."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.backtest.format import duration
from ml.backtest.market import Market, read_market
from ml.backtest.predictions import read_predictions, signals_at
from ml.backtest.request import BacktestError, Request
from ml.backtest.run import Run
from realtime.desk import new_desk
from realtime.kernels.bars import PIECE_STATE, TIME_BAR, bars_merge_fold, time_bars_fold
from realtime.kernels.engine import Engine, Rule
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.jit import sources_hash
from realtime.kernels.layout import BAR, SIGNAL
from realtime.settings import DecisionSettings, SymbolSettings
from realtime.symbols import Symbol, chosen_symbols, load_symbols

_DAY_NS = 86_400_000_000_000
_CLOSE, _PATH = 1, 4
_TICK_TIMEFRAME = "m1"


def simulate(request: Request) -> Run:
    """Backtest a request.

    Raises:
        BacktestError: it cannot be run as asked.
        HistoryError: its data cannot be read.
        SettingsError: a symbol or setting is unknown, or a conversion symbol is missing.
    """
    settings = request.settings
    override = settings.paths.specifications
    known = load_symbols(Path(override) if override else None)
    specifications = chosen_symbols(request.symbols, known)
    market = read_market(request, specifications)
    desk = new_desk(
        specifications,
        start_ns=market.start_ns - _DAY_NS,
        end_ns=market.end_ns + _DAY_NS,
        account=settings.account,
        account_limits=settings.account_limits,
        each=_each(request),
        known=known,
    )
    clock = deciding_clock(request, market)
    bars = {
        symbol.name: _deciding_bars(market, desk, row, clock)
        for row, symbol in enumerate(specifications)
    }
    _check_length(request, bars, clock)
    rule = _rule(request, market, clock)
    engine = Engine(desk, [rule] * len(specifications))
    given = _given(request, specifications, market, desk, rule, bars)
    start = time.perf_counter()
    if market.of_ticks:
        engine.fold(market.rows, given)
    else:
        path = _CLOSE if request.close_only else _PATH
        engine.fold_bars(market.rows, market.symbols, given, path)
    seconds = time.perf_counter() - start
    return _run(request, market, engine, rule, bars, seconds)


def deciding_clock(request: Request, market: Market) -> str:
    """Return the clock whose finished bars are decided on.

    Raises:
        BacktestError: no such timeframe, or it cannot be built from the data.
    """
    if request.timeframe is None:
        return _TICK_TIMEFRAME if market.of_ticks else market.timeframe
    clock = request.timeframe.lower()
    if CLOCKS_NS.get(clock, 0) == 0:
        names = ", ".join(name for name, length_ns in CLOCKS_NS.items() if length_ns > 0)
        msg = f"unknown timeframe {request.timeframe!r}: choose one of {names}"
        raise BacktestError(msg)
    fed_ns = CLOCKS_NS[market.timeframe]
    if fed_ns > 0 and CLOCKS_NS[clock] % fed_ns != 0:
        msg = f"{clock} bars cannot be built from the {market.timeframe} bars of the data"
        raise BacktestError(msg)
    return clock


def _check_length(request: Request, bars: Mapping[str, NDArray[np.void]], clock: str) -> None:
    """Refuse averages that would never be warm: nothing could be traded, which looks like calm."""
    longest = max(len(rows) for name, rows in bars.items() if name not in request.quotes_only)
    if request.strategy != "model" and longest < request.slow:
        msg = (
            f"--slow {request.slow} needs at least as many bars; the data give {longest} {clock}"
            " bars: take shorter windows, a shorter --timeframe or more data"
        )
        raise BacktestError(msg)


def _each(request: Request) -> Mapping[str, SymbolSettings]:
    """Settings of each symbol; those that only convert currencies may open nothing."""
    each: dict[str, SymbolSettings] = {}
    for name in request.symbols:
        own = request.settings.of(name)
        if name in request.quotes_only:
            idle = DecisionSettings(allow_long=False, allow_short=False)
            own = SymbolSettings(limits=own.limits, costs=own.costs, decision=idle)
        each[name] = own
    return each


def _rule(request: Request, market: Market, clock: str) -> Rule:
    if request.strategy == "model":
        # The deciding clock only runs if some feature is on it; its value is not looked at.
        features = FeatureSet(features=(f"{clock}_log_return_1",), feed=market.timeframe)
        return Rule(features=features, clock=clock)
    columns = tuple(
        f"{clock}_{request.strategy}_{window}" for window in (request.fast, request.slow)
    )
    return Rule(
        features=FeatureSet(features=columns, feed=market.timeframe), clock=clock, columns=columns
    )


def _deciding_bars(market: Market, desk: np.void, row: int, clock: str) -> NDArray[np.void]:
    """Bars of one symbol on the deciding clock: for the chart, and to place predictions."""
    rows = market.rows[market.symbols == row]
    if clock == market.timeframe:
        return rows
    spec = desk["specs"][row]
    out = np.zeros(len(rows) + 2, BAR)
    state = np.zeros(1, TIME_BAR)[0]
    first, last, length_ns = int(spec["first_day"]), int(spec["last_day"]), CLOCKS_NS[clock]
    if market.of_ticks:
        piece = np.zeros(1, PIECE_STATE)[0]
        count = time_bars_fold(state, piece, rows, desk["days"], first, last, length_ns, out)
    else:
        count = bars_merge_fold(state, rows, desk["days"], first, last, length_ns, out)
    return out[: max(count, 0)].copy()


def _decision_times(market: Market, desk: np.void, row: int, rule: Rule) -> NDArray[np.int64]:
    """Moments at which the engine will ask for a signal of one symbol: its own kernels tell.

    Not the ends of the deciding bars: where data has holes, one piece can finish two bars, and
    there is one decision for both.
    """
    spec = desk["specs"][row]
    fed = market.rows[market.symbols == row]
    history = rule.features.compile(rule.rows).history(
        fed,
        desk["days"][int(spec["first_day"]) : int(spec["last_day"])],
        clock=rule.clock,
        symbols=np.full(len(fed), row, np.int64),
        symbol=row,
    )
    times_ns = [times.copy() for times, _ in history]
    return np.concatenate(times_ns) if times_ns else np.zeros(0, np.int64)


def _given(
    request: Request,
    specifications: tuple[Symbol, ...],
    market: Market,
    desk: np.void,
    rule: Rule,
    bars: Mapping[str, NDArray[np.void]],
) -> tuple[NDArray[np.void], ...] | None:
    """Return one SIGNAL for each decision: that of the latest deciding bar that ended by then."""
    if request.strategy != "model":
        return None
    files = iter(request.predictions)
    given: list[NDArray[np.void]] = []
    for row, symbol in enumerate(specifications):
        times_ns = _decision_times(market, desk, row, rule)
        if symbol.name in request.quotes_only:
            given.append(np.zeros(len(times_ns), SIGNAL))
            given[-1]["probability"] = np.nan
            continue
        path = next(files)
        signals = signals_at(read_predictions(path), bars[symbol.name], path)
        latest = np.searchsorted(bars[symbol.name]["end_ns"], times_ns, side="right") - 1
        given.append(signals[np.maximum(latest, 0)])
        given[-1]["probability"][latest < 0] = np.nan
    return tuple(given)


def _run(
    request: Request,
    market: Market,
    engine: Engine,
    rule: Rule,
    bars: Mapping[str, NDArray[np.void]],
    seconds: float,
) -> Run:
    desk, result = engine.desk, engine.result()
    symbols = int(desk["symbols"])
    label = request.strategy
    if request.strategy != "model":
        label = f"{request.strategy} {request.fast}/{request.slow} crossover"
    return Run(
        symbols=request.symbols,
        currency=request.settings.account.currency,
        initial_balance=request.settings.account.balance,
        orders=result.orders,
        fills=result.fills,
        decisions=result.decisions,
        equity=result.equity,
        open_positions=desk["positions"][: desk["account"]["open_positions"]].copy(),
        account=np.array([desk["account"]]),
        specs=desk["specs"][:symbols].copy(),
        bars=bars,
        strategy=label,
        timeframe=rule.clock.upper(),
        settings=_shown(request),
        data=market.sources,
        feature_identity=rule.features.identity,
        fingerprint=fingerprint(request, market, desk),
        wall_seconds=seconds,
    )


def _shown(request: Request) -> dict[str, object]:
    settings = request.settings
    bars = "close only" if request.close_only else "open, extremes, close"
    return {
        "strategy": request.strategy,
        "quotes inside a bar": bars,
        **{
            section: _readable(asdict(getattr(settings, section)))
            for section in ("account", "account_limits", "limits", "decision", "costs")
        },
    }


def _readable(values: Mapping[str, object]) -> dict[str, object]:
    """Write durations as people do: ``max_tick_age_ns`` of 30e9 is a ``max_tick_age`` of 30 s."""
    return {
        name.removesuffix("_ns"): duration(value)
        if name.endswith("_ns") and isinstance(value, int)
        else value
        for name, value in values.items()
    }


def fingerprint(request: Request, market: Market, desk: np.void) -> str:
    """Hash of data, specifications, calendars, request and kernels: equal ones, equal results."""
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(market.rows).view(np.uint8).data)
    digest.update(market.symbols.tobytes())
    digest.update(desk["specs"].tobytes())
    digest.update(desk["days"].tobytes())
    files = ("files", "predictions")
    said = {name: value for name, value in vars(request).items() if name not in files}
    digest.update(repr(said).encode())
    for path in request.predictions:
        digest.update(path.read_bytes())
    digest.update(sources_hash().encode())
    return digest.hexdigest()
