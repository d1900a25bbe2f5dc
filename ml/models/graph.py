"""A calibrated model as one ONNX graph: trees, a line, a sigmoid; features in, probability out."""

from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxmltools.convert import convert_xgboost  # pyright: ignore[reportUnknownVariableType]
from onnxmltools.convert.common.data_types import FloatTensorType

from ml.errors import ModelMismatch
from ml.models.boosted import Boosted
from ml.models.form import INPUT, OUTPUT, TOLERANCE
from ml.models.platt import Platt

_OPSET = 15
_RENAMED = {
    "class_ids": "target_ids",
    "class_nodeids": "target_nodeids",
    "class_treeids": "target_treeids",
    "class_weights": "target_weights",
}
_DROPPED = ("classlabels_int64s", "post_transform", "base_values")


def export(trees: Boosted, platt: Platt, columns: int) -> bytes:
    """Return the ONNX file of a calibrated model: float32 (1, columns) in, float32 (1, 1) out.

    The same model gives the same bytes. onnxmltools converts the trees; their output becomes the
    margin, because a calibration in probabilities would lose the digits near 0 and 1.
    """
    node = _tree_node(trees, columns)
    constants = [
        helper.make_tensor("slope", TensorProto.FLOAT, [1, 1], [platt.slope]),
        helper.make_tensor("intercept", TensorProto.FLOAT, [1, 1], [platt.intercept]),
    ]
    graph = helper.make_graph(
        [
            node,
            helper.make_node("Mul", ["margin", "slope"], ["scaled"], name="calibration_slope"),
            helper.make_node("Add", ["scaled", "intercept"], ["odds"], name="calibration_line"),
            helper.make_node("Sigmoid", ["odds"], [OUTPUT], name="calibration_sigmoid"),
        ],
        "calibrated_trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, columns])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, 1])],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", 1)],
        ir_version=8,
        producer_name="aitrading",
    )
    return model.SerializeToString(deterministic=True)


def _tree_node(trees: Boosted, columns: int) -> Any:
    """Return the trees as one node from INPUT to ``margin``."""
    converted: Any = convert_xgboost(
        trees.booster,
        initial_types=[(INPUT, FloatTensorType([1, columns]))],
        target_opset=_OPSET,
    )
    (source,) = converted.graph.node
    if source.op_type != "TreeEnsembleClassifier":
        msg = f"the trees became a {source.op_type}, not a TreeEnsembleClassifier"
        raise ModelMismatch(msg)
    attributes: dict[Any, Any] = {
        _RENAMED.get(each.name, each.name): helper.get_attribute_value(each)
        for each in source.attribute
        if each.name not in _DROPPED
    }
    attributes["target_ids"] = [0] * len(attributes["target_weights"])
    node: Any = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        ["margin"],
        name="trees",
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )
    return node


class OnnxProbability:
    """An exported model, asked row by row as the loop asks it.

    Args:
        onnx: bytes of the file.
    """

    def __init__(self, onnx: bytes) -> None:
        runtime = cast("Any", onnxruntime)  # has no types
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = runtime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"]
        )

    def predict(self, row: NDArray[np.float32]) -> float:
        """Return the probability of one row, (columns,)."""
        return float(self._session.run([OUTPUT], {INPUT: row[None, :]})[0].item())

    def predict_rows(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of (k, columns) rows, one by one."""
        return np.array([self.predict(row) for row in rows], np.float64)


def require_same(onnx: bytes, trees: Boosted, platt: Platt, rows: NDArray[np.float32]) -> float:
    """Check the exported model against the trained one, row by row.

    Returns:
        The largest difference of probabilities.

    Raises:
        ModelMismatch: it exceeds `TOLERANCE`, or one of them is not finite.
    """
    expected = platt.probability(trees.margins(rows))
    found = OnnxProbability(onnx).predict_rows(rows)
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= TOLERANCE:
        msg = (
            f"the ONNX model differs from the trained one by {difference:.2g} (at most"
            f" {TOLERANCE:g}): the conversion is wrong, the model is not used"
        )
        raise ModelMismatch(msg)
    return difference
