"""Jobs of the platform are launched with what `make job` says."""

import pytest

from aitrading_assets.definitions import definitions_of
from deploy.local.errors import StackError
from deploy.local.job import retrain_until
from realtime.settings import Settings


def test_a_retraining_up_to_a_moment_is_what_the_job_takes() -> None:
    """History is traded on paper only where the model has not seen it."""
    settings = Settings(trade=("EURUSD", "XAUUSD"))
    config = retrain_until(settings, "2017-09-01")
    assert set(config["ops"]) == {"EURUSD__training_set", "XAUUSD__training_set"}
    job = definitions_of(settings).resolve_job_def("retrain")
    names = {node.name for node in job.graph.nodes}
    assert set(config["ops"]) <= names


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(StackError, match="until = 'soon'"):
        retrain_until(Settings(), "soon")
