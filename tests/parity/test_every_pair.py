"""There is no `_fold` without a proof that it equals its `_step`.

The table names the proof of every pair in the kernels, generated ones among them; a new pair
without one fails here.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "realtime" / "kernels"
BARS = "tests/realtime/kernels/test_bars.py"
LOSSES = "tests/realtime/kernels/test_loss_limits.py"
STRATEGIES = "tests/realtime/kernels/test_strategies.py"
DECIDING = "tests/parity/test_decision_parity.py"
TRADED = "tests/parity/test_broker_parity.py"
MADE = "tests/parity/test_bars_parity.py"
FEATURES = "tests/parity/test_features_parity.py"
BARRIERS = "tests/realtime/kernels/test_barriers.py"
ENGINE = "tests/parity/test_engine_parity.py"

#: fold -> (its step, proof on real ticks, proof on made ones)
PROOFS = {
    "days.day_row_fold": (
        "day_row_step",
        (MADE, "test_day_rows_on_real_ticks"),
        (MADE, "test_day_rows_on_made_ticks"),
    ),
    "bars.time_bars_fold": (
        "time_bars_step",
        (BARS, "test_steps_equal_the_fold_to_the_bit_on_real_ticks"),
        (BARS, "test_steps_equal_the_fold_to_the_bit_on_random_ticks"),
    ),
    "bars.bars_merge_fold": (
        "bars_merge_step",
        (MADE, "test_merged_bars_on_real_ticks"),
        (BARS, "test_merge_steps_equal_the_fold_to_the_bit"),
    ),
    "event_bars.event_pieces_fold": (
        "event_pieces_step",
        (MADE, "test_event_bars_of_bars_on_real_ticks"),
        (MADE, "test_event_bars_of_bars_on_made_ticks"),
    ),
    "event_bars.event_bars_fold": (
        "event_bars_step",
        (MADE, "test_event_bars_on_real_ticks"),
        (MADE, "test_event_bars_on_made_ticks"),
    ),
    "decision.decision_fold": (
        "decision_step",
        (DECIDING, "test_decisions_on_real_ticks"),
        (DECIDING, "test_decisions_on_made_ticks"),
    ),
    "risk.risk_fold": (
        "risk_step",
        (DECIDING, "test_risk_on_real_ticks"),
        (DECIDING, "test_risk_on_made_ticks"),
    ),
    "loss_limits.update_equity_limits_fold": (
        "update_equity_limits_step",
        (DECIDING, "test_loss_limits_on_real_ticks"),
        (LOSSES, "test_a_step_equals_the_fold_and_plain_python_equals_both"),
    ),
    "strategies.crossover_fold": (
        "crossover_step",
        (DECIDING, "test_crossovers_on_real_ticks"),
        (STRATEGIES, "test_steps_equal_the_fold_to_the_bit"),
    ),
    "barriers.barriers_fold": (
        "barriers_step",
        (BARRIERS, "test_one_call_a_tick_equals_the_fold_on_real_ticks"),
        (BARRIERS, "test_one_call_a_tick_equals_the_fold_on_made_ticks"),
    ),
    "broker.broker_fold": (
        "broker_step",
        (TRADED, "test_the_broker_on_real_ticks"),
        (TRADED, "test_the_broker_on_made_ticks"),
    ),
    "features.fuse_source.features_fold": (
        "features_step",
        (FEATURES, "test_every_feature_on_real_ticks"),
        (FEATURES, "test_every_feature_on_made_ticks"),
    ),
    "engine_source.engine_fold": (
        "engine_step",
        (ENGINE, "test_one_call_a_tick_equals_the_fold_on_real_ticks"),
        (ENGINE, "test_one_call_a_tick_equals_the_fold_on_made_ticks"),
    ),
}


def functions_of(path):
    """Names of functions defined in a kernel file, in the code that it generates too."""
    return re.findall(r"^def (\w+)\(", path.read_text(), re.MULTILINE)


def folds():
    found = {}
    for path in sorted(KERNELS.rglob("*.py")):
        module = path.relative_to(KERNELS).with_suffix("").as_posix().replace("/", ".")
        for name in functions_of(path):
            if name.endswith("_fold"):
                found[f"{module}.{name}"] = path
    return found


def test_every_fold_has_a_proof_and_every_proof_a_fold():
    assert set(folds()) == set(PROOFS)


@pytest.mark.parametrize("fold", PROOFS)
def test_the_step_is_where_its_fold_is(fold):
    step, *_ = PROOFS[fold]
    assert step in functions_of(folds()[fold])


@pytest.mark.parametrize("fold", PROOFS)
def test_a_fold_is_a_loop_over_its_step(fold):
    """Folds must call what live calls; generated features share their `update`."""
    path, (step, *_) = folds()[fold], PROOFS[fold]
    name = fold.rpartition(".")[2]
    bodies = re.findall(
        rf"^def {name}\(.*?(?=^(?:@kernel|def |'''|_[A-Z])|\Z)",
        path.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert bodies
    called = "update" if name == "features_fold" else step
    for body in bodies:
        assert re.search(r"for \w+ in range\(", body)
        assert f"{called}(" in body or f"{step.removesuffix('_step')}_" in body


@pytest.mark.parametrize("proof", sorted({each for _, *both in PROOFS.values() for each in both}))
def test_a_proof_exists(proof):
    path, name = proof
    tree = ast.parse((ROOT / path).read_text())
    tests = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in tests
    if name.endswith("on_real_ticks"):
        arguments = {each.arg for each in tests[name].args.args}
        assert arguments & {"real", "real_three", "shared_data"}
