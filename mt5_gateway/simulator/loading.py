"""What the simulated terminal replays: files, the lake, or bars of either turned into ticks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.server_time import ServerClock
from mt5_gateway.simulator.errors import JournalError, MarketUnusable
from mt5_gateway.simulator.journal import Journal
from mt5_gateway.simulator.market import Market
from realtime.desk import new_desk
from realtime.history.bar_ticks import Mode, bar_ticks
from realtime.history.lake import Lake
from realtime.history.lake_read import read_lake_bars, read_lake_ticks
from realtime.history.read import read_any
from realtime.kernels.jit import sources_hash
from realtime.kernels.layout import TICK
from realtime.settings import Settings
from realtime.symbols import Symbol, chosen_symbols, load_symbols

_DAY_NS = 86_400 * 1_000_000_000
_FOREVER = np.iinfo(np.int64).max
_ARRAY = ".npy"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to replay.

    Attributes:
        files: one for each of `symbols`; empty = from the lake.
        symbols: names; of the lake, those of ``[trade]`` if empty.
        lake: folder or address; None = that of the settings.
        bars: kind of the lake's bars to turn into ticks, e.g. ``"h1"``; "" = its ticks.
        mode: how bars become ticks.
        zone: clock of the files; None = as they say or show.
        from_ns: first time, UTC.
        to_ns: last time, exclusive.
    """

    files: tuple[Path, ...] = ()
    symbols: tuple[str, ...] = ()
    lake: str | None = None
    bars: str = ""
    mode: Mode = "ohlc"
    zone: str | None = None
    from_ns: int = 0
    to_ns: int = _FOREVER


def load_market(settings: Settings, wanted: Wanted) -> Market:
    """Read what is to be replayed.

    Symbols come in the order of ``[trade]``, then those that are not there in the order given: the
    order of the loop's desk and of ticks of one time.

    Raises:
        MarketUnusable: it does not go together.
        HistoryError, SettingsError, ServerTimeError: see their text.
    """
    names = wanted.symbols or settings.trade
    if wanted.files and len(wanted.files) != len(names):
        msg = f"{len(wanted.files)} --data for {len(names)} --symbol: give one symbol for each file"
        raise MarketUnusable(msg)
    if len(set(names)) != len(names):
        msg = f"a symbol is given twice: {', '.join(names)}"
        raise MarketUnusable(msg)
    file_of = dict(zip(names, wanted.files, strict=False))
    order = [name for name in settings.trade if name in names]
    order += [name for name in names if name not in order]
    clock = ServerClock(settings.gateway.server_time)
    symbols = chosen_symbols(order, _catalogue(settings))
    if wanted.files:
        streams = [_file_ticks(file_of[symbol.name], symbol, wanted) for symbol in symbols]
    else:
        lake = Lake(wanted.lake or settings.paths.lake)
        streams = [_lake_ticks(lake, symbol, wanted) for symbol in symbols]
    for symbol, stream in zip(symbols, streams, strict=True):
        if len(stream) == 0:
            msg = f"{symbol.name} has no ticks in the time asked for"
            raise MarketUnusable(msg)
    return Market(symbols, streams, clock)


def load_desk(settings: Settings, market: Market) -> np.void:
    """Allocate the desk of the terminal's account: rows in the market's order of symbols.

    Raises:
        SettingsError: a symbol that converts profit or margin is missing; says which.
    """
    times = market.ticks["time_ns"]
    names = [symbol.name for symbol in market.symbols]
    return new_desk(
        names,
        start_ns=int(times.min()) - 8 * _DAY_NS,
        end_ns=int(times.max()) + 30 * _DAY_NS,
        account=settings.account,
        account_limits=settings.account_limits,
        each={name: settings.of(name) for name in names},
        known=_catalogue(settings),
    )


def identity_of(settings: Settings, market: Market) -> str:
    """Return a hash of everything but the ticks that decides what a journal's entries do."""
    names = [symbol.name for symbol in market.symbols]
    said = {
        "symbols": [asdict(symbol) for symbol in market.symbols],
        "account": asdict(settings.account),
        "costs": [asdict(settings.of(name).costs) for name in names],
        "server_time": settings.gateway.server_time,
        "kernels": sources_hash(),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def check_data(journal: Journal, market: Market) -> None:
    """Check that the market is the one that a journal was written on; it may have grown since.

    Raises:
        JournalError: its ticks are others.
    """
    known = [entry["data"] for entry in journal.entries() if "data" in entry]
    count, digest = known[-1] if known else (0, _digest(market, 0))
    if count > len(market) or _digest(market, count) != digest:
        raise JournalError(journal.foreign("other market data"))
    if count < len(market) or not known:
        journal.append({"data": [len(market), _digest(market, len(market))]})


def _digest(market: Market, count: int) -> str:
    return hashlib.sha256(market.ticks[:count].view(np.uint8).data).hexdigest()[:32]


def _catalogue(settings: Settings) -> Mapping[str, Symbol]:
    own = settings.paths.specifications
    return load_symbols(Path(own) if own else None)


def _file_ticks(file: Path, symbol: Symbol, wanted: Wanted) -> NDArray[np.void]:
    if file.suffix == _ARRAY:
        return _between(_array(file), wanted)
    imported = read_any(file, symbol.name, zone=wanted.zone)
    if imported.rows.dtype == TICK:
        return _between(imported.rows, wanted)
    bars = imported.rows
    chosen = (bars["open_ns"] >= wanted.from_ns) & (bars["open_ns"] < wanted.to_ns)
    return _of_bars(bars[chosen], symbol, wanted)


def _array(file: Path) -> NDArray[np.void]:
    """Read TICK records that were saved with `numpy.save`: served as they are, good or bad."""
    try:
        rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{file}: cannot be read: {error}"
        raise MarketUnusable(msg) from error
    if rows.dtype != TICK or rows.ndim != 1:
        msg = f"{file}: is no array of TICK records; give market data as CSV or Parquet"
        raise MarketUnusable(msg)
    return rows


def _lake_ticks(lake: Lake, symbol: Symbol, wanted: Wanted) -> NDArray[np.void]:
    if wanted.bars:
        bars = read_lake_bars(lake, symbol.name, wanted.bars, wanted.from_ns, wanted.to_ns)
        return _of_bars(bars, symbol, wanted)
    chunks = list(read_lake_ticks(lake, [symbol.name], wanted.from_ns, wanted.to_ns))
    return np.concatenate(chunks)


def _of_bars(bars: NDArray[np.void], symbol: Symbol, wanted: Wanted) -> NDArray[np.void]:
    return bar_ticks(
        bars,
        point=symbol.point,
        mode=wanted.mode,
        assumed_spread_points=symbol.typical_spread_points,
    )


def _between(ticks: NDArray[np.void], wanted: Wanted) -> NDArray[np.void]:
    times = ticks["time_ns"]
    return ticks[(times >= wanted.from_ns) & (times < wanted.to_ns)]
