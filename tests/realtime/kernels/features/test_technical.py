"""Technical features against TA-Lib, numpy and scipy, on real and made bars."""

import numpy as np
import pytest
import scipy.stats
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from realtime.kernels.features import bands, directional, momentum, trend, volume
from realtime.kernels.features.catalogue import CATALOGUE, OUTPUTS
from tests.realtime.kernels.features.folds import (
    Run,
    hour_bars,
    minute_bars,
    random_bars,
    same_bits,
    without_compiler,
)

KERNELS = [
    kernel.name
    for family in (trend, directional, momentum, bands, volume)
    for kernel in family.KERNELS
]


class Bars:
    """The arrays that TA-Lib takes."""

    def __init__(self, bars):
        self.o, self.h, self.l, self.c, self.v = (
            np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close", "volume")
        )


def _windowed(function, values, n):
    out = np.full(len(values), np.nan)
    if len(values) >= n:
        out[n - 1 :] = function(sliding_window_view(values, n))
    return out


def _zscore(b, n):
    deviation = _windowed(lambda w: w.std(axis=1), b.c, n)
    mean = _windowed(lambda w: w.mean(axis=1), b.c, n)
    return (b.c - mean) / deviation


def _r2(b, n):
    x = np.arange(n) - (n - 1) / 2

    def fit(windows):
        y = windows - windows.mean(axis=1, keepdims=True)
        return (y @ x) ** 2 / ((x @ x) * (y * y).sum(axis=1))

    return _windowed(fit, b.c, n)


def _band(b, n, k, place):
    return talib.BBANDS(b.c, n, k, k)[place]


def _ema_atr(b, n, m, k):
    middle = talib.EMA(b.c, n)
    both = middle + k * talib.ATR(b.h, b.l, b.c, m)
    return np.where(np.isnan(both), np.nan, middle) if k == 0 else both


