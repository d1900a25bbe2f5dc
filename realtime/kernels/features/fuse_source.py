"""Writes the source of fused features: readable, like hand-written.

A tick goes through ``features_step``: it finishes bars that ended, becomes a piece, is added to
each clock's bar; whenever a clock has a finished bar its kernels step; then the latest values are
written out. ``features_fold`` is a loop over the same functions.
"""

from collections.abc import Sequence

from realtime.kernels.features.catalogue import CLOCKS_NS, TICK_CLOCK, Feature
from realtime.kernels.features.feature import FeatureKernel
from realtime.kernels.features.fuse import Clock, instance_name


def source(
    clocks: Sequence[Clock], columns: Sequence[Feature], feed: str, rows: Sequence[int]
) -> str:
    """Return the source of the module.

    Args:
        clocks: what `plan` made of the features.
        columns: the features in the order they are written out.
        feed: ``"tick"`` or the clock whose finished bars are fed.
        rows: row of each of the set's symbols in `quotes`.
    """
    ticks = feed == TICK_CLOCK
    text = "".join(
        [
            _HEAD.format(columns=" ".join(each.name for each in columns), imports=_imports(clocks)),
            *(_clock_step(clock, rows) for clock in clocks),
            _begin(clocks),
            _close(clocks),
            _add(clocks),
            _write(clocks, columns),
            _CLOSE_STEP,
            _TICK_STEP if ticks else _BAR_STEP,
            _TICK_FOLD if ticks else _BAR_FOLD,
        ]
    )
    # An array passed from function to function is counted in and out each time, atomically: the
    # quotes go only where a kernel looks at them.
    looks = any("quotes" in each.kernel.inputs for clock in clocks for each in clock.instances)
    return text.replace("@quotes", ", quotes" if looks else "").replace("@width", str(len(columns)))


_HEAD = '''"""Generated features: do not edit.

{columns}
"""

import math

{imports}
'''

_KERNELS = "realtime.kernels."
_NEEDED = {
    "bars": ("time_bar_add_step", "time_bar_close_step"),
    "days": ("OUTSIDE", "day_row_step"),
    "features.feeding": (
        "NO_DAY",
        "NO_ROOM",
        "keep_day",
        "quote_bar_step",
        "quote_tick_step",
        "take_bar_step",
        "take_tick_step",
    ),
    "jit": ("kernel",),
}


def _imports(clocks: Sequence[Clock]) -> str:
    lines = [
        f"from {_KERNELS}{module} import {name}"
        for module, names in _NEEDED.items()
        for name in names
    ]
    kernels = {each.kernel.name: each.kernel for clock in clocks for each in clock.instances}
    lines += [
        f"from {kernel.step.__module__} import {kernel.step.__name__} as {name}_step"
        for name, kernel in sorted(kernels.items())
    ]
    return "\n".join(lines)


def _literal(kernel: FeatureKernel, name: str, value: float, rows: Sequence[int]) -> str:
    if name in kernel.symbol_params and rows:
        return repr(rows[int(value)])
    return repr(value)


def _clock_step(clock: Clock, rows: Sequence[int]) -> str:
    lines = [
        f'''

@kernel
def step_{clock.name}(clock, bar, day@quotes):
    """Step the features of a finished {clock.name} bar."""
    row = clock["row"]
'''
    ]
    for each in clock.instances:
        literals = [
            _literal(each.kernel, name, value, rows)
            for name, value in zip(each.kernel.params, each.values, strict=True)
        ]
        arguments = ", ".join(
            [f'clock["{each.name}"]', *each.kernel.inputs, *literals, "row", str(each.at)]
        )
        lines.append(f"    {each.kernel.name}_step({arguments})\n")
    return "".join(lines)


def _begin(clocks: Sequence[Clock]) -> str:
    lines = [
        '''

@kernel
def begin(state):
    """Before the first piece no feature is known."""
    state["begun"] = 1
'''
    ]
    lines += [
        f'''    row = state["{clock.name}"]["row"]
    for i in range({clock.width}):
        row[i] = math.nan
'''
        for clock in clocks
    ]
    return "".join(lines)


