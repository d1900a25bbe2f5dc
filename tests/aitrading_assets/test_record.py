"""The record of a training names the files that were used, and no others."""

import numpy as np
import pytest

from aitrading_assets.definitions import definitions_of
from aitrading_assets.keys import asset_key
from aitrading_assets.lake_files import sha256_of
from aitrading_assets.workshop import Workshop
from realtime.history.lake import Lake, Month
from tests.aitrading_assets.conftest import Runs

NEXT_YEAR = Month(2018, 3)
JUNE = Month(2017, 6)


@pytest.fixture
def prepared(with_data, instance):
    """Prepare a training set after something has happened in the lake; return its record."""

    def prepare():
        runs = Runs(with_data, instance)
        given = {"settings": with_data, "recipes": runs.recipes}
        job = definitions_of(with_data, given).resolve_job_def("retrain")
        chosen = [asset_key("EURUSD", "training_set")]
        assert job.execute_in_process(instance=instance, asset_selection=chosen).success
        return Workshop(with_data, "EURUSD").training_set()[1].partitions

    return prepare


def test_ticks_that_came_after_the_features_were_built_are_not_said_to_be_used(with_data, prepared):
    """All months of the lake were listed, with the hashes that they had when it was trained."""
    lake = Lake(with_data.paths.lake)
    june = sha256_of(lake, lake.path("ticks", "EURUSD", JUNE))
    ticks = lake.read_month("ticks", "EURUSD", JUNE)
    lake.write_month("ticks", "EURUSD", NEXT_YEAR, ticks[:0], ["later"])
    lake.write_month("ticks", "EURUSD", JUNE, ticks[: len(ticks) // 2], ["changed"])
    used = {each.month: each for each in prepared() if each.kind == "ticks"}
    assert list(used) == [f"2017-{month:02d}" for month in range(1, 13)]
    assert used["2017-06"].sha256 == june
    assert used["2017-06"].rows == len(ticks)
    assert np.all([each.symbol == "EURUSD" for each in used.values()])
