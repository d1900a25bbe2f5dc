"""Writes the source of an engine for the features and rules chosen: readable, like hand-written.

The memory of an engine is one record: per symbol `i` the state of its features (``features_i``)
and the latest row of their values (``row_i``).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the source needs to know of one symbol.

    Attributes:
        module: name of the generated feature module.
        bit: bit of the deciding clock in the mask that the features return.
        columns: (fast, slow) columns of a crossover; empty if signals are given.
    """

    module: str
    bit: int
    columns: tuple[int, ...]


_HEAD = '''"""Generated engine: do not edit. One branch a symbol, in the order of rows."""

from realtime.kernels.bar_quotes import CLOSE, bar_quote_step
from realtime.kernels.jit import kernel
from realtime.kernels.sessions import last_open_ns
from realtime.kernels.strategies import crossover_step
from realtime.kernels.tape import (
    NO_ROOM,
    NO_SYMBOL,
    ORDERS_FIRST,
    RUN_DUE,
    RUN_END,
    RUN_NO_ROOM,
    RUN_NO_SYMBOL,
    RUN_ORDERS_FIRST,
    RUN_TOLD,
    has_room,
    is_to_be_emptied,
)
from realtime.kernels.trading import decide_step, on_tick_step
'''

_OBSERVE_HEAD = '''

@kernel
def observe_step(memory, desk, {event}, symbol, now_ns):
    """Show the {event} to its symbol's features; whether the deciding clock finished a bar."""
    day_row = desk["day_rows"][symbol]
'''

_OBSERVE = """    if symbol == {row}:
        mask = features_{row}.{step}(
            memory["features_{row}"],
            {event},
            desk["days"],
            day_row,
            desk["quotes"],
            memory["row_{row}"],
        )
{rule}        return mask & {bit} != 0
"""

_RULE = """        if mask & {bit} != 0:
            crossover_step(memory["row_{row}"], {fast}, {slow}, now_ns, desk["signals"][{row}])
"""

_TAKE_HEAD = '''

@kernel
def take_signal_step(desk, symbol, now_ns, given, taken):
    """Put the next given signal of a symbol in force; False if there is none left.

    What it is made of cannot be newer than now: a bar's close is known at its last moment.
    """
'''

_TAKE = """    if symbol == {row}:
        if taken[{row}] >= len(given[{row}]):
            return False
        desk["signals"][{row}] = given[{row}][taken[{row}]]
        signal = desk["signals"][{row}]
        signal["feature_ns"] = min(signal["feature_ns"], now_ns)
        taken[{row}] += 1
"""

_TICK_FOLD = '''

@kernel
def engine_step(memory, desk, tick, tape):
    """Take in one tick of any symbol; whether a decision on it is due (then call `decide_step`)."""
    on_tick_step(desk, tick, tape)
    return observe_step(memory, desk, tick, tick["symbol"], tick["time_ns"])


@kernel
def engine_fold(memories, desks, ticks, start, given, taken, tapes):
    """Step over ticks from `start` until they end or the tape is full; the next index.

    A negative result names the symbol row whose signal is missing: -1 - row.
    """
    memory = memories[0]
    desk = desks[0]
    tape = tapes[0]
    for i in range(start, len(ticks)):
        if not has_room(tape, desk):
            return i
        symbol = ticks[i]["symbol"]
        due = engine_step(memory, desk, ticks[i], tape)
        now_ns = ticks[i]["time_ns"]
        if due and not take_signal_step(desk, symbol, now_ns, given, taken):
            return -1 - symbol
        decide_step(desk, symbol, now_ns, due, tape)
    return len(ticks)
'''

_BAR_FOLD = '''

@kernel
def quote_step(desk, bar, k, symbol, tick, tape):
    """Let quote `k` of a bar pass the broker; the close at the last moment of trading in it."""
    bar_quote_step(bar, k, symbol, tick)
    if k == CLOSE:
        tick["time_ns"] = last_open_ns(desk, symbol, bar["open_ns"], tick["time_ns"])
    on_tick_step(desk, tick, tape)
    if k != CLOSE:
        decide_step(desk, symbol, tick["time_ns"], False, tape)


@kernel
def engine_fold(memories, desks, bars, symbols, ticks, place, path, start, given, taken, tapes):
    """Step over bars from `start` until they end or the tape is full; the next index.

    Bars that end at one moment are one group: the first quote of each passes the broker, then the
    second of each, and so on; then the features of each see it and decide. `place` keeps where in
    its group a fold stopped for want of room: (quote, bar). A negative result names the symbol row
    whose signal is missing: -1 - row.
    """
    memory = memories[0]
    desk = desks[0]
    tape = tapes[0]
    tick = ticks[0]
    for i in range(start, len(bars)):
        if i + 1 < len(bars) and bars[i + 1]["end_ns"] == bars[i]["end_ns"]:
            continue  # more bars of this moment follow
        for k in range(place[0], CLOSE + 2):
            for j in range(start + place[1], i + 1):
                if not has_room(tape, desk):
                    return start
                symbol = symbols[j]
                place[1] += 1
                if k <= CLOSE:
                    quote_step(desk, bars[j], k, symbol, tick, tape)
                    continue
                now_ns = last_open_ns(desk, symbol, bars[j]["open_ns"], bars[j]["end_ns"] - 1)
                due = observe_step(memory, desk, bars[j], symbol, now_ns)
                if due and not take_signal_step(desk, symbol, now_ns, given, taken):
                    return -1 - symbol
                decide_step(desk, symbol, now_ns, due, tape)
            place[0] = k + 1
            place[1] = 0
        place[0] = CLOSE + 1 - path
        start = i + 1
    return len(bars)
'''


