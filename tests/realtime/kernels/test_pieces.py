"""The numbers that a tick turns into; the rest of pieces is tested with the bars made of them."""

from decimal import Decimal, getcontext

import numpy as np
import pytest

from realtime.kernels.layout import BAR, TICK
from realtime.kernels.pieces import PIECE_STATE, direction, squared_return, tick_piece_step
from tests.realtime.kernels.tick_streams import record


@pytest.mark.parametrize("last", [0.6, 1.1, 157.3, 2650.0])
@pytest.mark.parametrize("move", [*np.logspace(-9, 1, 41), -1e-8, -1e-5, -2.1e-3, -0.03, -0.9])
def test_the_squared_return_is_exact_for_small_and_large_moves(last, move):
    mid = last * (1.0 + float(move))
    with_50_digits = getcontext().copy()
    with_50_digits.prec = 50
    ratio = with_50_digits.divide(Decimal(mid), Decimal(last))
    exact = float(with_50_digits.ln(ratio)) ** 2
    assert squared_return(mid, last) == pytest.approx(exact, rel=3e-15)


def test_without_a_mid_before_there_is_neither_return_nor_direction():
    assert squared_return(1.1, 0.0) == 0.0
    assert squared_return(1.1, 1.1) == 0.0
    assert [direction(1.1, 0.0), direction(1.1, 1.1), direction(1.2, 1.1), direction(1.0, 1.1)] == [
        0,
        0,
        1,
        -1,
    ]


def test_a_tick_becomes_a_bar_without_length():
    tick, piece, state = record(TICK), record(BAR), record(PIECE_STATE)
    tick["time_ns"], tick["bid"], tick["ask"], tick["volume"] = 5, 1.25, 1.5, 3.0
    assert tick_piece_step(state, tick, piece) == 0
    assert state["last_mid"] == 1.375
    assert piece.item() == (5, 5, 1.25, 1.25, 1.25, 1.25, 0.25, 0.25, 3.0, 0.0, 1, 0)
