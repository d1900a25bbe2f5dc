"""Plans one kernel for a chosen set of features: what is stepped on which clock, in which memory.

The state is one plain record: per clock the bar being built, the memory of each kernel and a row
of their latest outputs. `fuse_source` writes the code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime.kernels.bars import TIME_BAR
from realtime.kernels.features.catalogue import CLOCKS_NS, Feature, format_value
from realtime.kernels.features.feature import FeatureKernel
from realtime.kernels.layout import BAR, DAY
from realtime.kernels.pieces import PIECE_STATE


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A kernel with its parameters on a clock, whose memory all of its chosen outputs share.

    Attributes:
        name: its field in the clock's record, e.g. ``"rsi_14"``.
        kernel: the kernel.
        values: values of its parameters in order.
        at: place of its first output in the clock's row.
    """

    name: str
    kernel: FeatureKernel
    values: tuple[int | float, ...]
    at: int


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What is stepped when a clock finishes a bar.

    Attributes:
        name: e.g. ``"m5"``.
        bit: its bit in the mask that a step returns.
        direct: pieces are its bars, so none are built: ticks on ``"tick"``, or bars of its length.
        instances: kernels in the order they are called.
        width: length of its row.
    """

    name: str
    bit: int
    direct: bool
    instances: tuple[Instance, ...]
    width: int


def instance_name(feature: Feature) -> str:
    """Return what all outputs of a kernel with these parameters share, e.g. ``macd_12_26_9``."""
    return "_".join([feature.kernel.name, *map(format_value, feature.values)])


def plan(features: Sequence[Feature], feed: str) -> tuple[Clock, ...]:
    """Group features by clock, shortest first, and merge those that one kernel writes."""
    clocks: list[Clock] = []
    for bit, (name, length_ns) in enumerate(sorted(CLOCKS_NS.items(), key=lambda item: item[1])):
        instances: dict[str, Instance] = {}
        at = 0
        for feature in features:
            label = instance_name(feature)
            if feature.clock == name and label not in instances:
                instances[label] = Instance(
                    name=label, kernel=feature.kernel, values=feature.values, at=at
                )
                at += len(feature.kernel.outputs)
        if instances:
            clocks.append(
                Clock(
                    name=name,
                    bit=1 << bit,
                    direct=length_ns == CLOCKS_NS[feed],
                    instances=tuple(instances.values()),
                    width=at,
                )
            )
    return tuple(clocks)


def state_dtype(clocks: Sequence[Clock]) -> np.dtype[Any]:
    """Return the dtype of the state, all zeros at the start."""
    fields: list[tuple[Any, ...]] = [
        ("begun", "i8"),
        ("last_ns", "i8"),  # time of the latest piece
        ("piece", PIECE_STATE),
        ("day", DAY),  # trading day of the latest piece
    ]
    for clock in clocks:
        inner: list[tuple[Any, ...]] = []
        if not clock.direct:  # "bar" is the last finished one
            inner += [("builder", TIME_BAR), ("bar", BAR)]
        inner.append(("row", "f8", (clock.width,)))
        for each in clock.instances:
            params = dict(zip(each.kernel.params, each.values, strict=True))
            inner.append((each.name, each.kernel.state(**params)))
        fields.append((clock.name, np.dtype(inner, align=True)))
    return np.dtype(fields, align=True)
