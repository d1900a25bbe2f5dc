"""Market features against numpy, scipy and arch, on real bars and ticks and on made ones."""

import json
import math

import numpy as np
import pytest
from arch.unitroot import VarianceRatio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from realtime.kernels.features import market
from realtime.kernels.features.log_ratio import log_ratio
from realtime.kernels.features.persistence import fractional_weights
from tests.realtime.kernels.features.folds import (
    UNWRITTEN,
    Run,
    hour_bars,
    minute_bars,
    random_bars,
    same_bits,
    tick_bars,
    without_compiler,
)

KERNELS = {kernel.name: kernel for kernel in market.KERNELS}


def returns(bars, n):
    close = bars["close"][-n - 1 :]
    return np.diff(np.log(close))


def z(window):
    return 0.0 if np.ptp(window) == 0 else stats.zscore(window)[-1]


def spread(bars):
    mid = bars["close"][-1] + bars["spread_mean"][-1] / 2
    return bars["spread_mean"][-1], bars["spread_mean"][-1] / mid


def imbalance_sum(bars, n):
    total, ticks = bars["imbalance"][-n:].sum(), bars["ticks"][-n:].sum()
    return total, total / ticks


def amihud(bars, n):
    turnover = bars["close"][-n:] * bars["volume"][-n:]
    return np.mean(np.abs(returns(bars, n)) / turnover)


def roll_spread(bars, n):
    r = returns(bars, n + 1)
    return 2 * math.sqrt(max(0.0, -np.cov(r[1:], r[:-1])[0, 1]))


def garman_klass(bars, n):
    b = bars[-n:]
    body = np.log(b["close"] / b["open"])
    extent = np.log(b["high"] / b["low"])
    return math.sqrt(np.mean(extent**2 / 2 - (2 * math.log(2) - 1) * body**2))


def satchell_variance(b):
    up = np.log(b["high"] / b["open"]) * np.log(b["high"] / b["close"])
    return up + np.log(b["low"] / b["open"]) * np.log(b["low"] / b["close"])


def yang_zhang(bars, n):
    b, before = bars[-n:], bars["close"][-n - 1 : -1]
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    jump = np.var(np.log(b["open"] / before), ddof=1)
    body = np.var(np.log(b["close"] / b["open"]), ddof=1)
    return math.sqrt(jump + k * body + (1 - k) * satchell_variance(b).mean())


def volatility_ratio(bars, short, long):
    slow = np.std(returns(bars, long), ddof=1)
    return np.std(returns(bars, short), ddof=1) / slow if slow > 1e-12 else 1.0


def range_position(bars):
    b = bars[-1]
    extent = b["high"] - b["low"]
    return (b["close"] - b["low"]) / extent if extent > 0 else 0.5


def autocorrelation(bars, n, lag):
    r = returns(bars, n + lag)
    after, before = r[lag:], r[:-lag]
    if min(after.std(), before.std()) <= 1e-12:
        return 0.0
    return np.corrcoef(after, before)[0, 1]


def variance_ratio(bars, n, q):
    if np.std(returns(bars, n)) <= 1e-12:
        return 1.0
    return VarianceRatio(np.log(bars["close"][-n - 1 :]), lags=q).vr


def efficiency_ratio(bars, n):
    close = bars["close"][-n - 1 :]
    path = np.abs(np.diff(close)).sum()
    return abs(close[-1] - close[0]) / path if path > 0 else 0.0


def fractional_difference(bars, n, d):
    k = np.arange(1, n)
    weights = np.concatenate([[1.0], np.cumprod((k - 1 - d) / k)])
    return weights @ np.log(bars["close"][-n:])[::-1]


def mean_root(values, n):
    return math.sqrt(np.mean(values[-n:]))


