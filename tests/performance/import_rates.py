"""How fast each format of market data is imported: checked rows a CPU-second.

``python tests/performance/import_rates.py [ROWS]`` prints a table; `measure` returns its rows. The
data are seeded and made on the spot: quotes of three weeks that wander, times in milliseconds.
"""

import lzma
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from realtime.history.dukascopy import TICK_RECORD
from realtime.history.lake import Lake
from realtime.history.lake_import import import_file
from realtime.history.lake_read import read_lake_ticks
from realtime.history.read import Options, open_import, read_any

ROWS = 1_000_000
_MONDAY = np.datetime64("2024-01-08T00:00", "ms")
_WEEK_MS = 7 * 86_400_000
_OPEN_MS = 4 * 86_400_000


class Rate(NamedTuple):
    """One line of the table."""

    format: str
    rows: int
    wall_seconds: float
    cpu_seconds: float

    @property
    def rows_per_cpu_second(self) -> float:
        """Checked rows a CPU-second; what one core does."""
        return self.rows / self.cpu_seconds


def quotes(rows: int) -> pl.DataFrame:
    """Return seeded quotes, four days of each of three weeks; columns time (naive), bid, ask."""
    generator = np.random.default_rng(1)
    offset = np.sort(generator.integers(0, 3 * _OPEN_MS, rows))
    times = _MONDAY + offset // _OPEN_MS * _WEEK_MS + offset % _OPEN_MS
    steps = np.cumsum(generator.integers(-1, 2, rows))
    bid = (110_000 + steps) / 100_000
    ask = (110_000 + steps + generator.integers(1, 4, rows)) / 100_000
    return pl.DataFrame({"time": times, "bid": bid, "ask": ask})


def _mt5_ticks(frame: pl.DataFrame, path: Path) -> Path:
    blank = pl.col("bid") == pl.col("bid").shift(1)
    frame.select(
        pl.col("time").dt.strftime("%Y.%m.%d").alias("<DATE>"),
        pl.col("time").dt.strftime("%H:%M:%S%.3f").alias("<TIME>"),
        pl.when(blank).then(None).otherwise("bid").alias("<BID>"),
        pl.col("ask").alias("<ASK>"),
        *[pl.lit(None).alias(name) for name in ("<LAST>", "<VOLUME>")],
        pl.lit(6).alias("<FLAGS>"),
    ).write_csv(path, separator="\t", line_terminator="\r\n", float_precision=5)
    return path


def _csv(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path, float_precision=5, datetime_format="%Y-%m-%d %H:%M:%S%.3f")
    return path


def _parquet(frame: pl.DataFrame, path: Path) -> Path:
    frame.with_columns(pl.col("time").dt.replace_time_zone("UTC")).write_parquet(path)
    return path


def _histdata_bars(frame: pl.DataFrame, path: Path) -> Path:
    moments = pl.datetime_range(
        pl.datetime(2000, 1, 1), pl.datetime(2100, 1, 1), "1m", closed="left", eager=True
    )
    moments = moments.filter(moments.dt.weekday() < 6).head(frame.height)
    price = pl.col("bid")
    frame.head(len(moments)).with_columns(at=moments).select(
        pl.col("at").dt.strftime("%Y%m%d %H%M%S"),
        price.alias("o"),
        (price + 0.0002).alias("h"),
        (price - 0.0002).alias("l"),
        price.alias("c"),
        pl.lit(0).alias("v"),
    ).write_csv(path, separator=";", include_header=False, float_precision=5)
    return path


def _dukascopy(frame: pl.DataFrame, path: Path) -> Path:
    hours = frame.with_columns(
        hour=pl.col("time").dt.truncate("1h"),
        ms=(pl.col("time") - pl.col("time").dt.truncate("1h")).dt.total_milliseconds(),
    )
    for (hour,), rows in hours.group_by("hour", maintain_order=True):
        records = np.zeros(rows.height, TICK_RECORD)
        records["ms"] = rows["ms"].to_numpy()
        records["bid"] = np.rint(rows["bid"].to_numpy() * 1e5)
        records["ask"] = np.rint(rows["ask"].to_numpy() * 1e5)
        name = f"EURUSD/{hour.year}/{hour.month - 1:02d}/{hour.day:02d}/{hour.hour:02d}h_ticks.bi5"
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lzma.compress(records.tobytes(), format=lzma.FORMAT_ALONE, preset=1))
    return path


def _timed(name: str, rows: int, work: Callable[[], object]) -> Rate:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Rate(name, rows, time.perf_counter() - wall, time.process_time() - cpu)


def measure(rows: int = ROWS) -> list[Rate]:
    """Import `rows` rows of each format, and once through the lake.

    Args:
        rows: rows of each file.
    """
    frame = quotes(rows)
    rates: list[Rate] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "Parquet": _parquet(frame, folder / "EURUSD.parquet"),
            "CSV": _csv(frame, folder / "EURUSD.csv"),
            "MT5 ticks": _mt5_ticks(frame, folder / "EURUSD_mt5.csv"),
            "HistData M1": _histdata_bars(frame, folder / "EURUSD_M1.csv"),
            "Dukascopy .bi5": _dukascopy(frame, folder / "bi5"),
        }
        zone: Options = {"zone": "UTC", "check_zone": False}
        for path in files.values():  # imports and zone tables are not what is measured
            read_any(path, "EURUSD", **zone)
        for title, path in files.items():
            rates.append(_timed(title, rows, lambda p=path: read_any(p, "EURUSD", **zone)))
        lake = Lake(folder / "lake")
        parquet = files["Parquet"]
        opened = open_import(parquet, "EURUSD", **zone)
        rates.append(_timed("lake: write", rows, lambda: import_file(lake, parquet, opened)))
        rates.append(
            _timed("lake: read", rows, lambda: sum(map(len, read_lake_ticks(lake, ["EURUSD"]))))
        )
    return rates


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    print(f"{'format':<16} {'rows':>10} {'wall s':>8} {'CPU s':>8} {'M rows/CPU-s':>13}")
    for rate in measure(rows):
        print(
            f"{rate.format:<16} {rate.rows:>10,} {rate.wall_seconds:>8.2f}"
            f" {rate.cpu_seconds:>8.2f} {rate.rows_per_cpu_second / 1e6:>13.2f}"
        )


if __name__ == "__main__":
    main()