_CLOSE_ONE = """    clock = state["{name}"]
    if time_bar_close_step(clock["builder"], time_ns, clock["bar"]) == 1:
        step_{name}(clock, clock["bar"], state["day"]@quotes)
        mask |= {bit}
"""


def _close(clocks: Sequence[Clock]) -> str:
    body = "".join(
        _CLOSE_ONE.format(name=clock.name, bit=clock.bit) for clock in clocks if not clock.direct
    )
    return f'''

@kernel
def close_bars(state, time_ns@quotes):
    """Finish the bars that ended at or before a moment; the bits of their clocks."""
    mask = 0
{body}    return mask
'''


# A finished bar is one that the piece is in, or one that ended early because a new day began.
_ADD_ONE = """    clock = state["{name}"]
    if time_bar_add_step(clock["builder"], piece, start_ns, {length_ns}, clock["bar"]) == 1:
        if clock["bar"]["end_ns"] <= start_ns:
            step_{name}(clock, clock["bar"], state["day"]@quotes)
        else:
            step_{name}(clock, clock["bar"], day@quotes)
        mask |= {bit}
"""

_ADD_DIRECT = """    step_{name}(state["{name}"], piece, day@quotes)
    mask |= {bit}
"""


def _add(clocks: Sequence[Clock]) -> str:
    body = "".join(
        (_ADD_DIRECT if clock.direct else _ADD_ONE).format(
            name=clock.name, bit=clock.bit, length_ns=CLOCKS_NS[clock.name]
        )
        for clock in clocks
    )
    return f'''

@kernel
def add_piece(state, piece, day@quotes):
    """Add a piece to every clock; the bits of those that finished a bar."""
    mask = 0
    start_ns = day["start_ns"]
{body}    keep_day(state["day"], day)
    return mask
'''


def _write(clocks: Sequence[Clock], columns: Sequence[Feature]) -> str:
    lines = [
        '''

@kernel
def write_row(state, out, at):
    """Write the latest value of every column to out[at], out[at + 1]..."""
'''
    ]
    for clock in clocks:
        lines.append(f'    row = state["{clock.name}"]["row"]\n')
        places = {each.name: each.at for each in clock.instances}
        for column, each in enumerate(columns):
            if each.clock == clock.name:
                at = places[instance_name(each)] + each.place
                lines.append(f"    out[at + {column}] = row[{at}]  # {each.name}\n")
    return "".join(lines)


_CLOSE_STEP = '''

@kernel
def features_close_step(state, time_ns, quotes, out):
    """Finish bars by the clock alone, when no tick arrives; the bits of their clocks."""
    if state["begun"] == 0:
        begin(state)
    mask = close_bars(state, time_ns@quotes)
    write_row(state, out, 0)
    return mask
'''

_TICK_STEP = '''

@kernel
def update(state, tick, day@quotes):
    """Take in one tick; the bits of the clocks that finished a bar, 0 if it was refused."""
    if state["begun"] == 0:
        begin(state)
    if not take_tick_step(state["piece"], tick, state["last_ns"]):
        return 0
    state["last_ns"] = tick["time_ns"]
    mask = close_bars(state, tick["time_ns"]@quotes)
    return 1 | mask | add_piece(state, state["piece"]["piece"], day@quotes)


@kernel
def features_step(state, tick, days, day_row, quotes, out):
    """Take in one tick of the own symbol and write the latest value of every column.

    Refused (0 is returned, nothing changes): a tick older than the last one, a quote that is not
    positive, finite and uncrossed, a tick outside of the calendar (day_row < 0).
    """
    mask = 0
    if day_row >= 0:
        mask = update(state, tick, days[day_row]@quotes)
    elif state["begun"] == 0:
        begin(state)
    write_row(state, out, 0)
    return mask


@kernel
def features_live_step(state, ticks, days, day_row, quotes, out):
    """Do `features_step` with (1,) arrays, which Python hands over much faster than records."""
    return features_step(state[0], ticks[0], days, day_row, quotes, out)
'''

