"""Memory of a fold over many ticks: made, folded and let go chunk by chunk.

Run as a script it is the process that is measured: ``streaming.py TICKS CHUNK`` prints one line of
JSON.
"""

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path

from engines import MIXED, tick_engine
from markets import BLOCK, START_NS, end_of_ticks_ns, tick_blocks
from tables import Table, count

TICKS = (1_000_000, 5_000_000, 10_000_000)
QUICK_TICKS = (500_000, 1_000_000)
CHUNKS = (BLOCK, 7_777)
_LONGEST = 10_000_000


def peak_mib() -> float:
    """Return the most memory this process ever had.

    Where there is /proc: getrusage counts what the parent had when it forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes, on macOS


def fold_and_report(marks: list[int], chunk: int) -> dict[str, object]:
    """Fold ticks in chunks, results hashed and let go; peak memory at each mark."""
    engine = tick_engine(MIXED, START_NS, end_of_ticks_ns(_LONGEST))
    digests = [hashlib.sha256() for _ in range(4)]
    peaks: list[float] = []
    done = decisions = 0
    for block in tick_blocks(marks[-1]):
        for start in range(0, len(block), chunk):
            engine.fold(block[start : start + chunk])
            result = engine.drain()
            decisions += len(result.decisions)
            tables = (result.orders, result.fills, result.decisions, result.equity)
            for digest, table in zip(digests, tables, strict=True):
                digest.update(table.tobytes())
        done += len(block)
        if done in marks:
            peaks.append(peak_mib())
    for digest in digests:
        digest.update(engine.desk.tobytes())
    bits = hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()[:16]
    return {"peaks": peaks, "decisions": decisions, "bits": bits}


def section(*, quick: bool) -> Table:
    """Return the table."""
    marks = QUICK_TICKS if quick else TICKS
    fold_and_report([BLOCK], BLOCK)  # compiles, which takes more memory than the fold
    rows: list[tuple[str, ...]] = []
    for chunk in CHUNKS:
        command = [sys.executable, __file__, ",".join(map(str, marks)), str(chunk)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1])
        peaks = (f"{peak:.0f} MiB" for peak in said["peaks"])
        rows.append((f"{chunk:,} ticks", *peaks, f"{said['decisions']:,}", said["bits"]))
    return Table(
        title="Memory of a long fold",
        columns=("chunk", *(f"peak at {count(mark)}" for mark in marks), "decisions", "hash"),
        rows=rows,
        notes=[
            "Ticks are made, folded with 40 features and let go chunk by chunk; so are results.",
            "The hash: all orders, fills, decisions, equity samples and the account at the end.",
        ],
    )


if __name__ == "__main__":
    print(json.dumps(fold_and_report([int(n) for n in sys.argv[1].split(",")], int(sys.argv[2]))))
