"""What the assets of a symbol are called."""

import re
from collections.abc import Sequence

import dagster as dg

STEPS = ("training_set", "model", "evaluation", "backtest", "gates", "promotion")


def asset_key(symbol: str, step: str) -> dg.AssetKey:
    """Return the key of a step of a symbol's training, as ``EURUSD/model``."""
    readable = re.sub(r"[^A-Za-z0-9_.\-]", lambda match: f"_{ord(match[0]):02x}_", symbol)
    return dg.AssetKey([readable, step])


def asset_keys(symbol: str, steps: Sequence[str] = STEPS) -> list[dg.AssetKey]:
    """Return the keys of the steps of a symbol's training."""
    return [asset_key(symbol, step) for step in steps]