_BAR_STEP = '''

@kernel
def update(state, bar, day@quotes):
    """Take in one bar; the bits of the clocks that finished a bar, 0 if it was refused."""
    if state["begun"] == 0:
        begin(state)
    if not take_bar_step(bar, state["last_ns"]):
        return 0
    state["last_ns"] = bar["end_ns"]
    mask = close_bars(state, bar["open_ns"]@quotes)
    return mask | add_piece(state, bar, day@quotes)


@kernel
def features_bar_step(state, bar, days, day_row, quotes, out):
    """Take in one finished bar of the own symbol and write the latest value of every column.

    Refused (0 is returned, nothing changes): a bar that begins before the last one ended, prices
    that are not positive, finite and in order, a bar outside of the calendar (day_row < 0).
    `day_row` is the row of the bar's close or open: the bar belongs to the day it opens in.
    """
    mask = 0
    while day_row > 0 and days[day_row]["start_ns"] > bar["open_ns"]:
        day_row -= 1
    if day_row >= 0:
        mask = update(state, bar, days[day_row]@quotes)
    elif state["begun"] == 0:
        begin(state)
    write_row(state, out, 0)
    return mask


@kernel
def features_live_step(state, bars, days, day_row, quotes, out):
    """Do `features_bar_step` with (1,) arrays, which Python hands over much faster than records."""
    return features_bar_step(state[0], bars[0], days, day_row, quotes, out)
'''

_TICK_FOLD = '''

@kernel
def features_fold(
    state, ticks, symbol, days, first_day, last_day, quotes, emit, out, times_ns
):
    """Step over ticks of all symbols; the number of rows written, or NO_DAY or NO_ROOM.

    `state` is the (1,) array. A row is written when a tick of `symbol` gives one of the bits
    of `emit`.
    """
    record, flat = state[0], out.reshape(-1)
    count, day_row, start_ns, end_ns = 0, OUTSIDE, 0, 0
    for i in range(len(ticks)):
        tick = ticks[i]
        quote_tick_step(quotes, tick)
        if tick["symbol"] != symbol:
            continue
        time_ns = tick["time_ns"]
        if time_ns < start_ns or time_ns >= end_ns:
            day_row = day_row_step(days, day_row, first_day, last_day, time_ns)
            if day_row == OUTSIDE:
                return NO_DAY
            start_ns, end_ns = days[day_row]["start_ns"], days[day_row]["end_ns"]
        if update(record, tick, days[day_row]@quotes) & emit != 0:
            if count == len(times_ns):
                return NO_ROOM
            write_row(record, flat, count * @width)
            times_ns[count] = time_ns
            count += 1
    return count
'''

_BAR_FOLD = '''

@kernel
def features_fold(
    state, bars, symbols, symbol, days, first_day, last_day, quotes, emit, out, times_ns
):
    """Step over bars of all symbols; the number of rows written, or NO_DAY or NO_ROOM.

    `state` is the (1,) array. A row is written when a bar of `symbol` gives one of the bits
    of `emit`.
    """
    record, flat = state[0], out.reshape(-1)
    count, day_row, start_ns, end_ns = 0, OUTSIDE, 0, 0
    for i in range(len(bars)):
        bar = bars[i]
        quote_bar_step(quotes, symbols[i], bar)
        if symbols[i] != symbol:
            continue
        time_ns = bar["open_ns"]
        if time_ns < start_ns or time_ns >= end_ns:
            day_row = day_row_step(days, day_row, first_day, last_day, time_ns)
            if day_row == OUTSIDE:
                return NO_DAY
            start_ns, end_ns = days[day_row]["start_ns"], days[day_row]["end_ns"]
        if update(record, bar, days[day_row]@quotes) & emit != 0:
            if count == len(times_ns):
                return NO_ROOM
            write_row(record, flat, count * @width)
            times_ns[count] = bar["end_ns"]
            count += 1
    return count
'''
