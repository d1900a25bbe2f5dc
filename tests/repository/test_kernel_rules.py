"""What every kernel file promises by its form: pairs, one decorator, safe arithmetic."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[2] / "realtime" / "kernels"
FILES = sorted(path for path in KERNELS.rglob("*.py") if path.name not in {"__init__.py", "jit.py"})
CLASS_DECORATORS = {"dataclass"}

#: numpy scalars and math's floats differ in the last bit or in speed; sums depend on numpy's order.
UNSAFE_NUMPY = {
    "abs", "arctan", "ceil", "clip", "cos", "cumsum", "divide", "dot", "empty", "exp", "floor",
    "isnan", "log", "log1p", "max", "maximum", "mean", "min", "minimum", "power", "prod", "rint",
    "round", "sign", "sin", "sqrt", "square", "std", "sum", "tan", "tanh", "var", "where",
}  # fmt: skip


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def decorators(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    return [ast.unparse(each).split("(", maxsplit=1)[0] for each in node.decorator_list]


def kernels_of(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and "kernel" in decorators(node):
            yield node


def called_names(function: ast.FunctionDef) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def faults_of_form(source: str) -> list[str]:
    """Lines of a kernel file that break the rules of form."""
    tree = ast.parse(source)
    faults: list[str] = []
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, function in functions.items():
        used = decorators(function)
        if name.endswith(("_step", "_fold")) and not name.startswith("_") and used != ["kernel"]:
            faults.append(f"{name} is not decorated by @kernel alone")
        elif any(each != "kernel" for each in used):
            faults.append(f"{name} has a decorator besides @kernel: {used}")
        if name.endswith("_fold"):
            step = name.removesuffix("_fold") + "_step"
            if step not in called_names(function):
                faults.append(f"{name} does not call {step}")
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    faults.extend(
        f"class {node.name} is decorated by {decorators(node)}"
        for node in classes
        if set(decorators(node)) - CLASS_DECORATORS
    )
    return faults


def faults_of_arithmetic(source: str) -> list[str]:
    """Expressions in kernels whose bits could differ between compiled code and plain Python."""
    faults: list[str] = []
    for function in kernels_of(ast.parse(source)):
        for node in ast.walk(function):
            where = f"{function.name}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                faults.append(f"{where}: ** (write x * x)")
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
                faults.append(f"{where}: @ (write the loop)")
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "np"
                and node.func.attr in UNSAFE_NUMPY
            ):
                faults.append(f"{where}: np.{node.func.attr} (use math or a loop)")
    return faults


def test_there_are_kernels_to_look_at() -> None:
    assert sum(1 for path in FILES for _ in kernels_of(tree_of(path))) > 50


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(KERNELS).as_posix())
def test_folds_are_loops_over_their_step_and_kernel_is_the_only_decorator(path: Path) -> None:
    assert faults_of_form(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(KERNELS).as_posix())
def test_kernels_use_only_arithmetic_that_is_the_same_without_the_compiler(path: Path) -> None:
    assert faults_of_arithmetic(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("@kernel\ndef sum_fold(s): pass", "sum_fold does not call sum_step"),
        ("def sum_step(s): pass", "sum_step is not decorated by @kernel alone"),
        ("@njit\ndef add(s): pass", "add has a decorator besides @kernel: ['njit']"),
        ("@jitclass\nclass State: pass", "class State is decorated by ['jitclass']"),
    ],
)
def test_a_kernel_of_the_wrong_form_is_found(source: str, fault: str) -> None:
    assert faults_of_form(source) == [fault]


@pytest.mark.parametrize("expression", ["x ** 2", "np.log(x)", "np.sum(x)", "x @ x"])
def test_arithmetic_that_may_differ_is_found(expression: str) -> None:
    assert len(faults_of_arithmetic(f"@kernel\ndef f(x): return {expression}")) == 1
