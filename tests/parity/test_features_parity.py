"""Every feature of the catalogue at once: one call a tick equals the fold, to the bit."""

import numpy as np

from realtime.kernels.features.catalogue import every_feature
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import QUOTE
from tests.parity.scenarios import in_order, made_ticks, made_yen
from tests.realtime.kernels.tick_streams import days_of, real_ticks

SYMBOLS = tuple(f"S{row}" for row in range(16))
ALL = FeatureSet(
    features=tuple(
        dict.fromkeys(each.name for clock in ("tick", "m1") for each in every_feature(clock))
    ),
    symbols=SYMBOLS,
)


def with_second_symbol(ticks):
    """Seeded ticks of a second symbol among those of the first, for features of two symbols."""
    first_ns, last_ns = int(ticks["time_ns"].min()), int(ticks["time_ns"].max())
    other = made_yen(first_ns, last_ns)
    other["symbol"] = 1
    return in_order([ticks, other])


def rows_by_tick(fused, ticks, days):
    """Blocks of rows by single calls, in the sizes in which the fold yields them."""
    state, quotes = fused.state(), np.zeros(len(SYMBOLS), QUOTE)
    starts = days["start_ns"]
    rows = np.searchsorted(starts, ticks["time_ns"], "right") - 1
    emit = fused.clock_bits["tick"]
    for start in range(0, len(ticks), 65_536):
        part = ticks[start : start + 65_536]
        out = np.zeros((len(part) + 1, len(fused.columns)))
        count = 0
        for i, (symbol, row) in enumerate(
            zip(part["symbol"].tolist(), rows[start : start + 65_536].tolist(), strict=True)
        ):
            tick = part[i : i + 1]
            if tick["ask"][0] >= tick["bid"][0] > 0.0:
                quote = quotes[symbol]
                for name in ("time_ns", "bid", "ask", "volume", "seq"):
                    quote[name] = tick[name][0]
            if symbol == 0 and fused.live_step(state, tick, days, row, quotes, out[count]) & emit:
                count += 1
        yield out[:count]
    yield state


def check(ticks):
    fused, days = ALL.compile(), days_of(ticks["time_ns"])
    state, quotes = fused.state(), np.zeros(len(SYMBOLS), QUOTE)
    history = fused.history(ticks, days, clock="tick", state=state, quotes=quotes)
    *blocks, last = rows_by_tick(fused, ticks, days)
    seen = np.zeros(len(fused.columns), bool)
    total = 0
    for block, (times, rows) in zip(blocks, history, strict=True):
        assert len(block) == len(times)
        assert block.tobytes() == rows.tobytes()
        seen |= np.isfinite(rows).any(axis=0)
        total += len(rows)
    assert last.tobytes() == state.tobytes()
    return total, [name for name, known in zip(fused.columns, seen, strict=True) if not known]


def test_every_feature_on_real_ticks(shared_data):
    total, unknown = check(with_second_symbol(real_ticks(shared_data)))
    assert total == 532_903
    assert unknown == []


def test_every_feature_on_made_ticks():
    total, unknown = check(with_second_symbol(made_ticks(20_000)))
    assert total > 15_000
    # The longest windows of minutes are not full yet.
    assert all(name.startswith("m1_") for name in unknown)