# Name, parameters, twin, absolute tolerance (the relative one is 1e-9 for all).
CASES = [
    ("spread", {}, spread, 0),
    ("spread_z", {"n": 100}, lambda b, n: z(b["spread_mean"][-n:]), 1e-9),
    ("tick_imbalance", {}, lambda b: b["imbalance"][-1] / b["ticks"][-1], 0),
    ("tick_imbalance_sum", {"n": 20}, imbalance_sum, 0),
    ("volume_z", {"n": 100}, lambda b, n: z(b["volume"][-n:]), 1e-9),
    ("amihud", {"n": 50}, amihud, 0),
    ("roll_spread", {"n": 100}, roll_spread, 1e-12),
    ("realised_volatility", {"n": 50}, lambda b, n: mean_root(b["realised_variance"], n), 0),
    ("close_volatility", {"n": 50}, lambda b, n: np.std(returns(b, n), ddof=1), 1e-15),
    (
        "parkinson",
        {"n": 50},
        lambda b, n: mean_root(np.log(b["high"] / b["low"]) ** 2 / (4 * math.log(2)), n),
        0,
    ),
    ("garman_klass", {"n": 50}, garman_klass, 0),
    ("rogers_satchell", {"n": 50}, lambda b, n: mean_root(satchell_variance(b[-n:]), n), 0),
    ("yang_zhang", {"n": 50}, yang_zhang, 1e-15),
    ("volatility_ratio", {"short": 10, "long": 100}, volatility_ratio, 1e-9),
    ("range_position", {}, range_position, 0),
    ("autocorrelation", {"n": 100, "lag": 1}, autocorrelation, 1e-9),
    ("autocorrelation", {"n": 100, "lag": 5}, autocorrelation, 1e-9),
    ("variance_ratio", {"n": 100, "q": 5}, variance_ratio, 1e-9),
    ("variance_ratio", {"n": 100, "q": 2}, variance_ratio, 1e-9),
    ("efficiency_ratio", {"n": 20}, efficiency_ratio, 1e-9),
    ("fractional_difference", {"n": 100, "d": 0.4}, fractional_difference, 1e-9),
]
IDS = ["-".join([name, *map(str, params.values())]) for name, params, _, _ in CASES]
WINDOW = 120  # bars that the longest window of the cases looks at, and some


def agree(case, bars, out, indices):
    name, params, twin, atol = case
    for i in indices:
        expected = np.atleast_1d(twin(bars[max(0, i + 1 - WINDOW) : i + 1], **params))
        np.testing.assert_allclose(
            out[i], expected, rtol=1e-9, atol=atol, err_msg=f"{name} {params} at bar {i}"
        )


def sampled(bars, first, count=60):
    """The first numbers, the last, and some drawn in between."""
    drawn = np.random.default_rng(1).integers(first, len(bars), count)
    return [first, first + 1, *drawn, len(bars) - 1]


def test_every_market_kernel_has_a_case():
    assert {name for name, *_ in CASES} == set(KERNELS)


