"""A network as an ONNX model, which onnxruntime and others run to the same outputs.

Each layer becomes one `RNN` or `LSTM` operator of ONNX, whose gates stand in the order i, o, f, c; the
embedding becomes a `Gather` (or a product, for numbers) and the read-out a `MatMul`. Vectors are rows
there: inputs are `(steps, batch)` of class indices or `(steps, batch, inputs)` of numbers, states `(layers,
batch, hidden)`, outputs `(steps, batch, outputs)`. Needs the `onnx` package, which minigrad's extra of that
name installs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import MinigradError
from models.elman import ElmanRNN
from models.errors import WeightsError
from models.recurrent import Recurrent
from models.unrolled import layer_suffix

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]

OPSET = 17
_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "identity": "Affine"}
_OUTPUTS = {
    "softmax": "Softmax",
    "identity": "Identity",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "exp": "Exp",
}


class OnnxMissingError(MinigradError, ImportError):
    """The onnx package is not installed."""


def to_onnx(net: Recurrent, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """Build the ONNX model of a network.

    Its inputs are `inputs` and, unless the initial state is learned, `h0` (and `c0` for an LSTM); its
    outputs are `outputs` and the states after the last step, `h` (and `c`). All numbers are float32, the
    only ones that runtimes agree on.

    Parameters
    ----------
    net : Recurrent
        Many-to-many or many-to-one; the latter's `outputs` is `(batch, outputs)`.
    metadata : dict of str to str, optional
        Stored with the model, beside the network's description.

    Raises
    ------
    OnnxMissingError
        If the package `onnx` is not installed.
    WeightsError
        If the network is one-to-many, or has an activation that ONNX's operators do not have.

    Examples
    --------
    >>> from models import LSTM
    >>> model = to_onnx(LSTM(inputs=5, hidden=4, embedding=3, seed=0))
    >>> [value.name for value in model.graph.output]
    ['outputs', 'h', 'c']
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise OnnxMissingError("ONNX needs the package onnx: pip install 'minigrad[onnx]'") from error

    if net.topology == "one-to-many":
        raise WeightsError("a one-to-many network feeds its outputs back, for which ONNX has no operator")
    description = net.description  # refuses what has no name
    if isinstance(net, ElmanRNN) and net.fh not in _ACTIVATIONS:
        raise WeightsError(f"ONNX's RNN has no activation {net.fh!r}; only {', '.join(_ACTIVATIONS)}")

    W = {name: array.astype(np.float32) for name, array in net.values().items()}
    constants: dict[str, Array] = {}
    nodes: list[Any] = []

    def constant(name: str, array: Array) -> str:
        constants[name] = array
        return name

    def node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    classes = net.embedding is not None
    shape: list[Any] = ["steps", "batch"] if classes else ["steps", "batch", net.inputs]
    kind = TensorProto.INT64 if classes else TensorProto.FLOAT
    given = [helper.make_tensor_value_info("inputs", kind, shape)]
    x = "inputs"
    if classes:
        x = node("Gather", [constant("Wex", np.ascontiguousarray(W["Wex"].T)), x], ["embedded"], axis=0)

    states = {name: _initial(net, name, node, constant, W) for name in net.state_names}
    if net.initial_state != "learned":
        given += [
            helper.make_tensor_value_info(f"{name}0", TensorProto.FLOAT, [net.layers, "batch", net.hidden])
            for name in net.state_names
        ]
    last: dict[str, list[str]] = {name: [] for name in net.state_names}
    for layer in range(1, net.layers + 1):
        suffix = layer_suffix(layer)
        w, r, b, attributes = _layer(net, W, suffix)
        operands = [x, constant(f"W{suffix}", w), constant(f"R{suffix}", r), constant(f"B{suffix}", b), ""]
        operands += [states[name][layer - 1] for name in net.state_names]
        results = [f"y{suffix}", *(f"{name}_last{suffix}" for name in net.state_names)]
        operator = "RNN" if isinstance(net, ElmanRNN) else "LSTM"
        node(operator, operands, results, hidden_size=net.hidden, **attributes)
        for name, result in zip(net.state_names, results[1:], strict=True):
            last[name].append(result)
        # One direction: (steps, 1, batch, hidden) loses the axis of directions.
        x = node("Squeeze", [results[0], constant(f"axis{suffix}", np.array([1]))], [f"h{suffix}_steps"])
    if net.topology == "many-to-one":
        x = node("Gather", [x, constant("last", np.array(-1))], ["h_at_last"], axis=0)
    o = node("MatMul", [x, constant("Why", np.ascontiguousarray(W["Why"].T))], ["products"])
    o = node("Add", [o, constant("by", W["by"][:, 0])], ["o"])
    attributes = {"axis": -1} if net.fy == "softmax" else {}
    node(_OUTPUTS[str(net.fy)], [o], ["outputs"], **attributes)
    for name, parts in last.items():
        node("Concat", parts, [name], axis=0)

    axes: list[Any] = (
        ["batch", net.outputs] if net.topology == "many-to-one" else ["steps", "batch", net.outputs]
    )
    answers = [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, axes)]
    answers += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [net.layers, "batch", net.hidden])
        for name in net.state_names
    ]
    graph = helper.make_graph(
        nodes,
        net.kind,
        given,
        answers,
        [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="minigrad")
    model.ir_version = 8  # what opset 17 came with: older runtimes read it too
    helper.set_model_props(model, {"model": json.dumps(description)} | (metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return model


def _initial(net: Recurrent, name: str, node: Any, constant: Any, W: dict[str, Array]) -> list[str]:
    """Return the initial state of each layer, `(1, batch, hidden)`: from the input, or the learned one."""
    if net.initial_state != "learned":
        if net.layers == 1:
            return [f"{name}0"]
        parts = [f"{name}0{layer_suffix(layer)}_part" for layer in range(1, net.layers + 1)]
        node("Split", [f"{name}0"], parts, axis=0)
        return parts
    results = []
    for layer in range(1, net.layers + 1):
        suffix = layer_suffix(layer)
        learned = constant(f"{name}_init{suffix}", W[f"{name}_init{suffix}"].T[np.newaxis])
        size = node("Shape", ["inputs"], [f"{name}_batch{suffix}"], start=1, end=2)
        sizes = [constant(f"{name}_one{suffix}", np.array([1])), size]
        sizes.append(constant(f"{name}_H{suffix}", np.array([net.hidden])))
        whole = node("Concat", sizes, [f"{name}_shape{suffix}"], axis=0)
        results.append(node("Expand", [learned, whole], [f"{name}_spread{suffix}"]))
    return results


def _layer(net: Recurrent, W: dict[str, Array], suffix: str) -> tuple[Array, Array, Array, dict[str, Any]]:
    """Return the weights of the inputs, of the state, and the biases, each with an axis of directions."""
    attributes: dict[str, Any] = {}
    if isinstance(net, ElmanRNN):
        w, r, b = W["Wxh" + suffix], W["Whh" + suffix], W["bh" + suffix]
        attributes["activations"] = [_ACTIVATIONS[str(net.fh)]]
        if net.fh == "identity":
            attributes |= {"activation_alpha": [1.0], "activation_beta": [0.0]}
    else:
        both = np.concatenate([W[f"W{gate}{suffix}"] for gate in "iofc"])
        r, w = both[:, : net.hidden], both[:, net.hidden :]
        b = np.concatenate([W[f"b{gate}{suffix}"] for gate in "iofc"])
    biases = np.concatenate([b[:, 0], np.zeros(len(b), np.float32)])
    return w[np.newaxis], r[np.newaxis], biases[np.newaxis], attributes
