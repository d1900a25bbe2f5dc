"""Every feature kernel by name, and the grammar of column names.

A column is ``<clock>_<output>`` followed by the kernel's parameters in order: ``m5_rsi_14``,
``tick_spread_z_100``, ``h1_bollinger_upper_20_2``. It is a Python identifier, so a point is
written ``p`` (2.5 is ``2p5``) and a minus sign ``m``. `parse` and `Feature.name` undo each other.
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from realtime.kernels.bars import TIMEFRAMES_NS
from realtime.kernels.features import (
    bands,
    cross,
    directional,
    market,
    momentum,
    returns,
    timing,
    trend,
    volume,
)
from realtime.kernels.features.feature import FeatureError, FeatureKernel, Output

#: The clock that ticks with every tick; the others are timeframes, written small: ``m5``, ``h1``.
TICK_CLOCK = "tick"

#: Length of the bars of each clock. Weekly bars need a calendar row that a step does not get.
CLOCKS_NS: dict[str, int] = {
    TICK_CLOCK: 0,
    **{name.lower(): ns for name, ns in TIMEFRAMES_NS.items() if name != "W1"},
}

_FAMILIES = (trend, directional, momentum, bands, volume, returns, market, timing, cross)


def _by_name(kernels: Iterable[FeatureKernel]) -> dict[str, FeatureKernel]:
    found: dict[str, FeatureKernel] = {}
    for kernel in kernels:
        if found.setdefault(kernel.name, kernel) is not kernel:
            msg = f"two feature kernels are named {kernel.name!r}"
            raise FeatureError(msg)
    return found


def _by_output(kernels: Iterable[FeatureKernel]) -> dict[str, tuple[FeatureKernel, int]]:
    found: dict[str, tuple[FeatureKernel, int]] = {}
    for kernel in kernels:
        for place, output in enumerate(kernel.outputs):
            if output.name in found:
                msg = f"two feature kernels have an output named {output.name!r}"
                raise FeatureError(msg)
            found[output.name] = (kernel, place)
    return found


#: Kernels by name.
CATALOGUE: dict[str, FeatureKernel] = _by_name(
    kernel for family in _FAMILIES for kernel in family.KERNELS
)

#: Which kernel writes an output, and at which place.
OUTPUTS: dict[str, tuple[FeatureKernel, int]] = _by_output(CATALOGUE.values())


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One output of a kernel with parameters chosen, on a clock. Made by `feature` and `parse`.

    Attributes:
        clock: ``"tick"``, ``"m1"``, ``"h4"``...
        kernel: what computes it.
        place: which of the kernel's outputs it is.
        values: values of the kernel's parameters, in order.
    """

    clock: str
    kernel: FeatureKernel
    place: int
    values: tuple[int | float, ...]

    @property
    def output(self) -> Output:
        """Declaration of the output."""
        return self.kernel.outputs[self.place]

    @property
    def params(self) -> dict[str, int | float]:
        """Values of the parameters by name."""
        return dict(zip(self.kernel.params, self.values, strict=True))

    @property
    def name(self) -> str:
        """Column name, e.g. ``"m5_rsi_14"``."""
        return "_".join([self.clock, self.output.name, *map(format_value, self.values)])

    @property
    def warm_up(self) -> int:
        """How many bars of the clock come before the first number."""
        return self.output.warm_up(**self.params)

    def __str__(self) -> str:
        return self.name


def feature(clock: str, output: str, **params: float) -> Feature:
    """Return the feature of that output; parameters not given keep their defaults.

    Args:
        clock: key of `CLOCKS_NS`.
        output: key of `OUTPUTS`, e.g. ``"rsi"`` or ``"macd_signal"``.
        params: parameters of its kernel by name.

    Raises:
        FeatureError: unknown clock, output or parameter, or a value that is not allowed.

    >>> feature("m5", "rsi", n=21).name
    'm5_rsi_21'
    """
    if clock not in CLOCKS_NS:
        msg = f"unknown clock {clock!r}{_near(clock, CLOCKS_NS)}; clocks are {', '.join(CLOCKS_NS)}"
        raise FeatureError(msg)
    if output not in OUTPUTS:
        msg = f"unknown feature {output!r}{_near(output, OUTPUTS)}"
        raise FeatureError(msg)
    kernel, place = OUTPUTS[output]
    unknown = [name for name in params if name not in kernel.params]
    if unknown:
        msg = (
            f"{output} has no parameter {unknown[0]!r}: it has {', '.join(kernel.params) or 'none'}"
        )
        raise FeatureError(msg)
    values = tuple(
        _checked(kernel, name, params.get(name, default)) for name, default in kernel.params.items()
    )
    made = Feature(clock=clock, kernel=kernel, place=place, values=values)
    try:
        kernel.state(**made.params)
    except ValueError as error:
        msg = f"{made.name}: {error}"
        raise FeatureError(msg) from error
    return made


