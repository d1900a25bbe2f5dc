"""Holes in market data: what is missing while the market is open."""

import numpy as np

from ml.features import calendar_days
from ml.gaps import holes_of, open_until

HOUR_NS = 3_600_000_000_000


def at(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


DAYS = calendar_days("EURUSD", at("2017-12-01"), at("2018-01-31"))


def test_a_weekend_and_a_holiday_are_no_holes():
    friday, sunday = at("2017-12-08T21:59"), at("2017-12-10T22:01")
    eve, after = at("2017-12-24T21:00"), at("2017-12-25T22:30")
    assert len(holes_of(np.array([friday, sunday]), DAYS)) == 0
    assert len(holes_of(np.array([eve, after]), DAYS)) == 0


def test_a_trading_day_that_is_missing_is_a_hole_wherever_it_lies():
    tuesday, wednesday = at("2017-12-05T10:00"), at("2017-12-06T10:00")
    assert holes_of(np.array([tuesday - 1, tuesday, wednesday]), DAYS).tolist() == [tuesday]
    friday, tuesday = at("2017-12-08T21:00"), at("2017-12-12T01:00")  # more than the weekend
    assert holes_of(np.array([friday, tuesday]), DAYS).tolist() == [friday]


def test_the_market_is_open_for_five_days_a_week():
    start, end = at("2017-12-04T12:00"), at("2017-12-11T12:00")
    opened = open_until(DAYS, np.array([start, end]))
    assert opened[1] - opened[0] == 120 * HOUR_NS
