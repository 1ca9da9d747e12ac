"""Softmax and the losses, stable for any logits, with the gradients that one writes by hand.

``cross_entropy(o, y)`` holds the softmax ``p`` of its logits as an input through which no gradient flows;
its gradient with respect to ``o`` is then recorded as ``p - y``, with that same node ``p``.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import ShapeError, UnsupportedError
from minigrad.node import Array, Attributes, Node, Operand, checked_axis, state
from minigrad.primitives.base import apply, define, shown
from minigrad.primitives.indexing import ONE_HOT


def _softmax(x: Array, axis: int) -> Array:
    # The shift by the largest entry changes nothing and keeps exp from overflowing.
    y = np.subtract(x, np.maximum.reduce(x.real if x.dtype.kind == "c" else x, axis=axis, keepdims=True))
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis=axis, keepdims=True)
    return y


_SOFTMAX = define(
    "softmax",
    _softmax,
    lambda g, y, x, axis: y * (g - fn.sum(g * y, axis, keepdims=True)),
    text="softmax({0})",
    latex=r"\operatorname{{softmax}}\left({0}\right)",
)


def softmax(x: Operand, axis: int = 0) -> Node:
    """Return ``exp(x) / sum(exp(x))`` along `axis`; columns by default.

    The softmax of a node is recorded once: asking again for it gives the same node.

    >>> import minigrad as mg
    >>> mg.softmax(mg.constant([[0.0], [0.0]])).value
    array([[0.5],
           [0.5]])
    """
    if not isinstance(x, Node):
        x = np.asarray(x)
        return _softmax(_floating(x), checked_axis(axis, x.ndim, "softmax"))  # type: ignore[return-value]
    axis = checked_axis(axis, x.value.ndim, "softmax")
    known = x.softmax
    if known is not None and known[0] == axis:
        node = known[1]()
        # What was computed under no_grad is no part of a graph, and the other way round.
        if (
            node is not None
            and (node.primitive is not None) is state.recording
            and _is_current(node, x, axis)
        ):
            return node
    node = _logits(_SOFTMAX, x, axis)
    x.softmax = (axis, weakref.ref(node))
    return node


def _is_current(p: Node, x: Node, axis: int) -> bool:
    """Whether `p` still is the softmax of `x`: a leaf may be given new numbers in place, as optimizers do."""
    return x.primitive is not None or np.array_equal(p.value, _softmax(x.value, axis), equal_nan=True)


def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - np.max(x.real if x.dtype.kind == "c" else x, axis=axis, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return result


_LOG_SOFTMAX = define(
    "log_softmax",
    _log_softmax,
    lambda g, y, x, axis: g - fn.softmax(x, axis) * fn.sum(g, axis, keepdims=True),
    text="log_softmax({0})",
    latex=r"\log\operatorname{{softmax}}\left({0}\right)",
)


def log_softmax(x: Operand, axis: int = 0) -> Node:
    """Return the logarithm of the softmax along `axis`, without underflow."""
    if not isinstance(x, Node):
        x = np.asarray(x)
        return _log_softmax(_floating(x), checked_axis(axis, x.ndim, "log_softmax"))  # type: ignore[return-value]
    return _logits(_LOG_SOFTMAX, x, checked_axis(axis, x.value.ndim, "log_softmax"))


def _logits(primitive: Any, x: Node, axis: int) -> Node:
    """Apply softmax or log_softmax, which need an entry to begin with."""
    if not x.value.shape[axis]:
        raise ShapeError(f"{primitive.name}: {shown(x)} has no classes along axis {axis}")
    _floating(x.value)
    return apply(primitive, (x,), axis=axis)


def _floating(x: Array) -> Array:
    if x.dtype.kind not in "fc":
        raise UnsupportedError(f"softmax: logits are floating point numbers, not {x.dtype}")
    return x


# -- cross-entropy -----------------------------------------------------------------------------------


# A probability above this has an accurate logarithm, also in float32.
_FAR_FROM_UNDERFLOW = 1e-30


def _cross_entropy(logits: Array, target: Array, p: Array, axis: int, normalized: bool) -> Any:
    if target.dtype.kind in "iu":
        matrix = logits.ndim == 2 and axis == 0
        if (
            matrix and target.size <= 8 and p.dtype.kind == "f"
        ):  # for a few columns Python is quicker than numpy
            listed = [p.item(k, column) for column, k in enumerate(target.tolist())]
            if min(listed, default=1) > _FAR_FROM_UNDERFLOW:
                return np.array(-sum(map(math.log, listed)), p.dtype)
        if matrix:
            chosen = p[target, np.arange(target.shape[0])]
        else:
            chosen = np.take_along_axis(p, np.expand_dims(target, axis), axis)
        if np.minimum.reduce(chosen.real, axis=None, initial=1) > _FAR_FROM_UNDERFLOW:
            return -np.add.reduce(np.log(chosen), axis=None)
        log_p = _log_softmax(logits, axis)
        return -np.take_along_axis(log_p, np.expand_dims(target, axis), axis).sum()
    log_p = _log_softmax(logits, axis)
    # A class that has no share of the target counts nothing, even if its probability is 0.
    return -np.where(target == 0, 0, target * np.where(target == 0, 0, log_p)).sum()


def _cross_entropy_vjp(g: Any, y: Any, logits: Any, target: Any, p: Any, axis: int, normalized: bool) -> Any:
    if target.dtype.kind in "iu":
        target = apply(ONE_HOT, (target,), depth=p.shape[axis], axis=axis, dtype=p.dtype)
        normalized = True
    if normalized:
        return scaled(g, p - target)
    return scaled(g, p * fn.sum(target, axis, keepdims=True) - target)


def _write_loss(name: str) -> Any:
    def write(operands: Sequence[str], attributes: Attributes) -> str:
        return f"{name}({operands[0]}, {operands[1]})"

    return write


_CROSS_ENTROPY = define(
    "cross_entropy",
    _cross_entropy,
    _cross_entropy_vjp,
    lambda g, y, logits, target, p, axis, normalized: g * -fn.log_softmax(logits, axis),
    None,
    text=_write_loss("cross_entropy"),
    latex=_write_loss(r"\operatorname{CE}"),
)


def cross_entropy(logits: Operand, target: Operand, axis: int = 0) -> Node:
    """Return ``-sum(y * log(softmax(o)))``, summed over the classes along `axis` and over all columns.

    Parameters
    ----------
    logits : (classes, batch)
        The values before the softmax.
    target : (batch,) integers or (classes, batch) probabilities
        The right classes, or a distribution for each column.
    axis : int
        The axis of the classes.

    Returns
    -------
    Node
        A scalar, summed (not averaged) over the batch, so that its gradient is ``p - y``; divide by the
        batch size for the average.

    Raises
    ------
    ShapeError
        If the target does not fit the logits, or probabilities do not sum to 1.
    AxisError
        If a class does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> o = mg.parameter(np.zeros((4, 1)), name="o")
    >>> mg.cross_entropy(o, [2]).item()  # log(4): nothing is known yet
    1.3862943611198906
    """
    if not isinstance(logits, Node):
        if not isinstance(target, Node):
            return cross_entropy(fn.constant(logits), target, axis).value  # type: ignore[return-value]
        logits = fn.constant(logits)
    axis = checked_axis(axis, logits.value.ndim, "cross_entropy")
    p = softmax(logits, axis)
    y = target if type(target) is Node else fn.lift(np.asarray(target), logits)
    array = y.value
    normalized = False
    if array.dtype.kind in "iu" and array.ndim == logits.value.ndim - 1:
        expected = logits.value.shape[:axis] + logits.value.shape[axis + 1 :]
        if array.shape != expected:
            raise ShapeError(f"cross_entropy: {shown(logits)} needs classes {expected}, found {shown(y)}")
        if array.size:
            fn.checked_indices("cross_entropy", y, logits.value.shape[axis], logits, axis)
    elif array.shape == logits.value.shape:
        if array.dtype != logits.value.dtype and array.dtype.kind in "biuf":
            y = fn.astype(y, logits.value.dtype)
        if not y.requires_grad and array.size:
            normalized = _is_distribution(y, axis)
    else:
        raise ShapeError(
            f"cross_entropy: {shown(logits)} needs classes "
            f"{logits.value.shape[:axis] + logits.value.shape[axis + 1 :]} or probabilities "
            f"{logits.value.shape}, found {shown(y)}"
        )
    return apply(_CROSS_ENTROPY, (logits, y, p), axis=axis, normalized=normalized)


def _is_distribution(y: Node, axis: int) -> bool:
    if state.tracing is not None:
        return True
    total = y.value.sum(axis=axis)
    wrong = np.abs(total - 1) > 1e-4
    if np.any(wrong):
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ShapeError(
            f"cross_entropy: the probabilities {y.label} must sum to 1 along axis {axis}; "
            f"column {list(where)} sums to {total[where]:.6g}"
        )
    return True


# -- squared error -----------------------------------------------------------------------------------


def _squared_error(prediction: Array, target: Array) -> Any:
    difference = prediction - target
    return 0.5 * np.add.reduce(difference * difference, axis=None)


_SQUARED_ERROR = define(
    "squared_error",
    _squared_error,
    lambda g, y, prediction, target: scaled(g, prediction - target),
    lambda g, y, prediction, target: scaled(g, target - prediction),
    text=_write_loss("squared_error"),
    latex=r"\tfrac12 \left\|{0} - {1}\right\|^2",
)


def squared_error(prediction: Operand, target: Operand) -> Node:
    """Return half the sum of the squared differences, ``sum((y - t)**2) / 2``, whose gradient is ``y - t``.

    Raises
    ------
    ShapeError
        If the two shapes differ: broadcasting a target is nearly always a slip.
    """
    a = prediction if isinstance(prediction, Node) else np.asarray(prediction)
    b = target if isinstance(target, Node) else np.asarray(target)
    if a.shape != b.shape:
        first = shown(a) if isinstance(a, Node) else str(a.shape)
        second = shown(b) if isinstance(b, Node) else str(b.shape)
        raise ShapeError(f"squared_error: prediction {first} and target {second} must have one shape")
    return apply(_SQUARED_ERROR, (a, b))


def scaled(g: Any, x: Any) -> Any:
    """Return ``g * x``, and `x` itself where `g` is the 1 with which every backward pass begins."""
    if isinstance(g, Node):
        return x if g.attributes.get("seed") else g * x
    return x if g is SEED.get(g.dtype.char) else g * x


# The gradient of a scalar with respect to itself, one object for each dtype, so that it is recognised.
SEED: dict[str, Array] = {kind: np.ones((), kind) for kind in "efdg"}
for _seed in SEED.values():
    _seed.setflags(write=False)
