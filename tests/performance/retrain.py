"""The retrain job beside the bare fits: where the rest of its time goes.

The demonstration runs the job twice on servers of its own; the second run, with everything
compiled and the tables there, is quoted. The floor is what xgboost itself takes to fit the same
candidates on the same rows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import xgboost
from tables import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aitrading_assets.workshop import Workshop  # noqa: E402
from ml.training import train  # noqa: E402
from realtime.settings import Settings, load_settings  # noqa: E402


def demonstrated(folder: Path) -> tuple[dict[str, Any], Settings]:
    """Run the demonstration and return what its retrain job took, with its settings."""
    config = folder / "base.toml"
    config.write_text(f'[paths]\nvar = "{folder / "var"}"\n', encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "deploy.local.demo", "--once", "--config", str(config)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    home = folder / "var" / "demo"
    summary = json.loads((home / "summary.json").read_text(encoding="utf-8"))
    return summary["runs"]["retrain"], load_settings(home / "settings.toml", {})


def bare_fits_s(settings: Settings) -> float:
    """Return the seconds that xgboost itself takes of a training; the best of three."""
    workshop = Workshop(settings, settings.trade[0])
    frame, _ = workshop.training_set()
    config = workshop.model().config
    fit, spent = xgboost.train, 0.0

    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        try:
            return fit(*arguments, **options)
        finally:
            spent += time.perf_counter() - start

    taken: list[float] = []
    xgboost.train = timed
    try:
        for _ in range(3):
            spent = 0.0
            train(frame, config)
            taken.append(spent)
    finally:
        xgboost.train = fit
    return min(taken)


def section(*, quick: bool) -> Table:
    """Return the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, settings = demonstrated(folder)
        if not quick:
            run, settings = demonstrated(folder)
        floor_s = bare_fits_s(settings)
    total_s = float(run["seconds"])
    steps = {key.split("__")[-1]: float(value) for key, value in run["steps"].items()}
    rows = [("the job", f"{total_s:.2f}", f"{total_s / floor_s:.1f}x")]
    rows += [
        (f"  {step}", f"{value:.2f}", f"{value / total_s:.0%}") for step, value in steps.items()
    ]
    between_s = total_s - sum(steps.values())
    rows.append(("  between the steps (Dagster)", f"{between_s:.2f}", f"{between_s / total_s:.0%}"))
    rows.append(("bare xgboost fits", f"{floor_s:.2f}", "1.0x"))
    return Table(
        title="The retrain job",
        columns=("what", "seconds", "of the fits, of the job"),
        rows=rows,
        notes=[
            "On the demo's hours of EURUSD, in process, promotion to NATS and MLflow included.",
        ],
    )
