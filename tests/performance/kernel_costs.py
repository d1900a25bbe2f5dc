"""What single kernels cost, each called by its own fold over history."""

from collections.abc import Callable
from typing import Any

import numpy as np
from cpu_time import REPEATS, CpuTime, cpu_time
from engines import MIXED, a_desk, yardstick_bars
from markets import seeded_ticks
from numpy.typing import NDArray
from sma_reference import seeded_bars
from tables import Table
from tick_fold import span

from realtime.kernels.bars import TIME_BAR, TIMEFRAMES_NS, time_bars_fold
from realtime.kernels.decision import decision_fold
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.jit import kernel
from realtime.kernels.layout import BAR, DECISION, QUOTE, SIGNAL, TAPE
from realtime.kernels.pieces import PIECE_STATE
from realtime.kernels.risk import risk_fold
from realtime.kernels.trading import on_tick_step

CALLS = 500_000


def bar_builder(ticks: NDArray[np.void], repeats: int) -> CpuTime:
    """M1 bars from ticks."""
    days = _days(ticks)
    out = np.zeros(len(ticks), BAR)

    def fold(states: tuple[np.void, np.void]) -> Any:
        minute = TIMEFRAMES_NS["M1"]
        return time_bars_fold(states[0], states[1], ticks, days, 0, len(days), minute, out)

    return cpu_time(lambda: (np.zeros(1, TIME_BAR)[0], np.zeros(1, PIECE_STATE)[0]), fold, repeats)


def features_of_bars(features: tuple[str, ...], repeats: int) -> CpuTime:
    """Features on finished M1 bars."""
    bars = yardstick_bars(seeded_bars(CALLS))
    fused = FeatureSet(features=features, feed="m1").compile()
    days = a_desk(int(bars["open_ns"][0]), int(bars["end_ns"][-1]), "crypto")["days"]
    out = np.zeros((CALLS, len(features)))
    times_ns = np.zeros(CALLS, np.int64)
    symbols = np.zeros(CALLS, np.int64)
    last = int(np.count_nonzero(days["end_ns"]))

    def fold(state: NDArray[np.void]) -> Any:
        quotes = np.zeros(1, QUOTE)
        return fused.fold(state, bars, symbols, 0, days, 0, last, quotes, 1, out, times_ns)

    return cpu_time(fused.state, fold, repeats)


def features_of_ticks(features: tuple[str, ...], ticks: NDArray[np.void], repeats: int) -> CpuTime:
    """Features on every tick."""
    fused = FeatureSet(features=features).compile()
    days = _days(ticks)
    out = np.zeros((len(ticks), len(features)))
    times_ns = np.zeros(len(ticks), np.int64)

    def fold(state: NDArray[np.void]) -> Any:
        quotes = np.zeros(1, QUOTE)
        return fused.fold(state, ticks, 0, days, 0, len(days), quotes, 1, out, times_ns)

    return cpu_time(fused.state, fold, repeats)


def decision(ticks: NDArray[np.void], repeats: int) -> CpuTime:
    """Decisions on signals that cross both thresholds now and then."""
    signals, quotes, now_ns = _signals(ticks), _quotes(ticks), ticks["time_ns"].copy()
    equity, notional = np.full(len(ticks), 1e7), np.full(len(ticks), 1.1e5)
    rows = np.zeros(len(ticks), np.int64)
    out = np.zeros(len(ticks), DECISION)

    def fold(desk: np.void) -> None:
        params, state, spec = desk["params"][0], desk["intents"][0], desk["specs"][0]
        days = desk["days"]
        decision_fold(
            params, state, signals, spec, quotes, days, rows, equity, notional, now_ns, out
        )

    return cpu_time(lambda: _desk(ticks), fold, repeats)


