"""``python -m realtime replay``: recompute what was recorded and compare it to the bit.

Two comparisons. The *loop*: a trader is taken through the recorded ticks, with the moments, reports
and bundles it had, and must say what it said: possible in every mode. The *backtest*: the fold over
the same ticks, with its own broker, must end in the same orders and fills: true of a replay in
lock-step, whose broker is simulated and asked in between ticks. Live, decisions fall later than
their ticks and a real broker fills as it will: there the backtest is an estimate, not compared.

Exit codes: 0 everything agrees, 1 something differs, 2 it could not be recomputed, or there is
nothing to compare.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import Connection

from realtime.bundle import BundleError
from realtime.bundle_shelf import find_bundle
from realtime.declarations import SettingsError
from realtime.desk import desk_of
from realtime.kernels.desk import DeskError
from realtime.kernels.engine import EngineError
from realtime.kernels.features.feature import FeatureError
from realtime.model import Model, load_model
from realtime.model_fold import apply_decision, fold_models
from realtime.parity import Parity, parity
from realtime.retrace import Comparison, retrace
from realtime.settings import Settings, load_settings
from realtime.store.connection import READER, Row, connect, one_line
from realtime.store.errors import RecordIncomplete, StoreError
from realtime.store.migrate import require_current
from realtime.store.readers import Recorded, read_recorded
from realtime.store.tick_reader import Feed, read_ticks, recorded_feed
from realtime.symbols import load_symbols
from realtime.timeline import Timeline, timeline
from realtime.trader import TraderError
from realtime.warm import calendar_span

_REFUSALS = (
    SettingsError, StoreError, BundleError, TraderError, DeskError, EngineError, FeatureError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a replay found.

    Attributes:
        feed: what is recorded of the account's feed.
        through: feed_seq up to which was recomputed.
        lockstep: whether the record is of a replay in lock-step.
        loop: per kind of message.
        backtest: None where the record cannot be compared with a backtest.
        remarks: what could not be recomputed, and why.
    """

    feed: Feed
    through: int
    lockstep: bool
    loop: Sequence[Comparison]
    backtest: Parity | None
    remarks: Sequence[str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was predicted, decided or ordered, in the record or again: bars aside."""
        said = [each.recorded for each in self.loop if each.kind != "bar"]
        return self.agrees and not any(said)

    @property
    def agrees(self) -> bool:
        """Whether everything that was compared is equal."""
        loop = not any(each.difference for each in self.loop)
        return loop and (self.backtest is None or self.backtest.equal)


def main(arguments: Sequence[str]) -> int:
    """Replay an account and print what it came to."""
    parser = argparse.ArgumentParser(prog="replay", description=__doc__)
    parser.add_argument("--config", type=Path, help="TOML file of settings: those of the loop")
    parser.add_argument("--account", help="name of the account; default: [gateway] account")
    parser.add_argument("--from", dest="since", help="compare from this moment on, ISO 8601 UTC")
    parser.add_argument("--to", dest="until", help="recompute up to this moment")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings(asked.config)
        if asked.account:
            settings = replace(settings, gateway=replace(settings.gateway, account=asked.account))
        with connect(settings, READER) as connection:
            require_current(connection)
            verdict = replay(
                settings, connection, since_ns=_moment(asked.since), until_ns=_moment(asked.until)
            )
    except _REFUSALS as error:
        sys.stderr.write(f"replay: {error}\n")
        return 2
    except psycopg.Error as error:
        sys.stderr.write(f"replay: {one_line(error)}\n")
        return 2
    sys.stdout.write("\n".join(lines(verdict)) + "\n")
    if verdict.is_empty:
        return 2
    return 0 if verdict.agrees else 1


def replay(
    settings: Settings,
    connection: Connection[Row],
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Verdict:
    """Recompute what is recorded of ``settings.gateway.account``.

    Args:
        settings: of the loop that was recorded.
        connection: to read with.
        since_ns: compare what the loop said from here on; all before is recomputed all the same.
        until_ns: recompute up to here; None = all.

    Raises:
        RecordIncomplete: ticks are missing, or nothing is recorded.
        BundleError: a bundle that was in force is not to be had.
        TraderError: settings and record do not go together.
    """
    account = settings.gateway.account
    feed = recorded_feed(connection, account)
    if feed.first != 1:
        msg = (
            f"the record of account {account!r} begins at tick {feed.first}: features and positions"
            " rest on what came before, so nothing can be recomputed"
        )
        raise RecordIncomplete(msg)
    recorded = read_recorded(connection, account)
    when = timeline(recorded.consumed)
    if when is None:
        msg = f"the loop of account {account!r} has told of no tick that it took in"
        raise RecordIncomplete(msg)
    # The first report is the account as it was found, before any tick.
    placed = all(each.feed_seq > 0 for each in recorded.reports if each.report_seq > 1)
    lockstep = when.is_at_tick_time and placed
    models = _models(settings, when)
    through = min(when.last, feed.last)
    if until_ns is not None:
        through = min(through, _feed_seq_at(connection, account, until_ns))
    since = 1 if since_ns is None else _feed_seq_at(connection, account, since_ns - 1) + 1
    loop = retrace(
        settings,
        recorded,
        when,
        models,
        read_ticks(connection, account, settings.trade, last=through),
        waits=lockstep,
        through=through,
        since=since,
    )
    remarks = _remarks(feed, when, recorded, lockstep=lockstep)
    backtest = None
    if lockstep:
        backtest = _backtest(settings, connection, recorded, when, models, through, remarks)
    return Verdict(
        feed=feed,
        through=through,
        lockstep=lockstep,
        loop=loop,
        backtest=backtest,
        remarks=remarks,
    )


def _backtest(
    settings: Settings,
    connection: Connection[Row],
    recorded: Recorded,
    when: Timeline,
    models: Mapping[str, Model],
    through: int,
    remarks: list[str],
) -> Parity | None:
    """Fold the ticks and compare, up to the first change of a model."""
    changes = [each for each in when.swaps if each[0] >= 1]
    if changes:
        feed_seq, symbol, bundle = changes[0]
        if feed_seq < through:
            through = feed_seq
            remarks.append(
                f"the backtest is compared through tick {through}, after which {bundle} came into"
                f" force for {symbol}"
            )
    names = dict(when.bundles) | {symbol: name for at, symbol, name in when.swaps if at < 1}
    chosen = [models[names[symbol]] for symbol in settings.trade if symbol in names]
    if len(chosen) != len(settings.trade):
        remarks.append("no backtest: a symbol had no model at the first tick")
        return None
    account = settings.gateway.account
    ticks = np.concatenate(list(read_ticks(connection, account, settings.trade, last=through)))
    folded = fold_models(
        _desk(settings, ticks, chosen),
        feature_sets=[model.bundle.chosen for model in chosen],
        clocks=[model.bundle.clock for model in chosen],
        models=chosen,
        ticks=ticks[ticks["symbol"] >= 0],
        rows=[tuple(map(settings.trade.index, model.bundle.symbols)) for model in chosen],
    )
    return parity(through_tick(recorded, through), folded, symbols=settings.trade, models=chosen)


def _desk(settings: Settings, ticks: NDArray[np.void], models: Sequence[Model]) -> np.void:
    own = settings.paths.specifications
    known = load_symbols(Path(own) if own else None)
    first_ns, last_ns = int(ticks["time_ns"][0]), int(ticks["time_ns"][-1])
    start_ns, end_ns = calendar_span(first_ns, last_ns, lockstep=True, symbols=len(settings.trade))
    desk = desk_of(settings, start_ns=start_ns, end_ns=end_ns, known=known)
    for row, model in enumerate(models):
        apply_decision(desk, row, model.bundle.decision)
    return desk


def through_tick(recorded: Recorded, feed_seq: int) -> Recorded:
    """Return what was said on ticks up to one, in lock-step."""
    return replace(
        recorded,
        predictions=[each for each in recorded.predictions if each.feed_seq <= feed_seq],
        decisions=[each for each in recorded.decisions if each.feed_seq <= feed_seq],
        orders=[each for each in recorded.orders if each.feed_seq <= feed_seq],
        reports=[each for each in recorded.reports if each.feed_seq <= feed_seq],
        bars=[each for each in recorded.bars if each.feed_seq <= feed_seq],
    )


def _models(settings: Settings, when: Timeline) -> dict[str, Model]:
    names = {*when.bundles.values(), *(bundle for _, _, bundle in when.swaps)}
    return {name: load_model(find_bundle(settings, name)) for name in sorted(names)}


def _feed_seq_at(connection: Connection[Row], account: str, time_ns: int) -> int:
    """Return the last tick not after a moment; 0 if there is none."""
    row = connection.execute(
        "SELECT max(feed_seq) FROM ticks WHERE time_ns <= %s"
        " AND account_id = (SELECT account_id FROM accounts WHERE account = %s)",
        (time_ns, account),
    ).fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


def _remarks(feed: Feed, when: Timeline, recorded: Recorded, *, lockstep: bool) -> list[str]:
    remarks: list[str] = []
    if when.first > 1:
        remarks.append(f"ticks 1 to {when.first - 1} were history: taken in to warm up, not traded")
    if when.torn:
        remarks.append(
            f"after tick {when.last} the loop went on at {when.torn} without a past: what it said"
            " from there on cannot be recomputed"
        )
    elif feed.last > when.last:
        remarks.append(f"ticks {when.last + 1} to {feed.last} were not taken in (yet)")
    applied = {each.report_seq for each in recorded.reports}
    lacking = sorted(set(when.reports) - applied)
    if lacking:
        remarks.append(f"report {lacking[0]} was applied and is not recorded")
    if not lockstep:
        late_ms = np.abs(when.offsets_ns).max() / 1e6
        remarks.append(
            f"live: decisions fell up to {late_ms:.3f} ms after their ticks and a broker outside"
            " filled the orders, so the loop is recomputed and its fills are taken as they came;"
            " kill switch and clock offset are not in the record"
        )
    return remarks


# --- for people -------------------------------------------------------------------------------


def lines(verdict: Verdict) -> Iterator[str]:
    """Yield the verdict as a table."""
    mode = "lock-step replay" if verdict.lockstep else "live"
    feed = verdict.feed
    yield f"account {feed.account}: {verdict.through:,} of {feed.last:,} ticks, {mode}"
    yield ""
    yield f"{'':24}{'recorded':>10}{'equal':>10}"
    for each in verdict.loop:
        yield f"{'loop: ' + each.kind + 's':24}{each.recorded:>10,}{each.equal:>10,}" + (
            "  DIFFERS" if each.difference else ""
        )
    for each in verdict.loop:
        if each.difference:
            yield f"  {each.difference}"
    if verdict.backtest is not None:
        yield from _backtest_lines(verdict.backtest)
    yield ""
    for remark in verdict.remarks:
        yield f"note: {remark}"
    if verdict.is_empty:
        yield (
            "nothing to compare: no prediction, decision or order; a model predicts nothing up to"
            " what it was trained and evaluated on (cut it: make job JOB=retrain UNTIL=...)"
        )
    else:
        yield "everything agrees to the bit" if verdict.agrees else "NOT EQUAL"


def _backtest_lines(found: Parity) -> Iterator[str]:
    rows = (
        ("features", found.predictions, found.features_bit_equal),
        ("decisions", found.decisions, found.decisions_equal),
        ("orders", found.orders, found.orders_equal),
        ("fills", found.fills, found.fills_equal),
    )
    for name, count, equal in rows:
        yield f"{'backtest: ' + name:24}{count:>10,}{'all' if equal else 'DIFFERS':>10}"
    if found.unfinished:
        yield f"  {found.unfinished} order(s) had no final answer yet"
    if found.first_difference:
        yield f"  {found.first_difference}"


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is not a moment like 2025-03-01 or 2025-03-01T14:30:00"
        raise SettingsError(msg) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
