"""Swaps: interest charged at the rollover that ends a trading day, accumulated in the position.

Source: MQL5 book, "Getting swap sizes" (SYMBOL_SWAP_MODE_*; a year has 360 days for interest).
DAY.swap_days carries the triple day and days without swap. The modes that reopen positions are not
modelled. A position keeps its swap in POSITION.swap, each charge rounded to money digits; it is
booked to the balance by the deal that closes the position.
"""

import numpy as np

from realtime.kernels.account import update_equity_step
from realtime.kernels.codes import (
    SWAP_CURRENCY_DEPOSIT,
    SWAP_CURRENCY_MARGIN,
    SWAP_CURRENCY_SYMBOL,
    SWAP_INTEREST_CURRENT,
    SWAP_INTEREST_OPEN,
    SWAP_POINTS,
)
from realtime.kernels.jit import kernel
from realtime.kernels.money import margin_currency_to_account, round_money, to_account, unit_value
from realtime.kernels.sessions import day_row_at

_INTEREST_DAYS = 360.0


@kernel
def swap_of_day(desk: np.void, position: np.void) -> float:
    """Swap of one day, account currency, unrounded: negative is paid.

    ====================  ====================================================================
    points                lots * swap * point * unit value, profit currency
    currency symbol       lots * swap, base currency (taken as the margin currency)
    currency margin       lots * swap, margin currency
    currency deposit      lots * swap
    interest current      lots * unit value * price now * swap / 100 / 360, profit currency
    interest open         lots * unit value * open price * swap / 100 / 360, profit currency
    ====================  ====================================================================

    "Price now" is the one the position would close at, by the last quote before rollover.
    """
    symbol = int(position["symbol"])
    spec = desk["specs"][symbol]
    mode = spec["swap_mode"]
    is_long = position["side"] > 0
    rate = spec["swap_long"] if is_long else spec["swap_short"]
    lots = position["volume_lots"]
    if mode == SWAP_POINTS:
        return to_account(desk, symbol, lots * rate * spec["point"] * unit_value(spec))
    if mode == SWAP_CURRENCY_DEPOSIT:
        return lots * rate
    if mode == SWAP_CURRENCY_SYMBOL or mode == SWAP_CURRENCY_MARGIN:
        return margin_currency_to_account(desk, symbol, lots * rate)
    if mode == SWAP_INTEREST_CURRENT or mode == SWAP_INTEREST_OPEN:
        price = position["open_price"]
        if mode == SWAP_INTEREST_CURRENT:
            quote = desk["quotes"][symbol]
            price = quote["bid"] if is_long else quote["ask"]
        value = lots * unit_value(spec) * price
        return to_account(desk, symbol, value * rate / 100.0 / _INTEREST_DAYS)
    return 0.0


@kernel
def charge_swaps_step(desk: np.void, symbol: int, swap_days: int) -> None:
    """Add `swap_days` days of swap to every position of the symbol.

    Every currency needed was quoted when the position was opened, so the NaN of a missing quote
    can only mean a desk restored without its quotes: nothing is charged then rather than poisoning
    the position.
    """
    digits = desk["account"]["money_digits"]
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] != symbol:
            continue
        charge = round_money(swap_of_day(desk, position) * swap_days, digits)
        if charge == charge:  # noqa: PLR0124
            position["swap"] = round_money(position["swap"] + charge, digits)


@kernel
def roll_over_step(desk: np.void, symbol: int, now_ns: int) -> None:
    """Advance `desk["day_rows"][symbol]` to `now_ns`, charging every rollover crossed on the way.

    Charged at the quote in force; a mirrored account is charged by its broker. The first call only
    finds the row.
    """
    row = int(desk["day_rows"][symbol])
    spec = desk["specs"][symbol]
    if row < spec["first_day"] or row >= spec["last_day"]:
        desk["day_rows"][symbol] = day_row_at(desk, symbol, now_ns)
        return
    if now_ns < desk["days"][row]["end_ns"]:
        return
    while row + 1 < spec["last_day"] and now_ns >= desk["days"][row]["end_ns"]:
        if desk["days"][row]["swap_days"] > 0 and desk["account"]["mirrored"] == 0:
            charge_swaps_step(desk, symbol, desk["days"][row]["swap_days"])
        row += 1
    desk["day_rows"][symbol] = row
    update_equity_step(desk)