# Output, parameters, what it must equal.
ORACLES = [
    ("sma", {"n": 20}, lambda b: talib.SMA(b.c, 20)),
    ("sma", {"n": 200}, lambda b: talib.SMA(b.c, 200)),
    ("ema", {"n": 20}, lambda b: talib.EMA(b.c, 20)),
    ("ema", {"n": 7}, lambda b: talib.EMA(b.c, 7)),
    ("wma", {"n": 20}, lambda b: talib.WMA(b.c, 20)),
    ("dema", {"n": 20}, lambda b: talib.DEMA(b.c, 20)),
    ("close_to_sma", {"n": 20}, lambda b: b.c / talib.SMA(b.c, 20) - 1),
    ("close_to_ema", {"n": 20}, lambda b: b.c / talib.EMA(b.c, 20) - 1),
    (
        "sma_gap",
        {"fast": 10, "slow": 30},
        lambda b: talib.SMA(b.c, 10) / talib.SMA(b.c, 30) - 1,
    ),
    ("macd", {"fast": 12, "slow": 26, "signal": 9}, lambda b: talib.MACD(b.c, 12, 26, 9)[0]),
    ("macd_signal", {"fast": 12, "slow": 26, "signal": 9}, lambda b: talib.MACD(b.c, 12, 26, 9)[1]),
    (
        "macd_histogram",
        {"fast": 5, "slow": 34, "signal": 5},
        lambda b: talib.MACD(b.c, 5, 34, 5)[2],
    ),
    ("slope", {"n": 14}, lambda b: talib.LINEARREG_SLOPE(b.c, 14)),
    ("slope", {"n": 100}, lambda b: talib.LINEARREG_SLOPE(b.c, 100)),
    ("r2", {"n": 14}, lambda b: _r2(b, 14)),
    ("adx", {"n": 14}, lambda b: talib.ADX(b.h, b.l, b.c, 14)),
    ("plus_di", {"n": 14}, lambda b: talib.PLUS_DI(b.h, b.l, b.c, 14)),
    ("minus_di", {"n": 14}, lambda b: talib.MINUS_DI(b.h, b.l, b.c, 14)),
    ("adx", {"n": 2}, lambda b: talib.ADX(b.h, b.l, b.c, 2)),
    ("rsi", {"n": 14}, lambda b: talib.RSI(b.c, 14)),
    ("rsi", {"n": 2}, lambda b: talib.RSI(b.c, 2)),
    ("roc", {"n": 10}, lambda b: talib.ROC(b.c, 10)),
    ("momentum", {"n": 10}, lambda b: talib.MOM(b.c, 10)),
    ("cci", {"n": 20}, lambda b: talib.CCI(b.h, b.l, b.c, 20)),
    ("cci", {"n": 7}, lambda b: talib.CCI(b.h, b.l, b.c, 7)),
    ("williams_r", {"n": 14}, lambda b: talib.WILLR(b.h, b.l, b.c, 14)),
    (
        "stochastic_k",
        {"n": 14, "k": 3, "d": 3},
        lambda b: talib.STOCH(b.h, b.l, b.c, 14, 3, slowd_period=3)[0],
    ),
    (
        "stochastic_d",
        {"n": 14, "k": 3, "d": 5},
        lambda b: talib.STOCH(b.h, b.l, b.c, 14, 3, slowd_period=5)[1],
    ),
    ("fast_stochastic_k", {"n": 5, "d": 3}, lambda b: talib.STOCHF(b.h, b.l, b.c, 5, 3)[0]),
    ("fast_stochastic_d", {"n": 5, "d": 3}, lambda b: talib.STOCHF(b.h, b.l, b.c, 5, 3)[1]),
    ("aroon_up", {"n": 14}, lambda b: talib.AROON(b.h, b.l, 14)[1]),
    ("aroon_down", {"n": 14}, lambda b: talib.AROON(b.h, b.l, 14)[0]),
    ("aroon_oscillator", {"n": 25}, lambda b: talib.AROONOSC(b.h, b.l, 25)),
    ("atr", {"n": 14}, lambda b: talib.ATR(b.h, b.l, b.c, 14)),
    ("atr", {"n": 1}, lambda b: talib.ATR(b.h, b.l, b.c, 1)),
    ("natr", {"n": 14}, lambda b: talib.NATR(b.h, b.l, b.c, 14)),
    ("bollinger_upper", {"n": 20, "k": 2.0}, lambda b: _band(b, 20, 2, 0)),
    ("bollinger_middle", {"n": 20, "k": 2.0}, lambda b: _band(b, 20, 2, 1)),
    ("bollinger_lower", {"n": 20, "k": 2.5}, lambda b: _band(b, 20, 2.5, 2)),
    (
        "bollinger_width",
        {"n": 20, "k": 2.0},
        lambda b: (_band(b, 20, 2, 0) - _band(b, 20, 2, 2)) / _band(b, 20, 2, 1),
    ),
    ("bollinger_position", {"n": 20, "k": 2.0}, lambda b: 0.5 + _zscore(b, 20) / 4),
    ("zscore", {"n": 20}, lambda b: _zscore(b, 20)),
    ("keltner_upper", {"n": 20, "m": 10, "k": 2.0}, lambda b: _ema_atr(b, 20, 10, 2)),
    ("keltner_middle", {"n": 5, "m": 10, "k": 2.0}, lambda b: _ema_atr(b, 5, 10, 0)),
    ("keltner_lower", {"n": 20, "m": 10, "k": 1.5}, lambda b: _ema_atr(b, 20, 10, -1.5)),
    ("rolling_max", {"n": 20}, lambda b: talib.MAX(b.h, 20)),
    ("rolling_min", {"n": 20}, lambda b: talib.MIN(b.l, 20)),
    ("mfi", {"n": 14}, lambda b: talib.MFI(b.h, b.l, b.c, b.v, 14)),
    ("obv", {}, lambda b: talib.OBV(b.c, b.v)),
]


def folded(output, bars, **params):
    kernel, place = OUTPUTS[output]
    run = Run(kernel, **params)
    return run.fold(bars)[:, place], run.warm_ups[place]


def worst(got, expected):
    """Largest difference, relative to the value or, where values are near zero, to their size."""
    known = ~np.isnan(expected)
    size = np.maximum(np.abs(expected[known]), np.median(np.abs(expected[known])))
    return float(np.max(np.abs(got[known] - expected[known]) / np.maximum(size, 1e-300)))


def check(output, params, oracle, bars):
    got, warm_up = folded(output, bars, **params)
    expected = oracle(Bars(bars))
    assert np.isnan(got[:warm_up]).all()
    assert not np.isnan(got[warm_up:]).any()
    assert np.isnan(expected[:warm_up]).all()
    assert not np.isnan(expected[warm_up:]).any()
    assert worst(got, expected) < 1e-9


IDS = ["_".join([output, *map(str, params.values())]) for output, params, _ in ORACLES]


def test_every_technical_output_has_an_oracle_here():
    outputs = {output.name for name in KERNELS for output in CATALOGUE[name].outputs}
    assert {output for output, _, _ in ORACLES} == outputs


@pytest.mark.parametrize("name", ["EURUSD_H1_oanda_2007-2018", "XAUUSD_H1_oanda_2006-2019"])
@pytest.mark.parametrize(("output", "params", "oracle"), ORACLES, ids=IDS)
def test_features_equal_their_oracles_on_real_bars(shared_data, output, params, oracle, name):
    check(output, params, oracle, _real(shared_data, name))


