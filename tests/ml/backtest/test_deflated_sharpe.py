"""The deflated Sharpe ratio and the luck of many trials, against the numbers of the papers."""

import json
import math
from typing import Any

import numpy as np
import pytest

from ml.backtest.returns import (
    deflated_sharpe_ratio,
    expected_maximum,
    luck_sharpe,
    probabilistic_sharpe_ratio,
)

EXAMPLE: dict[str, Any] = {
    "sharpe": 2.5 / math.sqrt(250),
    "periods": 1250,
    "skew": -3.0,
    "kurtosis": 10.0,
}


@pytest.fixture(scope="module")
def golden(shared_data):
    path = shared_data.parent / "reference" / "research_golden.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_expected_maxima_are_the_published_ones(golden):
    for trials, expected in golden["EmaxZ"].items():
        assert expected_maximum(int(trials)) == pytest.approx(expected, abs=1e-7)


def test_the_papers_example_comes_out(golden):
    paper = golden["DSR_2014"]
    variance = 0.5 / 250
    assert luck_sharpe(100, variance) == pytest.approx(paper["SR0"], abs=1e-12)
    found = deflated_sharpe_ratio(**EXAMPLE, trials=100, variance=variance)
    assert found == pytest.approx(paper["out"], abs=1e-9)
    found = deflated_sharpe_ratio(**EXAMPLE, trials=46, variance=variance)
    assert found == pytest.approx(paper["N46"], abs=1e-9)
    normal: dict[str, Any] = EXAMPLE | {"skew": 0.0, "kurtosis": 3.0}
    found = deflated_sharpe_ratio(**normal, trials=88, variance=variance)
    assert found == pytest.approx(paper["normal_N88"], abs=1e-9)


def test_the_papers_example_in_short():
    found = deflated_sharpe_ratio(**EXAMPLE, trials=100, variance=0.5 / 250)
    assert round(found, 4) == 0.9004


def test_a_single_trial_has_no_luck_to_take_off():
    assert expected_maximum(1) == 0.0
    assert deflated_sharpe_ratio(**EXAMPLE, trials=1, variance=0.0) == probabilistic_sharpe_ratio(
        *EXAMPLE.values()
    )


def test_every_further_trial_costs():
    found = [
        deflated_sharpe_ratio(**EXAMPLE, trials=trials, variance=0.002)
        for trials in (1, 2, 10, 100, 1_000)
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 5


def test_the_expected_maximum_is_about_what_chance_gives():
    rng = np.random.default_rng(1)
    simulated = rng.standard_normal((20_000, 50)).max(axis=1).mean()
    assert expected_maximum(50) == pytest.approx(simulated, abs=0.05)
