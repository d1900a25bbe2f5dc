"""Returns of the close over several horizons."""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features import windows
from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.jit import kernel

#: Bars back, as listed in the table of features.
HORIZONS = (1, 2, 3, 5, 10, 20, 60)


@kernel
def log_return_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the natural logarithm of the close over the close of `n` bars ago."""
    close = bar["close"]
    row[at] = math.log(close / windows.lag_step(memory, close, n))


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="log_return",
        step=log_return_step,
        state=windows.lag_state,
        params={"n": HORIZONS[0]},
        presets=tuple({"n": n} for n in HORIZONS[1:]),
        outputs=(
            Output(
                name="log_return",
                unit="log",
                description="Log return of the close over n bars.",
                oracle="numpy.log(close / close n bars ago)",
                warm_up=lambda n: n,
            ),
        ),
    ),
)
