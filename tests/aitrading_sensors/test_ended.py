"""Runs that ended are found in the storage that the platform has, whatever else ended."""

from collections.abc import Iterator

import dagster as dg
import pytest

from aitrading_sensors.ended import FAILURE, SUCCESS, ended_since
from deploy.local.platform_services import Platform, Ports
from realtime.settings import Settings


@pytest.fixture
def instance(stack_settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster as `make up` runs it: in PostgreSQL."""
    home = Platform(stack_settings, Ports(), {}).write_dagster_home()
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made
        made.wipe()


def job(name: str) -> dg.JobDefinition:
    @dg.op(name=f"{name}_op")
    def nothing() -> None:
        return

    @dg.job(name=name)
    def made() -> None:
        nothing()

    return made


def test_the_runs_of_a_job_are_found_among_many_of_others(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL refuses to tell jobs apart: no sensor of the running platform did anything."""
    monkeypatch.setattr("aitrading_sensors.ended._MOST", 3)
    wanted, other = job("wanted"), job("other")
    for each in (*[other] * 7, wanted, other, wanted):
        assert each.execute_in_process(instance=instance).success
    first = ended_since(instance, 0, [SUCCESS, FAILURE], "wanted")
    assert [each.run.job_name for each in first][:1] == ["wanted"]
    found = [each.place for each in first]
    while more := ended_since(instance, found[-1], [SUCCESS], "wanted"):
        found += [each.place for each in more]
    assert len(found) == 2
    assert found == sorted(set(found))
    assert len(ended_since(instance, 0, [SUCCESS])) == 3
