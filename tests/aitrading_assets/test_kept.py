"""What assets leave for each other comes back as it was, and is never a pickle."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from aitrading_assets.kept import NotKept, keep, kept
from ml.gates import Check, GateReport


@dataclass(frozen=True, kw_only=True)
class Leaf:
    name: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str]
    by_name: Mapping[str, Leaf]
    numbers: list[int]
    table: NDArray[np.float64]
    note: str | None
    secret: bytes = b""


TREE = Tree(
    leaves=(Leaf(name="a", value=0.1 + 0.2), Leaf(name="b", value=math.inf)),
    pair=(3, "x"),
    by_name={"c": Leaf(name="c", value=1e-300)},
    numbers=[1, 2],
    table=np.array([1.5, math.nan]),
    note=None,
)


def test_everything_comes_back_to_the_bit(tmp_path):
    path = tmp_path / "deep" / "tree.json"
    keep(path, TREE, without=("secret",))
    found = kept(path, Tree, "grow", secret=b"s")
    assert (found.leaves, found.pair, found.by_name) == (TREE.leaves, TREE.pair, TREE.by_name)
    assert (found.numbers, found.note, found.secret) == ([1, 2], None, b"s")
    assert found.table.tobytes() == TREE.table.tobytes()


def test_a_gate_report_with_a_threshold_that_is_no_number_comes_back(tmp_path):
    check = Check(name="n", value=1.0, threshold=math.nan, passed=True, text="t")
    keep(tmp_path / "gate.json", GateReport(stage="paper", checks=(check,)))
    found = kept(tmp_path / "gate.json", GateReport, "gates")
    assert found.passed
    assert math.isnan(found.checks[0].threshold)


@pytest.mark.parametrize("text", ["", "{", '{"leaves": 3}', '{"unknown": 1}', "[]"])
def test_what_is_missing_or_of_another_version_says_what_to_do(tmp_path, text):
    path = tmp_path / "tree.json"
    path.write_text(text)
    with pytest.raises(NotKept, match="materialise the asset grow first"):
        kept(path, Tree, "grow")


def test_an_array_of_objects_is_refused(tmp_path):
    objects = np.array([object()])
    with pytest.raises(ValueError, match="allow_pickle"):
        keep(tmp_path / "x.json", Leaf(name="a", value=objects))  # type: ignore[arg-type]
