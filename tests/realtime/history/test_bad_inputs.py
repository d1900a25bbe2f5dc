"""Every bad input gives an error or a quarantined row that names file, row and remedy."""

import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

from realtime.history import errors
from realtime.history.dukascopy import BAR_RECORD, TICK_RECORD
from realtime.history.quality import Checks
from realtime.history.read import Imported, read_any, read_bars

START = datetime(2024, 1, 2, 10, tzinfo=UTC)
NOW_NS = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp()) * 10**9
TICK_HEADER = "time,bid,ask"
BAR_HEADER = "time,open,high,low,close,volume"
MT5_TICK_HEADER = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>"
MT5_BAR_HEADER = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"


def tick_lines(count: int = 8) -> list[str]:
    moments = [START + timedelta(seconds=i) for i in range(count)]
    return [f"{m:%Y-%m-%d %H:%M:%S},1.1000{i},1.1001{i}" for i, m in enumerate(moments)]


def bar_lines(count: int = 8) -> list[str]:
    moments = [START + timedelta(minutes=i) for i in range(count)]
    return [
        f"{m:%Y-%m-%d %H:%M:%S},1.1002,1.1005,1.1000,1.1003,{i + 1}" for i, m in enumerate(moments)
    ]


def mt5_tick_lines(count: int = 8) -> list[str]:
    moments = [START + timedelta(seconds=i) for i in range(count)]
    return [
        f"{m:%Y.%m.%d\t%H:%M:%S}.{i:03d}\t1.1000{i}\t1.1001{i}\t\t\t6"
        for i, m in enumerate(moments)
    ]


def mt5_bar_lines(count: int = 8) -> list[str]:
    moments = [START + timedelta(minutes=i) for i in range(count)]
    return [
        f"{m:%Y.%m.%d\t%H:%M:%S}\t1.1002\t1.1005\t1.1000\t1.1003\t{i + 1}\t0\t5"
        for i, m in enumerate(moments)
    ]


def ticks(
    change: dict[int, str] | None = None, *, header: str = TICK_HEADER, end: str = "\n"
) -> bytes:
    """A CSV of ticks with some lines (by line number, header = 1) replaced."""
    lines = [header, *tick_lines()]
    for number, line in (change or {}).items():
        lines[number - 1] = line
    return (end.join(lines) + end).encode()


def bars(change: dict[int, str] | None = None, *, header: str = BAR_HEADER) -> bytes:
    lines = [header, *bar_lines()]
    for number, line in (change or {}).items():
        lines[number - 1] = line
    return ("\n".join(lines) + "\n").encode()


def mt5(header: str, lines: list[str], change: dict[int, str] | None = None) -> bytes:
    whole = [header, *lines]
    for number, line in (change or {}).items():
        whole[number - 1] = line
    return ("\r\n".join(whole) + "\r\n").encode()


def at(second: int) -> str:
    return f"{START + timedelta(seconds=second):%Y-%m-%d %H:%M:%S}"


def epochs(unit: int) -> list[str]:
    base = int(START.timestamp())
    return [f"{(base + i) * unit},1.1000{i},1.1001{i}" for i in range(8)]