_REAL = {}


def _real(shared_data, name):
    if name not in _REAL:
        _REAL[name] = hour_bars(shared_data / "bars" / f"{name}.parquet")
    return _REAL[name]


MADE = random_bars(5_000, seed=3)


@pytest.mark.parametrize(("output", "params", "oracle"), ORACLES, ids=IDS)
def test_features_equal_their_oracles_on_made_bars(output, params, oracle):
    check(output, params, oracle, MADE)


# talib 0.8.2 (its C library 0.8.1) at bars 40 and 119 of a series anybody can write down:
# c = 100 + 10 sin(i / 5) + 0.1 i, h = c + 1 + 0.5 cos i, l = c - 1 - 0.5 sin(i)^2,
# v = 1000 + 100 cos(i / 3), i = 0..119.
GOLDEN = [
    ("rsi", {"n": 14}, (80.4595189798, 28.6313362133)),
    ("ema", {"n": 20}, (106.3050925175, 107.7333676382)),
    ("atr", {"n": 14}, (2.5727960227, 2.5641463298)),
    ("macd", {"fast": 12, "slow": 26, "signal": 9}, (2.6902688609, -2.4826525779)),
    ("macd_signal", {"fast": 12, "slow": 26, "signal": 9}, (0.4825741181, -0.9676877287)),
    ("bollinger_upper", {"n": 20, "k": 2.0}, (118.6030025011, 125.6270765871)),
    ("bollinger_middle", {"n": 20, "k": 2.0}, (102.2204185734, 111.3645227701)),
    ("bollinger_lower", {"n": 20, "k": 2.0}, (85.8378346458, 97.1019689531)),
    ("adx", {"n": 14}, (37.9286367433, 35.1946084938)),
    ("cci", {"n": 20}, (102.7249137668, -91.0405135486)),
    ("stochastic_k", {"n": 14, "k": 3, "d": 3}, (94.4438609342, 7.9514177165)),
    ("stochastic_d", {"n": 14, "k": 3, "d": 3}, (94.347196089, 6.8879992131)),
    ("obv", {}, (10872.4828113897, -2042.3083823625)),
    ("williams_r", {"n": 14}, (-5.2324531483, -90.0858664286)),
    ("mfi", {"n": 14}, (91.8769293963, 12.8440180095)),
]


def golden_bars():
    i = np.arange(120)
    bars = minute_bars(100 + 10 * np.sin(i / 5) + 0.1 * i)
    bars["high"] = bars["close"] + 1 + 0.5 * np.cos(i)
    bars["low"] = bars["close"] - 1 - 0.5 * np.sin(i) ** 2
    bars["volume"] = 1000 + 100 * np.cos(i / 3)
    return bars


@pytest.mark.parametrize(("output", "params", "expected"), GOLDEN, ids=[row[0] for row in GOLDEN])
def test_golden_values_hold(output, params, expected):
    got, _ = folded(output, golden_bars(), **params)
    assert got[[40, 119]] == pytest.approx(expected, abs=1e-9)


def test_r2_equals_scipy_window_by_window():
    got, _ = folded("r2", MADE, n=14)
    for end in range(100, 400, 7):
        fit = scipy.stats.linregress(np.arange(14), MADE["close"][end - 14 : end])
        assert got[end - 1] == pytest.approx(np.asarray(fit)[2] ** 2, abs=1e-9)


# What a feature is where nothing moves and nothing is traded: TA-Lib's value or the documented one.
FLAT = {
    "adx": 0.0,
    "plus_di": 0.0,
    "minus_di": 0.0,
    "rsi": 0.0,
    "roc": 0.0,
    "momentum": 0.0,
    "cci": 0.0,
    "williams_r": 0.0,
    "stochastic_k": 0.0,
    "stochastic_d": 0.0,
    "fast_stochastic_k": 0.0,
    "fast_stochastic_d": 0.0,
    "aroon_up": 100.0,
    "aroon_down": 100.0,
    "aroon_oscillator": 0.0,
    "atr": 0.0,
    "natr": 0.0,
    "mfi": 0.0,
    "obv": 0.0,
    "bollinger_width": 0.0,
    "bollinger_position": 0.5,
    "zscore": 0.0,
    "slope": 0.0,
    "r2": 0.0,
    "macd": 0.0,
    "macd_signal": 0.0,
    "macd_histogram": 0.0,
    "close_to_sma": 0.0,
    "close_to_ema": 0.0,
    "sma_gap": 0.0,
}


