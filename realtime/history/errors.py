"""Everything that reading market data can raise: one tree, each message with file, row and remedy.

A bad *row* is not an exception: it is quarantined with a reason (`realtime.history.reasons`).
These are for what makes the whole file, or the whole request, unusable.
"""


class HistoryError(Exception):
    """Market data that cannot be read or written as asked.

    Args:
        what: what is wrong, one clause.
        file: the file (or array) it is wrong with.
        remedy: what the user can do about it.
        row: 1-based row in the file (a text file's line number), if one row shows it.
    """

    def __init__(self, what: str, *, file: str, remedy: str, row: int | None = None) -> None:
        self.what = what
        self.file = file
        self.row = row
        self.remedy = remedy
        place = file if row is None else f"{file}, row {row}"
        super().__init__(f"{place}: {what}. {remedy}")


class FileUnreadable(HistoryError):
    """Missing, a directory, no permission, or the disk failed."""


class FileEmpty(HistoryError):
    """No bytes, or a header and nothing else."""


class FileTruncated(HistoryError):
    """The compressed or structured file ends before it should."""


class FileMalformed(HistoryError):
    """The bytes are not what the format asks for."""


class FormatUnknown(HistoryError):
    """The content is none of the formats, or not the one asked for."""


class ColumnMissing(HistoryError):
    """A needed column is absent, or named by two columns."""


class DateAmbiguous(HistoryError):
    """Two-digit years, or day and month cannot be told apart."""


class ZoneUnknown(HistoryError):
    """The zone asked for does not exist."""


class ZoneUndecided(HistoryError):
    """The file does not say its time zone and its week does not show it."""


class ZoneContradicted(HistoryError):
    """The zone given or stated by the file disagrees with where the trading week closes."""


class SymbolUnknown(HistoryError):
    """The symbol is absent, unusable as a name, or its point size cannot be known."""


class TimeframeUnknown(HistoryError):
    """The bars' timeframe can neither be read from their times nor from the request."""


class RowsUnsorted(HistoryError):
    """Out of order, and too large to sort in memory."""


class NothingUsable(HistoryError):
    """Every row was quarantined."""


class OptionUnknown(HistoryError):
    """An argument of a reader has a value it cannot have."""


class LakeError(HistoryError):
    """The top of what the Parquet lake raises."""


class LakeWriteFailed(LakeError):
    """The store refused a file (full disk, no permission); what was there before is untouched."""


class LakeDamaged(LakeError):
    """A lake file cannot be read or is not one of ours."""


class LakeEmpty(LakeError):
    """Nothing stored for what was asked."""
