"""Volume: money flow index and on-balance volume (lots where the feed has them, else ticks).

A bar without a usable volume (NaN, negative) counts as one without any.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.validity import is_amount
from realtime.kernels.jit import kernel

_NAN = float("nan")

# Two sums of the same three prices may differ by the rounding: that is no move, as in TA-Lib.
_ROUNDING = 1e-14

# Sums below this fraction of their peak are summed afresh.
_DOMINATED = 1e-3


def mfi_state(n: int) -> np.dtype[Any]:
    """Return the memory of `mfi_step`."""
    return np.dtype(
        [
            ("flows", "f8", (n,)),  # signed: positive where the typical price rose
            ("typical", "f8"),
            ("inflow", "f8"),  # sums of either sign
            ("outflow", "f8"),
            ("peak", "f8"),  # largest of both together since they were exact
            ("at", "i8"),
            ("full", "i8"),
        ],
        align=True,
    )


@kernel
def mfi_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the money flow index; 0 where no money flowed, as in TA-Lib."""
    typical = (bar["high"] + bar["low"] + bar["close"]) * (1.0 / 3.0)
    before = memory["typical"]
    memory["typical"] = typical
    row[at] = _NAN
    if before == 0.0:  # no bar before this one
        return
    money = typical * (bar["volume"] if is_amount(bar["volume"]) else 0.0)
    change = typical - before
    noise = _ROUNDING * typical
    inflow = money if change > noise else 0.0
    outflow = money if change < -noise else 0.0
    into, out_of = _push_flow(memory, inflow, outflow, n)
    if memory["full"] == 1:
        share = 0.0
        if into > 0.0:
            share = 100.0
            if out_of > 0.0:
                share = 100.0 * into / (into + out_of)
        row[at] = share


@kernel
def _push_flow(memory: np.void, inflow: float, outflow: float, n: int) -> tuple[float, float]:
    """Return the sums of the last `n` flows of each sign; see `windows.line_step` for renewal."""
    flows = memory["flows"]
    at = memory["at"]
    gone = flows[at]
    flows[at] = inflow - outflow
    at += 1
    if at == n:
        at = 0
        memory["full"] = 1
    memory["at"] = at
    gone_in = gone if gone > 0.0 else 0.0
    into = memory["inflow"] + (inflow - gone_in)
    out_of = memory["outflow"] + (outflow - (gone_in - gone))
    peak = memory["peak"]
    if into + out_of > peak:
        peak = into + out_of
    if at == 0 or into + out_of < _DOMINATED * peak:
        return _renew_flow(memory, n)
    memory["inflow"] = into
    memory["outflow"] = out_of
    memory["peak"] = peak
    return into, out_of


@kernel
def _renew_flow(memory: np.void, n: int) -> tuple[float, float]:
    flows = memory["flows"]
    into = 0.0
    out_of = 0.0
    for i in range(n):
        flow = flows[i]
        into += flow if flow > 0.0 else 0.0
        out_of += -flow if flow < 0.0 else 0.0
    memory["inflow"] = into
    memory["outflow"] = out_of
    memory["peak"] = into + out_of
    return into, out_of


def obv_state() -> np.dtype[Any]:
    """Return the memory of `obv_step`."""
    return np.dtype([("value", "f8"), ("close", "f8")], align=True)


@kernel
def obv_step(memory: np.void, bar: np.void, row: NDArray[np.float64], at: int) -> None:
    """Write on-balance volume: the first volume, then plus or minus each as the close moves."""
    close = memory["close"]
    value = memory["value"]
    volume = bar["volume"] if is_amount(bar["volume"]) else 0.0
    # The first bar rises too: it is above 0. A product, because the branch cannot be predicted.
    value += (int(bar["close"] > close) - int(bar["close"] < close)) * volume
    memory["close"] = bar["close"]
    memory["value"] = value
    row[at] = value


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="mfi",
        step=mfi_step,
        state=mfi_state,
        params={"n": 14},
        minima={"n": 2},
        outputs=(
            Output(
                name="mfi",
                unit="0..100",
                description="Share of money (typical price x volume) that flowed in rising bars.",
                oracle="talib.MFI(high, low, close, volume, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="obv",
        step=obv_step,
        state=obv_state,
        outputs=(
            Output(
                name="obv",
                unit="volume",
                description="Volume of rising minus falling bars since the start: compare its "
                "changes, the level depends on where the history begins.",
                oracle="talib.OBV(close, volume)",
                warm_up=lambda: 0,
            ),
        ),
    ),
)
