"""Why a row was quarantined, repaired, dropped or only noted: codes, names, meanings, remedies.

Codes are written to quarantine files: never renumber them.
"""

from typing import NamedTuple

# Quarantined: the row is kept out, with its row number and raw values.
UNREADABLE = 1
MISSING_FIELDS = 2
EXTRA_FIELDS = 3
BAD_TIME = 4
IMPLAUSIBLE_TIME = 5
FUTURE_TIME = 6
MISSING_HOUR = 7
NOT_A_NUMBER = 8
NON_POSITIVE = 9
CROSSED = 10
INCONSISTENT_OHLC = 11
NEGATIVE_VOLUME = 12
NO_PREVIOUS_PRICE = 13
WEEKEND = 14
BACKWARDS = 15
DUPLICATE_TIME = 16
SPIKE = 17
NO_TRADES = 18
UNFINISHED = 19
# Dropped: says nothing that the row before it did not say.
DUPLICATE = 30
# Repaired: kept after a change that loses nothing.
FILLED_FORWARD = 40
SORTED = 41
FLOAT_NOISE = 42
AMBIGUOUS_HOUR = 43
# Noted: kept as it is, counted.
ZERO_SPREAD = 60
OFF_GRID_PRICE = 61
OFF_GRID_TIME = 62


class Reason(NamedTuple):
    """One reason, for reports and documentation."""

    name: str
    meaning: str
    remedy: str


REASONS: dict[int, Reason] = {
    UNREADABLE: Reason(
        "unreadable", "text where a number belongs", "correct the field or delete the row"
    ),
    MISSING_FIELDS: Reason(
        "missing_fields",
        "fewer fields than the header, or an empty price or time",
        "a cut last row means an unfinished download: download the file again",
    ),
    EXTRA_FIELDS: Reason(
        "extra_fields",
        "more fields than the header",
        "check for decimal commas or a delimiter inside a field",
    ),
    BAD_TIME: Reason("bad_time", "the time cannot be read", "write it like the other rows"),
    IMPLAUSIBLE_TIME: Reason(
        "implausible_time",
        "before 1971 or after 2099",
        "check the unit of epoch times (s, ms, us, ns) and zero times",
    ),
    FUTURE_TIME: Reason(
        "future_time", "later than now", "check this machine's clock and the file's time zone"
    ),
    MISSING_HOUR: Reason(
        "missing_hour",
        "in the hour that the zone's spring clock change skips",
        "such a time never was: the zone is wrong, give the right one",
    ),
    NOT_A_NUMBER: Reason(
        "not_a_number", "a price is NaN, or a number infinite", "ask the source again"
    ),
    NON_POSITIVE: Reason(
        "non_positive", "a price is zero or negative", "ask the source again; 0 means no quote"
    ),
    CROSSED: Reason(
        "crossed", "ask below bid", "prefer a cleaner source; swapped columns show as all rows"
    ),
    INCONSISTENT_OHLC: Reason(
        "inconsistent_ohlc",
        "high below open, close or low, or low above them",
        "check the order of the columns",
    ),
    NEGATIVE_VOLUME: Reason("negative_volume", "volume below zero", "ask the source again"),
    NO_PREVIOUS_PRICE: Reason(
        "no_previous_price",
        "a blank price means unchanged, and there is none before it",
        "export from an earlier start",
    ),
    WEEKEND: Reason(
        "weekend",
        "outside the trading week (Sunday 17:00 to Friday 17:00 New York)",
        "check the zone; give checks with market='always' for what trades at weekends",
    ),
    BACKWARDS: Reason(
        "backwards", "earlier than the rows around it", "check for parts of other files"
    ),
    DUPLICATE_TIME: Reason(
        "duplicate_time",
        "a second bar with the same time and other values; the first is kept",
        "check for two sources in one file, or a clock change read in the wrong zone",
    ),
    SPIKE: Reason(
        "spike",
        "a price far off both the rows before and the rows after",
        "look at it; give checks with spike_fraction=0 to keep such rows",
    ),
    NO_TRADES: Reason(
        "no_trades", "a bar invented by the source for a time without ticks", "nothing to do"
    ),
    UNFINISHED: Reason(
        "unfinished",
        "the last line has no end, and its last field may be cut",
        "export or download the file again, or end its last line",
    ),
    DUPLICATE: Reason("duplicate", "identical to the row before it", "nothing to do"),
    FILLED_FORWARD: Reason(
        "filled_forward", "a blank bid or ask means unchanged: the last one was filled in", "none"
    ),
    SORTED: Reason("sorted", "the file was out of order: rows were sorted by time", "none"),
    FLOAT_NOISE: Reason(
        "float_noise", "a price like 1.1445400000000001 was rounded to the price grid", "none"
    ),
    AMBIGUOUS_HOUR: Reason(
        "ambiguous_hour",
        "in the hour that the zone's autumn clock change repeats: told apart by file order",
        "none",
    ),
    ZERO_SPREAD: Reason("zero_spread", "ask equals bid", "check what the source means by it"),
    OFF_GRID_PRICE: Reason(
        "off_grid_price", "not a multiple of the tick size", "check the tick size"
    ),
    OFF_GRID_TIME: Reason(
        "off_grid_time", "a bar that does not start on its timeframe", "check the timeframe"
    ),
}

QUARANTINED = tuple(range(UNREADABLE, UNFINISHED + 1))


def name_of(code: int) -> str:
    """Return the name of a reason code."""
    return REASONS[code].name
