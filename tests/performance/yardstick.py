"""The same crossover on the same bars: aitrading, plain NumPy and three other engines.

Each peer runs in an environment of its own under ``.cache/peers``, made when it is first needed
from ``peers/<name>.txt``: their licences and their pins of numpy never meet ours.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from cpu_time import REPEATS, cpu_time
from engines import yardstick_bars, yardstick_engine
from sma_reference import BARS, run, seeded_bars
from tables import Table, count

from realtime.kernels.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
PEERS_HERE = Path(__file__).resolve().parent / "peers"
PEERS = ("vectorbt", "hftbacktest", "backtesting")
AIM = 5e6


class Run(NamedTuple):
    """What one engine made of how many bars, and in which time."""

    name: str
    bars: int
    cpu_s: float
    pnl: float
    orders: int
    spread: str = ""


class PeerMissing(RuntimeError):
    """A peer could not be installed or did not run."""


def ours(bars: int, repeats: int) -> Run:
    """Run the engine fold: features, decision, every risk limit, orders, fills, equity samples."""
    records = yardstick_bars(seeded_bars(bars))
    engine = yardstick_engine(bars)
    balance = float(engine.desk["account"]["balance"])
    orders = 0

    def fold(engine: Engine) -> None:
        nonlocal orders
        engine.fold_bars(records)
        orders = len(engine.result().orders)

    taken = cpu_time(lambda: yardstick_engine(bars), fold, repeats)
    fold(engine)
    pnl = float(engine.desk["account"]["equity"]) - balance
    return Run("aitrading", bars, taken.median_s, pnl, orders, taken.spread)


def plain_numpy(bars: int, repeats: int) -> Run:
    """Run the reference: array operations only, no account, no limits."""
    close = seeded_bars(bars).close
    taken = cpu_time(lambda: close, run, repeats)
    outcome = run(close)
    return Run("NumPy", bars, taken.median_s, outcome.pnl, outcome.orders, taken.spread)


def peer(name: str) -> Run:
    """Run a peer in its environment; `PeerMissing` if it has none."""
    script = PEERS_HERE / f"{name}_sma.py"
    line = _run([str(peer_python(name)), script.name], cwd=PEERS_HERE, what=f"run {name}")
    said = json.loads(line.splitlines()[-1])
    version = (PEERS_HERE / f"{name}.txt").read_text().partition("==")[2].split()[0]
    title = f"{'backtesting.py' if name == 'backtesting' else name} {version}"
    return Run(title, said["bars"], said["cpu_s"], said["pnl"], said["orders"])


def peer_python(name: str) -> Path:
    """Return the interpreter of a peer's environment, made or renewed if its pins say so."""
    pins = PEERS_HERE / f"{name}.txt"
    folder = ROOT / ".cache" / "peers" / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != pins.read_text():
        print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
        beside = Path(sys.executable).with_name("uv")
        uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
        if uv is not None:
            _run([uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)], what="make it")
            install = [uv, "pip", "install", "-q", "--system-certs", "-p", str(python)]
        else:
            _run([sys.executable, "-m", "venv", "--clear", str(folder)], what="make it")
            install = [str(python), "-m", "pip", "install", "-q"]
        _run([*install, "-r", str(pins)], what=f"install {name}")
        stamp.write_text(pins.read_text())
    return python


def _run(command: list[str], *, what: str, cwd: Path = ROOT) -> str:
    ours_only = ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "PYTHONPATH", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if name not in ours_only}
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        msg = f"could not {what}: {said[:120]}"
        raise PeerMissing(msg)
    return done.stdout


def section(*, quick: bool) -> Table:
    """Return the table."""
    repeats = 5 if quick else REPEATS
    runs = [ours(BARS, repeats), plain_numpy(BARS, repeats)]
    notes: list[str] = []
    for name in PEERS:
        try:
            runs.append(peer(name))
        except PeerMissing as error:
            notes.append(f"{name} is left out: {error}.")
    mine = runs[0].bars / runs[0].cpu_s
    rows = [
        (
            each.name,
            f"{each.bars:,}",
            count(each.bars / each.cpu_s),
            f"{mine / (each.bars / each.cpu_s):.1f}x",
            f"{each.orders:,}",
            f"{each.pnl:,.2f}",
            f"{run(seeded_bars(each.bars).close).pnl:,.2f}",
            each.spread,
        )
        for each in runs
    ]
    return Table(
        title="A moving-average crossover over minute bars",
        columns=(
            "engine",
            "bars",
            "bars/s",
            "ours is",
            "orders",
            "PnL",
            "reference PnL",
            "spread of runs",
        ),
        rows=rows,
        notes=[f"Aim: {count(AIM)} bars a CPU-second and first among engines.", *notes],
    )