_LIVE = '''

@kernel
def live_observe(memories, desks, ticks, i, tapes):
    """`engine_step` for one call a tick from Python: arrays are cheaper to pass than records.

    1 if a decision is due, 0 if not; `NO_ROOM` or `NO_SYMBOL` if the tick was not taken in;
    `ORDERS_FIRST` if a mirrored account flattens: what the broker makes of these orders comes
    before the features (`live_look`) where a replay must equal a backtest.
    """
    symbol = ticks[i]["symbol"]
    desk = desks[0]
    if symbol < 0 or symbol >= desk["symbols"]:
        return NO_SYMBOL
    if not has_room(tapes[0], desk):
        return NO_ROOM
    in_flight = desk["account"]["open_orders"]
    on_tick_step(desk, ticks[i], tapes[0])
    if desk["account"]["mirrored"] != 0 and desk["account"]["open_orders"] > in_flight:
        return ORDERS_FIRST
    return 1 if observe_step(memories[0], desk, ticks[i], symbol, ticks[i]["time_ns"]) else 0


@kernel
def live_look(memories, desks, ticks, i):
    """Show a tick to the features, after `ORDERS_FIRST`; 1 if a decision is due, else 0."""
    tick = ticks[i]
    return 1 if observe_step(memories[0], desks[0], tick, tick["symbol"], tick["time_ns"]) else 0


@kernel
def live_decide(desks, symbol, now_ns, due, tapes):
    """`decide_step` for one call from Python.

    The sum of 1 if the tape wants to be emptied, 2 if orders wait to be sent to a broker outside,
    and 4 if a decision was written.
    """
    desk = desks[0]
    in_flight = desk["account"]["open_orders"]
    decisions = tapes[0]["n_decisions"]
    decide_step(desk, symbol, now_ns, due, tapes[0])
    result = 1 if is_to_be_emptied(tapes[0]) else 0
    if desk["account"]["mirrored"] != 0 and desk["account"]["open_orders"] > in_flight:
        result += 2
    if tapes[0]["n_decisions"] > decisions:
        result += 4
    return result
'''

_LIVE_RUN = '''

@kernel
def live_run(memories, desks, ticks, start, stop, now_ns, tapes, place):
    """Take in ticks one after the other until something has to be asked or told outside.

    `now_ns` is the moment of all of them, 0 for each one's own time; never before the tick's time.
    `place` gets where it stopped, why (`RUN_*` of tape.py), and what `live_decide` would say.
    """
    memory = memories[0]
    desk = desks[0]
    tape = tapes[0]
    mirrored = desk["account"]["mirrored"] != 0
    for i in range(start, stop):
        tick = ticks[i]
        symbol = tick["symbol"]
        place[0] = i
        if symbol < 0 or symbol >= desk["symbols"]:
            place[1] = RUN_NO_SYMBOL
            return
        if not has_room(tape, desk):
            place[1] = RUN_NO_ROOM
            return
        in_flight = desk["account"]["open_orders"]
        on_tick_step(desk, tick, tape)
        if mirrored and desk["account"]["open_orders"] > in_flight:
            place[1] = RUN_ORDERS_FIRST
            return
        if observe_step(memory, desk, tick, symbol, tick["time_ns"]):
            place[1] = RUN_DUE
            return
        told = live_decide(desks, symbol, max(now_ns, tick["time_ns"]), False, tapes)
        if told != 0:
            place[1] = RUN_TOLD
            place[2] = told
            return
    place[0] = stop
    place[1] = RUN_END
'''


def engine_source(parts: Sequence[Part], fed_by_ticks: bool) -> str:
    """Return the source of a module with ``engine_step`` and ``engine_fold``, for ticks or bars."""
    lines = [_HEAD]
    for row, part in enumerate(parts):
        package, _, name = part.module.rpartition(".")
        lines.append(f"from {package} import {name} as features_{row}\n")
    event, step = ("tick", "features_step") if fed_by_ticks else ("bar", "features_bar_step")
    lines.append(_OBSERVE_HEAD.format(event=event))
    for row, part in enumerate(parts):
        rule = ""
        if part.columns:
            fast, slow = part.columns
            rule = _RULE.format(row=row, bit=part.bit, fast=fast, slow=slow)
        lines.append(_OBSERVE.format(row=row, step=step, event=event, rule=rule, bit=part.bit))
    lines.append("    return False\n")
    lines.append(_TAKE_HEAD)
    lines += [_TAKE.format(row=row) for row, part in enumerate(parts) if not part.columns]
    lines.append("    return True\n")
    lines.append(_TICK_FOLD + _LIVE + _LIVE_RUN if fed_by_ticks else _BAR_FOLD)
    return "".join(lines)