@pytest.mark.parametrize("case", CASES, ids=IDS)
class TestEachKernel:
    def test_it_equals_its_twin_on_random_bars(self, case):
        bars = random_bars(20_000, seed=11)
        run = Run(KERNELS[case[0]], **case[1])
        agree(case, bars, run.fold(bars), sampled(bars, max(run.warm_ups)))

    def test_its_first_number_comes_after_exactly_its_warm_up(self, case):
        run = Run(KERNELS[case[0]], **case[1])
        out = run.fold(random_bars(400, seed=3))
        for column, warm_up in zip(out.T, run.warm_ups, strict=True):
            assert np.flatnonzero(~np.isnan(column))[0] == warm_up
            assert not np.isnan(column[warm_up:]).any()

    def test_single_steps_give_the_bits_of_the_fold(self, case):
        bars = random_bars(3_000, seed=4)
        kernel = KERNELS[case[0]]
        assert same_bits(Run(kernel, **case[1]).steps(bars), Run(kernel, **case[1]).fold(bars))

    def test_what_comes_later_changes_nothing_before(self, case):
        bars = random_bars(2_000, seed=5)
        kernel = KERNELS[case[0]]
        whole = Run(kernel, **case[1]).fold(bars)
        for cut in np.random.default_rng(0).integers(1, len(bars), 20):
            assert same_bits(Run(kernel, **case[1]).fold(bars[:cut]), whole[:cut])

    def test_chunks_give_the_bits_of_the_whole(self, case):
        bars = random_bars(2_000, seed=6)
        kernel = KERNELS[case[0]]
        run = Run(kernel, **case[1])
        parts = [run.fold(bars[a:b]) for a, b in ((0, 1), (1, 700), (700, 2_000))]
        assert same_bits(np.concatenate(parts), Run(kernel, **case[1]).fold(bars))

    def test_ten_million_steps_do_not_drift(self, case):
        bars = random_bars(250_000, seed=8)
        run = Run(KERNELS[case[0]], **case[1])
        for _ in range(39):
            run.fold(bars)
        out = run.fold(bars)
        agree(case, bars, out, range(len(bars) - 50, len(bars)))

    def test_an_outlier_leaves_no_trace_once_it_has_left(self, case):
        bars = random_bars(3_000, seed=9)
        for i in (500, 501, 1_700):
            for field in ("open", "high", "low", "close"):
                bars[i][field] *= 1e6
            bars[i]["spread_mean"] = 1e6
            bars[i]["volume"] = 1e12
            bars[i]["realised_variance"] = 1e3
        out = Run(KERNELS[case[0]], **case[1]).fold(bars)
        agree(case, bars, out, [*range(501 + 107, 501 + 150), *range(1_700 + 107, 1_700 + 150)])

    def test_a_bar_that_cannot_be_used_is_left_out(self, case):
        bars = random_bars(1_500, seed=10)
        broken = np.insert(bars, [300, 300, 301, 900], bars[:4])
        for i, value in zip((300, 301, 303, 903), (math.nan, math.inf, -1.0, 1e300), strict=True):
            for field in ("open", "high", "low", "close", "spread_mean", "volume"):
                broken[i][field] = value
            broken[i]["realised_variance"] = value
            broken[i]["imbalance"] = broken[i]["ticks"] + 1
        out = Run(KERNELS[case[0]], **case[1]).fold(broken)
        holes = [300, 301, 303, 903]
        assert np.isnan(out[holes]).all()
        clean = Run(KERNELS[case[0]], **case[1]).fold(bars)
        assert same_bits(np.delete(out, holes, axis=0), clean)

    def test_a_price_that_does_not_move_gives_a_finite_number(self, case):
        bars = minute_bars(np.full(400, 1.2345))
        for field in ("open", "high", "low"):
            bars[field] = bars["close"]
        bars["spread_mean"] = 1e-4
        bars["realised_variance"] = 0.0
        bars["volume"] = bars["ticks"] = 7
        bars["imbalance"] = 0
        run = Run(KERNELS[case[0]], **case[1])
        assert np.isfinite(run.fold(bars)[max(run.warm_ups) :]).all()


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("file", ["EURUSD_H1_oanda_2007-2018", "XAUUSD_H1_oanda_2006-2019"])
def test_it_equals_its_twin_on_real_bars(case, file, shared_data):
    bars = real_bars(shared_data / "bars" / f"{file}.parquet", hour_bars)
    run = Run(KERNELS[case[0]], **case[1])
    agree(case, bars, run.fold(bars), sampled(bars, max(run.warm_ups)))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_it_equals_its_twin_on_real_ticks(case, shared_data):
    bars = real_bars(shared_data / "ticks" / "EURUSD_oanda_2014-05.parquet", tick_bars)
    run = Run(KERNELS[case[0]], **case[1])
    agree(case, bars, run.fold(bars), sampled(bars, max(run.warm_ups)))


_READ = {}


def real_bars(path, reader):
    if path not in _READ:
        _READ[path] = reader(path)
    return _READ[path]


_PLAIN = """
import sys
import numpy as np
from realtime.kernels.jit import jit_is_on
from tests.realtime.kernels.features.folds import Run, random_bars
from tests.realtime.kernels.features.test_market import CASES, KERNELS
assert not jit_is_on()
bars = random_bars(450, seed=12)
bars["close"][200:204] = np.nan
rows = [Run(KERNELS[name], **params).fold(bars) for name, params, _, _ in CASES]
np.save(sys.argv[1], np.hstack(rows))
"""


def test_plain_python_gives_the_bits_of_compiled_code(tmp_path):
    bars = random_bars(450, seed=12)
    bars["close"][200:204] = np.nan
    compiled = [Run(KERNELS[name], **params).fold(bars) for name, params, _, _ in CASES]
    assert same_bits(np.hstack(compiled), without_compiler(_PLAIN, tmp_path / "plain.npy"))


BOUNDS = {
    "tick_imbalance": (-1, 1),
    "tick_imbalance_share": (-1, 1),
    "autocorrelation": (-1, 1),
    "efficiency_ratio": (0, 1),
    "range_position": (0, 1),
    "variance_ratio": (0, 1e9),
    "volatility_ratio": (0, 100),
    "roll_spread": (0, 100),
    "amihud": (0, 1e9),
    **dict.fromkeys(
        (
            "realised_volatility",
            "close_volatility",
            "parkinson",
            "garman_klass",
            "rogers_satchell",
            "yang_zhang",
        ),
        (0, 100),
    ),
}
SHORT = {"n": 3, "lag": 1, "q": 2, "d": 0.4, "short": 2, "long": 3}

price = st.floats(1e-6, 1e6)
four_prices = st.tuples(price, price, price, price).map(sorted)


