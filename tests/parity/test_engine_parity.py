"""The promise of the engine: live, tick by tick, is history folded, to the bit."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.parity.scenarios import (
    CROSSING,
    THREE,
    VARIANTS,
    assert_same,
    assert_same_rows,
    assert_same_state,
    by_fold,
    by_tick,
    in_order,
    made_ticks,
    made_ticks_of_three,
    made_yen,
    one_symbol,
    resumed,
    signals,
    tables,
    three_signals,
    three_symbols,
)
from tests.realtime.kernels.tick_streams import ROOT, days_of, real_ticks

CUTS = 20
REAL_TICKS = 532_903


@pytest.fixture(scope="module")
def real(shared_data):
    ticks = real_ticks(shared_data)
    assert len(ticks) == REAL_TICKS
    return ticks


@pytest.fixture(scope="module")
def real_three(shared_data):
    """Three days of real EURUSD and gold, with seeded yen between them."""
    euro = real_ticks(shared_data)
    gold = real_ticks(shared_data, "XAUUSD_oanda_2014-05")
    gold["symbol"] = 1
    until_ns = int(euro["time_ns"][0]) + 44 * 3600 * 10**9
    parts = [part[part["time_ns"] < until_ns] for part in (euro, gold)]
    yen = made_yen(int(euro["time_ns"][0]), until_ns - 1)
    return in_order([*parts, yen])


def cuts_of(count, seed=1, number=CUTS):
    rng = np.random.default_rng(seed)
    return sorted(int(cut) for cut in rng.integers(1, count, number))


def assert_much_happened(engine, fills):
    """A comparison of empty tables proves nothing."""
    rows = tables(engine)
    assert len(rows["fills"]) > fills
    assert len(rows["orders"]) > fills
    assert len({int(code) for code in rows["decisions"]["decision_code"]}) >= 4


# --- step == fold -----------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_call_a_tick_equals_the_fold_on_real_ticks(real, variant):
    folded = by_fold(one_symbol(variant, real), real)
    assert_much_happened(folded, 500)
    assert_same(by_tick(one_symbol(variant, real), real), folded)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_call_a_tick_equals_the_fold_on_made_ticks(variant):
    ticks = made_ticks(30_000)
    folded = by_fold(one_symbol(variant, ticks), ticks)
    assert_much_happened(folded, 100)
    assert_same(by_tick(one_symbol(variant, ticks), ticks), folded)


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_symbols_on_one_account_equal_the_fold_on_real_ticks(real_three, variant):
    given = three_signals(len(real_three))
    folded = by_fold(three_symbols(variant, real_three), real_three, given)
    assert_much_happened(folded, 200)
    assert {int(row) for row in tables(folded)["fills"]["symbol"]} == {0, 1, 2}
    assert_same(by_tick(three_symbols(variant, real_three), real_three, given), folded)


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_symbols_on_one_account_equal_the_fold_on_made_ticks(variant):
    ticks = made_ticks_of_three(10_000)
    given = three_signals(len(ticks))
    folded = by_fold(three_symbols(variant, ticks), ticks, given)
    assert_much_happened(folded, 100)
    assert {int(row) for row in tables(folded)["fills"]["symbol"]} == {0, 1, 2}
    assert_same(by_tick(three_symbols(variant, ticks), ticks, given), folded)


# --- no look-ahead ----------------------------------------------------------------------------


def assert_prefix(part, whole):
    for name, rows in tables(part).items():
        assert rows.tobytes() == tables(whole)[name][: len(rows)].tobytes(), name


def assert_nothing_missing(part, whole, until_ns):
    """What the whole wrote down before the cut's last tick, the part wrote down too."""
    fills, decisions = tables(whole)["fills"], tables(whole)["decisions"]
    assert len(tables(part)["fills"]) >= np.count_nonzero(fills["time_ns"] < until_ns)
    assert len(tables(part)["decisions"]) >= np.count_nonzero(decisions["time_ns"] < until_ns)


def check_prefixes(make, ticks, given=None):
    whole = by_fold(make(ticks), ticks, given)
    for cut in cuts_of(len(ticks)):
        part = by_fold(make(ticks), ticks[:cut], given)
        assert_prefix(part, whole)
        assert_nothing_missing(part, whole, int(ticks["time_ns"][cut - 1]))


def test_a_truncated_history_is_a_prefix_of_the_whole_on_real_ticks(real):
    check_prefixes(lambda ticks: one_symbol("hedging", ticks), real)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_truncated_history_is_a_prefix_of_the_whole_on_made_ticks(variant):
    in_time = made_ticks(20_000)
    in_time["time_ns"] = np.maximum.accumulate(in_time["time_ns"])
    check_prefixes(lambda ticks: one_symbol(variant, ticks), in_time)
    three = made_ticks_of_three(6_000)
    check_prefixes(lambda ticks: three_symbols(variant, ticks), three, three_signals(len(three)))


