"""Accounts for tests of the broker: specifications written out, so that examples can be reckoned.

`Account` plays ticks and orders one at a time and keeps what was filled; `play` makes a random
history of ticks and orders, by steps, and `replay` runs the same through the fold.
"""

import math

import numpy as np

from realtime.kernels import codes
from realtime.kernels.broker import (
    broker_fold,
    broker_step,
    execute_arrived_step,
)
from realtime.kernels.desk import assemble_desk
from realtime.kernels.layout import (
    ACCOUNT,
    ACCOUNT_LIMITS,
    DAY,
    DECISION_PARAMS,
    FILL,
    LIMITS,
    ORDER,
    SPEC,
    TICK,
)
from realtime.kernels.orders import submit_order_step

NAN = math.nan
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY_NS = 24 * HOUR
START = 1_700_517_600 * SECOND  # Monday 2023-11-20 22:00 UTC = 17:00 in New York

EURUSD, USDJPY, GBPUSD, EURGBP, EURJPY, XAUUSD, DE40, ES = range(8)
QUOTES = {
    EURUSD: (1.10000, 1.10020),
    USDJPY: (150.000, 150.010),
    GBPUSD: (1.25000, 1.25020),
    EURGBP: (0.86000, 0.86010),
    EURJPY: (165.000, 165.020),
    XAUUSD: (2000.00, 2000.50),
    DE40: (16000.0, 16001.0),
    ES: (5000.00, 5000.25),
}


def specifications():
    """Eight symbols of a USD account, without costs, latency or calendar."""
    specs = np.zeros(8, SPEC)
    specs["contract_size"] = 100_000.0
    specs["point"] = specs["tick_size"] = 0.00001
    specs["tick_value"] = 1.0
    specs["volume_min"] = specs["volume_step"] = 0.01
    specs["volume_max"] = 100.0
    specs["margin_rate_long"] = specs["margin_rate_short"] = 1.0
    specs["profit_symbol"] = specs["margin_symbol"] = -1
    for row in (USDJPY, EURJPY):
        specs[row]["point"] = specs[row]["tick_size"] = 0.001
        specs[row]["profit_symbol"] = USDJPY  # JPY: divide by USDJPY
        specs[row]["profit_inverse"] = 1
    specs[EURGBP]["profit_symbol"] = GBPUSD
    for row in (EURUSD, EURGBP, EURJPY, DE40):
        specs[row]["margin_symbol"] = EURUSD
    specs[GBPUSD]["margin_symbol"] = GBPUSD
    gold, index, future = specs[XAUUSD], specs[DE40], specs[ES]
    gold["contract_size"] = 100.0
    gold["point"] = gold["tick_size"] = 0.01
    gold["calc_mode"] = codes.CALC_CFD_LEVERAGE
    index["contract_size"] = 1.0
    index["point"] = index["tick_size"] = 0.1
    index["tick_value"] = 0.1
    index["calc_mode"] = codes.CALC_CFD
    index["margin_rate_long"] = index["margin_rate_short"] = 0.05
    index["profit_symbol"] = EURUSD
    future["contract_size"] = 50.0
    future["point"] = future["tick_size"] = 0.25
    future["tick_value"] = 12.5
    future["calc_mode"] = codes.CALC_FUTURES
    future["margin_initial"] = 13_200.0
    return specs


def trading_days(count=20, *, first_weekday=1, closed=(5, 6)):
    """Trading days from START on, open but for the last hour; triple swap on Wednesday."""
    days = np.zeros(count, DAY)
    days["start_ns"] = START + np.arange(count) * DAY_NS
    days["end_ns"] = days["start_ns"] + DAY_NS
    days["open_ns"] = days["start_ns"]
    days["close_ns"] = days["end_ns"] - HOUR
    days["day_of_week"] = (first_weekday + np.arange(count)) % 7
    days["swap_days"] = 1
    days["swap_days"][days["day_of_week"] == 2] = 3
    shut = np.isin(days["day_of_week"], closed)
    days["swap_days"][shut] = 0
    days["close_ns"][shut] = days["open_ns"][shut]
    return days


