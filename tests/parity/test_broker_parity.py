"""The broker: one call a tick equals the fold, to the bit, with orders of all kinds on the way."""

import numpy as np
import pytest

from realtime.kernels import codes
from realtime.kernels.broker import broker_fold
from realtime.kernels.layout import DESK, FILL, ORDER
from tests.parity.live_calls import broker_at, execute_at, send_at
from tests.parity.scenarios import VARIANTS, a_desk, made_ticks
from tests.realtime.kernels.accounts import random_request
from tests.realtime.kernels.tick_streams import real_ticks

ROOM = 40_000


@pytest.fixture(scope="module")
def real(shared_data):
    return real_ticks(shared_data)


def requests_of(ticks, count, seed):
    """Orders of all kinds around the quotes of some ticks, acceptable and not."""
    rng = np.random.default_rng(seed)
    desk = a_desk("netting", ticks)
    sound = np.flatnonzero(ticks["ask"] >= ticks["bid"])
    sound = sound[ticks["bid"][sound] > 0.0]
    rows = np.sort(rng.choice(sound, count, replace=False))
    out = np.zeros(count, ORDER)
    for k, row in enumerate(rows):
        desk["quotes"][0]["bid"], desk["quotes"][0]["ask"] = ticks["bid"][row], ticks["ask"][row]
        out[k] = random_request(rng, desk, 0)
        out[k]["created_ns"] = ticks["time_ns"][row]
        if out[k]["expires_ns"]:
            out[k]["expires_ns"] = out[k]["created_ns"] + out[k]["expires_ns"] * 60 * 10**9
        if out[k]["volume_lots"] > 3.0:
            out[k]["volume_lots"] = 0.5
    return out[np.argsort(out["created_ns"], kind="stable")]


def check(ticks, variant, count):
    desks = np.zeros(2, DESK)
    desks[:] = a_desk(variant, ticks)
    desks["position_capacity"] = desks["order_capacity"] = 256
    asked = [requests_of(ticks, count, 31) for _ in range(2)]
    fills, closed = np.zeros((2, ROOM), FILL), np.zeros((2, ROOM), ORDER)
    done, n_fills, n_closed = broker_fold(desks[0], ticks, asked[0], fills[0], closed[0])
    assert done == len(ticks)
    own, counts, sent = desks[1:], np.zeros(2, np.int64), 0
    created = [*asked[1]["created_ns"].tolist(), np.iinfo(np.int64).max]
    for i, now_ns in enumerate(ticks["time_ns"].tolist()):
        broker_at(own, ticks, fills[1], closed[1], counts, i)
        while created[sent] <= now_ns:
            send_at(own, asked[1], sent, now_ns)
            sent += 1
        execute_at(own, now_ns, fills[1], closed[1], counts)
    assert counts.tolist() == [n_fills, n_closed]
    assert fills[0].tobytes() == fills[1].tobytes()
    assert closed[0].tobytes() == closed[1].tobytes()
    assert asked[0].tobytes() == asked[1].tobytes()
    assert desks[0].tobytes() == desks[1].tobytes()
    assert n_fills > 400
    reasons = set(fills[0]["reason"][:n_fills].tolist())
    assert {codes.REASON_EXPERT, codes.REASON_STOP_LOSS, codes.REASON_TAKE_PROFIT} <= reasons


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_broker_on_real_ticks(real, variant):
    check(real, variant, 3_000)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_broker_on_made_ticks(variant):
    """Ten times as wild as others, so that stops and targets are reached."""
    ticks = made_ticks(20_000)
    spread = ticks["ask"] - ticks["bid"]
    ticks["bid"] = np.round(1.1 + 10.0 * (ticks["bid"] - 1.1), 5)
    ticks["ask"] = ticks["bid"] + spread
    check(ticks, variant, 4_000)