@st.composite
def any_bars(draw):
    """Bars with valid prices that are otherwise as wild as can be, and often repeat."""
    rows = draw(st.lists(four_prices, min_size=1, max_size=8))
    order = draw(st.lists(st.integers(0, len(rows) - 1), min_size=12, max_size=40))
    bars = random_bars(len(order), seed=0)
    for i, choice in enumerate(order):
        low, first, second, high = rows[choice]
        bars[i]["low"], bars[i]["high"] = low, high
        bars[i]["open"], bars[i]["close"] = (first, second) if i % 2 else (second, first)
        bars[i]["volume"] = draw(st.sampled_from([1.0, 3.0, 1e9]))
        bars[i]["spread_mean"] = draw(st.sampled_from([0.0, 1e-5, 1e-5, 2.0]))
        bars[i]["realised_variance"] = draw(st.sampled_from([0.0, 1e-12, 4.0]))
    return bars


@settings(max_examples=60)
@given(bars=any_bars())
def test_values_are_finite_and_in_bounds_for_any_prices(bars):
    for kernel in market.KERNELS:
        run = Run(kernel, **{name: SHORT[name] for name in kernel.params})
        out = run.fold(bars)
        for output, column, warm_up in zip(kernel.outputs, out.T, run.warm_ups, strict=True):
            assert np.isnan(column[:warm_up]).all()
            assert np.isfinite(column[warm_up:]).all(), output.name
            low, high = BOUNDS.get(output.name, (-math.inf, math.inf))
            assert (column[warm_up:] >= low).all(), output.name
            assert (column[warm_up:] <= high).all(), output.name


class TestWorkedExamples:
    def test_fractional_weights_are_the_golden_ones(self):
        weights = np.zeros(6)
        fractional_weights(weights, 0.5)
        assert weights.tolist() == [1.0, -0.5, -0.125, -0.0625, -0.0390625, -0.02734375]

    def test_fractional_weights_are_those_of_the_reference_file(self, shared_data):
        golden = json.loads((shared_data.parent / "reference/research_golden.json").read_text())
        weights = np.zeros(len(golden["fracdiff_d0.5"]))
        fractional_weights(weights, 0.5)
        assert weights.tolist() == golden["fracdiff_d0.5"]

    def test_a_difference_of_order_one_is_the_log_return(self):
        bars = random_bars(200)
        out = Run(KERNELS["fractional_difference"], n=10, d=1.0).fold(bars)[:, 0]
        np.testing.assert_allclose(out[9:], np.diff(np.log(bars["close"]))[8:], atol=1e-14)

    def test_a_straight_move_is_fully_efficient_and_a_round_trip_is_not(self):
        up = 1.0 + 0.01 * np.arange(11)
        straight = Run(KERNELS["efficiency_ratio"], n=10).fold(minute_bars(up))
        assert straight[-1, 0] == pytest.approx(1.0, abs=1e-12)
        there_and_back = np.concatenate([up[:6], up[4::-1]])
        assert (
            Run(KERNELS["efficiency_ratio"], n=10).fold(minute_bars(there_and_back))[-1, 0] == 0.0
        )

    def test_a_price_that_bounces_between_bid_and_ask_shows_the_spread(self):
        sides = np.random.default_rng(2).choice([-0.5, 0.5], 100_000)
        bars = minute_bars(100.0 * np.exp(0.001 * sides))
        out = Run(KERNELS["roll_spread"], n=99_000).fold(bars)
        assert out[-1, 0] == pytest.approx(0.001, rel=0.02)

    def test_a_trend_has_a_variance_ratio_above_one_and_a_bounce_one_below(self):
        rng = np.random.default_rng(3)
        noise = rng.normal(0, 1e-4, 400)
        trending = np.convolve(noise, np.ones(10), "same")
        for steps, above in ((trending, True), (np.diff(noise, prepend=0.0), False)):
            bars = minute_bars(np.exp(np.cumsum(steps)))
            value = Run(KERNELS["variance_ratio"], n=100, q=5).fold(bars)[-1, 0]
            assert (value > 1.5) == above
            assert (value < 0.6) != above

    def test_constant_windows_have_the_documented_values(self):
        bars = minute_bars(np.full(200, 1.1))
        for field in ("open", "high", "low"):
            bars[field] = bars["close"]
        bars["spread_mean"] = 1e-4
        bars["volume"] = 5.0
        bars["ticks"] = bars["imbalance"] = 0
        documented = {
            "spread_z": 0.0,
            "volume_z": 0.0,
            "tick_imbalance": 0.0,
            "amihud": 0.0,
            "roll_spread": 0.0,
            "close_volatility": 0.0,
            "parkinson": 0.0,
            "garman_klass": 0.0,
            "rogers_satchell": 0.0,
            "yang_zhang": 0.0,
            "volatility_ratio": 1.0,
            "range_position": 0.5,
            "autocorrelation": 0.0,
            "variance_ratio": 1.0,
            "efficiency_ratio": 0.0,
        }
        found = {name: Run(KERNELS[name]).fold(bars)[-1, 0] for name in documented}
        assert found == documented
        assert Run(KERNELS["tick_imbalance_sum"]).fold(bars)[-1].tolist() == [0.0, 0.0]

    def test_bars_without_volume_are_skipped_by_amihud(self):
        bars = random_bars(200, seed=1)
        bars["volume"][150] = 0.0
        out = Run(KERNELS["amihud"], n=20).fold(bars)[:, 0]
        assert out[150] == out[149]
        r = np.abs(np.diff(np.log(bars["close"]), prepend=np.nan))
        traded = np.delete(np.arange(100, 161), 50)[-20:]
        expected = np.mean(r[traded] / (bars["close"][traded] * bars["volume"][traded]))
        assert out[160] == pytest.approx(expected, rel=1e-9)

    def test_amihud_of_a_feed_without_volume_is_never_known(self):
        bars = random_bars(200)
        bars["volume"] = 0.0
        assert np.isnan(Run(KERNELS["amihud"], n=20).fold(bars)).all()

    def test_a_crossed_spread_is_no_spread(self):
        bars = random_bars(3)
        bars["spread_mean"][1] = -1e-5
        out = Run(KERNELS["spread"]).fold(bars)
        assert np.isnan(out[1]).all()
        assert np.isfinite(out[[0, 2]]).all()


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("spread_z", {"n": 1}, "spread_z: n must be an integer of at least 2, not 1"),
        ("amihud", {"n": 0}, "amihud: n must"),
        ("parkinson", {"n": 2.0}, "parkinson: n must be an integer"),
        ("volatility_ratio", {"short": 10, "long": 10}, "long must be an integer of at least 11"),
        ("variance_ratio", {"n": 5, "q": 5}, "variance_ratio: n must be an integer of at least 6"),
        ("variance_ratio", {"n": 5, "q": 1}, "variance_ratio: q must"),
        ("autocorrelation", {"n": 10, "lag": 0}, "autocorrelation: lag must"),
        ("fractional_difference", {"n": 10, "d": -0.1}, "d must be from 0 to 2"),
        ("fractional_difference", {"n": 10, "d": math.nan}, "d must be from 0 to 2"),
    ],
)
def test_wrong_parameters_are_refused_by_name(name, params, said):
    with pytest.raises(ValueError, match=said):
        Run(KERNELS[name], **params)


