"""The daemon, the queue and the command line as users run them, on PostgreSQL and NATS."""

import shutil
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from aitrading_assets.resources import recipe_name, recipes_folder
from aitrading_sensors.reasons import first_reason
from deploy.local.child import Child, Launch
from deploy.local.config_file import settings_toml
from deploy.local.platform_services import DAGSTER_CONFIG, Platform, Ports
from ml.registry import champions
from realtime.bundle import read_bundle

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
LONGEST_S = 180.0


@pytest.fixture
def stack(stack_settings, built_lake):
    """Settings of a stack whose features are built, and the environment of its services."""
    shutil.copytree(built_lake, stack_settings.paths.lake)
    folder = recipes_folder(stack_settings)
    folder.mkdir(parents=True)
    recipe = 'symbol = "EURUSD"\nclock = "h1"\n[gates]\ncalibration_error = 0.9\n'
    (folder / recipe_name("EURUSD")).write_text(recipe)
    home = Platform(stack_settings, Ports(), {}).write_dagster_home()
    config = stack_settings.paths.var / "settings.toml"
    config.write_text(settings_toml(stack_settings))
    environment = {
        "DAGSTER_HOME": str(home),
        "AITRADING_CONFIG": str(config),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(ROOT),
    }
    return stack_settings, home, environment


@contextmanager
def started(name, arguments, environment, log):
    """A program of the stack in a session of its own, ended with all that it started."""
    command = (str(SCRIPTS / name), *arguments)
    child = Child(Launch(name=name, command=command, log=log, folder=ROOT, environment=environment))
    try:
        yield child
    finally:
        child.stop(60.0)


def await_end(instance, job):
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        found = instance.get_runs(dg.RunsFilter(job_name=job))
        if found and found[0].is_finished:
            return found[0]
        time.sleep(0.25)
    msg = f"{job} did not end: {[(run.job_name, run.status) for run in instance.get_runs()]}"
    raise AssertionError(msg)


def is_step_failure(entry):
    return entry.dagster_event_type == dg.DagsterEventType.STEP_FAILURE


def test_a_launched_retraining_is_queued_run_by_the_daemon_and_promotes(stack, tmp_path):
    settings, home, environment = stack
    workspace = ("-w", str(ROOT / "workspace.yaml"))
    log = tmp_path / "launch.log"
    with started("dagster-daemon", ("run", *workspace), environment, tmp_path / "daemon.log") as (
        child
    ):
        launch = ("job", "launch", *workspace, "-j", "retrain")
        with started("dagster", launch, environment, log) as launched:
            while launched.exit_code is None:
                time.sleep(0.1)
        assert launched.exit_code == 0, log.read_text()
        with dg.DagsterInstance.from_config(str(home)) as instance:
            run = await_end(instance, "retrain")
            logs = instance.all_logs(run.run_id)
            failures = [entry.dagster_event for entry in logs if is_step_failure(entry)]
            assert run.status == dg.DagsterRunStatus.SUCCESS, first_reason(failures)
            events = {entry.dagster_event_type for entry in logs}
            assert dg.DagsterEventType.PIPELINE_ENQUEUED in events
    assert child.exit_code == 0
    [champion] = champions(settings)
    bundle = read_bundle(settings.paths.var / "models" / champion.bundle_id)
    assert bundle.training["dagster_run_id"] == run.run_id


def test_the_shipped_configuration_keeps_no_password_and_sends_no_telemetry():
    text = DAGSTER_CONFIG.read_text()
    assert 'password: "${postgres_password}"' in text
    assert "telemetry:\n  enabled: false" in text
    assert 'scheme: "postgresql+psycopg2"' in text
