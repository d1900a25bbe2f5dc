"""A frozen choice of features: its columns, its identity, and the kernel compiled for it."""

import ast
import hashlib
import importlib
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from realtime.kernels.features import fuse, fuse_source
from realtime.kernels.features.catalogue import CLOCKS_NS, TICK_CLOCK, Feature, parse
from realtime.kernels.features.feature import FeatureError
from realtime.kernels.features.fused import FusedFeatures
from realtime.kernels.jit import generated_module

_PACKAGES = ("realtime.kernels", "realtime.kernels.features")
#: Not part of an identity: how kernels are compiled, and layouts that are shared with everything.
_APART = ("realtime.kernels.jit", "realtime.kernels.layout")


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """The features that a model sees, in order, for one symbol.

    Attributes:
        features: column names in the catalogue's grammar, each once.
        feed: what is fed: ``"tick"``, or a clock such as ``"m1"`` for finished bars.
        symbols: names of the symbols that features refer to by row: the own one is 0. Only needed
            with features that look at other symbols.

    Raises:
        FeatureError: unknown or repeated features, a clock that the feed cannot build, a symbol
            row without a name.

    >>> FeatureSet(features=("m5_rsi_14", "m5_atr_14"), feed="m1").columns
    ('m5_rsi_14', 'm5_atr_14')
    """

    features: tuple[str, ...]
    feed: str = TICK_CLOCK
    symbols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "symbols", tuple(self.symbols))
        if not self.features:
            msg = "a feature set needs at least one feature"
            raise FeatureError(msg)
        if self.feed not in CLOCKS_NS:
            msg = f"unknown feed {self.feed!r}: choose one of {', '.join(CLOCKS_NS)}"
            raise FeatureError(msg)
        for each in self._chosen:
            self._require_clock(each)
            self._require_symbols(each)
        repeated = sorted({name for name in self.features if self.features.count(name) > 1})
        if repeated:
            msg = f"chosen twice: {', '.join(repeated)}"
            raise FeatureError(msg)

    @cached_property
    def _chosen(self) -> tuple[Feature, ...]:
        return tuple(parse(name) for name in self.features)

    def _require_clock(self, each: Feature) -> None:
        length_ns, fed_ns = CLOCKS_NS[each.clock], CLOCKS_NS[self.feed]
        if fed_ns > 0 and (length_ns < fed_ns or length_ns % fed_ns != 0):
            msg = f"{each.name}: {each.clock} bars cannot be built from {self.feed} bars"
            raise FeatureError(msg)

    def _require_symbols(self, each: Feature) -> None:
        for name in each.kernel.symbol_params:
            row = int(each.params[name])
            if row >= len(self.symbols):
                msg = (
                    f"{each.name}: {name}={row} is not one of the {len(self.symbols)} symbols: "
                    'name them, own first, as symbols=("EURUSD", "GBPUSD", ...)'
                )
                raise FeatureError(msg)

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names, in the order that rows have."""
        return self.features

    @cached_property
    def warm_up(self) -> MappingProxyType[str, int]:
        """How many bars of its clock each column needs before its first number."""
        return MappingProxyType({each.name: each.warm_up for each in self._chosen})

    @cached_property
    def identity(self) -> str:
        """Hash of what is chosen and of how it is computed (hex SHA-256).

        Over names, feed and symbols, the fused code, and the code of every kernel module that has
        a part in it, without comments, docstrings and descriptions. Other features may come and go
        without changing it.
        """
        digest = hashlib.sha256()
        digest.update(repr((self.features, self.feed, self.symbols)).encode())
        fused = ast.parse(self._source(()))
        for name, code in sorted(_code_of(fused).items()):
            digest.update(f"{name}\n{code}\n".encode())
        return digest.hexdigest()

    def _source(self, rows: Sequence[int]) -> str:
        return fuse_source.source(self._clocks, self._chosen, self.feed, rows)

    @cached_property
    def _clocks(self) -> tuple[fuse.Clock, ...]:
        return fuse.plan(self._chosen, self.feed)

    @cached_property
    def state_dtype(self) -> np.dtype[Any]:
        """Layout of the state."""
        return fuse.state_dtype(self._clocks)

    def compile(self, rows: Sequence[int] = ()) -> FusedFeatures:
        """Return the kernels for this set; compiled at their first call, then cached on disk.

        Args:
            rows: row of each of `symbols` in the desk's quotes; 0, 1, 2... if not given.
        """
        if rows and len(rows) != len(self.symbols):
            msg = f"{len(self.symbols)} symbols need as many rows, got {len(rows)}"
            raise FeatureError(msg)
        module = generated_module("features", self._source(rows))
        return FusedFeatures(
            module_name=module.__name__,
            columns=self.columns,
            feed=self.feed,
            state_dtype=self.state_dtype,
            clock_bits=MappingProxyType({clock.name: clock.bit for clock in self._clocks}),
            step=module.features_step if self.feed == TICK_CLOCK else module.features_bar_step,
            live_step=module.features_live_step,
            close_step=module.features_close_step,
            fold=module.features_fold,
        )


def _code_of(fused: ast.Module) -> dict[str, str]:
    """Return the normalised code of a module and of the kernel modules that it is made of."""
    waiting = list(_kernel_imports(fused))
    found = {"": normalised(fused)}
    while waiting:
        name = waiting.pop()
        if name not in found and name not in _APART:
            tree = ast.parse(inspect.getsource(importlib.import_module(name)))
            waiting += _kernel_imports(tree)
            found[name] = normalised(tree)
    return found


def _kernel_imports(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module in _PACKAGES:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif node.module.startswith(_PACKAGES[0]):
                yield node.module


def normalised(tree: ast.Module) -> str:
    """Return code without comments, docstrings, and what declarations say to people."""
    return ast.unparse(_Plain().visit(tree))


class _Plain(ast.NodeTransformer):
    """Removes what cannot change a result."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return ast.Pass()
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        said = ("description", "oracle", "unit", "presets")
        node.keywords = [each for each in node.keywords if each.arg not in said]
        return self.generic_visit(node)
