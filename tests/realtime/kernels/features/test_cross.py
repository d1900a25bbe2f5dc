"""Features of several symbols against numpy and scipy, with quotes that come late or not at all."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from realtime.kernels.features import cross
from realtime.kernels.layout import QUOTE
from tests.realtime.kernels.features.folds import (
    MINUTE_NS,
    Run,
    minute_bars,
    random_bars,
    same_bits,
    without_compiler,
)

KERNELS = {kernel.name: kernel for kernel in cross.KERNELS}
SYMBOLS = 8


def market(n, seed=0):
    """Own bars (of row 0) and the quotes of all symbols as they stand at each bar's end."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(3, n) * 1e-4
    quotes = np.zeros((n, SYMBOLS), QUOTE)
    for symbol in range(SYMBOLS):
        steps = common * rng.uniform(-1, 1) + rng.standard_t(3, n) * 1e-4
        steps[rng.random(n) < 0.05] = 0.0
        mid = 10.0 ** rng.uniform(-1, 3) * np.exp(np.cumsum(steps))
        half = mid * 1e-5 * np.exp(rng.normal(0, 0.3, n))
        quotes["bid"][:, symbol], quotes["ask"][:, symbol] = mid - half, mid + half
    bars = minute_bars(quotes["bid"][:, 0], seed=seed)
    bars["spread_mean"] = quotes["ask"][:, 0] - quotes["bid"][:, 0]
    quotes["time_ns"] = (bars["end_ns"] - 1)[:, None]
    return bars, quotes


def mids(quotes, symbol):
    return (quotes["bid"][:, symbol] + quotes["ask"][:, symbol]) / 2


def own_mids(bars):
    return bars["close"] + bars["spread_mean"] / 2


def ratio(bars, quotes, n, other):
    window = (own_mids(bars) / mids(quotes, other))[-n:]
    return window[-1], stats.zscore(window)[-1]


def pair(bars, quotes, n, other):
    own = np.diff(np.log(own_mids(bars)))[-n:]
    others = np.diff(np.log(mids(quotes, other)))[-n:]
    return np.corrcoef(own, others)[0, 1], np.polyfit(others, own, 1)[0]


def strength(quotes, n, legs):
    moves = [sign * np.log(mids(quotes, k)[-1] / mids(quotes, k)[-n - 1]) for k, sign in legs]
    return np.mean(moves)


def leg_params(legs, prefix=""):
    params = {}
    for i in range(1, 7):
        symbol, sign = legs[i - 1] if i <= len(legs) else (0, 0)
        params[f"{prefix}symbol_{i}"], params[f"{prefix}sign_{i}"] = symbol, sign
    return params


DOLLAR = [(0, -1), (1, -1), (2, 1), (3, 1), (5, -1), (6, 1)]
EURO = [(0, 1), (4, 1), (7, 1)]

# Name, parameters, twin of (bars, quotes), absolute tolerance.
CASES = {
    "ratio": (
        "cross_ratio",
        {"n": 100, "other": 2},
        lambda b, q: ratio(b, q, 100, 2),
        1e-9,
    ),
    "returns": (
        "cross_returns",
        {"n": 100, "other": 3},
        lambda b, q: pair(b, q, 100, 3),
        1e-9,
    ),
    "one leg": ("basket_strength", {"n": 20}, lambda b, q: strength(q, 20, [(1, 1)]), 1e-14),
    "six legs": (
        "basket_strength",
        {"n": 20, **leg_params(DOLLAR)},
        lambda b, q: strength(q, 20, DOLLAR),
        1e-14,
    ),
    "gap": (
        "strength_gap",
        {"n": 10, **leg_params(EURO, "base_"), **leg_params(DOLLAR, "quote_")},
        lambda b, q: strength(q, 10, EURO) - strength(q, 10, DOLLAR),
        1e-14,
    ),
}
WINDOW = 110


def agree(case, bars, quotes, out, indices):
    for i in indices:
        part = slice(max(0, i + 1 - WINDOW), i + 1)
        expected = np.atleast_1d(case[2](bars[part], quotes[part]))
        np.testing.assert_allclose(out[i], expected, rtol=1e-9, atol=case[3], err_msg=f"bar {i}")


def run_of(case):
    return Run(KERNELS[case[0]], **case[1])


