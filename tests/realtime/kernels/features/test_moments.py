"""Window sums, moments and co-moments against numpy over the window itself."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.kernels.features import moments as m
from realtime.kernels.jit import kernel
from tests.realtime.kernels.features.folds import same_bits, without_compiler

N = 40
NUMBERS = np.random.default_rng(0).standard_t(2, 5_000)


@kernel
def total_fold(memory, values, out):
    total = memory[0]
    for i in range(len(values)):
        out[i] = total["sum"] if m.total_push(total, values[i]) else math.nan


@kernel
def moments_fold(memory, values, out):
    moments = memory[0]
    for i in range(len(values)):
        full = m.moments_push(moments, values[i])
        out[i, 0] = moments["mean"] if full else math.nan
        out[i, 1] = moments["m2"] if full else math.nan


@kernel
def comoments_fold(memory, x, y, out):
    moments = memory[0]
    for i in range(len(x)):
        full = m.comoments_push(moments, x[i], y[i])
        out[i, 0] = moments["m2_x"] if full else math.nan
        out[i, 1] = moments["m2_y"] if full else math.nan
        out[i, 2] = moments["co"] if full else math.nan


def total(values, memory=None, n=N):
    memory = np.zeros(1, m.total_state(n)) if memory is None else memory
    out = np.zeros(len(values))
    total_fold(memory, np.asarray(values, float), out)
    return out


def moments(values, memory=None, n=N):
    memory = np.zeros(1, m.moments_state(n)) if memory is None else memory
    out = np.zeros((len(values), 2))
    moments_fold(memory, np.asarray(values, float), out)
    return out


def comoments(x, y, memory=None, n=N):
    memory = np.zeros(1, m.comoments_state(n)) if memory is None else memory
    out = np.zeros((len(x), 3))
    comoments_fold(memory, np.asarray(x, float), np.asarray(y, float), out)
    return out


def windows(values, n=N):
    return np.lib.stride_tricks.sliding_window_view(np.asarray(values, float), n)


def expected_m2(values, n=N):
    view = windows(values, n)
    return ((view - view.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)


def expected_co(x, y, n=N):
    a, b = windows(x, n), windows(y, n)
    deviations = (a - a.mean(axis=1, keepdims=True)) * (b - b.mean(axis=1, keepdims=True))
    return deviations.sum(axis=1)


def check_moments(values, out):
    level = np.abs(values).max()
    np.testing.assert_allclose(
        out[:, 0], windows(values).mean(axis=1), rtol=1e-12, atol=1e-14 * level
    )
    np.testing.assert_allclose(out[:, 1], expected_m2(values), rtol=1e-9, atol=1e-28 * level**2)


def check_comoments(x, y, out):
    m2_x, m2_y = expected_m2(x), expected_m2(y)
    np.testing.assert_allclose(out[:, 0], m2_x, rtol=1e-9)
    np.testing.assert_allclose(out[:, 1], m2_y, rtol=1e-9)
    assert (np.abs(out[:, 2] - expected_co(x, y)) <= 1e-9 * np.sqrt(m2_x * m2_y)).all()


def test_a_total_equals_numpys_sum():
    out = total(np.abs(NUMBERS))
    assert np.isnan(out[: N - 1]).all()
    np.testing.assert_allclose(out[N - 1 :], windows(np.abs(NUMBERS)).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("level", [0.0, 1.0, 1e6])
def test_moments_equal_numpys_mean_and_variance_at_any_level(level):
    values = NUMBERS + level
    out = moments(values)
    assert np.isnan(out[: N - 1]).all()
    check_moments(values, out[N - 1 :])


def test_moments_of_a_drifting_price_keep_their_digits():
    values = 1.1 + 1e-5 * np.cumsum(np.ones(100_000)) + 1e-6 * np.resize(NUMBERS, 100_000)
    check_moments(values, moments(values)[N - 1 :])


def test_comoments_equal_numpys_covariance():
    y = 0.3 * NUMBERS + np.roll(NUMBERS, 7)
    out = comoments(NUMBERS, y)
    assert np.isnan(out[: N - 1]).all()
    check_comoments(NUMBERS, y, out[N - 1 :])
    last = np.cov(NUMBERS[-N:], y[-N:]) * (N - 1)
    np.testing.assert_allclose(out[-1], [last[0, 0], last[1, 1], last[0, 1]], rtol=1e-9)


def test_ten_million_steps_do_not_drift():
    rng = np.random.default_rng(1)
    price = 1.1 * np.exp(np.cumsum(rng.standard_t(3, 250_000) * 1e-4))
    change = np.diff(price, prepend=price[0])
    sums = np.zeros(1, m.total_state(N))
    singles = np.zeros(1, m.moments_state(N))
    joint = np.zeros(1, m.comoments_state(N))
    for _ in range(39):
        total(np.abs(change), sums)
        moments(price, singles)
        comoments(change, np.roll(change, 1), joint)
    total_out = total(np.abs(change), sums)
    moments_out = moments(price, singles)
    comoments_out = comoments(change, np.roll(change, 1), joint)
    tail = slice(-10_000, None)
    exact = windows(np.abs(change)[tail]).sum(axis=1)
    np.testing.assert_allclose(total_out[tail][N - 1 :], exact, rtol=1e-9)
    check_moments(price[tail], moments_out[tail][N - 1 :])
    check_comoments(change[tail], np.roll(change, 1)[tail], comoments_out[tail][N - 1 :])


def test_an_outlier_leaves_no_trace_once_it_has_left():
    values = NUMBERS[:2_000] / 100
    values[[300, 301, 1_000]] = [1e9, -3e7, 1e12]
    after = [slice(301 + N, 1_000), slice(1_000 + N, None)]
    sums, singles = total(np.abs(values)), moments(values)
    joint = comoments(values, NUMBERS[:2_000])
    for part in after:
        first = part.start - N + 1
        window = slice(first, part.stop)
        exact = windows(np.abs(values[window])).sum(axis=1)
        np.testing.assert_allclose(sums[part], exact, rtol=1e-9)
        check_moments(values[window], singles[part])
        check_comoments(values[window], NUMBERS[:2_000][window], joint[part])


def test_a_constant_window_has_moments_of_exactly_zero_after_anything():
    values = np.concatenate([NUMBERS[:500] * 1e8, np.full(N, 0.1)])
    assert moments(values)[-1].tolist() == [0.1, 0.0]
    assert comoments(values, values)[-1].tolist() == [0.0, 0.0, 0.0]
    assert total(np.concatenate([np.abs(values), np.zeros(N)]))[-1] == 0.0


@pytest.mark.parametrize("n", [1, 2, 7])
def test_short_windows_work(n):
    values = NUMBERS[:300]
    out = moments(values, n=n)[n - 1 :]
    np.testing.assert_allclose(out[:, 0], windows(values, n).mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(out[:, 1], expected_m2(values, n), rtol=1e-9, atol=1e-28)


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1.0, 1.0 + 2**-52, 1e9])),
        min_size=1,
        max_size=60,
    )
)
def test_moments_are_never_negative_and_never_lost(values):
    out = moments(values, n=7)
    full = out[6:]
    assert np.isnan(out[:6]).all()
    assert (full[:, 1] >= 0.0).all()
    exact = expected_m2(values, 7) if len(values) >= 7 else np.zeros(0)
    # Numpy's own two passes are good to some bits of the largest square of a window.
    largest = np.abs(windows(values, 7)).max(axis=1) ** 2 if len(values) >= 7 else exact
    assert (np.abs(full[:, 1] - exact) <= 1e-9 * exact + 1e-29 * largest + 1e-300).all()


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=7, max_size=40))
def test_a_correlation_is_in_bounds_and_a_beta_is_finite(pairs):
    x, y = np.array(pairs).T
    m2_x, m2_y, co = comoments(x, y, n=7)[-1]
    assert -1.0 <= m.correlation(m2_x, m2_y, co, 7) <= 1.0
    assert math.isfinite(m.beta(m2_x, co, 7))


def test_degenerate_windows_have_the_documented_statistics():
    assert m.z_score(5.0, 5.0, 0.0, 10) == 0.0
    assert m.z_score(1.0 + 1e-15, 1.0, 1e-19 * 10, 10) == 0.0
    assert m.z_score(1.1, 1.0, 0.1, 10) == pytest.approx(1.0, rel=1e-12)
    assert m.correlation(0.0, 1.0, 0.0, 10) == 0.0
    assert m.correlation(1e-24 * 10, 1.0, 1e-12, 10) == 0.0
    assert m.beta(1e-24 * 10, 1e-12, 10) == 0.0
    assert m.beta(2.0, 1.0, 10) == 0.5


def test_single_steps_give_the_bits_of_the_fold_and_chunks_of_the_whole():
    whole = moments(NUMBERS[:500])
    memory = np.zeros(1, m.moments_state(N))
    parts = [moments(NUMBERS[a:b], memory) for a, b in ((0, 39), (39, 40), (40, 500))]
    assert same_bits(np.concatenate(parts), whole)
    memory = np.zeros(1, m.moments_state(N))
    for value, row in zip(NUMBERS[:500], whole, strict=True):
        if m.moments_push(memory[0], value):
            assert [memory[0]["mean"], memory[0]["m2"]] == row.tolist()
        else:
            assert np.isnan(row).all()


_PLAIN = """
import sys
import numpy as np
from realtime.kernels.jit import jit_is_on
from tests.realtime.kernels.features.test_moments import every_primitive
assert not jit_is_on()
np.save(sys.argv[1], every_primitive())
"""


def every_primitive():
    x, y = NUMBERS[:5_000], np.roll(NUMBERS[:5_000], 1)  # longer than a renewal
    return np.column_stack([total(np.abs(x)), moments(x), comoments(x, y)])


def test_plain_python_gives_the_bits_of_compiled_code(tmp_path):
    assert same_bits(every_primitive(), without_compiler(_PLAIN, tmp_path / "plain.npy"))
