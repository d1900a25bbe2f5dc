"""What a feature kernel and a feature are: declarations that are listed, and fused into one step.

A *kernel* is a compiled step with its own memory and one or more outputs (MACD has three). A
*feature* is one output of a kernel with parameters chosen, on a clock: ``m5_rsi_14`` is the output
``rsi`` of the kernel ``rsi`` with ``n=14``, stepped on finished M5 bars.

Every module of this package that defines kernels exports ``KERNELS: tuple[FeatureKernel, ...]``;
``catalogue.py`` concatenates them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class FeatureError(ValueError):
    """A feature or a set of features was declared wrongly."""


#: What a kernel may ask for, in the order it receives them after its memory.
INPUTS = ("bar", "day", "quotes")


@dataclass(frozen=True, kw_only=True)
class Output:
    """One column that a kernel writes.

    Attributes:
        name: column stem, unique in the catalogue, e.g. ``"macd_signal"``.
        unit: ``"price"``, ``"ratio"``, ``"0..100"``, ``"fraction"``, ``"lots"``, ``"minutes"``...
        description: one sentence.
        oracle: what it must equal and how exactly, e.g. ``"talib.RSI(close, n)"``.
        warm_up: how many bars come before the first number, from the parameters (by name): the
            values at bars ``0 .. warm_up - 1`` are NaN, the one at bar ``warm_up`` is a number
            (TA-Lib's lookback: 0 for OBV, ``n - 1`` for SMA, ``n`` for RSI).
    """

    name: str
    unit: str
    description: str
    oracle: str
    warm_up: Callable[..., int]


@dataclass(frozen=True, kw_only=True)
class FeatureKernel:
    """A compiled step and everything needed to call it.

    The step is called as ``step(memory, *inputs, *params, row, at)`` where `memory` is a record of
    dtype ``state(**params)`` that starts as zeros, `inputs` are those named by `inputs` (a BAR
    record, a DAY record, the QUOTE array of all symbols), `params` are the values in the order of
    `params`, and the outputs go to ``row[at], row[at + 1], ...``: NaN until warm.

    The prices of the bar are finite and positive (the fused step refuses others), the day is the
    trading day that the bar lies in. A row of `quotes` that has had no quote yet is all zeros.

    Attributes:
        name: unique in the catalogue; also the file-local prefix of step and state.
        step: the `_step` kernel.
        state: maps the parameters (by name) to the dtype of its memory.
        params: parameter names and default values, in call order. Integers are windows or rows.
        outputs: what it writes, in order.
        inputs: subset of `INPUTS`, in that order.
        minima: smallest value allowed of a parameter; 1 for integers and "above 0" for floats
            where nothing is said.
        symbol_params: those integer parameters that are rows of `quotes`. A feature set numbers
            its symbols 0, 1, 2... (0 is its own); compiling it for a desk puts that desk's rows in.
        presets: other parameter choices worth a row in the table of features.
    """

    name: str
    step: Callable[..., None]
    state: Callable[..., np.dtype[Any]]
    outputs: tuple[Output, ...]
    params: Mapping[str, int | float] = field(default_factory=dict[str, int | float])
    inputs: tuple[str, ...] = ("bar",)
    minima: Mapping[str, int | float] = field(default_factory=dict[str, int | float])
    symbol_params: tuple[str, ...] = ()
    presets: tuple[Mapping[str, int | float], ...] = ()