@pytest.mark.parametrize("clock", ["m1", "h1"])
def test_features_of_a_truncated_history_are_a_prefix_of_the_whole(real, clock):
    fused, days = CROSSING.compile(), days_of(real["time_ns"])

    def rows_of(ticks):
        chunks = [
            (times.copy(), rows.copy()) for times, rows in fused.history(ticks, days, clock=clock)
        ]
        return [np.concatenate(part) for part in zip(*chunks, strict=True)]

    times, rows = rows_of(real)
    assert len(times) > 100
    assert np.isfinite(rows[-1]).all()
    for cut in cuts_of(len(real)):
        part_times, part = rows_of(real[:cut])
        assert len(part) == np.searchsorted(times, real["time_ns"][cut - 1], "right")
        assert part_times.tobytes() == times[: len(part)].tobytes()
        assert part.tobytes() == rows[: len(part)].tobytes()


# --- chunks and warm restart ------------------------------------------------------------------


def test_any_chunks_give_the_same_bits_on_real_ticks(real):
    whole = by_fold(one_symbol("hedging", real), real)
    chunked = by_fold(one_symbol("hedging", real), real, cuts=cuts_of(len(real), 2, 300))
    assert_same(chunked, whole)


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_chunks_give_the_same_bits_on_made_ticks(variant):
    ticks = made_ticks_of_three(4_000)
    given = three_signals(len(ticks))
    whole = by_fold(three_symbols(variant, ticks), ticks, given)
    for cuts in (cuts_of(len(ticks), 3), range(1, len(ticks)), (0, 0, 5, 5, len(ticks))):
        assert_same(by_fold(three_symbols(variant, ticks), ticks, given, cuts), whole)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_copied_state_goes_on_with_the_same_bits(variant):
    ticks = made_ticks_of_three(10_000)
    given = three_signals(len(ticks))
    whole = by_fold(three_symbols(variant, ticks), ticks, given)
    parts = []
    engine = three_symbols(variant, ticks)
    asked = np.zeros(len(THREE), np.int64)
    cuts = cuts_of(len(ticks), 4, 6)
    for at, (start, end) in enumerate(zip((0, *cuts), (*cuts, len(ticks)), strict=True)):
        if at > 0:
            engine = resumed(engine)
        # A new engine counts its signals from the first tick fed to it.
        left = tuple(rows[count:] for rows, count in zip(given, asked, strict=True))
        if at % 2 == 0:
            by_fold(engine, ticks[start:end], left)
        else:
            by_tick(engine, ticks[start:end], left)
        parts.append(tables(engine))
        asked += np.bincount(parts[-1]["equity"]["symbol"], minlength=len(THREE))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert_same_rows(joined, tables(whole))
    assert_same_state(engine, whole)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_engine_can_be_restarted_with_orders_in_flight(variant):
    """Cut right after ticks on which orders were sent: with latency they are still travelling."""
    ticks = made_ticks(12_000)
    whole = by_fold(one_symbol(variant, ticks), ticks)
    sent = np.searchsorted(ticks["time_ns"], tables(whole)["orders"]["created_ns"][5:15], "right")
    travelling = 0
    for cut in sent:
        before = by_fold(one_symbol(variant, ticks), ticks[:cut])
        travelling += int(before.desk["account"]["open_orders"])
        after = by_fold(resumed(before), ticks[cut:])
        rows = {
            name: np.concatenate([left, tables(after)[name]])
            for name, left in tables(before).items()
        }
        assert_same_rows(rows, tables(whole))
        assert_same_state(after, whole)
    assert (travelling > 0) == (variant == "hedging")


# --- plain Python -----------------------------------------------------------------------------


def plain_or_compiled():
    """What engines leave behind on ticks few enough for plain Python, as one array of bytes."""
    ticks, three = made_ticks(3_000), made_ticks_of_three(1_000)
    engines = [by_fold(one_symbol(variant, ticks), ticks) for variant in VARIANTS]
    given = signals(0, 0), signals(len(three), 11), signals(len(three), 12)
    engines.append(by_fold(three_symbols("hedging", three), three, given))
    parts = []
    for engine in engines:
        rows = tables(engine)
        assert len(rows["fills"]) > 10
        parts += [each.tobytes() for each in rows.values()]
        parts += [engine.desk.tobytes(), engine.memory.tobytes()]
    return np.frombuffer(b"".join(parts), np.uint8)


_SCRIPT = """
import sys
import numpy as np
from realtime.kernels.jit import jit_is_on
from tests.parity.test_engine_parity import plain_or_compiled
assert not jit_is_on()
np.save(sys.argv[1], plain_or_compiled())
"""


def test_plain_python_gives_the_bits_of_the_compiler(tmp_path):
    target = tmp_path / "plain.npy"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _SCRIPT, str(target)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain, compiled = np.load(target), plain_or_compiled()
    assert len(plain) == len(compiled)
    assert np.flatnonzero(plain != compiled).tolist() == []
