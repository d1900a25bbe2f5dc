"""Whatever happens to a file, only a `HistoryError` comes of it, and no row is lost."""

import gzip
import io
import json
import lzma
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.history.dukascopy import BAR_RECORD, TICK_RECORD
from realtime.history.errors import HistoryError
from realtime.history.read import Imported, read_any

MT5_TICKS = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n" + "".join(
    f"2024.01.08\t10:00:{i:02d}.000\t{bid}\t1.101{i:02d}\t\t\t6\r\n"
    for i, bid in enumerate(["1.10001", "", "1.10003", "1.10002"] * 10)
)
MT5_BARS = (
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
    + "".join(
        f"2024.01.08\t10:{i:02d}:00\t1.1002\t1.1005\t1.1000\t1.1003\t{i}\t0\t5\r\n"
        for i in range(40)
    )
)
CSV = "time,bid,ask,volume\n" + "".join(
    f"2024-01-08 10:00:{i:02d}.5,1.100{i:02d},1.101{i:02d},{i}\n" for i in range(40)
)
HISTDATA = "".join(f"20240108 10{i:02d}00;1.1;1.2;1.0;1.15;0\n" for i in range(40))
EPOCHS = "timestamp;open;high;low;close\n" + "".join(
    f"{1704708000 + 60 * i};1,1;1,2;1,0;1,15\n" for i in range(40)
)


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(
        {"time": np.arange(40) + 1_704_708_000, "bid": np.full(40, 1.1), "ask": np.full(40, 1.2)}
    ).write_parquet(buffer)
    return buffer.getvalue()


def json_bytes() -> bytes:
    ticks = [{"time_msc": 1_704_708_000_000 + i, "bid": 1.1, "ask": 1.2} for i in range(40)]
    return json.dumps({"metadata": {"symbol": "EURUSD"}, "ticks": ticks}).encode()


def bi5_bytes(dtype: np.dtype) -> bytes:
    records = np.zeros(40, dtype)
    for name in records.dtype.names or ():
        records[name] = 110_000
    records["ms" if dtype is TICK_RECORD else "second"] = np.arange(40) * 60
    return lzma.compress(records.tobytes(), format=lzma.FORMAT_ALONE)


VALID = {
    "EURUSD_ticks.csv": MT5_TICKS.encode(),
    "EURUSD_bars.csv": MT5_BARS.encode(),
    "EURUSD.csv": CSV.encode(),
    "EURUSD_wide.csv": CSV.encode("utf-16"),
    "EURUSD_hist.csv": HISTDATA.encode(),
    "EURUSD_epoch.csv": EPOCHS.encode(),
    "EURUSD.csv.gz": gzip.compress(CSV.encode()),
    "EURUSD.parquet": parquet_bytes(),
    "EURUSD.json": json_bytes(),
    "EURUSD/2024/00/08/10h_ticks.bi5": bi5_bytes(TICK_RECORD),
    "EURUSD/2024/00/08/BID_candles_min_1.bi5": bi5_bytes(BAR_RECORD),
}

SNIPPETS = st.sampled_from(
    [
        *(b"", b"\n", b"\r", b"\t", b",", b";", b"\x00", b'"', b"NaN", b"-", b"1e999", b"\xff\xfe"),
        *(b"9" * 30, b"0", b".", b"\xef\xbb\xbf", b"2024.01.08", b"null", b"{", b"]", b"<BID>"),
        *(b"\n\n\n", b"\t\t\t\t\t\t\t\t\t\t\t\t", b"1970-01-01", b"inf", b"1,1", b" ", b"\xe2\x82"),
    ]
)
EDIT = st.tuples(
    st.integers(0, 4000), st.integers(0, 60), st.one_of(SNIPPETS, st.binary(max_size=8))
)


def mutate(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in edits:
        start = at % (len(content) + 1)
        content = content[:start] + new + content[start + length :]
    return content


def read_or_refuse(path: Path) -> None:
    try:
        imported = read_any(path, zone="UTC", block_bytes=512)
    except HistoryError as error:
        refused = error
    else:
        check_report(imported)
        return
    assert refused.file
    assert refused.remedy


def check_report(imported: Imported) -> None:
    report = imported.report
    accounted = report.rows_kept + report.rows_quarantined + sum(report.dropped.values())
    assert accounted == report.rows_read
    assert len(imported.rows) == report.rows_kept > 0
    assert imported.quarantine.height == report.rows_quarantined
    assert report.to_text()
    time = imported.rows["time_ns" if report.kind == "ticks" else "open_ns"]
    assert (np.diff(time) >= 0).all()
    prices = ("bid", "ask") if report.kind == "ticks" else ("open", "high", "low", "close")
    for name in prices:
        assert (np.isfinite(imported.rows[name]) & (imported.rows[name] > 0)).all()


@pytest.mark.parametrize("name", VALID)
def test_the_files_that_are_mutated_are_valid_themselves(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(VALID[name])
    assert read_any(path, zone="UTC").report.rows_kept == 40


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("name", VALID)
@given(edits=st.lists(EDIT, min_size=1, max_size=6))
def test_a_mutated_file_is_read_with_no_row_lost_or_refused(
    name: str, edits: list[tuple[int, int, bytes]], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mutate(VALID[name], edits))
    read_or_refuse(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("kind", ["ticks", "bars"])
@given(content=st.binary(min_size=0, max_size=480))
def test_any_records_inside_good_lzma_are_read_with_no_row_lost_or_refused(
    kind: str, content: bytes, tmp_path: Path
) -> None:
    name = "10h_ticks" if kind == "ticks" else "BID_candles_min_1"
    path = tmp_path / f"EURUSD/2024/00/08/{name}.bi5"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(content, format=lzma.FORMAT_ALONE))
    read_or_refuse(path)
