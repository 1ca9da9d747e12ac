"""Weights from PyTorch and to it: state dicts of `nn.RNN`, `nn.LSTM`, `nn.Embedding` and `nn.Linear`.

PyTorch and the notes compute the same with other layouts. PyTorch stacks the gates in the order i, f, g, o
and keeps the matrix of the input apart from that of the state; the notes keep one matrix a gate, for
`[h[t-1]; x]`. PyTorch has two biases that are only ever added; here there is their sum. An embedding is a
table of rows there, a matrix of columns here. PyTorch need not be installed: a state dict is a mapping from
names to arrays, as safetensors stores it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import nearest
from models.elman import ElmanRNN
from models.errors import WeightsError
from models.lstm import LSTM
from models.recurrent import Recurrent
from models.unrolled import layer_suffix

Array = NDArray[Any]

# The gates as PyTorch orders them (i, f, g, o) and as ONNX does (i, o, f, c), in the notes' letters.
GATE_ORDERS = {"ifgo": "ifco", "iofc": "iofc"}


def from_torch(
    state_dict: Mapping[str, Any],
    *,
    topology: str = "many-to-many",
    fy: str = "softmax",
    nonlinearity: str = "tanh",
    gates: str = "ifgo",
) -> Recurrent:
    """Build the network whose weights a PyTorch state dict holds.

    Parameters
    ----------
    state_dict : mapping of str to array
        Of a module with one `nn.RNN` or `nn.LSTM`, one `nn.Linear` read-out and perhaps one `nn.Embedding`,
        under any prefixes (``lstm.weight_ih_l0``, ``head.weight``, ``embed.weight``). Tensors, or arrays as
        safetensors reads them. Without an `nn.Linear`, the read-out is the identity: the states themselves
        come out.
    topology, fy
        As for `Recurrent`; a state dict does not say them.
    nonlinearity : {"tanh", "relu"}
        Of `nn.RNN`, likewise.
    gates : {"ifgo", "iofc"}
        The order in which the gates are stacked: PyTorch's or ONNX's.

    Raises
    ------
    WeightsError
        If no recurrent layer is found, or a weight is missing, of a wrong shape, or of a kind that no model
        here has (bidirectional, projected, GRU); the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> rnn = {"rnn.weight_ih_l0": np.zeros((4, 3)), "rnn.weight_hh_l0": np.zeros((4, 4))}
    >>> from_torch(rnn, fy="identity")
    ElmanRNN(inputs=3, hidden=4, outputs=4, many-to-many, float64): 52 weights
    """
    arrays = {name: _array(value) for name, value in state_dict.items()}
    prefix = _recurrent_prefix(arrays)
    layers = _layer_count(arrays, prefix)
    W_ih, W_hh = arrays[f"{prefix}weight_ih_l0"], _weight(arrays, f"{prefix}weight_hh_l0")
    if W_hh.ndim != 2 or W_ih.ndim != 2:
        raise WeightsError(f"{prefix}weight_hh_l0 has shape {W_hh.shape}; expected a matrix")
    hidden, size = W_hh.shape[1], W_ih.shape[1]
    blocks = W_hh.shape[0] / hidden
    if blocks not in (1, 4):
        kind = "a GRU, which has no model here" if blocks == 3 else "neither an nn.RNN nor an nn.LSTM"
        raise WeightsError(f"{prefix}weight_hh_l0 has shape {W_hh.shape}: this is {kind}")

    embedding, linear = _neighbours(arrays, prefix, size, hidden)
    outputs = hidden if linear is None else arrays[f"{linear}weight"].shape[0]
    sizes = {
        "inputs": size if embedding is None else arrays[embedding].shape[0],
        "hidden": hidden,
        "outputs": outputs,
        "embedding": None if embedding is None else size,
        "layers": layers,
        "topology": topology,
        "fy": fy,
        "dtype": np.float64 if W_hh.dtype == np.float64 else np.float32,
    }
    net: Recurrent = ElmanRNN(**sizes, fh=nonlinearity) if blocks == 1 else LSTM(**sizes)
    values: dict[str, Array] = {}
    if embedding is not None:
        values["Wex"] = arrays[embedding].T
    for layer in range(1, layers + 1):
        values |= _layer_from_torch(net, arrays, prefix, layer, gates)
    values["Why"] = np.eye(hidden) if linear is None else arrays[f"{linear}weight"]
    values["by"] = np.zeros((outputs, 1))
    if linear is not None and f"{linear}bias" in arrays:
        values["by"] = _bias(arrays, f"{linear}bias", outputs)
    net.set_parameters(values)
    return net


def to_torch(
    net: Recurrent, *, recurrent: str = "rnn.", embedding: str = "embedding.", linear: str = "linear."
) -> dict[str, Array]:
    """Return the weights of a network as a PyTorch state dict of arrays.

    PyTorch computes the same with them: `nn.RNN` or `nn.LSTM` with ``num_layers=net.layers``,
    `nn.Embedding`, `nn.Linear`. The bias stands in `bias_ih`, and `bias_hh` is zero.
    `safetensors.numpy.save_file` writes the result to a file.

    Parameters
    ----------
    net : Recurrent
        The network.
    recurrent, embedding, linear : str
        Prefixes of the three modules.

    Raises
    ------
    WeightsError
        If the network has an activation that `nn.RNN` does not have, or a learned initial state, which no
        module holds.

    Examples
    --------
    >>> sorted(to_torch(ElmanRNN(inputs=3, hidden=4, seed=0)))[:2]
    ['linear.bias', 'linear.weight']
    """
    if isinstance(net, ElmanRNN) and net.fh not in ("tanh", "relu"):
        raise WeightsError(f"nn.RNN has no activation {net.fh!r}; only tanh and relu")
    if net.initial_state == "learned":
        raise WeightsError(
            "PyTorch's modules hold no learned initial state; pass h_init (and c_init) to them yourself"
        )
    W = net.values()
    result: dict[str, Array] = {}
    if net.embedding is not None:
        result[f"{embedding}weight"] = W["Wex"].T
    for layer in range(1, net.layers + 1):
        suffix, place = layer_suffix(layer), f"l{layer - 1}"
        if isinstance(net, ElmanRNN):
            ih, hh, bias = W["Wxh" + suffix], W["Whh" + suffix], W["bh" + suffix]
        else:
            gates = GATE_ORDERS["ifgo"]
            both = np.concatenate([W[f"W{gate}{suffix}"] for gate in gates])
            hh, ih = both[:, : net.hidden], both[:, net.hidden :]
            bias = np.concatenate([W[f"b{gate}{suffix}"] for gate in gates])
        result[f"{recurrent}weight_ih_{place}"] = ih
        result[f"{recurrent}weight_hh_{place}"] = hh
        result[f"{recurrent}bias_ih_{place}"] = bias[:, 0]
        result[f"{recurrent}bias_hh_{place}"] = np.zeros_like(bias[:, 0])
    result[f"{linear}weight"] = W["Why"]
    result[f"{linear}bias"] = W["by"][:, 0]
    return {name: np.ascontiguousarray(array) for name, array in result.items()}


def _array(value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _recurrent_prefix(arrays: Mapping[str, Array]) -> str:
    prefixes = [name.removesuffix("weight_ih_l0") for name in arrays if name.endswith("weight_ih_l0")]
    if not prefixes:
        raise WeightsError(
            "no recurrent layer found: expected a weight named ...weight_ih_l0, as nn.RNN and nn.LSTM have; "
            f"there are {', '.join(list(arrays)[:8]) or 'no weights at all'}"
        )
    if len(prefixes) > 1:
        raise WeightsError(
            f"more than one recurrent module: {', '.join(repr(p) for p in prefixes)}; expected one"
        )
    for name in arrays:
        if name.startswith(prefixes[0]) and name.endswith("_reverse"):
            raise WeightsError(f"{name} belongs to a bidirectional network, which has no model here")
        if name.startswith(f"{prefixes[0]}weight_hr_"):
            raise WeightsError(f"{name} belongs to an LSTM with projections, which has no model here")
    return prefixes[0]


def _layer_count(arrays: Mapping[str, Array], prefix: str) -> int:
    pattern = re.compile(re.escape(prefix) + r"weight_ih_l(\d+)")
    found = sorted(int(match[1]) for name in arrays if (match := pattern.fullmatch(name)))
    if found != list(range(len(found))):
        raise WeightsError(
            f"the layers of {prefix!r} are numbered {found}; layer {len(found) - 1} is missing"
        )
    return len(found)


def _neighbours(
    arrays: Mapping[str, Array], prefix: str, size: int, hidden: int
) -> tuple[str | None, str | None]:
    """Find the embedding (a matrix without a bias, by width) and the read-out among the other weights."""
    inside = re.compile(re.escape(prefix) + r"(weight|bias)_(ih|hh)_l\d+")
    others = {name: array for name, array in arrays.items() if not inside.fullmatch(name)}
    matrices = [name for name, array in others.items() if name.endswith("weight") and array.ndim == 2]
    with_bias = [name for name in matrices if name.removesuffix("weight") + "bias" in others]
    bare = [name for name in matrices if name not in with_bias]
    embedding = next((name for name in bare if "emb" in name.lower() and others[name].shape[1] == size), None)
    if embedding is None and len(bare) > (0 if with_bias else 1):
        embedding = next((name for name in bare if others[name].shape[1] == size), None)
    candidates = with_bias or [name for name in bare if name != embedding]
    linear = [name for name in candidates if others[name].shape[1] == hidden]
    known = {embedding, *linear} | {name.removesuffix("weight") + "bias" for name in linear}
    if len(linear) > 1 or set(others) - known:
        strange = linear[1] if len(linear) > 1 else sorted(set(others) - known)[0]
        raise WeightsError(
            f"{strange} of shape {others[strange].shape} fits neither an embedding (classes, {size}) "
            f"nor one read-out (outputs, {hidden})"
        )
    return embedding, linear[0].removesuffix("weight") if linear else None


def _weight(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...] | None = None) -> Array:
    if name not in arrays:
        raise WeightsError(f"{name} is missing; {nearest(name, arrays)}")
    if shape is not None and arrays[name].shape != shape:
        raise WeightsError(f"{name} has shape {arrays[name].shape}; expected {shape}")
    return arrays[name]


def _bias(arrays: Mapping[str, Array], name: str, size: int) -> Array:
    return _weight(arrays, name, (size,))[:, np.newaxis]


def _layer_from_torch(
    net: Recurrent, arrays: Mapping[str, Array], prefix: str, layer: int, gates: str
) -> dict[str, Array]:
    suffix, place, hidden = layer_suffix(layer), f"l{layer - 1}", net.hidden
    size = hidden if layer > 1 else (net.embedding or net.inputs)
    rows = hidden * (4 if isinstance(net, LSTM) else 1)
    ih = _weight(arrays, f"{prefix}weight_ih_{place}", (rows, size))
    hh = _weight(arrays, f"{prefix}weight_hh_{place}", (rows, hidden))
    bias = np.zeros((rows, 1), ih.dtype)
    biases = [f"{prefix}bias_ih_{place}", f"{prefix}bias_hh_{place}"]
    if any(name in arrays for name in biases):  # a module made with bias=False has neither
        bias = _bias(arrays, biases[0], rows) + _bias(arrays, biases[1], rows)
    if isinstance(net, ElmanRNN):
        return {f"Wxh{suffix}": ih, f"Whh{suffix}": hh, f"bh{suffix}": bias}
    if gates not in GATE_ORDERS:
        raise WeightsError(f"gates is {gates!r}; expected one of {', '.join(GATE_ORDERS)}")
    values = {}
    for k, gate in enumerate(GATE_ORDERS[gates]):
        block = slice(k * hidden, (k + 1) * hidden)
        values[f"W{gate}{suffix}"] = np.concatenate([hh[block], ih[block]], axis=1)
        values[f"b{gate}{suffix}"] = bias[block]
    return values
