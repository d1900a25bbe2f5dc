"""A made-up foreign-exchange week, in any clock, for the tests of the importers."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

MakeWeeks = Callable[..., pl.DataFrame]


def make_weeks(
    first: str, last: str, *, zone: str = "UTC", shift_hours: int = 0, every: str = "1h"
) -> pl.DataFrame:
    """Bars of every trading hour (Sunday 17:00 to Friday 17:00 New York) between two dates.

    Columns: ``utc`` and ``wall`` (naive) times, and a bid that wanders.
    """
    span = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, last)]
    utc = pl.datetime_range(span[0], span[1], every, closed="left", eager=True, time_zone="UTC")
    frame = pl.DataFrame({"utc": utc})
    new_york = pl.col("utc").dt.convert_time_zone("America/New_York")
    day, hour = new_york.dt.weekday().cast(pl.Int64), new_york.dt.hour().cast(pl.Int64)
    since_sunday = day % 7 * 24 + hour
    frame = frame.filter((since_sunday >= 17) & (since_sunday < 5 * 24 + 17))
    local = pl.col("utc").dt.convert_time_zone(str(ZoneInfo(zone))).dt.replace_time_zone(None)
    step = pl.int_range(pl.len())
    return frame.with_columns(
        wall=local + pl.duration(hours=shift_hours),
        bid=(1.1 + 0.01 * (step / 97).sin()).round(5),
    )


@pytest.fixture(scope="session")
def weeks() -> MakeWeeks:
    return make_weeks
