"""A synthetic run: a seeded random walk traded with plausible costs, kept consistent by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml.backtest.run import DataSource, Finding, Run
from realtime.kernels import codes, layout

HOUR_NS = 3600 * 10**9
START_NS = 1_577_923_200 * 10**9  # 2020-01-02 00:00 UTC
CONTRACT = 100_000.0


def _bars(rng, count, start_price=1.12, symbol_drift=0.0):
    """H1 bars of the FX week: none from Friday 22:00 to Sunday 22:00 UTC."""
    opens = START_NS + np.arange(count * 8 // 5 + 200, dtype=np.int64) * HOUR_NS
    hour_of_week = (opens // HOUR_NS + 72) % 168  # 1970-01-01 was a Thursday
    opens = opens[(hour_of_week < 118) | (hour_of_week >= 166)][:count]
    bars = np.zeros(count, dtype=layout.BAR)
    wave = 0.6 + 0.4 * np.sin(np.arange(count) / 24 * 2 * math.pi) ** 2
    steps = rng.standard_t(5, count) * 0.00075 * wave + symbol_drift
    close = start_price * np.exp(np.cumsum(steps))
    bars["open_ns"], bars["end_ns"] = opens, opens + HOUR_NS
    bars["close"] = np.round(close, 5)
    bars["open"] = np.concatenate(([start_price], bars["close"][:-1]))
    body_high = np.maximum(bars["open"], bars["close"])
    body_low = np.minimum(bars["open"], bars["close"])
    bars["high"] = np.round(body_high + np.abs(rng.normal(0, 0.0004, count)), 5)
    bars["low"] = np.round(body_low - np.abs(rng.normal(0, 0.0004, count)), 5)
    bars["spread_mean"] = np.round(0.00008 + np.abs(rng.normal(0, 0.00002, count)), 6)
    bars["spread_max"] = bars["spread_mean"] * 3
    bars["volume"] = bars["ticks"] = rng.integers(300, 4000, count)
    return bars


class _Account:
    """Netting account in the quote currency of every symbol (profit needs no conversion)."""

    def __init__(self, rng, initial):
        self.rng, self.initial, self.balance = rng, initial, initial
        self.fills, self.orders = [], []
        self.lots, self.price, self.opened, self.swap = {}, {}, {}, {}

    def deal(self, symbol, time_ns, side, volume, mid, spread, reason, decision):
        rng = self.rng
        slip = abs(rng.normal(0, 0.00001)) if reason != codes.REASON_TAKE_PROFIT else 0.0
        price = round(mid + side * (spread / 2 + slip), 5)
        held = self.lots.get(symbol, 0.0)
        closing = min(volume, abs(held)) if held * side < 0 else 0.0
        profit = swap = 0.0
        if closing:
            profit = round(closing * CONTRACT * (price - self.price[symbol]) * np.sign(held), 2)
            share = closing / abs(held)
            swap = round(self.swap.get(symbol, 0.0) * share, 2)
            self.swap[symbol] = self.swap.get(symbol, 0.0) - swap
        new = round(held + side * volume, 8)
        if closing < volume:
            kept = abs(held) if not closing else 0.0
            opened = volume - closing
            old = self.price.get(symbol, 0.0)
            self.price[symbol] = (old * kept + price * opened) / (kept + opened)
            self.opened.setdefault(symbol, time_ns)
        self.lots[symbol] = new
        commission = round(-3.5 * volume, 2)
        self.balance = round(self.balance + profit + swap + commission, 2)
        fill = np.zeros((), dtype=layout.FILL)
        order = np.zeros((), dtype=layout.ORDER)
        number = len(self.fills) + 1
        entry = codes.ENTRY_IN if not closing else codes.ENTRY_OUT
        for name, value in {
            "id": number, "order_id": number, "position_id": symbol + 1, "symbol": symbol,
            "time_ns": time_ns, "side": side, "reason": reason, "volume_lots": volume,
            "entry": codes.ENTRY_INOUT if closing and closing < volume else entry,
            "price": price, "profit": profit, "swap": swap, "commission": commission,
            "spread_cost": spread / 2 * CONTRACT * volume,
            "slippage_cost": slip * CONTRACT * volume, "balance": self.balance,
        }.items():  # fmt: skip
            fill[name] = value
        for name, value in {
            "id": number, "symbol": symbol, "type": codes.BUY if side > 0 else codes.SELL,
            "state": codes.STATE_FILLED, "retcode": codes.DONE, "volume_lots": volume,
            "filled_lots": volume, "price": mid, "created_ns": time_ns, "decision_code": decision,
        }.items():  # fmt: skip
            order[name] = value
        self.fills.append(fill)
        self.orders.append(order)

    def floating(self, mids):
        return sum(
            lots * CONTRACT * (mids[symbol] - self.price[symbol]) + self.swap.get(symbol, 0.0)
            for symbol, lots in self.lots.items()
            if lots
        )


def _trade(account, rng, bars_by_symbol, hold_hours, edge):
    """Decide once a bar and symbol; returns (decisions, equity)."""
    decisions, equity = [], []
    mids = {s: float(b["open"][0]) for s, b in enumerate(bars_by_symbol)}
    until = dict.fromkeys(mids, 0)
    count = len(bars_by_symbol[0])
    for i in range(count - 1):
        for symbol, bars in enumerate(bars_by_symbol):
            bar = bars[i]
            time_ns, mid = int(bar["end_ns"]), float(bar["close"] + bar["spread_mean"] / 2)
            mids[symbol] = mid
            held = account.lots.get(symbol, 0.0)
            if held and (time_ns // HOUR_NS) % 24 == 21:
                account.swap[symbol] = account.swap.get(symbol, 0.0) - 4.2 * abs(held)
            code, risk, target = codes.DECISION_HOLD, codes.RISK_OK, held
            if held and i >= until[symbol]:
                code, target = codes.DECISION_EXIT_SIGNAL, 0.0
            elif not held and i > 30:
                ahead = bars["close"][min(i + hold_hours, count - 1)] - bar["close"]
                signal = edge * np.sign(ahead) + rng.normal()
                code = codes.DECISION_BELOW_THRESHOLD
                if abs(signal) > 1.75:
                    side = 1 if signal > 0 else -1
                    code = codes.DECISION_ENTER_LONG if side > 0 else codes.DECISION_ENTER_SHORT
                    target = side * float(rng.choice([0.1, 0.2, 0.3, 0.5]))
                    until[symbol] = i + int(rng.integers(2, 2 * hold_hours))
                    if rng.random() < 0.12:
                        risk, target = codes.RISK_SPREAD, 0.0
            elif i <= 30:
                code = codes.DECISION_NOT_READY
            if target != held:
                reason = codes.REASON_EXPERT
                if not target and rng.random() < 0.3:
                    gain = held * (mid - account.price[symbol])
                    reason = codes.REASON_TAKE_PROFIT if gain > 0 else codes.REASON_STOP_LOSS
                side = 1 if target > held else -1
                volume = round(abs(target - held), 8)
                arrives = int(bars[i + 1]["open_ns"]) + 80_000_000
                account.deal(
                    symbol, arrives, side, volume, mid, float(bar["spread_mean"]), reason, code
                )
            row = (time_ns, symbol, 0.5, 0.0, 0.0, target, target, code, risk)
            decisions.append(row)
            balance = account.balance
            now = balance + account.floating(mids)
            lots = account.lots.get(symbol, 0.0)
            equity.append((time_ns, symbol, mid, lots, balance, now, abs(lots) * 3_700))
    return (
        np.array(decisions, dtype=layout.DECISION),
        np.array(equity, dtype=layout.EQUITY),
    )


def build_run(
    *, count=18_800, seed=7, symbols=("EURUSD",), edge=0.1, initial=10_000.0, hold_hours=9
):
    rng = np.random.default_rng(seed)
    bars = [_bars(rng, count, 1.12 + 0.15 * k) for k in range(len(symbols))]
    account = _Account(rng, initial)
    decisions, equity = _trade(account, rng, bars, hold_hours, edge)
    record = np.zeros(1, dtype=layout.ACCOUNT)
    record["balance"], record["equity"] = account.balance, equity["equity"][-1]
    record["money_digits"], record["mode"], record["leverage"] = 2, codes.NETTING, 30.0
    held = [s for s, lots in account.lots.items() if lots]
    positions = np.zeros(len(held), dtype=layout.POSITION)
    for row, symbol in zip(positions, held, strict=True):
        row["symbol"], row["side"] = symbol, np.sign(account.lots[symbol])
        row["volume_lots"] = abs(account.lots[symbol])
        row["open_price"] = account.price[symbol]
        row["swap"] = account.swap.get(symbol, 0.0)
        row["open_ns"] = account.fills[-1]["time_ns"]
    specs = np.zeros(len(symbols), dtype=layout.SPEC)
    specs["contract_size"], specs["tick_size"], specs["point"] = CONTRACT, 1e-5, 1e-5
    specs["profit_symbol"] = specs["margin_symbol"] = -1
    quality = (
        Finding(reason="crossed quote", rows=41, action="quarantined", detail="first at row 2,118"),
        Finding(reason="duplicate time", rows=12, action="repaired", detail="kept the last"),
        Finding(reason="gap over 4 h inside a session", rows=7, action="kept", detail="holidays"),
    )
    source = DataSource(
        file="EURUSD_H1.parquet", format="Parquet bars", zone="UTC (given)",
        rows_read=count + 41, rows_kept=count, rows_repaired=12, rows_quarantined=41,
        first_ns=int(bars[0]["open_ns"][0]), last_ns=int(bars[0]["end_ns"][-1]),
        sha256="5b" * 32, findings=quality,
    )  # fmt: skip
    return Run(
        symbols=tuple(symbols), currency="USD", initial_balance=initial,
        orders=np.array(account.orders, dtype=layout.ORDER),
        fills=np.array(account.fills, dtype=layout.FILL),
        decisions=decisions, equity=equity, open_positions=positions, account=record, specs=specs,
        bars=dict(zip(symbols, bars, strict=True)), strategy="sma 10/30", timeframe="H1",
        settings={
            "strategy": {"name": "sma", "fast": 10, "slow": 30, "stop_loss_fraction": 0.004},
            "account": {"mode": "netting", "leverage": 30, "currency": "USD"},
            "seed": seed,
        },
        data=(source,), feature_identity="f3a9c1d07be2", fingerprint="9e4b" * 16,
        wall_seconds=0.0421,
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """Builder of synthetic runs; see `build_run` for the arguments."""
    return build_run


@pytest.fixture(scope="session")
def three_years() -> Run:
    """About 800 trades of one symbol over three years of H1 bars."""
    return build_run()


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: opens the report in a real Chromium")


def build_small_run(fills=(), *, orders=(), equity=(), bars=None, positions=(), **changes):
    """A run from a few hand-written rows; `changes` are account fields or arguments of Run.

    `fills`, `orders`, `equity` and `positions` are mappings of the fields that matter.
    """
    symbols = changes.pop("symbols", ("EURUSD",))
    initial = changes.pop("initial", 10_000.0)

    def rows(values, dtype) -> Any:
        table: Any = np.zeros(len(values), dtype=dtype)
        for row, fields in zip(table, values, strict=True):
            for name, value in fields.items():
                row[name] = value
        return table

    table = rows(fills, layout.FILL)
    samples = rows(equity, layout.EQUITY)
    booked = float(table["profit"].sum() + table["swap"].sum() + table["commission"].sum())
    account = np.zeros(1, dtype=layout.ACCOUNT)
    account["balance"] = initial + booked
    account["equity"] = samples["equity"][-1] if samples.size else initial + booked
    account["money_digits"] = changes.pop("money_digits", 2)
    account["mode"] = changes.pop("mode", codes.NETTING)
    return Run(
        symbols=symbols, currency="USD", initial_balance=initial, fills=table, equity=samples,
        orders=rows(orders, layout.ORDER), decisions=np.zeros(0, dtype=layout.DECISION),
        open_positions=rows(positions, layout.POSITION), account=account, bars=bars or {},
        **changes,
    )  # fmt: skip


@pytest.fixture(scope="session")
def small_run() -> Callable[..., Run]:
    """Builder of runs from a few rows; see `build_small_run` for the arguments."""
    return build_small_run
