"""Window primitives against numpy over the window itself, and TA-Lib's smoothings."""

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from realtime.kernels.features import windows
from realtime.kernels.jit import kernel
from tests.realtime.kernels.features.folds import same_bits, without_compiler


@kernel
def lag_fold(memory, values, n, out):
    for i in range(len(values)):
        out[i, 0] = windows.lag_step(memory[0], values[i], n)


@kernel
def sum_fold(memory, values, n, out):
    for i in range(len(values)):
        out[i, 0] = windows.sum_step(memory[0], values[i], n)


@kernel
def line_fold(memory, values, n, out):
    for i in range(len(values)):
        anchor, total, ramp, spread = windows.line_step(memory[0], values[i], n)
        out[i, 0] = total + n * anchor
        out[i, 1] = ramp + 0.5 * n * (n - 1) * anchor
        out[i, 2] = spread


@kernel
def extremes_fold(memory, values, n, out):
    for i in range(len(values)):
        out[i, 0], out[i, 1] = windows.extremes_step(memory[0], values[i], -values[i] + 1.0, n)


@kernel
def ages_fold(memory, values, n, out):
    for i in range(len(values)):
        out[i, 0], out[i, 1] = windows.ages_step(memory[0], values[i], values[i], n)


@kernel
def ema_fold(memory, values, n, out):
    for i in range(len(values)):
        out[i, 0] = windows.ema_step(memory[0], values[i], n)


@kernel
def wilder_fold(memory, values, n, out):
    for i in range(len(values)):
        out[i, 0] = windows.wilder_step(memory[0], values[i], n)


def _over(n, *functions):
    def expected(values):
        out = np.full((len(values), len(functions)), np.nan)
        if len(values) >= n:
            view = sliding_window_view(values, n)
            for j, function in enumerate(functions):
                out[n - 1 :, j] = [function(window) for window in view]
        return out

    return expected


def _lag(n):
    def expected(values):
        out = np.full((len(values), 1), np.nan)
        out[n:, 0] = values[:-n]
        return out

    return expected


def _age(pick):
    return lambda window: len(window) - 1 - np.flatnonzero(window == pick(window))[-1]


# Primitive: memory, fold, outputs, what a window of n gives.
PRIMITIVES = {
    "lag": (windows.lag_state, lag_fold, 1, _lag),
    "sum": (windows.sum_state, sum_fold, 1, lambda n: _over(n, np.sum)),
    "line": (
        windows.line_state,
        line_fold,
        3,
        lambda n: _over(n, np.sum, lambda w: w @ np.arange(n), lambda w: w.var() * n),
    ),
    "extremes": (
        windows.extremes_state,
        extremes_fold,
        2,
        lambda n: _over(n, np.max, lambda w: 1.0 - np.max(w)),
    ),
    "ages": (windows.ages_state, ages_fold, 2, lambda n: _over(n, _age(np.max), _age(np.min))),
}


def run(name, values, n, memory=None):
    state, fold, outputs, _ = PRIMITIVES[name]
    memory = np.zeros(1, state(n)) if memory is None else memory
    out = np.zeros((len(values), outputs))
    fold(memory, np.asarray(values, float), n, out)
    if name == "ages":
        out[out < 0] = np.nan
    return out


PRICES = 1.1 * np.exp(np.cumsum(np.random.default_rng(0).standard_t(3, 400) * 1e-4))


@pytest.mark.parametrize("n", [1, 2, 3, 14, 50])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_equal_numpy_over_the_window(name, n):
    expected = PRIMITIVES[name][3](n)(PRICES)
    got = run(name, PRICES, n)
    assert (np.isnan(got) == np.isnan(expected)).all()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


@settings(max_examples=150)
@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, 1.5]), min_size=1, max_size=60),
    n=st.sampled_from([1, 2, 3, 7]),
    name=st.sampled_from(["extremes", "ages"]),
)
def test_extremes_and_their_ages_are_exact_with_ties(values, n, name):
    values = np.array(values)
    np.testing.assert_array_equal(run(name, values, n), PRIMITIVES[name][3](n)(values))


@settings(max_examples=100)
@given(
    values=st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=80),
    n=st.sampled_from([1, 2, 3, 7]),
)
def test_sums_equal_numpy_for_any_values(values, n):
    values = np.array(values)
    got, expected = run("sum", values, n), PRIMITIVES["sum"][3](n)(values)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-15 * n * (1 + np.abs(values).max()))


def test_an_outlier_leaves_no_rounding_behind_in_a_line():
    values = 1.1 + np.random.default_rng(1).normal(0, 1e-6, 200)
    values[50] = 1000.0
    got, expected = run("line", values, 20), PRIMITIVES["line"][3](20)(values)
    np.testing.assert_allclose(got[70:, 2], expected[70:, 2], rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 14, 200])
def test_the_exponential_mean_equals_talib(n):
    out, memory = np.zeros((len(PRICES), 1)), np.zeros(1, windows.ema_state(n))
    ema_fold(memory, PRICES, n, out)
    expected = talib.EMA(PRICES, n) if n > 1 else PRICES
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-13)


def test_wilders_mean_starts_at_the_mean_and_then_moves_by_one_nth():
    out, memory = np.zeros((6, 1)), np.zeros(1, windows.ema_state(3))
    wilder_fold(memory, np.array([1.0, 2.0, 6.0, 6.0, 0.0, 3.0]), 3, out)
    # (1 + 2 + 6) / 3 = 3, then 3 + (6 - 3) / 3 = 4, 4 + (0 - 4) / 3, ...
    expected = [np.nan, np.nan, 3.0, 4.0, 4 - 4 / 3, 4 - 4 / 3 + (3 - 4 + 4 / 3) / 3]
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-15)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_history_in_two_parts_gives_the_same_bits(name):
    whole = run(name, PRICES, 14)
    for cut in (1, 13, 14, 100):
        memory = np.zeros(1, PRIMITIVES[name][0](14))
        parts = [run(name, part, 14, memory) for part in (PRICES[:cut], PRICES[cut:])]
        assert same_bits(np.vstack(parts), whole)


# Walks long enough for rounding to gather; the window is then summed afresh by numpy.
_STEPS, _CHUNK = 10_000_000, 500_000


@pytest.mark.parametrize("n", [14, 1000])
@pytest.mark.parametrize("name", ["sum", "line", "extremes", "ages"])
def test_ten_million_steps_leave_no_drift(name, n):
    rng = np.random.default_rng(n)
    memory = np.zeros(1, PRIMITIVES[name][0](n))
    increments = rng.normal(0, 1e-4, _CHUNK)
    level, values, got = np.log(1.1), np.zeros(0), np.zeros(0)
    for _ in range(_STEPS // _CHUNK):
        rng.shuffle(increments[: _CHUNK // 100])
        walk = level + np.cumsum(increments)
        level = walk[-1] - 0.3 * (walk[-1] - np.log(1.1))
        values = np.exp(walk)
        got = run(name, values, n, memory)
    expected = PRIMITIVES[name][3](n)(values[-n - 50 :])
    np.testing.assert_allclose(got[-50:], expected[-50:], rtol=1e-9)


PLAIN = """
import sys
import numpy as np
from tests.realtime.kernels.features.test_windows import PRICES, PRIMITIVES, run
np.save(sys.argv[1], np.hstack([run(name, PRICES, 14) for name in PRIMITIVES]))
"""


def test_plain_python_gives_the_same_bits(tmp_path):
    compiled = np.hstack([run(name, PRICES, 14) for name in PRIMITIVES])
    assert same_bits(without_compiler(PLAIN, tmp_path / "plain.npy"), compiled)
