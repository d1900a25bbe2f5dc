"""Single calls of kernels as live makes them, one a tick, with arrays and a row.

A record costs Python tens of microseconds to hand over; half a million of them, minutes. An array
costs a tenth.
"""

from realtime.kernels.broker import broker_step, execute_arrived_step, send_request_step
from realtime.kernels.days import day_row_step
from realtime.kernels.decision import decision_step
from realtime.kernels.event_bars import event_bars_step
from realtime.kernels.jit import kernel
from realtime.kernels.loss_limits import update_equity_limits_step
from realtime.kernels.risk import risk_step
from realtime.kernels.strategies import crossover_step


@kernel
def day_row_at(days, hint, times_ns, i):
    return day_row_step(days, hint, 0, len(days), times_ns[i])


@kernel
def event_bar_at(states, pieces, ticks, params, out, at, i):
    return event_bars_step(states[0], pieces[0], ticks[i], params[0], out[at])


@kernel
def decision_at(
    params, states, signals, specs, quotes, days, day_rows, equity, notional, now_ns, out, i
):
    return decision_step(
        params[0], states[0], signals[i], specs[0], quotes[i], days[day_rows[i]], equity[i],
        notional[i], now_ns[i], out[i],
    )  # fmt: skip


@kernel
def risk_at(desks, targets, prices, signals, now_ns, allowed, codes, i):
    allowed[i], codes[i] = risk_step(desks[0], 0, targets[i], prices[i], signals[i], now_ns[i])


@kernel
def loss_limits_at(desks, equity, now_ns, i):
    desks[0]["account"]["equity"] = equity[i]
    return update_equity_limits_step(desks[0], 0, now_ns[i])


@kernel
def crossover_at(rows, now_ns, signals, i):
    crossover_step(rows[i], 0, 1, now_ns[i], signals[i])


@kernel
def broker_at(desks, ticks, fills, closed, counts, i):
    counts[0], counts[1] = broker_step(
        desks[0], ticks[i]["symbol"], ticks[i], fills, counts[0], closed, counts[1]
    )


@kernel
def send_at(desks, requests, k, now_ns):
    send_request_step(desks[0], requests[k], now_ns)


@kernel
def execute_at(desks, now_ns, fills, closed, counts):
    counts[0], counts[1] = execute_arrived_step(
        desks[0], -1, now_ns, fills, counts[0], closed, counts[1]
    )
