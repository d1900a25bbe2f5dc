"""Settings, files and runs that the tests of the assets share."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from aitrading_assets.definitions import definitions_of
from aitrading_assets.partitions import range_tags
from aitrading_assets.resources import Recipes
from aitrading_sensors.reasons import first_reason
from ml.backtest.demo import demo_file
from realtime.history.lake import Month
from realtime.settings import Settings
from tests.fixtures.servers import nats_server, postgres, stack_settings

__all__ = ["nats_server", "postgres", "stack_settings"]


@pytest.fixture
def settings(tmp_path) -> Settings:
    base = Settings()
    var = tmp_path / "var"
    paths = replace(base.paths, var=var, lake=var / "lake", secrets=var / "secrets")
    return replace(base, paths=paths)


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


class Runs:
    """Launches jobs in this process."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.recipes = Recipes()

    def launch(self, job: str, *, config=None, tags=None, partition=None):
        let_settle(self.settings)
        given = {"settings": self.settings, "recipes": self.recipes}
        made = definitions_of(self.settings, given).resolve_job_def(job)
        return made.execute_in_process(
            run_config=config or {},
            instance=self.instance,
            tags=tags,
            partition_key=partition,
            raise_on_error=False,
        )

    def ingest(self, **config):
        return self.launch("ingest", config={"ops": {"imports": {"config": config}}})

    def ingest_demo(self):
        files = {"EURUSD": str(demo_file())}
        return self.ingest(files=files, options={"ask_bars": True})

    def build(self, first=(2017, 1), last=(2017, 12), symbols=("EURUSD",)):
        tags = range_tags(Month(*first), Month(*last), symbols)
        return self.launch("build_features", tags=tags)


def let_settle(settings, age_s=60):
    """Make what was just dropped into the inbox look as if it had been there for a while."""
    for path in (settings.paths.var / "inbox").glob("*/*"):
        if time.time() - path.stat().st_mtime < age_s / 2:
            os.utime(path, (path.stat().st_mtime - age_s,) * 2)


@pytest.fixture
def runs(settings, instance) -> Runs:
    return Runs(settings, instance)


@pytest.fixture(scope="session")
def built_lake(tmp_path_factory) -> Path:
    """The demo's hours of 2017 as a lake with everything up to the labels."""
    base, var = Settings(), tmp_path_factory.mktemp("built") / "var"
    paths = replace(base.paths, var=var, lake=var / "lake", secrets=var / "secrets")
    with dg.instance_for_test() as instance:
        made = Runs(replace(base, paths=paths), instance)
        assert made.ingest_demo().success
        assert made.build().success
    return paths.lake


@pytest.fixture
def with_data(settings, built_lake) -> Settings:
    """Settings with a copy of the built lake."""
    shutil.copytree(built_lake, settings.paths.lake)
    return settings


def checks_of(result):
    return {
        (each.asset_key.to_user_string(), each.check_name): each.passed
        for each in result.get_asset_check_evaluations()
    }


def events_of(result, asset) -> Any:
    return [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.to_user_string() == asset
    ]


def last_words(result):
    """Why the first failed step failed."""
    return first_reason(event for event in result.all_events if event.is_step_failure)