def a_desk(specs=None, *, balance=10_000.0, calendar=False, positions=8, orders=8, **account):
    """A desk with those specifications and no quotes; with a calendar every symbol uses it."""
    specs = specifications() if specs is None else specs
    days = trading_days()
    if calendar:
        specs["first_day"], specs["last_day"] = 0, len(days)
    count = len(specs)
    desk = assemble_desk(
        account=np.zeros(1, ACCOUNT),
        account_limits=np.zeros(1, ACCOUNT_LIMITS),
        specs=specs,
        limits=np.zeros(count, LIMITS),
        params=np.zeros(count, DECISION_PARAMS),
        days=days,
        position_rows=positions,
        order_rows=orders,
    )
    record = desk["account"]
    record["balance"] = balance
    record["leverage"] = 100.0
    record["stop_out_level"] = 0.5
    record["money_digits"] = 2
    record["next_id"] = 1
    for name, value in account.items():
        record[name] = value
    record["equity"] = record["balance"] + record["credit"]
    return desk


class Account:
    """One account played by hand; `now_ns` moves with the ticks."""

    def __init__(self, specs=None, *, quoted=tuple(QUOTES), **options):
        self.desk = a_desk(specs, **options)
        self.fill_rows = np.zeros(400, FILL)
        self.closed_rows = np.zeros(400, ORDER)
        self.n_fills = self.n_closed = 0
        self.now_ns = START
        for row in quoted:
            self.tick(row, *QUOTES[row], after_ns=0)

    @property
    def account(self):
        return self.desk["account"]

    @property
    def fills(self):
        return self.fill_rows[: self.n_fills]

    @property
    def closed(self):
        return self.closed_rows[: self.n_closed]

    @property
    def positions(self):
        return self.desk["positions"][: self.account["open_positions"]]

    @property
    def orders(self):
        return self.desk["orders"][: self.account["open_orders"]]

    def tick(self, symbol, bid, ask, *, after_ns=SECOND, at_ns=None):
        self.now_ns = self.now_ns + after_ns if at_ns is None else at_ns
        tick = np.zeros(1, TICK)
        tick["time_ns"], tick["bid"], tick["ask"] = self.now_ns, bid, ask
        self.n_fills, self.n_closed = broker_step(
            self.desk, symbol, tick[0], self.fill_rows, self.n_fills, self.closed_rows,
            self.n_closed,
        )  # fmt: skip

    def send(
        self,
        symbol,
        kind,
        lots,
        price=0.0,
        *,
        sl=NAN,
        tp=NAN,
        filling=codes.RETURN,
        position_id=-1,
        expires_ns=0,
        magic=7,
    ):
        """Submit only: the row or the negative retcode."""
        return submit_order_step(
            self.desk, symbol, kind, lots, price, sl, tp, filling, position_id, magic, 0, 0,
            expires_ns, self.now_ns,
        )  # fmt: skip

    def order(self, symbol, kind, lots, price=0.0, **more):
        """Submit and let it arrive if it has no latency."""
        answer = self.send(symbol, kind, lots, price, **more)
        self.settle(symbol)
        return answer

    def settle(self, symbol):
        self.n_fills, self.n_closed = execute_arrived_step(
            self.desk, symbol, self.now_ns, self.fill_rows, self.n_fills, self.closed_rows,
            self.n_closed,
        )  # fmt: skip

    def buy(self, symbol, lots, **more):
        return self.order(symbol, codes.BUY, lots, **more)

    def sell(self, symbol, lots, **more):
        return self.order(symbol, codes.SELL, lots, **more)


# --- random histories ---------------------------------------------------------------------------


