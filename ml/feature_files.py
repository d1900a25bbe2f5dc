"""Feature Parquet of the lake: what Feast reads for training, one file per symbol and month.

``<lake>/features/<view>/<SYMBOL>/<YYYY>-<MM>.parquet``. A *view* is a feature set on a clock,
named after both (`view_name`): another choice of features, or another code behind them, is another
view, so rows that mean different things never share a file. Columns:

- ``event_timestamp``: the moment the row is of, the first tick after its bar (UTC, microseconds);
- ``created_timestamp``: when it could be known. Rows folded from complete history could be known
  at once (the default); a later correction of the same moment is a further row, created later;
- ``symbol``;
- the features, float64, NaN while they warm up.

A file appears at once and whole, its rows ordered by event, then creation. Equal content gives
equal bytes, and a file that would not change is left alone. Its metadata name the files that the
rows were computed from, as these were then: the record of a training quotes them.
"""

import contextlib
import fcntl
import hashlib
import io
import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import polars as pl

from ml.errors import LearningError
from realtime.history.arrow import pa, pq
from realtime.history.lake import Lake, Month
from realtime.kernels.features.feature_set import FeatureSet

EVENT, CREATED, SYMBOL = "event_timestamp", "created_timestamp", "symbol"
KEYS = (EVENT, CREATED, SYMBOL)
MOMENT = pl.Datetime("us", "UTC")

_FOLDER = "features"
_MARK = b"aitrading.features"
_MADE_OF = b"aitrading.made_of"
_IDENTITY_DIGITS = 8
_LOCK = ".writer"


class FeatureFilesError(LearningError):
    """Rows that cannot be kept, or a file that cannot be read, as features."""


@dataclass(frozen=True, kw_only=True, order=True)
class Partition:
    """A file of the lake, as training records name it.

    Attributes:
        kind: folder in the lake: ``features/<view>``.
        symbol: whose rows.
        month: as ``"2017-03"``.
        rows: in the file.
        sha256: of the file (hex).
    """

    kind: str
    symbol: str
    month: str
    rows: int
    sha256: str


def view_name(clock: str, feature_set: FeatureSet) -> str:
    """Return the name of the view that a feature set has on a clock.

    The first digits of the set's identity tell its versions apart, as in ``h1_4f2a91c0``.
    """
    return f"{clock}_{feature_set.identity[:_IDENTITY_DIGITS]}"


def kind_of(view: str) -> str:
    """Return the folder of a view in the lake."""
    return f"{_FOLDER}/{view}"


def write_features(
    root: str | Path | Lake,
    view: str,
    symbol: str,
    month: Month | str,
    frame: pl.DataFrame,
    made_of: Sequence[Partition] = (),
) -> Partition:
    """Replace a month of a symbol's features.

    Args:
        root: the lake.
        view: see `view_name`.
        symbol: whose rows.
        month: all rows must lie in it.
        frame: ``event_timestamp`` (UTC), features (float64), optionally ``symbol`` and
            ``created_timestamp``, in any order of rows.
        made_of: the files that the rows were computed from, as they were when they were read.

    Raises:
        FeatureFilesError: rows of another symbol or month, missing or repeated moments, moments
            finer than a microsecond, columns that are not float64.
        LakeWriteFailed: the store refused; what was there before is untouched.
    """
    lake, month = _lake(root), _month(month)
    rows = _checked(frame, view, symbol)
    outside = rows.filter((pl.col(EVENT) < _moment(month)) | (pl.col(EVENT) >= _moment(month.next)))
    if len(outside):
        raise _refusal(view, symbol, f"{len(outside)} rows lie outside {month}, cut by month first")
    with _writing(lake, view):
        return _put(lake, view, symbol, month, rows, sorted(made_of))


def append_features(
    root: str | Path | Lake, view: str, symbol: str, frame: pl.DataFrame
) -> list[Partition]:
    """Add rows, also late ones, to the months they belong to.

    A row of a moment that is there already is a correction: both stay, and the one created later
    counts from its creation on. The same event and creation twice: the new row replaces the old.

    Raises:
        FeatureFilesError: see `write_features`; or columns other than those of the stored rows.
        LakeWriteFailed: the store refused.
    """
    lake = _lake(root)
    rows = _checked(frame, view, symbol)
    starts = rows.select(pl.col(EVENT).dt.truncate("1mo").unique().sort()).to_series().to_list()
    written: list[Partition] = []
    with _writing(lake, view):
        for start in starts:
            month = Month(start.year, start.month)
            new = rows.filter(pl.col(EVENT).dt.truncate("1mo") == start)
            old = read_features(lake, view, symbol, months=[month])
            if len(old) and old.columns != new.columns:
                differ = sorted(set(old.columns) ^ set(new.columns))
                raise _refusal(view, symbol, f"columns differ from {month}: {', '.join(differ)}")
            both = pl.concat([old, new]) if len(old) else new
            kept = both.unique([EVENT, CREATED], keep="last", maintain_order=True)
            sources = made_of_month(lake, view, symbol, month) if len(old) else []
            written.append(_put(lake, view, symbol, month, kept.sort(EVENT, CREATED), sources))
    return written


