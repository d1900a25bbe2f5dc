"""The desk that settings describe."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.calendar import CalendarError, calendar_named
from realtime.declarations import SettingsError
from realtime.desk import desk_of, new_desk
from realtime.kernels import codes
from realtime.kernels.layout import ORDER, POSITION
from realtime.settings import (
    AccountLimitSettings,
    AccountSettings,
    DecisionSettings,
    LimitSettings,
    Settings,
    SymbolSettings,
    with_table,
)

START = 1_700_049_600_000_000_000
END = START + 7 * 86_400_000_000_000
NAMES = ("EURUSD", "USDJPY", "DE40", "BTCUSD", "XAUUSD")


def test_a_desk_starts_empty_with_the_settings_filled_in() -> None:
    account = AccountSettings(balance=5_000.0, credit=100.0, leverage=30.0, mode="hedging")
    desk = new_desk(
        NAMES,
        start_ns=START,
        end_ns=END,
        account=account,
        account_limits=AccountLimitSettings(max_orders=7),
        position_rows=3,
        order_rows=5,
    )
    row = desk["account"]
    assert (row["balance"], row["credit"], row["equity"]) == (5_000, 100, 5_100)
    assert (row["leverage"], row["mode"], row["next_id"]) == (30, codes.HEDGING, 1)
    assert (row["margin"], row["open_positions"], row["open_orders"]) == (0, 0, 0)
    assert desk["account_limits"]["max_orders"] == 7
    assert desk["positions"].dtype == POSITION
    assert desk["orders"].dtype == ORDER
    assert (desk["position_capacity"], desk["order_capacity"]) == (3, 5)
    assert desk["day_rows"][: desk["symbols"]].tolist() == [-1] * len(NAMES)
    for table in (desk["quotes"], desk["intents"], desk["risk"]):
        assert not any(table.tobytes())
    assert desk["symbols"] == len(NAMES)


def test_each_symbol_has_the_days_of_its_calendar_and_triple_swap() -> None:
    desk = new_desk(NAMES, start_ns=START, end_ns=END)
    for row, (calendar, triple) in enumerate(
        [("fx", 3), ("fx", 3), ("index", 5), ("crypto", 3), ("metals", 3)]
    ):
        spec = desk["specs"][row]
        days = desk["days"][spec["first_day"] : spec["last_day"]]
        expected = calendar_named(calendar).days(START, END, swap_rollover3days=triple)
        assert days.tobytes() == expected.tobytes()
        assert days["start_ns"][0] <= START
        assert days["end_ns"][-1] > END
    # Symbols of one calendar share their rows.
    assert desk["specs"][0]["first_day"] == desk["specs"][1]["first_day"]
    assert len(np.unique(desk["specs"]["first_day"][: desk["symbols"]])) == 4


def test_settings_of_one_symbol_reach_its_row_only() -> None:
    settings = with_table(
        Settings(),
        {
            "trade": ["EURUSD", "XAUUSD"],
            "decision": {"fixed_lots": 0.3},
            "costs": {"slippage_points": 2},
            "symbols": {
                "XAUUSD": {"limits": {"max_spread_points": 40}, "costs": {"latency": "1ms"}}
            },
        },
        "test",
    )
    desk = desk_of(settings, start_ns=START, end_ns=END)
    assert desk["limits"]["max_spread_points"][: desk["symbols"]].tolist() == [0.0, 40.0]
    assert desk["params"]["fixed_lots"][: desk["symbols"]].tolist() == [0.3, 0.3]
    assert desk["specs"]["latency_ns"][: desk["symbols"]].tolist() == [0, 1_000_000]
    assert desk["specs"]["slippage_points"][: desk["symbols"]].tolist() == [2.0, 2.0]


def test_symbols_not_named_have_the_defaults() -> None:
    own = SymbolSettings(limits=LimitSettings(max_order_lots=1.5))
    desk = new_desk(("EURUSD", "GBPUSD"), start_ns=START, end_ns=END, each={"GBPUSD": own})
    assert desk["limits"]["max_order_lots"][: desk["symbols"]].tolist() == [
        LimitSettings().max_order_lots,
        1.5,
    ]
    both = replace(own, decision=DecisionSettings(fixed_lots=0.7))
    desk = new_desk(("EURUSD", "GBPUSD"), start_ns=START, end_ns=END, each=both)
    assert desk["params"]["fixed_lots"][: desk["symbols"]].tolist() == [0.7, 0.7]


def test_what_cannot_be_a_desk_is_refused() -> None:
    with pytest.raises(SettingsError, match="EURGBP profit is in GBP: add GBPUSD"):
        new_desk(("EURGBP",), start_ns=START, end_ns=END)
    with pytest.raises(CalendarError):
        new_desk(("EURUSD",), start_ns=END, end_ns=START)