def random_specs(rng):
    """Specifications with every cost, mode and policy drawn at random."""
    specs = specifications()
    for spec in specs:
        spec["swap_mode"] = rng.integers(0, 7)
        spec["swap_long"], spec["swap_short"] = rng.normal(-2, 4, 2).round(2)
        spec["commission_mode"] = rng.integers(0, 3)
        of_notional = spec["commission_mode"] == codes.COMMISSION_OF_NOTIONAL
        spec["commission_rate"] = rng.choice([0.0, 0.00005 if of_notional else 3.5])
        spec["latency_ns"] = rng.choice([0, 0, SECOND // 2, 3 * SECOND, 90 * SECOND])
        spec["slippage_points"] = rng.choice([0.0, 0.0, 1.0, 2.5])
        spec["slippage_spread_fraction"] = rng.choice([0.0, 0.3])
        spec["slippage_points_per_lot"] = rng.choice([0.0, 0.7])
        spec["liquidity_lots"] = rng.choice([0.0, 0.0, 0.35, 2.0])
        spec["margin_hedged"] = rng.choice([0.0, spec["contract_size"], spec["contract_size"] / 2])
        spec["margin_hedged_use_leg"] = rng.integers(0, 2)
        spec["stops_level_points"] = rng.choice([0.0, 3.0])
    return specs


def random_ticks(rng, count):
    """Ticks of all symbols: common moves, gaps, shared timestamps, some without a quote."""
    ticks = np.zeros(count, TICK)
    ticks["symbol"] = rng.integers(0, len(QUOTES), count)
    ticks["symbol"][: len(QUOTES)] = np.arange(len(QUOTES))
    steps = rng.choice([0, SECOND, 7 * SECOND, 10 * MINUTE], count, p=[0.1, 0.5, 0.3, 0.1])
    steps[rng.random(count) < 0.01] = 20 * HOUR
    ticks["time_ns"] = START + np.cumsum(steps)
    specs = specifications()
    mids = {row: 0.5 * (bid + ask) for row, (bid, ask) in QUOTES.items()}
    for tick in ticks:
        row = int(tick["symbol"])
        size = 0.02 if rng.random() < 0.02 else 0.0007
        mids[row] *= math.exp(rng.normal(0.0, size))
        point = float(specs[row]["tick_size"])
        bid = round(mids[row] / point) * point
        tick["bid"] = bid
        tick["ask"] = bid + point * int(rng.choice([0, 1, 10, 30]))
    broken = rng.random(count) < 0.02
    broken[: len(QUOTES)] = False
    ticks["bid"][broken] = rng.choice([NAN, 0.0, -1.0, math.inf], int(broken.sum()))
    return ticks


def random_request(rng, desk, symbol):
    """An order for the symbol: mostly acceptable, sometimes not."""
    request = np.zeros(1, ORDER)[0]
    spec, quote = desk["specs"][symbol], desk["quotes"][symbol]
    point = float(spec["tick_size"])
    kind = int(rng.choice([0, 1, 2, 3, 4, 5], p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1]))
    away = point * int(rng.integers(1, 400))
    base = {
        codes.BUY: quote["ask"], codes.SELL: quote["bid"],
        codes.BUY_LIMIT: quote["ask"] - away, codes.SELL_LIMIT: quote["bid"] + away,
        codes.BUY_STOP: quote["ask"] + away, codes.SELL_STOP: quote["bid"] - away,
    }  # fmt: skip
    request["symbol"] = symbol
    request["type"] = kind
    request["filling"] = rng.integers(0, 3)
    request["volume_lots"] = round(float(rng.choice([0.01, 0.1, 0.37, 1.0, 3.3, 50.0])), 2)
    request["price"] = round(float(base[kind]) / point) * point
    side = 1 if kind in (codes.BUY, codes.BUY_LIMIT, codes.BUY_STOP) else -1
    levels = point * rng.integers(20, 900, 2)
    request["stop_loss"] = request["take_profit"] = NAN
    if rng.random() < 0.5:
        level = (request["price"] - side * levels[0]) / point
        request["stop_loss"] = round(float(level)) * point
    if rng.random() < 0.5:
        level = (request["price"] + side * levels[1]) / point
        request["take_profit"] = round(float(level)) * point
    request["position_id"] = -1
    request["magic"] = rng.integers(1, 9)
    open_positions = desk["positions"][: desk["account"]["open_positions"]]
    own = open_positions[open_positions["symbol"] == symbol]
    if len(own) and rng.random() < 0.4:
        chosen = own[rng.integers(0, len(own))]
        request["type"] = codes.SELL if chosen["side"] > 0 else codes.BUY
        request["stop_loss"] = request["take_profit"] = NAN
        request["position_id"] = chosen["id"]
        request["volume_lots"] = chosen["volume_lots"]
    if rng.random() < 0.2:
        request["expires_ns"] = rng.integers(1, 10)  # minutes from now, see `play`
    if rng.random() < 0.03:
        request["price"] = rng.choice([NAN, math.inf, -1.0])
    if rng.random() < 0.03:
        request["volume_lots"] = rng.choice([NAN, math.inf, -1.0, 0.0, 0.001, 1e12])
    return request


def a_random_desk(seed):
    """Desk and ticks of a seed, and the generator to go on with."""
    rng = np.random.default_rng(seed)
    desk = a_desk(
        random_specs(rng),
        balance=float(rng.choice([2_000.0, 20_000.0, 500_000.0])),
        calendar=bool(rng.random() < 0.7),
        mode=int(rng.choice([codes.NETTING, codes.HEDGING])),
        money_digits=int(rng.choice([2, 2, 0, -1])),
        credit=float(rng.choice([0.0, 500.0])),
    )
    return rng, desk


def play(seed, count, watch=None):
    """Play a random history step by step.

    `watch(desk, fills of this tick)` is called after every tick. Returns desk, ticks, requests with
    their answers, fills and finished orders.
    """
    rng, desk = a_random_desk(seed)
    ticks = random_ticks(rng, count)
    fills, closed = np.zeros(4000, FILL), np.zeros(4000, ORDER)
    requests = []
    n_fills = n_closed = 0
    last_ns = 0
    for tick in ticks:
        before = n_fills
        symbol, now_ns = int(tick["symbol"]), int(tick["time_ns"])
        n_fills, n_closed = broker_step(desk, symbol, tick, fills, n_fills, closed, n_closed)
        # The fold sends at the first tick of a timestamp, so does this.
        if now_ns > last_ns and rng.random() < 0.35:
            request = random_request(rng, desk, symbol)
            request["created_ns"] = now_ns
            request["expires_ns"] *= MINUTE
            if request["expires_ns"]:
                request["expires_ns"] += now_ns
            row = submit_order_step(
                desk, symbol, int(request["type"]), float(request["volume_lots"]),
                float(request["price"]), float(request["stop_loss"]),
                float(request["take_profit"]), int(request["filling"]),
                int(request["position_id"]), int(request["magic"]), 0, 0,
                int(request["expires_ns"]), now_ns,
            )  # fmt: skip
            request["retcode"] = -row if row < 0 else codes.DONE
            request["id"] = -1 if row < 0 else desk["orders"][row]["id"]
            requests.append(request)
        n_fills, n_closed = execute_arrived_step(desk, -1, now_ns, fills, n_fills, closed, n_closed)
        last_ns = now_ns
        if watch is not None:
            watch(desk, fills[before:n_fills])
    sent = np.array(requests, ORDER)
    return desk, ticks, sent, fills[:n_fills], closed[:n_closed]


def replay(seed, ticks, requests, *, room=4000):
    """The same history through the fold, in as many calls as the buffers need."""
    _, desk = a_random_desk(seed)
    asked = requests.copy()
    asked["retcode"] = 0
    asked["id"] = 0
    fills, closed = np.zeros(room, FILL), np.zeros(room, ORDER)
    all_fills, all_closed = [], []
    start = 0
    while start < len(ticks):
        done, n_fills, n_closed = broker_fold(desk, ticks[start:], asked, fills, closed)
        assert done > 0
        all_fills.append(fills[:n_fills].copy())
        all_closed.append(closed[:n_closed].copy())
        start += done
    return desk, asked, np.concatenate(all_fills), np.concatenate(all_closed)


def history_bytes(seeds, count=500):
    """Everything that random histories leave behind, as bytes in one array."""
    parts = []
    for seed in seeds:
        desk, _, requests, fills, closed = play(int(seed), count)
        tables = (
            desk["account"],
            desk["positions"],
            desk["orders"],
            desk["quotes"],
            desk["day_rows"],
        )
        parts += [np.frombuffer(each.tobytes(), np.uint8) for each in (*tables, fills, closed)]
        parts.append(np.frombuffer(requests.tobytes(), np.uint8))
    return np.concatenate(parts)