def read_features(
    root: str | Path | Lake,
    view: str,
    symbol: str,
    *,
    months: Iterable[Month | str] | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Return stored rows in order of event and creation.

    Args:
        root: the lake.
        view: see `view_name`.
        symbol: whose rows.
        months: which; None for all. Months that are not stored have no rows.
        columns: which, beside the three keys; None for all.

    Raises:
        FeatureFilesError: a file is damaged, or lacks a column.
    """
    lake = _lake(root)
    stored = stored_months(lake, view, symbol)
    wanted = stored if months is None else sorted({_month(each) for each in months} & set(stored))
    chosen = None if columns is None else [*KEYS, *(c for c in columns if c not in KEYS)]
    tables = [read_table(lake, view, symbol, month, chosen) for month in wanted]
    if not tables:
        return pl.DataFrame(schema={EVENT: MOMENT, CREATED: MOMENT, SYMBOL: pl.String})
    return cast("pl.DataFrame", cast("Any", pl).from_arrow(pa.concat_tables(tables)))


def read_table(
    lake: Lake, view: str, symbol: str, month: Month, columns: Sequence[str] | None = None
) -> Any:
    """Return a stored month as an Arrow table, every page checked.

    Raises:
        FeatureFilesError: the file is damaged, or lacks a column.
    """
    path = lake.path(kind_of(view), symbol, month)
    return _table(_content(lake, path), path, columns)


def read_partition(
    lake: Lake, view: str, symbol: str, month: Month, columns: Sequence[str] | None = None
) -> tuple[Any, Partition]:
    """Return a stored month as an Arrow table, and the name of exactly the bytes it came from.

    Raises:
        FeatureFilesError: the file is damaged, or lacks a column.
    """
    path = lake.path(kind_of(view), symbol, month)
    content = _content(lake, path)
    table = _table(content, path, columns)
    return table, _partition(view, symbol, month, table.num_rows, content)


def made_of_month(
    root: str | Path | Lake, view: str, symbol: str, month: Month | str
) -> list[Partition]:
    """Return the files that a stored month was computed from, as they were then.

    Raises:
        FeatureFilesError: it is not stored, or damaged.
    """
    lake, month = _lake(root), _month(month)
    path = lake.path(kind_of(view), symbol, month)
    content = _content(lake, path)
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as parquet:
            metadata: dict[bytes, bytes] = parquet.schema_arrow.metadata or {}
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: is damaged ({error}): delete it and build the features of the month"
        raise FeatureFilesError(msg) from error
    return [Partition(**each) for each in json.loads(metadata.get(_MADE_OF, b"[]"))]


def _content(lake: Lake, path: str) -> bytes:
    try:
        return lake.files.cat_file(path)
    except OSError as error:
        msg = f"{path}: cannot be read ({error}): build the features of the month"
        raise FeatureFilesError(msg) from error


def _table(content: bytes, path: str, columns: Sequence[str] | None) -> Any:
    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as parquet:
            there = set(parquet.schema_arrow.names)
            missing = [name for name in (columns or KEYS) if name not in there]
            if missing:
                msg = f"{path}: no column {', '.join(missing)}: build the features of the month"
                raise FeatureFilesError(msg)
            return parquet.read(columns=columns, use_threads=False).replace_schema_metadata()
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: is damaged ({error}): delete it and build the features of the month"
        raise FeatureFilesError(msg) from error


def stored_months(root: str | Path | Lake, view: str, symbol: str) -> list[Month]:
    """Return the months that are stored of a symbol, in order."""
    return _lake(root).months(kind_of(view), symbol)


def stored_symbols(root: str | Path | Lake, view: str) -> list[str]:
    """Return the symbols that are stored of a view, in order."""
    return [name for name in _lake(root).symbols(kind_of(view)) if not name.startswith(".")]


def partition(root: str | Path | Lake, view: str, symbol: str, month: Month | str) -> Partition:
    """Return what is stored of a month.

    Raises:
        FeatureFilesError: it is not stored, or damaged.
    """
    lake, month = _lake(root), _month(month)
    return read_partition(lake, view, symbol, month, [EVENT])[1]


def _partition(view: str, symbol: str, month: Month, rows: int, content: bytes) -> Partition:
    digest = hashlib.sha256(content).hexdigest()
    kind = kind_of(view)
    return Partition(kind=kind, symbol=symbol, month=str(month), rows=rows, sha256=digest)


def _put(
    lake: Lake,
    view: str,
    symbol: str,
    month: Month,
    rows: pl.DataFrame,
    made_of: Sequence[Partition],
) -> Partition:
    path = lake.path(kind_of(view), symbol, month)
    content = _encode(rows, made_of)
    if not lake.files.exists(path) or lake.files.cat_file(path) != content:
        lake.put(path, content)
    return _partition(view, symbol, month, len(rows), content)


def _encode(rows: pl.DataFrame, made_of: Sequence[Partition]) -> bytes:
    metadata = {_MARK: b"1"}
    if made_of:
        metadata[_MADE_OF] = json.dumps([asdict(each) for each in made_of]).encode()
    table = cast("Any", rows).to_arrow(compat_level=pl.CompatLevel.oldest())
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        buffer,
        compression="lz4",  # features hardly compress, and are read much more often than written
        write_page_checksum=True,  # a flipped bit is an error, never another feature
        use_dictionary=[SYMBOL],
        column_encoding={EVENT: "DELTA_BINARY_PACKED", CREATED: "DELTA_BINARY_PACKED"},
    )
    return buffer.getvalue()


def _checked(frame: pl.DataFrame, view: str, symbol: str) -> pl.DataFrame:
    """Return rows in the layout of the files, ordered."""
    if EVENT not in frame.columns:
        raise _refusal(view, symbol, f"no column {EVENT}")
    frame = frame.with_columns(_microseconds(frame, EVENT, view, symbol))
    if CREATED in frame.columns:
        frame = frame.with_columns(_microseconds(frame, CREATED, view, symbol))
    else:
        frame = frame.with_columns(pl.col(EVENT).alias(CREATED))
    if SYMBOL not in frame.columns:
        frame = frame.with_columns(pl.lit(symbol).alias(SYMBOL))
    others = frame.filter(pl.col(SYMBOL).cast(pl.String).ne_missing(symbol))
    if len(others):
        raise _refusal(view, symbol, f"rows of {others[SYMBOL][0]!r} among them")
    features = [name for name in frame.columns if name not in KEYS]
    wrong = [name for name in features if frame.schema[name] != pl.Float64]
    if wrong or not features:
        raise _refusal(view, symbol, f"features must be float64: {', '.join(wrong) or 'none'}")
    frame = frame.select(EVENT, CREATED, pl.col(SYMBOL).cast(pl.String), *features)
    if frame.select(pl.struct(EVENT, CREATED).is_duplicated().any()).item():
        raise _refusal(view, symbol, f"two rows of the same {EVENT} and {CREATED}")
    return frame.sort(EVENT, CREATED)


def _microseconds(frame: pl.DataFrame, column: str, view: str, symbol: str) -> pl.Series:
    """Return moments in UTC microseconds; a finer one would move, and could look ahead."""
    moments, kind = frame[column], frame.schema[column]
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        raise _refusal(view, symbol, f"{column} must be moments with a time zone, not {kind}")
    if moments.null_count():
        raise _refusal(view, symbol, f"{column} is missing in {moments.null_count()} rows")
    kept = moments.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if kind.time_unit == "ns" and (kept.dt.cast_time_unit("ns") != moments).any():
        raise _refusal(view, symbol, f"{column} is finer than a microsecond")
    return kept


def _refusal(view: str, symbol: str, what: str) -> FeatureFilesError:
    return FeatureFilesError(f"features of {symbol} in {view}: {what}")


def _moment(month: Month) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def _lake(root: str | Path | Lake) -> Lake:
    return root if isinstance(root, Lake) else Lake(root)


def _month(month: Month | str) -> Month:
    if isinstance(month, Month):
        return month
    year, _, rest = month.partition("-")
    if not (year.isdigit() and rest[:2].isdigit() and 1 <= int(rest[:2]) <= 12):
        msg = f"month {month!r}: must look like 2017-03"
        raise FeatureFilesError(msg)
    return Month(int(year), int(rest[:2]))  # also a partition's key such as 2017-03-01


@contextlib.contextmanager
def _writing(lake: Lake, view: str) -> Generator[None]:
    """Wait for the view's other writers on this machine (an object store: one by agreement)."""
    if not lake.is_local:
        yield
        return
    folder = Path(lake.root) / kind_of(view)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go of it however the process ends
        yield