def test_every_cross_kernel_has_a_case():
    assert {name for name, *_ in CASES.values()} == set(KERNELS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestEachKernel:
    def test_it_equals_its_twin(self, case):
        bars, quotes = market(5_000, seed=1)
        run = run_of(case)
        out = run.fold(bars, quotes=quotes)
        first = max(run.warm_ups)
        agree(case, bars, quotes, out, [first, *range(first + 1, 5_000, 61), 4_999])

    def test_its_first_number_comes_after_exactly_its_warm_up(self, case):
        bars, quotes = market(300, seed=2)
        run = run_of(case)
        out = run.fold(bars, quotes=quotes)
        for column, warm_up in zip(out.T, run.warm_ups, strict=True):
            assert np.flatnonzero(~np.isnan(column))[0] == warm_up
            assert not np.isnan(column[warm_up:]).any()

    def test_steps_folds_prefixes_and_chunks_have_the_same_bits(self, case):
        bars, quotes = market(1_000, seed=3)
        quotes["bid"][200:220, 1:] = math.nan
        whole = run_of(case).fold(bars, quotes=quotes)
        assert same_bits(run_of(case).steps(bars, quotes=quotes), whole)
        for cut in np.random.default_rng(0).integers(1, 1_000, 20):
            assert same_bits(run_of(case).fold(bars[:cut], quotes=quotes[:cut]), whole[:cut])
        run = run_of(case)
        parts = [
            run.fold(bars[a:b], quotes=quotes[a:b]) for a, b in ((0, 1), (1, 210), (210, 1000))
        ]
        assert same_bits(np.concatenate(parts), whole)

    def test_ten_million_steps_do_not_drift(self, case):
        bars, quotes = market(100_000, seed=4)
        run = run_of(case)
        for _ in range(99):
            run.fold(bars, quotes=quotes)
        out = run.fold(bars, quotes=quotes)
        agree(case, bars, quotes, out, range(99_960, 100_000))

    @pytest.mark.parametrize("how", ["nan", "zero", "crossed", "infinite", "old", "negative"])
    def test_a_quote_that_cannot_be_used_gives_nan_and_leaves_the_windows_alone(self, case, how):
        bars, quotes = market(600, seed=5)
        holes = [0, 1, 50, 300, 301, 302]
        broken = quotes.copy()
        for symbol in range(1, SYMBOLS):
            for i in holes:
                quote = broken[i, symbol]
                if how == "nan":
                    quote["bid"] = math.nan
                elif how == "zero":
                    broken[i, symbol] = np.zeros((), QUOTE)
                elif how == "crossed":
                    quote["ask"] = quote["bid"] * 0.99
                elif how == "infinite":
                    quote["ask"] = math.inf
                elif how == "negative":
                    quote["bid"] = -1.0
                else:
                    quote["time_ns"] -= 301 * MINUTE_NS
        out = run_of(case).fold(bars, quotes=broken)
        assert np.isnan(out[holes]).all()
        kept = np.delete(np.arange(600), holes)
        clean = run_of(case).fold(bars[kept], quotes=quotes[kept])
        assert same_bits(out[kept], clean)

    def test_any_age_will_do_when_the_limit_is_off(self, case):
        bars, quotes = market(200, seed=6)
        quotes["time_ns"] = 1
        params = {**case[1], "max_age_minutes": 0}
        assert np.isfinite(Run(KERNELS[case[0]], **params).fold(bars, quotes=quotes)[-1]).all()
        assert np.isnan(run_of(case).fold(bars, quotes=quotes)).all()

    def test_a_symbol_without_a_row_has_no_quote(self, case):
        bars, quotes = market(150, seed=7)
        assert np.isnan(run_of(case).fold(bars, quotes=quotes[:, :1].copy())).all()

    def test_prices_that_do_not_move_give_finite_numbers(self, case):
        bars, quotes = market(1, seed=8)
        still = np.repeat(quotes, 200, axis=0)
        still["time_ns"] = 0
        flat = np.repeat(bars, 200)
        flat["end_ns"] = 1
        run = run_of(case)
        assert np.isfinite(run.fold(flat, quotes=still)[max(run.warm_ups) :]).all()


def test_still_prices_have_the_documented_statistics():
    bars, quotes = market(300, seed=9)
    other_still = quotes.copy()
    other_still[:, 2] = other_still[0, 2]
    other_still["time_ns"] = quotes["time_ns"]
    assert Run(KERNELS["cross_returns"], other=2).fold(bars, quotes=other_still)[-1].tolist() == [
        0.0,
        0.0,
    ]
    bars["close"], bars["spread_mean"] = 2.0, 0.5
    assert Run(KERNELS["cross_ratio"], other=2).fold(bars, quotes=other_still)[-1, 1] == 0.0


def test_a_symbol_correlates_fully_with_itself():
    bars, quotes = market(300, seed=10)
    out = Run(KERNELS["cross_returns"], other=0).fold(bars, quotes=quotes)
    np.testing.assert_allclose(out[-1], [1.0, 1.0], atol=1e-9)


def test_a_return_spans_the_hole_on_both_sides_alike():
    bars, quotes = market(300, seed=11)
    broken = quotes.copy()
    broken["bid"][280:290, 3] = math.nan
    out = Run(KERNELS["cross_returns"], n=50, other=3).fold(bars, quotes=broken)
    kept = np.delete(np.arange(300), np.arange(280, 290))
    expected = pair(bars[kept], quotes[kept], 50, 3)
    np.testing.assert_allclose(out[-1], expected, atol=1e-9)


@pytest.mark.parametrize("leg", [5, 7])
def test_a_hole_in_one_basket_is_a_hole_in_the_gap(leg):
    bars, quotes = market(200, seed=15)
    broken = quotes.copy()
    holes = [60, 61, 90]
    broken["ask"][holes, leg] = math.nan
    case = CASES["gap"]
    out = run_of(case).fold(bars, quotes=broken)
    kept = np.delete(np.arange(200), holes)
    assert np.isnan(out[holes]).all()
    assert same_bits(out[kept], run_of(case).fold(bars[kept], quotes=quotes[kept]))


def test_an_own_bar_without_a_price_is_left_out_and_one_without_a_spread_is_not():
    bars, quotes = market(300, seed=12)
    bars["close"][150] = math.nan
    bars["spread_mean"][160] = math.nan
    out = Run(KERNELS["cross_ratio"], n=20, other=1).fold(bars, quotes=quotes)
    assert np.isnan(out[150]).all()
    assert out[160, 0] == bars["close"][160] / mids(quotes, 1)[160]
    assert np.isfinite(out[151:]).all()


def test_a_currency_that_rises_against_all_others_is_strong():
    n = 30
    bars, quotes = market(n, seed=13)
    rise = np.exp(0.001 * np.arange(n))
    for symbol, sign in DOLLAR:
        quotes["bid"][:, symbol] = quotes["ask"][:, symbol] = 1.5 * rise**sign
    dollar = Run(KERNELS["basket_strength"], n=20, **leg_params(DOLLAR))
    assert dollar.fold(bars, quotes=quotes)[-1, 0] == pytest.approx(0.02, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("cross_ratio", {"n": 1}, "cross_ratio: n must"),
        ("cross_returns", {"other": -1}, "cross_returns: other must"),
        ("cross_returns", {"max_age_minutes": -1}, "max_age_minutes must"),
        ("basket_strength", {"sign_1": 0}, "at least one sign must be 1 or -1"),
        ("basket_strength", {"sign_2": 2}, "sign_2 must be 1"),
        ("basket_strength", {"sign_2": -2}, "sign_2 must be an integer of at least -1"),
        ("basket_strength", {"symbol_2": -1}, "symbol_2 must"),
        ("basket_strength", {"n": 0}, "basket_strength: n must"),
        ("strength_gap", {"quote_sign_1": 0}, "at least one quote_sign"),
        ("strength_gap", {"base_sign_3": 7}, "base_sign_3 must"),
    ],
)
def test_wrong_parameters_are_refused_by_name(name, params, said):
    with pytest.raises(ValueError, match=said):
        Run(KERNELS[name], **params)


