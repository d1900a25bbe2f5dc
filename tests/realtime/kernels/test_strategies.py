"""Rules as kernels: a crossover of two columns."""

import math

import numpy as np
import pytest

from realtime.kernels.layout import SIGNAL
from realtime.kernels.strategies import crossover_fold, crossover_step
from tests.realtime.kernels.tick_streams import same_bits, without_compiler

NAN = math.nan


@pytest.mark.parametrize(
    ("fast", "slow", "probability"),
    [
        (1.2, 1.1, 1.0), (1.1, 1.2, 0.0), (1.1, 1.1, 0.5),
        (NAN, 1.1, NAN), (1.1, NAN, NAN), (NAN, NAN, NAN),
    ],
)  # fmt: skip
def test_a_crossover_is_certain_of_the_side_of_the_fast_average(fast, slow, probability) -> None:
    signal = np.zeros(1, SIGNAL)
    signal["volatility"] = 0.1
    crossover_step(np.array([9.9, slow, fast]), 2, 1, 77, signal[0])
    np.testing.assert_equal(float(signal["probability"][0]), probability)
    assert math.isnan(signal["volatility"][0])
    assert signal["feature_ns"][0] == signal["model_ns"][0] == 77


def random_rows(seed, count=500):
    rng = np.random.default_rng(seed)
    rows = np.round(rng.normal(0, 1, (count, 4)), 1)
    rows[rng.random((count, 4)) < 0.1] = np.nan
    return rows


def folded(rows):
    signals = np.zeros(len(rows), SIGNAL)
    crossover_fold(rows, np.arange(len(rows)), 1, 3, signals)
    return signals


def test_steps_equal_the_fold_to_the_bit() -> None:
    rows = random_rows(1)
    signals = np.zeros(len(rows), SIGNAL)
    for i in range(len(rows)):
        crossover_step(rows[i], 1, 3, i, signals[i])
    assert same_bits(signals, folded(rows))
    assert {0.0, 0.5, 1.0} < set(signals["probability"].tolist())
    assert same_bits(folded(rows[:123]), signals[:123])


def test_plain_python_gives_the_bits_of_the_compiler(tmp_path) -> None:
    rows = random_rows(2)
    assert same_bits(without_compiler(folded, rows, tmp_path), folded(rows))
