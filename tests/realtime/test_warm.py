"""Starting a trader."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from numba.core import dispatcher

from realtime.clock import SimulatedClock
from realtime.desk import new_desk
from realtime.model import load_model
from realtime.settings import load_settings
from realtime.warm import build_trader, calendar_span, load_code
from tests.fixtures.bundles import logistic_bundle
from tests.parity.outside_broker import OutsideBroker, trade_in_runs
from tests.parity.scenarios import made_ticks
from tests.realtime.recorded_run import trading_settings

DAY_NS = 86_400 * 1_000_000_000


@pytest.mark.parametrize(("symbols", "years"), [(1, 29), (3, 13), (12, 5)])
def test_the_calendar_of_a_replay_reaches_as_far_as_a_desk_has_room_for(symbols, years):
    """Ten years of bars once ran past its end after six: no session was open any more."""
    first_ns = 1_325_376_000_000_000_000
    start_ns, end_ns = calendar_span(first_ns, 0, lockstep=True, symbols=symbols)
    assert start_ns < first_ns
    assert end_ns > first_ns + years * 365 * DAY_NS
    names = ("EURUSD", "XAUUSD", "BTCUSD")[:symbols]
    new_desk(names, start_ns=start_ns, end_ns=end_ns)  # it has room


def test_nothing_is_compiled_once_ticks_are_taken(tmp_path, monkeypatch):
    """The first backlog of ticks, and the first report, once stopped the loop for a compiler."""
    features = ("m1_rsi_37", "tick_spread")  # as no other test: what that compiles is no help
    logistic_bundle(tmp_path, features=features, weights=(0.12, 0.0), bias=-6.0)
    models = {"EURUSD": load_model(tmp_path)}
    base = load_settings(environ={})
    settings = trading_settings(replace(base, paths=replace(base.paths, var=tmp_path / "var")))
    ticks = made_ticks(3_000)
    first_ns = int(ticks["time_ns"][0])
    span, clock = calendar_span(first_ns, first_ns, lockstep=True), SimulatedClock(first_ns)
    load_code(settings, models, span, first_ns, clock)

    trader = build_trader(settings, models, span, clock, muted=False)
    outside = build_trader(settings, models, span, clock, muted=False).desk
    outside["account"]["mirrored"] = 0
    compiled = []
    base_class: Any = dispatcher._DispatcherBase
    compile_now = base_class._compile_for_args

    def noting(self, *values, **named):
        # Who called: the broker of the test compiles its own part here.
        caller = sys._getframe(1).f_code.co_filename
        compiled.append((Path(caller).name, self.py_func.__name__))
        return compile_now(self, *values, **named)

    monkeypatch.setattr(base_class, "_compile_for_args", noting)
    messages = trade_in_runs(trader, OutsideBroker(outside, ("EURUSD",)), ticks)
    assert trader.order_number > 0
    assert messages
    assert [name for file, name in compiled if file in ("trader.py", "engine.py")] == []
