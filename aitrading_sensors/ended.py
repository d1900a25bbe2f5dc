"""Runs that ended, for sensors that must not miss one.

Dagster's own run-status sensors move on before their function has succeeded: what failed then (a
server was away for a second) is never tried again. A sensor that asks here keeps its own place,
and gives it up for the next one only when everything was done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import dagster as dg

_MOST = 50  # of one kind, at a time
_Kind = Literal[dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE]
SUCCESS: _Kind = dg.DagsterEventType.RUN_SUCCESS
FAILURE: _Kind = dg.DagsterEventType.RUN_FAILURE


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that ended.

    Attributes:
        place: of the event among all; the cursor of a sensor that is done with it.
        run: the run.
        message: of the event; empty if it has none.
    """

    place: int
    run: dg.DagsterRun
    message: str


def place_of(context: dg.SensorEvaluationContext, kinds: Sequence[_Kind]) -> int:
    """Return how far a sensor is; a new one begins with what ends from now on.

    So does one whose cursor is of an older version (Dagster's own sensors keep JSON).
    """
    kept = context.cursor or ""
    return int(kept) if kept.isdigit() else _newest(context.instance, kinds)


def _newest(instance: dg.DagsterInstance, kinds: Sequence[_Kind]) -> int:
    places = [0]
    for kind in kinds:
        records = instance.fetch_run_status_changes(kind, limit=1).records
        places += [record.storage_id for record in records]
    return max(places)


def ended_since(
    instance: dg.DagsterInstance, place: int, kinds: Sequence[_Kind], job: str = ""
) -> list[Ended]:
    """Return runs that ended after a place, the oldest first.

    Args:
        instance: that knows them.
        place: see `Ended`.
        kinds: how they ended.
        job: only its runs; empty = of all jobs.
    """
    found: list[Ended] = []
    limits: list[int] = []
    for kind in kinds:
        some, last_seen = _some_of(instance, place, kind, job)
        found += some
        if last_seen:
            limits.append(last_seen)
    # Of one kind there may be more: nothing after those may be done before them.
    last = min(limits, default=None)
    ordered = sorted(found, key=lambda each: each.place)
    return ordered if last is None else [each for each in ordered if each.place <= last]


def _some_of(
    instance: dg.DagsterInstance, place: int, kind: _Kind, job: str
) -> tuple[list[Ended], int]:
    """Return runs of one kind, and the place up to which they were read; 0 = there are no more.

    Jobs are told apart here: Dagster's storage in PostgreSQL refuses to.
    """
    while True:
        asked = dg.RunStatusChangeRecordsFilter(event_type=kind, after_storage_id=place)
        records = instance.fetch_run_status_changes(asked, limit=_MOST, ascending=True).records
        found: list[Ended] = []
        for record in records:
            run = instance.get_run_by_id(record.event_log_entry.run_id)
            if run is not None and job in ("", run.job_name):  # None: it was deleted
                event = record.event_log_entry.dagster_event
                message = "" if event is None else event.message or ""
                found.append(Ended(place=record.storage_id, run=run, message=message))
        if len(records) < _MOST:
            return found, 0
        place = records[-1].storage_id
        if found:
            return found, place