def flat_bars(count, price):
    bars = minute_bars(np.full(count, price))
    for name in ("open", "high", "low"):
        bars[name] = price
    bars["volume"] = 0
    return bars


@pytest.mark.parametrize("price", [1.5, 1.1, 1327.37, 0.00012])
@pytest.mark.parametrize("name", KERNELS)
def test_a_flat_market_gives_the_documented_value(name, price):
    run = Run(CATALOGUE[name])
    out = run.fold(flat_bars(100, price))
    for place, output in enumerate(CATALOGUE[name].outputs):
        values = out[run.warm_ups[place] :, place]
        expected = FLAT.get(output.name, price)
        assert values == pytest.approx(expected, abs=1e-13 * max(price, 1), rel=1e-13), output.name


@pytest.mark.parametrize("name", ["bollinger", "zscore", "cci", "linear_regression", "williams_r"])
def test_a_market_that_falls_silent_leaves_no_rounding_behind(name):
    loud = random_bars(300, seed=4)
    loud["volume"] = 1e6
    bars = np.concatenate([loud, flat_bars(100, loud["close"][-1])])
    out = Run(CATALOGUE[name]).fold(bars)
    for place, output in enumerate(CATALOGUE[name].outputs):
        if output.name in FLAT:
            assert (out[330:, place] == FLAT[output.name]).all(), output.name


def test_money_flow_is_zero_after_the_last_volume_has_left():
    bars = random_bars(200, seed=5)
    bars["volume"][:100] = 1e9
    bars["volume"][100:] = 0
    got, _ = folded("mfi", bars, n=14)
    assert (got[114:] == 0.0).all()
    assert got[99] > 0.0


def test_a_bar_without_volume_counts_as_no_volume():
    bars = random_bars(200, seed=5)
    expected = bars.copy()
    bars["volume"][50] = np.nan
    expected["volume"][50] = 0.0
    for name in ("mfi", "obv"):
        assert same_bits(Run(CATALOGUE[name]).fold(bars), Run(CATALOGUE[name]).fold(expected))


@pytest.mark.parametrize("name", KERNELS)
def test_step_equals_fold_bit_for_bit_and_a_shorter_history_is_a_prefix(name):
    bars = random_bars(300, seed=1)
    whole = Run(CATALOGUE[name]).fold(bars)
    assert same_bits(Run(CATALOGUE[name]).steps(bars), whole)
    for cut in (1, 17, 150, 299):
        run = Run(CATALOGUE[name])
        assert same_bits(run.fold(bars[:cut]), whole[:cut])
        assert same_bits(run.fold(bars[cut:]), whole[cut:])


PLAIN = """
import sys
import numpy as np
from realtime.kernels.features.catalogue import CATALOGUE
from tests.realtime.kernels.features.folds import Run, random_bars
bars = random_bars(150, seed=2)
np.save(sys.argv[1], np.hstack([Run(CATALOGUE[n]).steps(bars) for n in {names!r}]))
"""


def test_plain_python_gives_the_same_bits(tmp_path):
    bars = random_bars(150, seed=2)
    compiled = np.hstack([Run(CATALOGUE[name]).fold(bars) for name in KERNELS])
    plain = without_compiler(PLAIN.format(names=KERNELS), tmp_path / "plain.npy")
    assert same_bits(plain, compiled)


BOUNDS = {
    "rsi": (0, 100),
    "mfi": (0, 100),
    "adx": (0, 100),
    "stochastic": (0, 100),
    "fast_stochastic": (0, 100),
    "aroon": (-100, 100),
    "williams_r": (-100, 0),
}


@settings(max_examples=40)
@given(
    prices=st.lists(
        st.sampled_from([1.0, 1.00001, 0.99999, 1.5, 1e-5, 1e5, 1.1]), min_size=60, max_size=120
    ),
    volume=st.sampled_from([0.0, 1.0, 1e-9, 1e12]),
)
def test_no_price_path_makes_infinity_or_leaves_the_bounds(prices, volume):
    bars = minute_bars(np.array(prices))
    bars["high"] = np.maximum(bars["open"], bars["close"])
    bars["low"] = np.minimum(bars["open"], bars["close"])
    bars["volume"] = volume
    for name in KERNELS:
        run = Run(CATALOGUE[name])
        out = run.fold(bars)
        low, high = BOUNDS.get(name, (-np.inf, np.inf))
        for place, warm_up in enumerate(run.warm_ups):
            values = out[warm_up:, place]
            assert np.isfinite(values).all(), name
            assert ((values >= low - 1e-9) & (values <= high + 1e-9)).all(), name
