"""The inbox: market data files dropped into ``<var>/inbox/<SYMBOL>/``, and which are in the lake.

A symbol's folder may hold an ``import.toml`` that says what its files do not: see `ImportOptions`.
What was imported is noted beside the lake, so that a file is read once and a lake that was deleted
is filled again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from realtime.declarations import Declaration, SettingsError, setting
from realtime.history.market import checked_symbol
from realtime.settings import Settings, read_toml

#: A file that changed less than this ago may still be being written.
SETTLED_NS = 5_000_000_000

OPTIONS_FILE = "import.toml"
_INDEX = Path("imports") / "files.json"
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download")


@dataclass(frozen=True, kw_only=True)
class ImportOptions(Declaration):
    """What may be said about files; see `realtime.history.read.open_import`.

    Attributes:
        zone: the files' clock; empty = as they say, or found.
        format: of the files; empty = recognised.
        date_order: ``"day"`` or ``"month"`` first; empty = found.
        timeframe: of bars; empty = found.
        point: size of a point where prices are whole points; 0 = found.
        spread_points: where bars have no spread; 0 = the symbol's typical one.
        source: whose ticks they are: newer files of a source replace what older ones said; empty =
            files whose names differ in digits only are of one source.
        ask_bars: bars are of the ask; the spread is taken off to get the bid.
        max_quarantined_fraction: of the rows, above which the data are not trained on.
    """

    zone: str = ""
    format: str = ""
    date_order: str = setting("", codes={"": 0, "day": 1, "month": 2})
    timeframe: str = ""
    point: float = setting(0.0, least=0)
    spread_points: float = setting(0.0, least=0)
    source: str = ""
    ask_bars: bool = False
    max_quarantined_fraction: float = setting(0.02, least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class InboxFile:
    """One file (or folder of files) to import.

    Attributes:
        symbol: whose data it holds.
        path: absolute.
        size: bytes, of all its files.
        modified_ns: of its newest file.
        options: what was said about it.
    """

    symbol: str
    path: Path
    size: int
    modified_ns: int
    options: ImportOptions

    @property
    def version(self) -> str:
        """Hash that changes when the file or what was said about it does."""
        said = json.dumps(asdict(self.options), sort_keys=True)
        text = f"{self.symbol}\n{self.path}\n{self.size}\n{self.modified_ns}\n{said}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def is_settled(self, now_ns: int) -> bool:
        """Tell whether nobody seems to be writing it."""
        return abs(now_ns - self.modified_ns) >= SETTLED_NS


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """What lies in the inbox.

    Attributes:
        files: in order of symbol and name.
        refused: folders whose ``import.toml`` cannot be understood; their files are left alone.
    """

    files: tuple[InboxFile, ...] = ()
    refused: tuple[SettingsError, ...] = ()

    def settled(self, now_ns: int) -> list[InboxFile]:
        """Return the files that may be read."""
        return [file for file in self.files if file.is_settled(now_ns)]

    def unsettled(self, now_ns: int) -> list[InboxFile]:
        """Return the files that may still be being written."""
        return [file for file in self.files if not file.is_settled(now_ns)]


def inbox_folder(settings: Settings) -> Path:
    """Return where files are dropped."""
    return settings.paths.var / "inbox"


def file_of(symbol: str, path: Path, options: ImportOptions) -> InboxFile:
    """Return a file as it is now.

    Raises:
        SettingsError: it does not exist, or the symbol cannot be a name.
    """
    parts = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    try:
        states = [part.stat() for part in parts]
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}; give an existing file of {symbol}"
        raise SettingsError(msg) from error
    return InboxFile(
        symbol=checked_symbol(symbol, str(path)),
        path=path.resolve(),
        size=sum(state.st_size for state in states),
        modified_ns=max((state.st_mtime_ns for state in states), default=0),
        options=options,
    )


def inbox_files(settings: Settings) -> list[InboxFile]:
    """Return what lies in the inbox, in order of symbol and name.

    Hidden files and those that are still being downloaded are left out.

    Raises:
        SettingsError: an ``import.toml`` cannot be understood.
    """
    inbox = look_into(settings)
    if inbox.refused:
        raise inbox.refused[0]
    return list(inbox.files)


def look_into(settings: Settings) -> Inbox:
    """Return what lies in the inbox; a folder that cannot be understood keeps no other back."""
    folder = inbox_folder(settings)
    files: list[InboxFile] = []
    refused: list[SettingsError] = []
    for home in sorted(each for each in folder.glob("*") if each.is_dir()):
        if home.name.startswith("."):
            continue
        try:
            options = _options(home / OPTIONS_FILE)
        except SettingsError as error:
            refused.append(error)
            continue
        for path in sorted(home.iterdir()):
            if _is_data(path):
                try:
                    files.append(file_of(home.name, path, options))
                except SettingsError as error:  # it went away, or is a link to nowhere
                    refused.append(error)
    return Inbox(files=tuple(files), refused=tuple(refused))


def _options(path: Path) -> ImportOptions:
    return ImportOptions.read(read_toml(path), str(path)) if path.exists() else ImportOptions()


def _is_data(path: Path) -> bool:
    hidden = path.name.startswith(".") or path.name == OPTIONS_FILE
    return not hidden and path.suffix.lower() not in _UNFINISHED


class ImportIndex:
    """Which files are in the lake, kept in ``<lake>/imports/files.json``.

    Args:
        settings: with the lake's folder.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.paths.lake / _INDEX
        self._entries: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            self._entries = cast(
                "dict[str, dict[str, Any]]", json.loads(self._path.read_text(encoding="utf-8"))
            )

    def new_of(self, files: Iterable[InboxFile]) -> list[InboxFile]:
        """Return the files that are not in the lake as they are now."""
        return [
            file
            for file in files
            if self._entries.get(str(file.path), {}).get("version") != file.version
        ]

    def entries(self, symbol: str) -> list[Mapping[str, Any]]:
        """Return what is known of a symbol's imported files, in the order they were imported."""
        return [each for each in self._entries.values() if each["symbol"] == symbol]

    def symbols(self) -> list[str]:
        """Return the symbols of all imported files, in order of name."""
        return sorted({str(each["symbol"]) for each in self._entries.values()})

    def too_dirty(self) -> list[str]:
        """Return the symbols with a file of which too large a share was kept out."""
        dirty = {str(each["symbol"]) for each in self._entries.values() if is_too_dirty(each)}
        return sorted(dirty)

    def forget_missing(self) -> None:
        """Forget files that are no more: what was wrong with them stops nothing any longer."""
        there = {path: each for path, each in self._entries.items() if Path(path).exists()}
        if len(there) < len(self._entries):
            self._entries = there
            self._write()

    def keep(self, file: InboxFile, told: Mapping[str, Any]) -> None:
        """Note that a file is in the lake, with what its import told."""
        known = {"symbol": file.symbol, "version": file.version, "size": file.size}
        self._entries.pop(str(file.path), None)
        self._entries[str(file.path)] = {**told, **known}
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(json.dumps(self._entries, indent=1), encoding="utf-8")
        partial.replace(self._path)


def quarantined_share(entry: Mapping[str, Any]) -> float:
    """Return the share of an imported file's rows that was kept out."""
    return int(entry["rows_quarantined"]) / max(int(entry["rows_read"]), 1)


def is_too_dirty(entry: Mapping[str, Any]) -> bool:
    """Tell whether more of an imported file was kept out than is allowed."""
    return quarantined_share(entry) > float(entry["max_quarantined_fraction"])
