"""The point-in-time join of training sets through Feast, beside polars' bare join_asof.

Run as a script it is the process that is measured: ``point_in_time.py ENGINE FOLDER ROWS`` prints
one line of JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from streaming import peak_mib
from tables import Table

ROOT = Path(__file__).resolve().parents[2]

ROWS, QUICK_ROWS = 100_000, 20_000
SYMBOLS, FEATURES = 20, 40
HOURS, QUICK_HOURS = (5_000, 50_000), (1_000,)
REPEATS = 5
VIEW = "h1_measured"
_START = datetime(2015, 1, 1, tzinfo=UTC)
_COLUMNS = [f"feature_{i:02d}" for i in range(FEATURES)]


def write_lake(folder: Path, hours: int) -> None:
    """Write the feature files: SYMBOLS x `hours` rows of FEATURES."""
    from ml.feature_files import EVENT, MOMENT, write_features

    random = np.random.default_rng(1)
    times = pl.Series(EVENT, [_START + timedelta(hours=i) for i in range(hours)]).cast(MOMENT)
    for number in range(SYMBOLS):
        values = random.normal(size=(FEATURES, hours))
        columns = {name: values[i] for i, name in enumerate(_COLUMNS)}
        frame = pl.DataFrame({EVENT: times, **columns})
        for (month,), rows in frame.group_by(pl.col(EVENT).dt.strftime("%Y-%m")):
            write_features(folder / "lake", VIEW, f"SYMBOL{number:02d}", str(month), rows)


def entity_rows(rows: int, hours: int) -> pl.DataFrame:
    """Return random moments of random symbols, in no order."""
    random = np.random.default_rng(2)
    seconds = random.integers(0, hours * 3_600, rows)
    start = np.datetime64(_START.replace(tzinfo=None), "us")
    times = pl.Series("event_timestamp", start + seconds.astype("timedelta64[s]"))
    symbols = [f"SYMBOL{number:02d}" for number in random.integers(0, SYMBOLS, rows)]
    frame = pl.DataFrame({"event_timestamp": times, "symbol": symbols})
    return frame.with_columns(pl.col("event_timestamp").dt.replace_time_zone("UTC"))


def store_of(folder: Path) -> Any:
    """Return a Feast store with the view registered."""
    warnings.simplefilter("ignore")
    from feast import Entity, FeatureView, Field, ValueType
    from feast.types import Float64

    from ml.feast_store.repository import apply, feature_store
    from ml.feast_store.source import FeatureParquetSource
    from realtime.settings import PathSettings, Settings

    paths = PathSettings(var=folder / "var", lake=folder / "lake", secrets=folder / "secrets")
    store = feature_store(Settings(paths=paths))
    symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
    view = FeatureView(
        name=VIEW,
        entities=[symbol],
        ttl=timedelta(days=7),
        schema=[Field(name=name, dtype=Float64) for name in _COLUMNS],
        source=FeatureParquetSource(view=VIEW, columns=_COLUMNS),
    )
    apply(store, [symbol, view])
    return store


def through_feast(store: Any, asked: pl.DataFrame) -> Any:
    """Return features through get_historical_features."""
    features = [f"{VIEW}:{name}" for name in _COLUMNS]
    job = store.get_historical_features(
        entity_df=asked.to_pandas(), features=features, filter_by_created_timestamp=True
    )
    return job.to_arrow()


def bare_join(folder: Path, asked: pl.DataFrame) -> pl.DataFrame:
    """Return features by polars alone: read everything, sort, join_asof."""
    stored = pl.read_parquet(folder / "lake" / "features" / VIEW / "*" / "*.parquet")
    return asked.sort("event_timestamp").join_asof(
        stored.sort("event_timestamp"),
        on="event_timestamp",
        by="symbol",
        tolerance=timedelta(days=7),
        check_sortedness=False,
    )


def measure(engine: str, folder: Path, rows: int, hours: int) -> dict[str, float]:
    """Return seconds of the best run, and MiB that the runs added to the peak."""
    asked = entity_rows(rows, hours)
    store = store_of(folder) if engine == "feast" else None
    if store is not None:
        through_feast(store, asked.head(10))  # imports what only a first call does
    before, taken = peak_mib(), list[float]()
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = bare_join(folder, asked) if store is None else through_feast(store, asked)
        taken.append(time.perf_counter() - start)
        assert len(found) == rows
    return {"seconds": min(taken), "added_mib": peak_mib() - before}


def section(*, quick: bool) -> Table:
    """Return the table."""
    rows = QUICK_ROWS if quick else ROWS
    lines: list[tuple[str, ...]] = []
    for hours in QUICK_HOURS if quick else HOURS:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            write_lake(folder, hours)
            said = {name: _measured(name, folder, rows, hours) for name in ("polars", "feast")}
        floor = said["polars"]["seconds"]
        for name, label in (("polars", "polars: read, join_asof"), ("feast", "through Feast")):
            seconds, added = said[name]["seconds"], said[name]["added_mib"]
            times = f"{seconds / floor:.2f}x"
            lines.append((label, f"{hours:,}", f"{seconds:.2f} s", times, f"{added:.0f} MiB"))
    return Table(
        title="Point-in-time join",
        columns=("engine", "rows a symbol", "took", "of the floor", "peak memory added"),
        rows=lines,
        notes=[
            f"{rows:,} moments in no order x {FEATURES} features over {SYMBOLS} symbols.",
            f"Parquet by symbol and month; the best of {REPEATS} runs in a process of its own.",
            "Feast's also checks every page, leaves out late rows and keeps the order asked.",
            "Aim: 100,000 x 40 within 2 s and 1 GiB.",
        ],
    )


def _measured(engine: str, folder: Path, rows: int, hours: int) -> dict[str, float]:
    command = [sys.executable, __file__, engine, str(folder), str(rows), str(hours)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
