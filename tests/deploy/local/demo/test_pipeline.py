"""The learning half of the demonstration starts from nothing."""

from datetime import UTC, datetime

import pandas as pd

from deploy.local.demo.pipeline import forget_online
from feature_repo.declarations import declared
from ml.config import config_for
from ml.feast_store.repository import apply, opened
from ml.feature_files import view_name
from realtime.settings import Settings


def test_rows_of_a_run_on_newer_data_are_forgotten_before_the_next(
    stack_settings: Settings,
) -> None:
    """They stayed in the database, where the newest row wins, and were served for ever."""
    config = config_for("EURUSD", "h1")
    view, feature = view_name(config.clock, config.feature_set), config.features[0]

    def write(year: int, value: float) -> None:
        row = {
            "symbol": ["EURUSD"],
            "event_timestamp": [datetime(year, 6, 1, tzinfo=UTC)],
            "created_timestamp": [datetime(year, 6, 1, tzinfo=UTC)],
            **{name: [value] for name in config.features},
        }
        with opened(stack_settings) as store:
            apply(store, declared([config]))
            store.write_to_online_store(view, pd.DataFrame(row))

    def served() -> float | None:
        with opened(stack_settings) as store:
            asked = [f"{view}:{feature}"]
            rows = store.get_online_features(asked, entity_rows=[{"symbol": "EURUSD"}])
            return rows.to_dict()[feature][0]

    write(2020, 1.0)
    assert served() == 1.0
    write(2017, 2.0)
    assert served() == 1.0
    forget_online(stack_settings)
    assert served() is None
    write(2017, 2.0)
    assert served() == 2.0
