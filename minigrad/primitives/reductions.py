"""Reductions: sum, mean and max over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import AxisError, ShapeError
from minigrad.node import Array, Attributes, Axis, Node, Operand, checked_axis
from minigrad.primitives.base import Primitive, apply, define


def _kept(shape: tuple[int, ...], axis: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the shape of a reduction that keeps the axes it sums over, with size 1."""
    return tuple(1 if axis is None or i in axis else size for i, size in enumerate(shape))


def _count(shape: tuple[int, ...], axis: tuple[int, ...] | None) -> int:
    """Return how many entries a reduction combines into one."""
    count = 1
    for i, size in enumerate(shape):
        count *= size if axis is None or i in axis else 1
    return count


def _spread(g: Any, x: Any, axis: tuple[int, ...] | None) -> Any:
    """Return the gradient of a reduction at each entry that it reduced."""
    kept = _kept(x.shape, axis)
    return fn.broadcast_to(g if g.shape == kept else fn.reshape(g, kept), x.shape)


def _writer(name: str) -> Any:
    def write(operands: Sequence[str], attributes: Attributes) -> str:
        axis = attributes.get("axis")
        if axis is None:
            return f"{name}({operands[0]})"
        written = str(axis[0]) if len(axis) == 1 else str(axis)
        return f"{name}({operands[0]}, axis={written})"

    return write


def _latex_sum(operands: Sequence[str], attributes: Attributes) -> str:
    axis = attributes.get("axis")
    below = "" if axis is None else f"_{{\\text{{axis }} {', '.join(map(str, axis))}}}"
    return rf"\sum{below} {operands[0]}"


_SUM = define(
    "sum",
    lambda x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims),
    lambda g, y, x, axis, keepdims: _spread(g, x, axis),
    text=_writer("sum"),
    latex=_latex_sum,
)


def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Node:
    """Return the sum over `axis` (all axes by default), as in numpy.

    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.sum(mg.constant(np.ones((2, 3))), axis=1).value
    array([3., 3.])
    """
    return _reduce(_SUM, x, axis, keepdims)


_MEAN = define(
    "mean",
    lambda x, axis, keepdims: x.mean(axis=axis, keepdims=keepdims),
    lambda g, y, x, axis, keepdims: _spread(g / _count(x.shape, axis), x, axis),
    text=_writer("mean"),
)


def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Node:
    """Return the average over `axis` (all axes by default), as in numpy.

    Raises
    ------
    ShapeError
        If there is nothing to average over.
    """
    if 0 in np.shape(x.value if isinstance(x, Node) else x):
        shape = np.shape(x.value if isinstance(x, Node) else x)
        if not _count(shape, _axes(axis, len(shape), "mean")):
            raise ShapeError(f"mean: {_called(x)} {shape} has no entries to average")
    return _reduce(_MEAN, x, axis, keepdims)


def _max(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    largest: Array = x.max(axis=axis, keepdims=keepdims)
    return largest


def _max_vjp(g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    # Entries that share the maximum share the gradient in equal parts.
    largest = fn.astype(fn.equal(x, _spread(y, x, axis)), x.dtype)
    return _spread(g, x, axis) * (largest / fn.sum(largest, axis, keepdims=True))


_MAX = define("max", _max, _max_vjp, text=_writer("max"), latex=r"\max {0}")


def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Node:
    """Return the largest entry over `axis` (all axes by default); equal ones share the gradient.

    Raises
    ------
    ShapeError
        If there are no entries.
    """
    shape = np.shape(x.value if isinstance(x, Node) else x)
    if 0 in shape and not _count(shape, _axes(axis, len(shape), "max")):
        raise ShapeError(f"max: {_called(x)} {shape} has no entries, and so no largest one")
    return _reduce(_MAX, x, axis, keepdims)


def _called(x: Operand) -> str:
    return x.label if isinstance(x, Node) else "an array"


def _axes(axis: Axis, ndim: int, what: str) -> tuple[int, ...] | None:
    if axis is None:
        return None
    axes = tuple(checked_axis(a, ndim, what) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) < len(axes):
        raise AxisError(f"{what}: an axis is named twice in {axis}")
    return tuple(sorted(axes))


def _reduce(primitive: Primitive, x: Operand, axis: Axis, keepdims: bool) -> Node:
    if not isinstance(x, Node):
        x = np.asarray(x)
    if axis is not None:
        axis = _axes(axis, x.ndim, f"{primitive.name} of {_called(x)} {x.shape}")
    return apply(primitive, (x,), axis=axis, keepdims=bool(keepdims))
