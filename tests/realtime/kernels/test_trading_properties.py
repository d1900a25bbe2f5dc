"""What holds for any ticks, specifications, limits and signals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.kernels import codes
from tests.realtime.kernels.desks import HOUR, SECOND
from tests.realtime.kernels.floors import QUOTES, Floor, ids_of

DIGITS = (5, 3, 2)
SIDES = {codes.BUY: 1, codes.SELL: -1}


def random_floor(rng):
    """A floor with costs, limits, rules and capacities drawn at random."""
    floor = Floor(
        account={
            "mode": str(rng.choice(["netting", "hedging"])),
            "balance": float(rng.choice([3_000.0, 100_000.0])),
            "credit": float(rng.choice([0.0, 250.0])),
            "money_digits": int(rng.choice([2, 0, -1])),
        },
        account_limits={
            "max_gross_leverage": float(rng.choice([0.0, 3.0, 20.0])),
            "max_orders": int(rng.choice([0, 5])),
            "max_daily_loss": float(rng.choice([0.0, 0.02])),
            "max_drawdown": float(rng.choice([0.0, 0.05])),
            "max_margin_use": float(rng.choice([0.0, 0.5])),
        },
        limits={
            "max_order_lots": float(rng.choice([0.0, 0.3])),
            "max_position_lots": float(rng.choice([0.4, 0.75, 1.0])),
            "max_spread_points": float(rng.choice([0.0, 300.0])),
            "max_tick_age_ns": int(rng.choice([0, 60 * SECOND])),
        },
        decision={
            "fixed_lots": float(rng.choice([0.1, 0.37, 2.0])),
            "sizing": str(rng.choice(["fixed", "volatility_target"])),
            "resize_fraction": float(rng.choice([0.0, 0.3, 1.0])),
            "stop_loss_fraction": float(rng.choice([0.0, 0.0005, 0.003])),
            "take_profit_fraction": float(rng.choice([0.0, 0.001])),
            "flat_before_rollover_ns": int(rng.choice([0, HOUR])),
        },
        costs={
            "latency_ns": int(rng.choice([0, 0, SECOND // 2, 5 * SECOND])),
            "slippage_points": float(rng.choice([0.0, 1.5])),
            "liquidity_lots": float(rng.choice([0.0, 0.2])),
            "swap": bool(rng.random() < 0.5),
        },
        position_rows=int(rng.choice([2, 8])),
        order_rows=int(rng.choice([1, 3, 8])),
    )
    commission = rng.choice([0.0, 3.5])
    floor.desk["specs"]["commission_mode"] = codes.COMMISSION_PER_LOT
    floor.desk["specs"]["commission_rate"] = commission
    floor.desk["specs"]["volume_min"] = floor.desk["specs"]["volume_step"] = rng.choice([0.01, 0.1])
    return floor


def random_step(floor, rng, mids):
    """A tick of some symbol, often with a signal, at times late, wide, broken or after a jump."""
    row = int(rng.integers(0, 3))
    jump = 0.01 if rng.random() < 0.03 else 0.0004
    mids[row] *= np.exp(rng.normal(0.0, jump))
    bid = round(mids[row], DIGITS[row])
    ask = round(bid + int(rng.choice([0, 2, 10, 500])) * 10.0 ** -DIGITS[row], DIGITS[row])
    if rng.random() < 0.03:
        bid = float(rng.choice([np.nan, 0.0, ask * 1.01]))
    after_ns = int(
        rng.choice([0, SECOND // 4, SECOND, 90 * SECOND, 3 * HOUR], p=[0.2, 0.3, 0.3, 0.15, 0.05])
    )
    if rng.random() < 0.5:
        probability = float(rng.choice([rng.random(), np.nan, 0.9, 0.1], p=[0.5, 0.1, 0.2, 0.2]))
        floor.signal(probability, row, bid=bid, ask=ask, after_ns=after_ns)
    else:
        floor.tick(row, bid, ask, after_ns=after_ns)


def every_order(floor):
    return [*floor.orders, *floor.working]


def assert_account_adds_up(floor):
    account = floor.account
    positions = floor.positions
    floating = 0.0
    for position in positions:
        floating += position["profit"] + position["swap"]
    assert account["floating"] == floating
    assert account["equity"] == account["balance"] + account["credit"] + floating
    assert np.isfinite(account["equity"])
    assert (positions["volume_lots"] > 0.0).all()
    assert account["open_positions"] <= floor.desk["position_capacity"]
    assert account["open_orders"] <= floor.desk["order_capacity"]


def assert_volumes_are_conserved(floor):
    """Every filled lot is in an order and in a position, or closed one."""
    fills = floor.fills
    for order in every_order(floor):
        filled = fills["volume_lots"][fills["order_id"] == order["id"]].sum()
        assert abs(filled - order["filled_lots"]) < 1e-9
        assert order["filled_lots"] <= order["volume_lots"]
    for row in range(3):
        own = fills[fills["symbol"] == row]
        assert abs(float((own["side"] * own["volume_lots"]).sum()) - floor.lots(row)) < 1e-9
    assert ids_of(floor) == list(range(1, int(floor.account["next_id"])))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_accounts_add_up_limits_hold_and_no_lot_is_lost(seed) -> None:
    rng = np.random.default_rng(seed)
    floor = random_floor(rng)
    mids = [0.5 * (bid + ask) for bid, ask in QUOTES]
    limit = float(floor.desk["limits"]["max_position_lots"][0])
    for _ in range(80):
        random_step(floor, rng, mids)
        assert_account_adds_up(floor)
        for row in range(3):
            assert abs(floor.lots(row)) <= limit + 1e-9
            sides = floor.positions["side"][floor.positions["symbol"] == row]
            assert len(set(sides.tolist())) <= 1
    assert_volumes_are_conserved(floor)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_while_the_kill_switch_is_set_orders_only_reduce(seed) -> None:
    rng = np.random.default_rng(seed)
    floor = random_floor(rng)
    mids = [0.5 * (bid + ask) for bid, ask in QUOTES]
    for _ in range(40):
        random_step(floor, rng, mids)
    floor.desk["risk"]["kill_switch"] = 1
    travelling = {int(order["id"]) for order in floor.working}
    for _ in range(40):
        before = {row: floor.lots(row) for row in range(3)}
        first_id = int(floor.account["next_id"])
        random_step(floor, rng, mids)
        for row in range(3) if not travelling else ():
            # Orders already travelling may still open something, which is then closed in turn.
            own = [each for each in every_order(floor) if each["symbol"] == row]
            new = [order for order in own if order["id"] >= first_id]
            assert all(SIDES[int(order["type"])] * before[row] < 0.0 for order in new)
            assert sum(float(order["filled_lots"]) for order in new) <= abs(before[row]) + 1e-9
        travelling &= {int(order["id"]) for order in floor.working}


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_events_give_the_same_bits(seed) -> None:
    ends = []
    for _ in range(2):
        rng = np.random.default_rng(seed)
        floor = random_floor(rng)
        mids = [0.5 * (bid + ask) for bid, ask in QUOTES]
        for _ in range(40):
            random_step(floor, rng, mids)
        ends.append((floor.desk.tobytes(), floor.tape.tobytes()))
    assert ends[0] == ends[1]
