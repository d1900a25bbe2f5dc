"""Predictions of any model, from a file, in the order that the engine asks for them."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.backtest.request import BacktestError
from realtime.kernels.layout import SIGNAL

_TIMES = ("time", "timestamp", "time_ns", "datetime")


def read_predictions(path: Path) -> pl.DataFrame:
    """Read predictions: Parquet or CSV with a time (bar end, UTC) and a probability of a rise.

    An optional column ``volatility`` (annual, fraction) feeds volatility targeting.

    Returns:
        Columns time_ns (i64), probability, volatility, in order of time.

    Raises:
        BacktestError: unreadable, a column missing, a probability outside [0, 1], a time twice.
    """
    try:
        frame = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, try_parse_dates=True)
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{path}: cannot be read as {path.suffix or 'CSV'}: {error}"
        raise BacktestError(msg) from error
    time = next((name for name in _TIMES if name in frame.columns), None)
    if time is None or "probability" not in frame.columns:
        msg = (
            f"{path}: needs columns time (end of the bar, UTC) and probability; it has"
            f" {', '.join(frame.columns)}"
        )
        raise BacktestError(msg)
    found = frame.select(
        _time_ns(frame.schema[time], time, path).alias("time_ns"),
        pl.col("probability").cast(pl.Float64),
        (pl.col("volatility") if "volatility" in frame.columns else pl.lit(np.nan))
        .cast(pl.Float64)
        .alias("volatility"),
    ).sort("time_ns")
    _check(found, path)
    return found


def _time_ns(kind: pl.DataType, name: str, path: Path) -> pl.Expr:
    if kind.is_integer():
        return pl.col(name).cast(pl.Int64)
    if isinstance(kind, pl.Datetime):
        return pl.col(name).dt.timestamp("ns")
    msg = f"{path}: column {name} must be a date and time in UTC or integer nanoseconds, not {kind}"
    raise BacktestError(msg)


def _check(found: pl.DataFrame, path: Path) -> None:
    outside = found.with_row_index("row").filter(
        pl.col("probability").is_not_null()
        & pl.col("probability").is_not_nan()
        & ~pl.col("probability").is_between(0.0, 1.0)
    )
    if outside.height > 0:
        first = outside.row(0, named=True)
        msg = (
            f"{path}: {outside.height} probabilities lie outside 0 to 1, the first is"
            f" {first['probability']} in row {first['row'] + 1}"
        )
        raise BacktestError(msg)
    if found["time_ns"].is_duplicated().any():
        msg = f"{path}: some times occur twice; one prediction a bar is needed"
        raise BacktestError(msg)


def signals_at(
    predictions: pl.DataFrame, ends_ns: NDArray[np.int64], path: Path
) -> NDArray[np.void]:
    """Return one SIGNAL for each deciding bar: NaN (hold what is held) where nothing is predicted.

    Args:
        predictions: as `read_predictions` returns them.
        ends_ns: (n,) ends of the deciding bars.
        path: named in errors.

    Raises:
        BacktestError: no prediction belongs to any of the bars.
    """
    times = predictions["time_ns"].to_numpy()
    at = np.searchsorted(times, ends_ns)
    inside = at < len(times)
    known = inside & (times[np.where(inside, at, 0)] == ends_ns) if len(times) else inside
    if not known.any():
        msg = (
            f"{path}: none of its {len(times)} times is the end of one of the {len(ends_ns)}"
            " deciding bars: give bar ends in UTC, of the deciding timeframe"
        )
        raise BacktestError(msg)
    signals = np.zeros(len(ends_ns), SIGNAL)
    for name in ("probability", "volatility"):
        values = predictions[name].fill_null(np.nan).to_numpy()
        signals[name] = np.where(known, values[np.where(known, at, 0)], np.nan)
    signals["feature_ns"] = ends_ns
    signals["model_ns"] = ends_ns
    return signals
