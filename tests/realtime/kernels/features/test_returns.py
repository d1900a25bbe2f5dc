"""Log returns against numpy."""

import numpy as np
import pytest

from realtime.kernels.features.catalogue import CATALOGUE
from realtime.kernels.features.returns import HORIZONS
from tests.realtime.kernels.features.folds import (
    Run,
    hour_bars,
    random_bars,
    same_bits,
    without_compiler,
)

KERNEL = CATALOGUE["log_return"]


def expected(close, n):
    out = np.full(len(close), np.nan)
    out[n:] = np.log(close[n:] / close[:-n])
    return out


@pytest.mark.parametrize("n", HORIZONS)
def test_log_returns_equal_numpy_on_real_bars(shared_data, n):
    bars = hour_bars(shared_data / "bars" / "XAUUSD_H1_oanda_2006-2019.parquet")
    got = Run(KERNEL, n=n).fold(bars)[:, 0]
    np.testing.assert_allclose(got, expected(bars["close"], n), rtol=0, atol=1e-15)


@pytest.mark.parametrize("n", HORIZONS)
def test_log_returns_equal_numpy_on_made_bars(n):
    bars = random_bars(500, seed=6)
    got = Run(KERNEL, n=n).fold(bars)[:, 0]
    np.testing.assert_allclose(got, expected(bars["close"], n), rtol=0, atol=1e-15)
    assert np.isnan(got).sum() == n == Run(KERNEL, n=n).warm_ups[0]


def test_returns_over_a_horizon_are_the_sum_of_its_single_returns():
    bars = random_bars(300, seed=7)
    single = Run(KERNEL, n=1).fold(bars)[:, 0]
    five = Run(KERNEL, n=5).fold(bars)[:, 0]
    sums = np.convolve(single[1:], np.ones(5), "valid")
    np.testing.assert_allclose(five[5:], sums, rtol=0, atol=1e-14)


def test_step_equals_fold_bit_for_bit():
    bars = random_bars(300, seed=8)
    for n in HORIZONS:
        assert same_bits(Run(KERNEL, n=n).steps(bars), Run(KERNEL, n=n).fold(bars))


PLAIN = """
import sys
import numpy as np
from realtime.kernels.features.returns import HORIZONS, KERNELS
from tests.realtime.kernels.features.folds import Run, random_bars
bars = random_bars(400, seed=9)
np.save(sys.argv[1], np.hstack([Run(KERNELS[0], n=n).steps(bars) for n in HORIZONS]))
"""


def test_plain_python_gives_the_same_bits(tmp_path):
    bars = random_bars(400, seed=9)
    compiled = np.hstack([Run(KERNEL, n=n).fold(bars) for n in HORIZONS])
    assert same_bits(without_compiler(PLAIN, tmp_path / "plain.npy"), compiled)