def risk(ticks: NDArray[np.void], repeats: int) -> CpuTime:
    """Every limit asked about opening a lot."""
    signals = _signals(ticks)
    now_ns = np.full(len(ticks), int(ticks["time_ns"][0]))
    signals["feature_ns"] = signals["model_ns"] = now_ns[0]
    symbols, codes = np.zeros(len(ticks), np.int64), np.zeros(len(ticks), np.int64)
    targets, allowed = np.where(signals["probability"] > 0.5, 1.0, -1.0), np.zeros(len(ticks))
    prices = np.full(len(ticks), float(ticks["bid"][0]))

    def fold(desk: np.void) -> None:
        risk_fold(desk, symbols, targets, prices, signals, now_ns, allowed, codes)
        assert np.all(codes == 0)

    return cpu_time(lambda: _desk(ticks), fold, repeats)


@kernel
def _ticks_at_broker(desk: np.void, ticks: NDArray[np.void], tape: np.void) -> None:
    for i in range(len(ticks)):
        on_tick_step(desk, ticks[i], tape)


def idle_broker(ticks: NDArray[np.void], repeats: int) -> CpuTime:
    """Ticks at a broker without orders or positions."""
    tape = np.zeros(1, TAPE)[0]
    return cpu_time(lambda: _desk(ticks), lambda desk: _ticks_at_broker(desk, ticks, tape), repeats)


def _desk(ticks: NDArray[np.void]) -> np.void:
    desk = a_desk(*span(ticks), "fx")
    desk["quotes"][0] = _quotes(ticks[:1])[0]
    starts = desk["days"]["start_ns"][: int(desk["specs"][0]["last_day"])]
    desk["day_rows"][0] = np.searchsorted(starts, ticks["time_ns"][0], "right") - 1
    return desk


def _days(ticks: NDArray[np.void]) -> NDArray[np.void]:
    desk = a_desk(*span(ticks), "fx")
    return desk["days"][: int(desk["specs"][0]["last_day"])].copy()


def _quotes(ticks: NDArray[np.void]) -> NDArray[np.void]:
    quotes = np.zeros(len(ticks), QUOTE)
    for name in ("time_ns", "bid", "ask"):
        quotes[name] = ticks[name]
    return quotes


def _signals(ticks: NDArray[np.void]) -> NDArray[np.void]:
    signals = np.zeros(len(ticks), SIGNAL)
    signals["probability"] = np.random.default_rng(3).uniform(0.35, 0.65, len(ticks))
    signals["volatility"] = 0.1
    signals["feature_ns"] = signals["model_ns"] = ticks["time_ns"]
    return signals


def section(*, quick: bool) -> Table:
    """Return the table."""
    repeats = 5 if quick else REPEATS
    ticks = seeded_ticks(CALLS)
    on_ticks = tuple(name for name in MIXED if name.startswith("tick_"))
    on_m1 = tuple(name for name in MIXED if name.startswith("m1_"))
    others = tuple(
        "m1_" + name.partition("_")[2] for name in MIXED if name.startswith(("m5_", "h1_"))
    )
    measured: dict[str, Callable[[], CpuTime]] = {
        "M1 bar builder, a tick": lambda: bar_builder(ticks, repeats),
        f"{len(on_ticks)} market features, a tick": lambda: features_of_ticks(
            on_ticks, ticks, repeats
        ),
        f"{len(on_m1)} technical features, a bar": lambda: features_of_bars(on_m1, repeats),
        f"{len(others)} market, volatility and time features, a bar": lambda: features_of_bars(
            others, repeats
        ),
        "decision, a signal": lambda: decision(ticks, repeats),
        "risk, every limit, a question": lambda: risk(ticks, repeats),
        "broker and loss limits without orders, a tick": lambda: idle_broker(ticks, repeats),
    }
    rows: list[tuple[str, ...]] = []
    for what, call in measured.items():
        taken = call()
        rows.append((what, f"{taken.ns(CALLS):.0f}", taken.spread))
    return Table(
        title="Single kernels",
        columns=("kernel", "ns", "spread of runs"),
        rows=rows,
        notes=["Each in a fold of its own, so with the cost of reading its input from memory."],
    )