@pytest.mark.parametrize("kernel", cross.KERNELS, ids=lambda kernel: kernel.name)
def test_rows_of_quotes_are_declared_as_symbols(kernel):
    rows = {name for name in kernel.params if "symbol" in name or name == "other"}
    assert set(kernel.symbol_params) == rows
    assert set(kernel.minima) <= set(kernel.params)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)) | st.just((1.0, 1.0)),
        min_size=8,
        max_size=30,
    )
)
def test_values_are_finite_and_in_bounds_for_any_prices(prices):
    bars = random_bars(len(prices))
    quotes = np.zeros((len(prices), 2), QUOTE)
    bars["close"], other = np.array(prices).T
    quotes["bid"] = quotes["ask"] = other[:, None]
    quotes["time_ns"] = bars["end_ns"][:, None]
    for name, params in (
        ("cross_ratio", {"n": 3}),
        ("cross_returns", {"n": 3}),
        ("basket_strength", {"n": 3, "symbol_2": 0, "sign_2": -1}),
        ("strength_gap", {"n": 3}),
    ):
        run = Run(KERNELS[name], **params)
        out = run.fold(bars, quotes=quotes)
        for column, warm_up in zip(out.T, run.warm_ups, strict=True):
            assert np.isnan(column[:warm_up]).all()
            assert np.isfinite(column[warm_up:]).all(), name
        if name == "cross_returns":
            assert (np.abs(out[3:, 0]) <= 1.0).all()


_PLAIN = """
import sys
import numpy as np
from realtime.kernels.jit import jit_is_on
from tests.realtime.kernels.features.test_cross import everything
assert not jit_is_on()
np.save(sys.argv[1], everything())
"""


def everything():
    bars, quotes = market(300, seed=14)
    quotes["bid"][120:123, 1:] = math.nan
    return np.hstack([run_of(case).fold(bars, quotes=quotes) for case in CASES.values()])


def test_plain_python_gives_the_bits_of_compiled_code(tmp_path):
    assert same_bits(everything(), without_compiler(_PLAIN, tmp_path / "plain.npy"))
