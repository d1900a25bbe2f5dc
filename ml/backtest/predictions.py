"""Predictions of any model, from a file, in the order that the engine asks for them."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.backtest.format import moment
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
        _numbers(frame, "probability", path),
        _numbers(frame, "volatility", path)
        if "volatility" in frame.columns
        else pl.lit(np.nan).alias("volatility"),
    )
    _check(found, path)
    return found.sort("time_ns")


def _numbers(frame: pl.DataFrame, name: str, path: Path) -> pl.Series:
    numbers = frame[name].cast(pl.Float64, strict=False)
    lost = (numbers.is_null() & frame[name].is_not_null()).arg_true()
    if len(lost) > 0:
        msg = f"{path}: {name} must be a number, not {frame[name][lost[0]]!r} in row {lost[0] + 1}"
        raise BacktestError(msg)
    return numbers


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
    empty = found["time_ns"].null_count()
    if empty > 0:
        row = found["time_ns"].is_null().arg_true()[0] + 1
        msg = f"{path}: {empty} rows without a time, the first is row {row}"
        raise BacktestError(msg)
    if found["time_ns"].is_duplicated().any():
        msg = f"{path}: some times occur twice; one prediction a bar is needed"
        raise BacktestError(msg)


def _span(times_ns: NDArray[np.int64]) -> str:
    if len(times_ns) == 0:
        return "none"
    return f"{moment(int(times_ns[0]))} to {moment(int(times_ns[-1]))}"


def _refuse_beginnings(times_ns: NDArray[np.int64], bars: NDArray[np.void], path: Path) -> None:
    """Refuse predictions at the beginnings of their bars: each would be known a bar too early.

    Most beginnings are the end of the bar before, so they would be taken; but after every hole and
    weekend there is one that is not, and ends that are nobody's beginning do not occur.
    """
    begins = np.isin(times_ns, bars["open_ns"])
    stray = begins & ~np.isin(times_ns, bars["end_ns"])
    if begins.all() and stray.any():
        first = moment(int(times_ns[stray][0]))
        msg = (
            f"{path}: its times are the beginnings of bars ({first} is not the end of any), which"
            " would look ahead by one bar: give bar ends in UTC"
        )
        raise BacktestError(msg)


def signals_at(predictions: pl.DataFrame, bars: NDArray[np.void], path: Path) -> NDArray[np.void]:
    """Return one SIGNAL for each deciding bar: NaN (hold what is held) where nothing is predicted.

    Args:
        predictions: as `read_predictions` returns them.
        bars: (n,) the deciding bars.
        path: named in errors.

    Raises:
        BacktestError: no prediction belongs to any of the bars, or all are at their beginnings.
    """
    times = predictions["time_ns"].to_numpy()
    ends_ns = bars["end_ns"]
    _refuse_beginnings(times, bars, path)
    at = np.searchsorted(times, ends_ns)
    inside = at < len(times)
    known = inside & (times[np.where(inside, at, 0)] == ends_ns) if len(times) else inside
    if not known.any():
        msg = (
            f"{path}: none of its {len(times)} times is the end of one of the {len(ends_ns)}"
            f" deciding bars (it holds {_span(times)}; the bars end {_span(ends_ns)}): give bar"
            " ends in UTC, of the deciding timeframe; integers are nanoseconds"
        )
        raise BacktestError(msg)
    signals = np.zeros(len(ends_ns), SIGNAL)
    for name in ("probability", "volatility"):
        values = predictions[name].fill_null(np.nan).to_numpy()
        signals[name] = np.where(known, values[np.where(known, at, 0)], np.nan)
    signals["feature_ns"] = ends_ns
    signals["model_ns"] = ends_ns
    return signals