def parse(name: str) -> Feature:
    """Return the feature that a column name stands for.

    Raises:
        FeatureError: the name is not one; the message lists near ones.

    >>> parse("h1_bollinger_upper_20_2p5").params
    {'n': 20, 'k': 2.5}
    """
    clock, _, rest = name.partition("_")
    for stem, texts in _splits(rest):
        if stem in OUTPUTS and len(texts) == len(OUTPUTS[stem][0].params):
            defaults = OUTPUTS[stem][0].params
            params = {
                key: _parse_value(name, key, text, default)
                for (key, default), text in zip(defaults.items(), texts, strict=True)
            }
            found = feature(clock, stem, **params)
            if found.name != name:
                msg = f"{name!r} is written {found.name!r}"
                raise FeatureError(msg)
            return found
    raise FeatureError(_not_a_name(name, clock, rest))


def every_feature(clock: str) -> Iterator[Feature]:
    """Yield each output on a clock, with its kernel's defaults and then its presets."""
    for kernel in CATALOGUE.values():
        for params in (kernel.params, *kernel.presets):
            for output in kernel.outputs:
                yield feature(clock, output.name, **params)


def format_value(value: float) -> str:
    """Return a parameter as part of a name: 14, ``2p5`` for 2.5, ``m1`` for -1."""
    text = repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return text.replace(".", "p").replace("-", "m").replace("+", "")


def _parse_value(name: str, key: str, text: str, default: float) -> int | float:
    number = text.replace("p", ".").replace("m", "-")
    try:
        return int(number) if isinstance(default, int) else float(number)
    except ValueError:
        kind = "an integer" if isinstance(default, int) else "a number"
        msg = f"{name!r}: {key} must be {kind}, not {text!r}"
        raise FeatureError(msg) from None


def _checked(kernel: FeatureKernel, name: str, value: float) -> int | float:
    """Return the value in its parameter's type, or refuse it by name."""
    where = f"{kernel.name}: {name}"
    if isinstance(kernel.params[name], int):
        if isinstance(value, bool) or not isinstance(value, int):
            msg = f"{where} must be an integer, not {value!r}"
            raise FeatureError(msg)
        least = kernel.minima.get(name, 1)
    else:
        if isinstance(value, bool) or not math.isfinite(value):
            msg = f"{where} must be a finite number, not {value!r}"
            raise FeatureError(msg)
        value = float(value)
        least = kernel.minima.get(name)
        if least is None and value <= 0.0:
            msg = f"{where} must be above 0, not {value!r}"
            raise FeatureError(msg)
    if least is not None and value < least:
        msg = f"{where} must be at least {least}, not {value!r}"
        raise FeatureError(msg)
    return value


def _splits(rest: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every way to split a name into an output and its values, longest output first."""
    parts = rest.split("_")
    for count in range(len(parts), 0, -1):
        yield "_".join(parts[:count]), parts[count:]


def _not_a_name(name: str, clock: str, rest: str) -> str:
    if clock not in CLOCKS_NS:
        return (
            f"{name!r} does not begin with a clock{_near(clock, CLOCKS_NS)}; "
            f"clocks are {', '.join(CLOCKS_NS)}"
        )
    for stem, texts in _splits(rest):
        if stem in OUTPUTS:
            kernel, _ = OUTPUTS[stem]
            wanted = ", ".join(kernel.params) or "no values"
            example = feature(clock, stem).name
            return f"{name!r}: {stem} takes {wanted}, got {len(texts)} values; e.g. {example}"
    stem = "_".join(part for part in rest.split("_") if not part[:1].isdigit())
    return f"unknown feature {name!r}{_near(stem, OUTPUTS)}"


def _near(word: str, known: Mapping[str, object]) -> str:
    matches = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" (did you mean {', '.join(matches)}?)" if matches else ""