def parquet(**columns: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


def parquet_times(unit: Literal["ms", "us", "ns"], zone: str | None = None) -> pl.Series:
    moments = [START.replace(tzinfo=None) + timedelta(seconds=i) for i in range(8)]
    series = pl.Series(moments).cast(pl.Datetime(unit))
    return series if zone is None else series.dt.replace_time_zone(zone)


PRICES = {"bid": [1.1 + i / 1e5 for i in range(8)], "ask": [1.1001 + i / 1e5 for i in range(8)]}


def bi5_ticks(count: int = 50) -> bytes:
    records = np.zeros(count, TICK_RECORD)
    records["ms"] = np.arange(count) * 1000
    records["bid"] = 110000 + np.arange(count)
    records["ask"] = 110010 + np.arange(count)
    records["bid_volume"] = records["ask_volume"] = 1.0
    return lzma.compress(records.tobytes(), format=lzma.FORMAT_ALONE)


def bi5_bars() -> bytes:
    records = np.zeros(20, BAR_RECORD)
    records["second"] = np.arange(20) * 60
    records["open"] = records["close"] = 110002
    records["low"], records["high"] = 110000, 110005
    records["volume"] = 3.0
    records["volume"][7] = 0.0
    records["high"][7] = records["low"][7] = 110002
    return lzma.compress(records.tobytes(), format=lzma.FORMAT_ALONE)


BI5 = "EURUSD/2024/00/02/10h_ticks.bi5"


def json_ticks(change: Callable[[list[dict[str, Any]]], None] = lambda ticks: None) -> bytes:
    base = int(START.timestamp()) * 1000
    entries = [
        {"time_msc": base + i * 1000, "bid": 1.1, "ask": 1.1001, "tick_flags": "BID ASK"}
        for i in range(8)
    ]
    change(entries)
    return json.dumps({"metadata": {"symbol": "EURUSD"}, "ticks": entries}).encode()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and what must come of it: an error, or rows in quarantine, or neither."""

    content: bytes
    name: str = "EURUSD.csv"
    options: dict[str, Any] = field(default_factory=dict)
    error: type[errors.HistoryError] | None = None
    error_row: int | None = None
    says: str = ""  # must occur in the message, the remedy or the report
    quarantined: dict[int, str] = field(default_factory=dict)  # row to reason
    dropped: int = 0
    rows: int = 8


UTC_ZONE = {"zone": "UTC"}
CASES: dict[str, Case] = {
    # The file itself
    "empty file": Case(content=b"", error=errors.FileEmpty, says="Download"),
    "blank lines only": Case(content=b"\n\n\r\n", error=errors.FileEmpty, says="blank"),
    "header only": Case(content=b"time,bid,ask\n", error=errors.FileEmpty, error_row=1),
    "MT5 header only": Case(
        content=MT5_TICK_HEADER.encode(), error=errors.FileEmpty, says="Export it again"
    ),
    "binary garbage": Case(
        content=bytes(range(256)) * 40, error=errors.FormatUnknown, says="binary"
    ),
    "prose": Case(content=b"Dear customer\nthe file is gone\n", error=errors.FormatUnknown),
    "one endless line": Case(
        content=TICK_HEADER.encode() + b"\n" + b"1,2," * 800_000,
        error=errors.HistoryError,
        says="Give a",
    ),
    "no header": Case(
        content="\n".join(tick_lines()).encode(), error=errors.FormatUnknown, says="header line"
    ),
    "wrong delimiter": Case(
        content=ticks().replace(b",", b"~"), error=errors.FormatUnknown, says="delimiter"
    ),
    "huge file name": Case(
        content=b"", name="E" * 240 + ".csv", error=errors.FileEmpty, says="..."
    ),
    # Compressed
    "truncated gzip": Case(
        content=gzip.compress(ticks())[:-20], options=UTC_ZONE, error=errors.FileTruncated
    ),
    "damaged zip": Case(
        content=b"PK\x03\x04" + b"\x00" * 60, name="EURUSD.zip", error=errors.FileTruncated
    ),
    "truncated bi5": Case(
        content=bi5_ticks()[:-30], name=BI5, error=errors.FileTruncated, says="Download it again"
    ),
    "bi5 of something else": Case(
        content=b"not lzma at all, really", name=BI5, error=errors.FileMalformed
    ),
    "bi5 of half records": Case(
        content=lzma.compress(b"x" * 33, format=lzma.FORMAT_ALONE),
        name=BI5,
        error=errors.FileMalformed,
        says="whole records",
    ),
    "bi5 without its folders": Case(
        content=bi5_ticks(), name="10h_ticks.bi5", error=errors.FormatUnknown, says="folders"
    ),
    "bi5 with months from one": Case(
        content=bi5_ticks(),
        name="EURUSD/2024/12/02/10h_ticks.bi5",
        error=errors.FileMalformed,
        says="00 (January)",
    ),
    "bi5 of a symbol without known point": Case(
        content=bi5_ticks(),
        name="USA500/2024/00/02/10h_ticks.bi5",
        error=errors.SymbolUnknown,
        says="point=",
    ),
    "bi5 candles without trades": Case(
        content=bi5_bars(),
        name="EURUSD/2024/00/02/BID_candles_min_1.bi5",
        quarantined={8: "no_trades"},
        rows=20,
    ),
    "truncated JSON": Case(
        content=json_ticks()[:-50], name="ticks.json", error=errors.FileTruncated, error_row=1
    ),
    "JSON without ticks": Case(
        content=b'{"metadata": {}}', name="ticks.json", error=errors.ColumnMissing
    ),
    "JSON with an empty list": Case(
        content=b'{"ticks": []}', name="ticks.json", error=errors.FileEmpty
    ),
    "JSON tick with text for a price": Case(
        content=json_ticks(lambda t: t[3].update(bid="high")),
        name="ticks.json",
        options=UTC_ZONE,
        quarantined={4: "unreadable"},
    ),
    "JSON tick without a price": Case(
        content=json_ticks(lambda t: t[5].pop("ask")),
        name="ticks.json",
        options=UTC_ZONE,
        quarantined={6: "missing_fields"},
    ),
    # Columns
    "missing column": Case(
        content=ticks(header="time,bid,volume"), error=errors.ColumnMissing, says="'volume'"
    ),
    "missing time column": Case(
        content=ticks(header="x,bid,ask"), error=errors.ColumnMissing, says="no time column"
    ),
    "columns named by the user but absent": Case(
        content=ticks(), options={"columns": {"bid": "B1"}}, error=errors.ColumnMissing, says="'B1'"
    ),
    "a role that does not exist": Case(
        content=ticks(), options={"columns": {"bidd": "bid"}}, error=errors.OptionUnknown
    ),
    "MT5 bars without close": Case(
        content=mt5(MT5_BAR_HEADER.replace("<CLOSE>", "<CLOS>"), mt5_bar_lines()),
        error=errors.ColumnMissing,
        says="<CLOSE>",
        error_row=1,
    ),
    "Parquet without needed columns": Case(
        content=parquet(time=parquet_times("ms"), bid=PRICES["bid"]),
        name="EURUSD.parquet",
        error=errors.ColumnMissing,
        says="ask",
    ),
    "damaged Parquet": Case(
        content=parquet(time=parquet_times("ms"), **PRICES)[:-9] + b"PAR1PAR1",
        name="EURUSD.parquet",
        error=errors.FileMalformed,
    ),
    "extra columns": Case(
        content=ticks(header="time,bid,ask").replace(b"\n", b",7\n").replace(b"ask,7", b"ask,mood"),
        options=UTC_ZONE,
        says="not used: mood",
    ),
    # Fields
    "truncated last row": Case(
        content=ticks()[:-12], options=UTC_ZONE, quarantined={9: "missing_fields"}
    ),
    "text in a number": Case(
        content=ticks({5: f"{at(3)},abc,1.1"}), options=UTC_ZONE, quarantined={5: "unreadable"}
    ),
    "too many fields": Case(
        content=ticks({5: f"{at(3)},1.1,1.2,1.3"}),
        options=UTC_ZONE,
        quarantined={5: "extra_fields"},
    ),
    "decimal comma between commas": Case(
        content=ticks().replace(b"1.1", b"1,1"),
        options=UTC_ZONE,
        error=errors.HistoryError,
        says="row 2",
    ),
    "decimal comma between semicolons": Case(
        content=ticks().replace(b",", b";").replace(b".", b","),
        options=UTC_ZONE,
        says="decimal comma",
    ),
    "quoted fields": Case(content=ticks().replace(b",", b'","'), options=UTC_ZONE),
    "NaN": Case(
        content=ticks({4: f"{at(2)},NaN,1.1"}), options=UTC_ZONE, quarantined={4: "not_a_number"}
    ),
    "infinity": Case(
        content=ticks({4: f"{at(2)},1.1,inf"}), options=UTC_ZONE, quarantined={4: "not_a_number"}
    ),
    "a number beyond all numbers": Case(
        content=ticks({4: f"{at(2)},1.1,1e999"}), options=UTC_ZONE, quarantined={4: "not_a_number"}
    ),
    "infinite spread": Case(
        content=mt5(
            MT5_BAR_HEADER,
            mt5_bar_lines(),
            {4: "2024.01.02\t10:02:00\t1.1002\t1.1005\t1.1000\t1.1003\t3\t0\t1e999"},
        ),
        options=UTC_ZONE,
        quarantined={4: "not_a_number"},
    ),
    "negative spread": Case(
        content=mt5(
            MT5_BAR_HEADER,
            mt5_bar_lines(),
            {4: "2024.01.02\t10:02:00\t1.1002\t1.1005\t1.1000\t1.1003\t3\t0\t-1"},
        ),
        options=UTC_ZONE,
        quarantined={4: "crossed"},
    ),
    "infinite volume": Case(
        content=bars({4: f"{at(120)},1.1,1.1,1.1,1.1,inf"}),
        options=UTC_ZONE,
        quarantined={4: "not_a_number"},
    ),
    "zero price": Case(
        content=ticks({4: f"{at(2)},0,1.1"}), options=UTC_ZONE, quarantined={4: "non_positive"}
    ),
    "negative price": Case(
        content=ticks({4: f"{at(2)},-1.1,1.1"}), options=UTC_ZONE, quarantined={4: "non_positive"}
    ),
    "crossed": Case(
        content=ticks({4: f"{at(2)},1.1005,1.1001"}), options=UTC_ZONE, quarantined={4: "crossed"}
    ),
    "columns swapped": Case(
        content=ticks(header="time,ask,bid"),
        options=UTC_ZONE,
        error=errors.NothingUsable,
        says="row 2",
    ),
    "spike": Case(
        content=ticks({5: f"{at(3)},1.9,1.9001"}), options=UTC_ZONE, quarantined={5: "spike"}
    ),
    "blank price in a plain CSV": Case(
        content=ticks({5: f"{at(3)},,1.1"}), options=UTC_ZONE, quarantined={5: "missing_fields"}
    ),
    "MT5 ticks that start with a blank bid": Case(
        content=mt5(
            MT5_TICK_HEADER, mt5_tick_lines(), {2: "2024.01.02\t10:00:00.000\t\t1.10011\t\t\t4"}
        ),
        options=UTC_ZONE,
        quarantined={2: "no_previous_price"},
    ),
    "MT5 ticks cut in the middle of a row": Case(
        content=mt5(MT5_TICK_HEADER, mt5_tick_lines())[:-20],
        options=UTC_ZONE,
        quarantined={9: "missing_fields"},
    ),
    "negative volume": Case(
        content=bars({4: f"{at(120)},1.1,1.1,1.1,1.1,-3"}),
        options=UTC_ZONE,
        quarantined={4: "negative_volume"},
    ),
    # Times
    "backwards": Case(
        content=ticks({6: f"{at(-500)},1.1,1.1001"}),
        options=UTC_ZONE,
        quarantined={6: "backwards"},
    ),
    "one late row": Case(
        content=ticks({4: f"{at(90000)},1.1,1.1001"}),
        options=UTC_ZONE,
        quarantined={4: "backwards"},
    ),
    "newest first": Case(
        content="\n".join([TICK_HEADER, *tick_lines()[::-1]]).encode(),
        options=UTC_ZONE,
        says="sorted",
    ),
    "duplicate row": Case(
        content=ticks({5: tick_lines()[2]}), options=UTC_ZONE, dropped=1, says="duplicate"
    ),
    "duplicate bar time": Case(
        content=bars({5: f"{at(120)},1.1,1.2,1.0,1.15,9"}),
        options=UTC_ZONE,
        quarantined={5: "duplicate_time"},
    ),
    "the content says another pair": Case(
        content=json_ticks(),
        name="ticks.json",
        options={"symbol": "GBPUSD", "zone": "UTC"},
        error=errors.SymbolUnknown,
        says="it holds EURUSD, not GBPUSD",
    ),
    "bad date": Case(
        content=ticks({5: "2024-13-45 10:00:03,1.1,1.1001"}),
        options=UTC_ZONE,
        quarantined={5: "bad_time"},
    ),
    "no date": Case(
        content=ticks({5: ",1.1,1.1001"}), options=UTC_ZONE, quarantined={5: "missing_fields"}
    ),
    "day first, undecidable": Case(
        content=ticks().replace(b"2024-01-02", b"02/01/2024"),
        options=UTC_ZONE,
        error=errors.DateAmbiguous,
        says="date_order='day'",
    ),
    "day first, said": Case(
        content=ticks().replace(b"2024-01-02", b"02/01/2024"),
        options={**UTC_ZONE, "date_order": "day"},
    ),
    "day first, shown by a day above 12": Case(
        content=ticks().replace(b"2024-01-02", b"23/01/2024"), options=UTC_ZONE
    ),
    "a date order that does not exist": Case(
        content=ticks(), options={**UTC_ZONE, "date_order": "year"}, error=errors.OptionUnknown
    ),
    "two-digit year": Case(
        content=ticks().replace(b"2024-01-02", b"02.01.24"),
        options=UTC_ZONE,
        error=errors.DateAmbiguous,
        says="four-digit",
    ),
    "epoch in s": Case(content="\n".join([TICK_HEADER, *epochs(1)]).encode(), says="epoch in s"),
    "epoch in ms": Case(content="\n".join([TICK_HEADER, *epochs(1000)]).encode(), says="in ms"),
    "epoch in us": Case(content="\n".join([TICK_HEADER, *epochs(10**6)]).encode(), says="in us"),
    "epoch in ns": Case(content="\n".join([TICK_HEADER, *epochs(10**9)]).encode(), says="in ns"),
    "one epoch in ms among s": Case(
        content="\n".join([TICK_HEADER, *epochs(1)[:4], epochs(1000)[4], *epochs(1)[5:]]).encode(),
        quarantined={6: "implausible_time"},
    ),
    "year 1970": Case(
        content=ticks({5: "1970-01-01 00:00:00,1.1,1.1001"}),
        options=UTC_ZONE,
        quarantined={5: "implausible_time"},
    ),
    "year 9999": Case(
        content=ticks({5: "9999-01-01 00:00:00,1.1,1.1001"}),
        options=UTC_ZONE,
        quarantined={5: "implausible_time"},
    ),
    "future": Case(
        content=ticks({9: "2031-01-02 00:00:00,1.1,1.1001"}),
        options={**UTC_ZONE, "checks": Checks(now_ns=NOW_NS)},
        quarantined={9: "future_time"},
    ),
    "weekend rows": Case(
        content=ticks({9: "2024-01-06 12:00:00,1.1,1.1001"}),
        options=UTC_ZONE,
        quarantined={9: "weekend"},
    ),
    "weekend rows of what trades at weekends": Case(
        content=ticks({9: "2024-01-06 12:00:00,1.1,1.1001"}),
        name="BTCUSD.csv",
        options={**UTC_ZONE, "symbol": "BTCUSD"},
    ),
    "gap": Case(
        content=ticks({9: "2024-01-02 15:00:00,1.1,1.1001"}), options=UTC_ZONE, says="gaps        1"
    ),
    "hour that the clock change skips": Case(
        content=ticks({9: "2024-03-10 02:30:00,1.1,1.1001"}),
        options={"zone": "New_York", "checks": Checks(market="always")},
        quarantined={9: "missing_hour"},
    ),
    "no zone and no week": Case(content=ticks(), error=errors.ZoneUndecided, says="New_York+7"),
    "unknown zone": Case(
        content=ticks(), options={"zone": "New_Yrok+7"}, error=errors.ZoneUnknown, says="New_York"
    ),
    # Bars
    "high below low": Case(
        content=bars({6: f"{at(240)},1.1002,1.1000,1.1005,1.1003,5"}),
        options=UTC_ZONE,
        quarantined={6: "inconsistent_ohlc"},
    ),
    "high below close": Case(
        content=bars({6: f"{at(240)},1.1002,1.1002,1.1000,1.1003,5"}),
        options=UTC_ZONE,
        quarantined={6: "inconsistent_ohlc"},
    ),
    "a single bar": Case(
        content="\n".join([BAR_HEADER, bar_lines()[0]]).encode(),
        options=UTC_ZONE,
        error=errors.TimeframeUnknown,
        says="timeframe=",
    ),
    "unknown timeframe": Case(
        content=bars(), options={**UTC_ZONE, "timeframe": "M7"}, error=errors.TimeframeUnknown
    ),
    "bars 7 minutes apart": Case(
        content="\n".join([BAR_HEADER, *[f"{at(420 * i)},1,1,1,1,1" for i in range(9)]]).encode(),
        options=UTC_ZONE,
        error=errors.TimeframeUnknown,
        says="420 s",
    ),
    # Symbols and requests
    "unknown symbol": Case(
        content=ticks(), name="data.csv", error=errors.SymbolUnknown, says="symbol="
    ),
    "a symbol that names a folder": Case(
        content=ticks(), options={"symbol": "../EURUSD"}, error=errors.SymbolUnknown
    ),
    "bars asked for as ticks": Case(
        content=bars(), options={"kind": "ticks"}, error=errors.FormatUnknown, says="read_bars"
    ),
    "another format than asked for": Case(
        content=ticks(), options={"format": "mt5_ticks"}, error=errors.FormatUnknown, says="csv"
    ),
    # Encodings and line ends: nothing is wrong with these
    "UTF-16 with a mark": Case(
        content=b"\xff\xfe" + mt5(MT5_TICK_HEADER, mt5_tick_lines()).decode().encode("utf-16-le"),
        options=UTC_ZONE,
    ),
    "UTF-16 without a mark": Case(content=ticks().decode().encode("utf-16-le"), options=UTC_ZONE),
    "UTF-8 with a mark": Case(content=b"\xef\xbb\xbf" + ticks(), options=UTC_ZONE),
    "mixed line endings": Case(
        content=ticks().replace(b"\n", b"\r\n", 3).replace(b"4\n", b"4\r", 1), options=UTC_ZONE
    ),
    "old Mac line endings": Case(content=ticks(end="\r"), options=UTC_ZONE),
    "blank lines between": Case(content=ticks().replace(b"\n", b"\n\n"), options=UTC_ZONE),
    "a zero byte in a field": Case(
        content=ticks({5: f"{at(3)},1.\x001,1.1001"}),
        options=UTC_ZONE,
        quarantined={5: "unreadable"},
    ),
    "letters that are not UTF-8": Case(
        content=ticks({5: f"{at(3)},#,1.1001"}).replace(b"#", b"\xe4\xff"),
        options=UTC_ZONE,
        quarantined={5: "unreadable"},
    ),
    "gzip": Case(content=gzip.compress(ticks()), options=UTC_ZONE),
    # Parquet times
    **{
        f"Parquet with naive {unit} times": Case(
            content=parquet(time=parquet_times(unit), **PRICES),
            name="EURUSD.parquet",
            options=UTC_ZONE,
        )
        for unit in ("ms", "us", "ns")
    },
    **{
        f"Parquet with {zone} times": Case(
            content=parquet(time=parquet_times("us", zone), **PRICES), name="EURUSD.parquet"
        )
        for zone in ("UTC", "America/New_York")
    },
    "Parquet with text times": Case(
        content=parquet(time=[at(i) for i in range(8)], **PRICES),
        name="EURUSD.parquet",
        options=UTC_ZONE,
    ),
    "Parquet with naive times and no zone": Case(
        content=parquet(time=parquet_times("ms"), **PRICES),
        name="EURUSD.parquet",
        error=errors.ZoneUndecided,
    ),
    "Parquet with nulls": Case(
        content=parquet(
            time=parquet_times("ms", "UTC"), bid=[None, *PRICES["bid"][1:]], ask=PRICES["ask"]
        ),
        name="EURUSD.parquet",
        quarantined={1: "not_a_number"},
    ),
}


def write(folder: Path, case: Case) -> Path:
    path = folder / case.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.content)
    return path


def check_nothing_lost(imported: Imported) -> None:
    report = imported.report
    assert len(imported.rows) == report.rows_kept
    assert imported.quarantine.height == report.rows_quarantined
    accounted = report.rows_kept + report.rows_quarantined + sum(report.dropped.values())
    assert accounted == report.rows_read


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_bad_input_is_refused_or_quarantined_with_file_row_and_remedy(
    case: Case, tmp_path: Path
) -> None:
    path = write(tmp_path, case)
    if case.error is not None:
        with pytest.raises(case.error) as caught:
            read_any(path, **case.options)
        error = caught.value
        assert error.file[-20:] in str(path) or error.file == "the request"
        assert error.remedy.strip() in str(error)
        assert len(error.remedy) > 10
        assert case.says in str(error)
        assert case.error_row is None or error.row == case.error_row
        return
    imported = read_any(path, **case.options)
    found = dict(zip(imported.quarantine["row"], imported.quarantine["reason"], strict=True))
    assert found == case.quarantined
    assert (imported.quarantine["file"] == str(path)).all()
    assert (imported.quarantine["raw"].str.len_chars() > 0).all()
    assert (imported.quarantine["remedy"].str.len_chars() > 5).all()
    assert imported.report.rows_read == case.rows
    assert sum(imported.report.dropped.values()) == case.dropped
    check_nothing_lost(imported)
    assert case.says in imported.report.to_text()
    for row in case.quarantined:
        assert f"row {row}: " in imported.report.to_text()


def test_the_table_holds_at_least_thirty_bad_inputs() -> None:
    assert sum(1 for case in CASES.values() if case.error or case.quarantined) >= 30


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.FileUnreadable, match=r"nothing_here\.csv: no such file\. Check"):
        read_any(tmp_path / "nothing_here.csv", "EURUSD")


def test_a_directory_of_no_market_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.FileUnreadable, match=r"without \.bi5 files.*Give one file"):
        read_any(tmp_path, "EURUSD")


def test_a_file_name_longer_than_the_system_allows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.FileUnreadable, match=r"\.\.\..*Check the path"):
        read_any(tmp_path / ("x" * 5000), "EURUSD")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "EURUSD.csv"
    path.write_bytes(ticks())

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so it is played
    with pytest.raises(errors.FileUnreadable, match="no permission"):
        read_any(path)


def test_a_zip_of_one_table_is_read_and_a_zip_of_two_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "EURUSD_one.zip", tmp_path / "EURUSD_two.zip"
    with zipfile.ZipFile(one, "w") as archive:
        archive.writestr("EURUSD.csv", ticks())
        archive.writestr("readme.txt", "status report")
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", ticks())
        archive.writestr("b.csv", ticks())
    assert read_any(one, zone="UTC").report.rows_kept == 8
    with pytest.raises(errors.FormatUnknown, match=r"a\.csv, b\.csv.*one by one"):
        read_any(two, zone="UTC")


def test_none_from_the_metatrader_package_is_refused() -> None:
    with pytest.raises(errors.FileEmpty, match="last_error"):
        read_any(None, "EURUSD")


def test_an_array_of_other_fields_is_refused() -> None:
    with pytest.raises(errors.FormatUnknown, match="neither rates nor ticks"):
        read_any(np.zeros(3, [("x", "f8")]), "EURUSD")


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="timezone"):
        read_any("x.csv", timezone="UTC")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="spikes"):
        Checks(spikes=3)  # pyright: ignore[reportCallIssue]


def test_a_damaged_hour_in_a_folder_is_named_and_the_other_hours_are_kept(tmp_path: Path) -> None:
    for hour in range(4):
        path = tmp_path / f"EURUSD/2024/00/02/{hour:02d}h_ticks.bi5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bi5_ticks()[:-30] if hour == 2 else b"" if hour == 3 else bi5_ticks())
    imported = read_any(tmp_path)
    assert imported.report.rows_kept == 100
    left_out = [note for note in imported.report.notes if "left out" in note]
    assert len(left_out) == 1
    assert "02h_ticks.bi5: the LZMA data end early. Download it again." in left_out[0]


def cut_file(path: Path, cut: int, *, end: str = "") -> Path:
    """Hours whose last column is the close, without the last characters."""
    closes = (1.08012, 1.08034, 1.08055, 1.08012)
    rows = [f"2024-01-08 {h:02d}:00:00,1.08,1.09,1.07,{c:.5f}" for h, c in enumerate(closes)]
    text = "\n".join(["time,open,high,low,close", *rows])
    path.write_text(text[: len(text) - cut] + end)
    return path


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_last_line_that_may_be_cut_is_kept_out(tmp_path: Path, cut: int) -> None:
    """A download that was under way ended in 1.08 for 1.08012, which is a price."""
    read = read_bars(cut_file(tmp_path / "EURUSD.csv", cut), zone="UTC")
    assert read.report.quarantined == {"unfinished": 1}
    assert len(read.rows) == 3
    assert read.quarantine["row"].to_list() == [5]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_that_is_whole_is_kept_with_or_without_its_end(
    tmp_path: Path, end: str
) -> None:
    read = read_bars(cut_file(tmp_path / "EURUSD.csv", 0, end=end), zone="UTC")
    assert read.report.quarantined == {}
    assert read.rows["close"][-1] == 1.08012


def test_a_short_last_price_that_has_its_end_is_a_price(tmp_path: Path) -> None:
    read = read_bars(cut_file(tmp_path / "EURUSD.csv", 3, end="\n"), zone="UTC")
    assert read.rows["close"][-1] == 1.08
