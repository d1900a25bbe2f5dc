"""A promoted model: one row of features in, the probability of the up barrier out.

ONNX Runtime on one thread, with the memory of input and output bound once. Live, replay and
backtest ask row by row through the same call, so they agree to the bit.
"""

import hashlib
import math
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from realtime.bundle import (
    Bundle,
    BundleArchiveInvalid,
    BundleError,
    BundleFeaturesDiffer,
    BundleHashMismatch,
    BundleMisplaced,
    BundleModelInvalid,
    BundleUnreadable,
    bundle_id,
    pack,
    read_bundle,
    unpack,
)

_WARM_UP_CALLS = 20


class _Value(Protocol):
    """Input or output of an ONNX session."""

    name: str
    type: str
    shape: list[int | str | None]


class Model:
    """A model ready to be asked.

    Args:
        bundle: checked by `read_bundle`.
        onnx: bytes of its model, checked against the bundle's hash.

    Raises:
        BundleModelInvalid: it is no ONNX model, or its input or output has another form.
    """

    def __init__(self, bundle: Bundle, onnx: bytes) -> None:
        self.bundle = bundle
        session = _session(bundle, onnx)
        shape = _require_form(bundle, session)
        count = len(bundle.features)
        # Bound once: every call reads and writes this memory.
        self._input = np.zeros((1, count), np.float32)
        self._output = np.zeros(shape, np.float32)
        self._row = self._input[0]
        self._binding: Any = session.io_binding()
        self._binding.bind_cpu_input(bundle.model.input, self._input)
        self._binding.bind_output(
            bundle.model.output, "cpu", 0, np.float32, shape, self._output.ctypes.data
        )
        self._run: Any = session.run_with_iobinding
        for _ in range(_WARM_UP_CALLS):
            self.predict(np.zeros(count))

    def predict(self, row: NDArray[np.float64]) -> float:
        """Return the probability of the up barrier; NaN if a feature is NaN.

        Args:
            row: (n,) features in the order of the bundle's columns.

        Returns:
            The float32 that the model computes, as float64; the same on every call.
        """
        if math.isnan(row.dot(row)):  # squares: infinities of both signs do not cancel
            return math.nan
        self._row[:] = row
        self._run(self._binding)
        return float(self._output.item())

    def predict_rows(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each of (k, n) rows: `predict` in a loop, to the bit."""
        return np.array([self.predict(row) for row in rows], np.float64)


def load_model(directory: Path) -> Model:
    """Check a bundle, load its model and warm it up.

    Raises:
        BundleError: see `read_bundle` and `Model`.
    """
    bundle = read_bundle(directory)
    onnx = (directory / bundle.model.file).read_bytes()
    if hashlib.sha256(onnx).hexdigest() != bundle.files[bundle.model.file]:
        msg = f"bundle {bundle.id}: {bundle.model.file} changed while it was read"
        raise BundleHashMismatch(msg)
    return Model(bundle, onnx)


def _session(bundle: Bundle, onnx: bytes) -> Any:
    runtime = cast("Any", onnxruntime)  # has no types
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what is wrong is said once, below
    try:
        return runtime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 (ONNX Runtime's exceptions share no base)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"bundle {bundle.id}: {bundle.model.file} is no model that can be loaded: {reason}"
        raise BundleModelInvalid(msg) from None


def _require_form(bundle: Bundle, session: Any) -> tuple[int, ...]:
    """Check input and output; return the shape of the output for one row."""
    inputs = cast("list[_Value]", session.get_inputs())
    outputs = {value.name: value for value in cast("list[_Value]", session.get_outputs())}
    count = len(bundle.features)
    wanted = f"one float32 input {bundle.model.input!r} of (1, {count})"
    if len(inputs) != 1 or not _is_form(inputs[0], bundle.model.input, (1, count)):
        _refuse(bundle, wanted, ", ".join(_form(value) for value in inputs))
    found = outputs.get(bundle.model.output)
    for shape in ((1, 1), (1,)):
        if found is not None and _is_form(found, bundle.model.output, shape):
            return shape
    wanted = f"a float32 output {bundle.model.output!r} of (1, 1)"
    _refuse(bundle, wanted, ", ".join(_form(value) for value in outputs.values()))
    raise AssertionError


def _is_form(value: _Value, name: str, shape: tuple[int, ...]) -> bool:
    """Whether a value has a name, is float32, and can be of a shape (dimensions may be open)."""
    return (
        value.name == name
        and value.type == "tensor(float)"
        and len(value.shape) == len(shape)
        and all(
            not isinstance(has, int) or has == wants
            for has, wants in zip(value.shape, shape, strict=True)
        )
    )


def _form(value: _Value) -> str:
    return f"{value.name!r} {value.type} {tuple(value.shape)}"


def _refuse(bundle: Bundle, wanted: str, found: str) -> None:
    msg = f"bundle {bundle.id}: {bundle.model.file} must have {wanted}, it has {found or 'none'}"
    raise BundleModelInvalid(msg)


__all__ = [
    "Bundle",
    "BundleArchiveInvalid",
    "BundleError",
    "BundleFeaturesDiffer",
    "BundleHashMismatch",
    "BundleMisplaced",
    "BundleModelInvalid",
    "BundleUnreadable",
    "Model",
    "bundle_id",
    "load_model",
    "pack",
    "read_bundle",
    "unpack",
]
