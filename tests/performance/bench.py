"""Measure speed and memory, print the tables, write them into docs/performance.md: ``make bench``.

A run of some sections (``--section ticks``) or a short one (``--quick``) prints and writes nothing.
Nothing here is asserted: a machine that is busy makes slow numbers, not failed tests.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import import_rates
import kernel_costs
import live_step
import point_in_time
import recording
import retrain
import streaming
import tick_fold
import wire
import yardstick
from tables import Table, count

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"


def talib_table(*, quick: bool) -> Table:
    """Return the fifteen TA-Lib features beside TA-Lib itself."""
    # In a process of its own: what ran before decides whether TA-Lib's results get fresh memory.
    asked = f"talib_features.measure(repeats={5 if quick else 15})"
    code = f"import talib_features; took = {asked}; print(took.talib_ns, took.fold_ns)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    talib_ns, fold_ns = map(float, done.stdout.split())
    return Table(
        title="Fifteen TA-Lib features",
        columns=("engine", "ns a bar", "ours is"),
        rows=[
            ("fused fold", f"{fold_ns:.0f}", "1.00x"),
            ("TA-Lib", f"{talib_ns:.0f}", f"{talib_ns / fold_ns:.2f}x"),
        ],
        notes=["500,000 bars, the best of the runs of each. Aim: not slower than TA-Lib."],
    )


def imports_table(*, quick: bool) -> Table:
    """Return the rates of the importers."""
    rates = import_rates.measure(200_000 if quick else import_rates.ROWS)
    return Table(
        title="Import of market data",
        columns=("format", "rows", "rows/CPU-s", "rows/s on the wall"),
        rows=[
            (
                rate.format,
                f"{rate.rows:,}",
                count(rate.rows_per_cpu_second),
                count(rate.rows / rate.wall_seconds),
            )
            for rate in rates
        ],
        notes=["Read, checked row by row, repaired or quarantined, reported. One run of each."],
    )


#: By the name that --section takes, in the order of the page.
SECTIONS: dict[str, Callable[..., Table]] = {
    "yardstick": yardstick.section,
    "ticks": tick_fold.section,
    "parts": tick_fold.profile,
    "live": live_step.section,
    "talib": talib_table,
    "memory": streaming.section,
    "imports": imports_table,
    "kernels": kernel_costs.section,
    "order": wire.latency_section,
    "symbols": wire.rate_section,
    "recording": recording.section,
    "features": point_in_time.section,
    "retrain": retrain.section,
}


def machine() -> str:
    """Return one line on what the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        model = found[1] if found else model
    tools = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy"))
    return f"{os.cpu_count()} cores, {model}; Python {platform.python_version()}, {tools}"


def written(page: str, name: str, text: str) -> str:
    """Return the page with what stands between a section's markers replaced."""
    begin, end = f"<!-- measured: {name} -->\n", f"<!-- end: {name} -->\n"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        msg = f"{PAGE.name} has no markers for {name!r}: {begin.strip()} ... {end.strip()}"
        raise SystemExit(msg)
    return f"{before}{begin}{text}{end}{after}"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this one")
    parser.add_argument("--write", action="store_true", help="these sections into the page, too")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    asked = parser.parse_args()
    print(machine(), "", sep="\n")
    tables: dict[str, Table] = {}
    for name in asked.section or SECTIONS:
        tables[name] = SECTIONS[name](quick=asked.quick)
        print(tables[name].text(), flush=True)
    if asked.quick or (asked.section and not asked.write):
        return
    page = PAGE.read_text(encoding="utf-8")
    if not asked.section:
        page = written(page, "machine", f"{machine()}.\n")
    for name, table in tables.items():
        page = written(page, name, table.markdown())
    PAGE.write_text(page, encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
