"""Which column is what: the names that brokers, vendors and packages use."""

import re
from collections.abc import Mapping, Sequence

from realtime.history.errors import ColumnMissing, OptionUnknown

# Role to the names it goes by, normalised by `key_of`; the first match wins.
ALIASES: dict[str, tuple[str, ...]] = {
    "time": (
        *("time_ns", "open_ns", "time_msc", "time_us", "time_ms", "timestamp", "datetime"),
        *("date_time", "time", "gmt_time", "utc_time", "time_utc", "utc", "local_time", "gmt"),
        *("open_time", "opentime", "bar_time", "ts", "epoch", "unix", "unix_time", "date", "dt"),
    ),
    "bid": ("bid", "bid_price", "bidprice", "best_bid", "bidpx", "b"),
    "ask": ("ask", "ask_price", "askprice", "best_ask", "offer", "ofr", "askpx", "a"),
    "last": ("last", "last_price", "trade_price", "price", "px"),
    "open": ("open", "bid_open", "open_bid", "bidopen", "o"),
    "high": ("high", "bid_high", "high_bid", "bidhigh", "h"),
    "low": ("low", "bid_low", "low_bid", "bidlow", "l"),
    "close": ("close", "bid_close", "close_bid", "bidclose", "c"),
    "ask_open": ("ask_open", "open_ask", "askopen"),
    "ask_close": ("ask_close", "close_ask", "askclose"),
    "ticks": ("tick_volume", "tickvol", "tickvolume", "ticks", "tick_count", "tickqty", "n_ticks"),
    "volume": ("volume_real", "real_volume", "volume", "vol", "size", "qty", "quantity", "v"),
    "spread": ("spread_mean", "spread", "spread_points"),
    "spread_max": ("spread_max",),
    "realised_variance": ("realised_variance",),
    "imbalance": ("imbalance",),
    "flags": ("flags", "tick_flags"),
}
_CLOCK_NAMES = ("time", "hour", "time_of_day", "clock")
_BAR_ROLES = ("open", "high", "low", "close")


def key_of(name: str) -> str:
    """Normalise a column name: ``"<TICKVOL>"`` and ``"Tick Vol"`` become comparable keys."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip().strip('<>"'))
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _by_key(names: Sequence[str]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for name in names:
        keys.setdefault(key_of(name), name)
        keys.setdefault(key_of(name).replace("_", ""), name)
    return keys


def assign(
    names: Sequence[str], file: str, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Map roles to column names.

    Args:
        names: columns of the file.
        file: for messages.
        given: roles that the user named, e.g. ``{"bid": "B1"}``; they win.

    Returns:
        role to name; roles are the keys of `ALIASES`, and ``"clock"`` for a time of day that
        stands beside a date.

    Raises:
        ColumnMissing: a given column is not there.
        OptionUnknown: a given role does not exist.
    """
    found: dict[str, str] = {}
    for role, name in (given or {}).items():
        if role not in ALIASES and role != "clock":
            remedy = f"Use one of {', '.join((*ALIASES, 'clock'))}."
            msg = f"no column role {role!r}"
            raise OptionUnknown(msg, file=file, remedy=remedy)
        if name not in names:
            remedy = f"Its columns are {', '.join(map(repr, names))}."
            msg = f"no column {name!r}"
            raise ColumnMissing(msg, file=file, remedy=remedy)
        found[role] = name
    keys = {key: name for key, name in _by_key(names).items() if name not in found.values()}
    if "time" not in found and "date" in keys:
        clock = next((keys[key] for key in _CLOCK_NAMES if key in keys), None)
        if clock is not None and "time_msc" not in keys:
            found |= {"time": keys["date"], "clock": clock}
    for role, aliases in ALIASES.items():
        if role in found:
            continue
        name = next((keys[alias] for alias in aliases if alias in keys), None)
        if name is not None and name not in found.values():
            found[role] = name
    return found


def kind_of(roles: Mapping[str, str], names: Sequence[str], file: str) -> str:
    """Tell ``"bars"`` from ``"ticks"`` by the roles found.

    Raises:
        ColumnMissing: neither is complete; the message says what is there and what is needed.
    """
    missing_bars = [role for role in _BAR_ROLES if role not in roles]
    missing_ticks = [role for role in ("bid", "ask") if role not in roles]
    if "time" in roles and not missing_bars:
        return "bars"
    if "time" in roles and (not missing_ticks or (len(missing_ticks) == 2 and "last" in roles)):
        return "ticks"
    if "time" not in roles:
        what = "no time column"
    elif len(missing_bars) < len(_BAR_ROLES):
        what = f"no column for {', '.join(missing_bars)}"
    else:
        what = f"no column for {', '.join(missing_ticks)}"
    remedy = (
        f"Its columns are {', '.join(map(repr, names))}; ticks need a time, bid and ask, bars a"
        " time, open, high, low and close. Name them, for example columns={'bid': 'B1'}."
    )
    raise ColumnMissing(what, file=file, remedy=remedy)