@pytest.mark.parametrize("kernel", market.KERNELS, ids=lambda kernel: kernel.name)
def test_minima_are_the_smallest_values_that_the_memory_accepts(kernel):
    for name, default in kernel.params.items():
        if isinstance(default, int):
            least = kernel.minima.get(name, 1)
            with pytest.raises(ValueError, match=name):
                kernel.state(**{**kernel.params, name: least - 1})
    kernel.state(**{name: kernel.minima.get(name, 1) for name in kernel.params})


@pytest.mark.parametrize("name", ["efficiency_ratio", "parkinson", "tick_imbalance_sum"])
def test_a_window_of_one_bar_is_that_bar(name):
    bars = random_bars(300, seed=2)
    out = Run(KERNELS[name], n=1).fold(bars)[:, 0]
    expected = {
        "efficiency_ratio": (np.diff(bars["close"]) != 0.0).astype(float),
        "parkinson": np.log(bars["high"] / bars["low"])[1:] / math.sqrt(4 * math.log(2)),
        "tick_imbalance_sum": bars["imbalance"][1:],
    }[name]
    np.testing.assert_allclose(out[1:], expected, rtol=1e-9)


@pytest.mark.parametrize("kernel", market.KERNELS, ids=lambda kernel: kernel.name)
def test_presets_are_valid_and_every_output_is_written(kernel):
    for params in kernel.presets:
        Run(kernel, **params)
    assert not (Run(kernel).fold(random_bars(50)) == UNWRITTEN).any()


@given(old=st.floats(1e-15, 1e15), move=st.floats(-2e-2, 2e-2))
def test_log_ratio_equals_log1p(old, move):
    new = old * (1.0 + move)
    expected = math.log1p((new - old) / old)
    rounding_of_the_ratio = 0.0 if abs(move) < 1.9e-3 else 2e-16
    assert log_ratio(new, old) == pytest.approx(expected, rel=1e-15, abs=rounding_of_the_ratio)
    assert log_ratio(old, old) == 0.0
