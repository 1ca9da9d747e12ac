"""Primitives that move entries and compute nothing: reshape, transpose, broadcast, concat, stack, split."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import AxisError, ShapeError, UnsupportedError
from minigrad.node import Array, Attributes, Node, Operand, checked_axis
from minigrad.primitives.base import ATOM, POWER, apply, define, shown

_RESHAPE = define(
    "reshape",
    lambda x, shape: x.reshape(shape),
    lambda g, y, x, shape: fn.reshape(g, x.shape),
    text="reshape({0}, {shape})",
    latex=r"\operatorname{{reshape}}\left({0}\right)",
)


def reshape(x: Operand, shape: int | Sequence[int]) -> Node:
    """Give `x` another shape of the same size; one size may be -1.

    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.reshape(mg.constant(np.arange(6.0)), (2, -1)).shape
    (2, 3)
    """
    if not isinstance(x, Node):
        x = np.asarray(x)
    wanted = _sizes(shape, "reshape")
    if -1 in wanted:
        known = int(np.prod([n for n in wanted if n != -1], dtype=int))
        if wanted.count(-1) > 1 or (known and x.size % known) or (not known and x.size):
            raise ShapeError(f"reshape: {_shown(x)} has {x.size} entries, which do not fit {wanted}")
        wanted = tuple(x.size // known if n == -1 and known else max(n, 0) for n in wanted)
    if int(np.prod(wanted, dtype=int)) != x.size or min(wanted, default=0) < 0:
        raise ShapeError(f"reshape: {_shown(x)} has {x.size} entries, which do not fit {wanted}")
    return apply(_RESHAPE, (x,), shape=wanted)


def expand_dims(x: Operand, axis: int) -> Node:
    """Insert an axis of size 1 before `axis`."""
    if not isinstance(x, Node):
        x = np.asarray(x)
    axis = checked_axis(axis, x.ndim + 1, f"expand_dims of {_shown(x)}")
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x: Operand, axis: int | tuple[int, ...] | None = None) -> Node:
    """Remove axes of size 1: those named, or all of them."""
    if not isinstance(x, Node):
        x = np.asarray(x)
    if axis is None:
        axes = {i for i, n in enumerate(x.shape) if n == 1}
    else:
        named = axis if isinstance(axis, tuple) else (axis,)
        axes = {checked_axis(a, x.ndim, f"squeeze of {_shown(x)}") for a in named}
        for a in sorted(axes):
            if x.shape[a] != 1:
                raise ShapeError(f"squeeze: {_shown(x)}: axis {a} has size {x.shape[a]}, not 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _write_transpose(operands: Sequence[str], attributes: Attributes) -> str:
    axes = attributes["axes"]
    if axes == (1, 0):
        return f"{operands[0]}^T"
    return f"permute_dims({operands[0]}, {axes})"


def _latex_transpose(operands: Sequence[str], attributes: Attributes) -> str:
    axes = attributes["axes"]
    if axes == (1, 0):
        return f"{operands[0]}^\\top"
    return rf"\operatorname{{permute}}_{{{axes}}}\left({operands[0]}\right)"


_PERMUTE_DIMS = define(
    "permute_dims",
    lambda x, axes: x.transpose(axes),
    lambda g, y, x, axes: fn.permute_dims(g, tuple(int(i) for i in np.argsort(axes))),
    text=_write_transpose,
    latex=_latex_transpose,
    precedence=POWER,
    binds=ATOM,
)


def permute_dims(x: Operand, axes: Sequence[int] | None = None) -> Node:
    """Reorder the axes; reverse them if none are given (the transpose of a matrix).

    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.permute_dims(mg.constant(np.ones((2, 3, 4))), (2, 0, 1)).shape
    (4, 2, 3)
    """
    if not isinstance(x, Node):
        x = np.asarray(x)
    if axes is None:
        order = tuple(range(x.ndim))[::-1]
    else:
        order = tuple(checked_axis(a, x.ndim, f"permute_dims of {_shown(x)}") for a in axes)
        if sorted(order) != list(range(x.ndim)):
            raise AxisError(f"permute_dims: {_shown(x)}: {tuple(axes)} does not name each axis once")
    return apply(_PERMUTE_DIMS, (x,), axes=order)


def matrix_transpose(x: Operand) -> Node:
    """Swap the last two axes."""
    if type(x) is np.ndarray and x.ndim == 2:
        return x.T  # type: ignore[return-value]
    if not isinstance(x, Node):
        x = np.asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: {_shown(x)} has fewer than two axes")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


_BROADCAST_TO = define(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    lambda g, y, x, shape: fn.unbroadcast(g, x.shape),
    text="broadcast_to({0}, {shape})",
    latex="{0}",  # on paper a broadcast is not written
)


def broadcast_to(x: Operand, shape: int | Sequence[int]) -> Node:
    """Repeat `x` along axes of size 1, and along new axes in front, up to `shape`.

    Raises
    ------
    ShapeError
        If another size than 1 would have to change.
    """
    wanted = _sizes(shape, "broadcast_to")
    if not isinstance(x, Node):
        return np.broadcast_to(x, wanted)  # type: ignore[return-value]
    try:
        return apply(_BROADCAST_TO, (x,), shape=wanted)
    except ShapeError:
        raise ShapeError(f"broadcast_to: {_shown(x)} cannot be broadcast to {wanted}") from None


def _sizes(shape: int | Sequence[int], what: str) -> tuple[int, ...]:
    """Return a shape as a tuple of Python integers."""
    try:
        if isinstance(shape, (tuple, list)) or np.ndim(shape):
            return tuple([index(n) for n in shape])  # type: ignore[union-attr]
        return (index(shape),)  # type: ignore[arg-type]
    except TypeError:
        raise UnsupportedError(f"{what}: a shape is made of integers, not {shape!r}") from None


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its operand of `shape` was broadcast."""
    ahead = len(g.shape) - len(shape)
    axes = (
        *range(ahead),
        *(i + ahead for i, n in enumerate(shape) if n == 1 and g.shape[i + ahead] != 1),
    )
    if axes:
        g = fn.sum(g, axes, keepdims=True)
    return fn.reshape(g, shape) if ahead else g


# -- joining and parting -----------------------------------------------------------------------------


def _concat_vjp(g: Any, y: Any, inputs: Sequence[Any], axis: int, position: int) -> Any:
    start = 0
    for x in inputs[:position]:
        start += x.shape[axis]
    cut = slice(start, start + inputs[position].shape[axis])
    return fn.getitem(g, (slice(None),) * axis + (cut,))


def _explain_concat(*inputs: Node, axis: int) -> str:
    if len({x.ndim for x in inputs}) > 1:
        return "the numbers of axes differ"
    return f"all sizes but those on axis {axis} must agree"


def _listing(name: str) -> Any:
    def write(operands: Sequence[str], attributes: Attributes) -> str:
        axis = f", axis={attributes['axis']}" if attributes["axis"] else ""
        return f"{name}({', '.join(operands)}{axis})"

    return write


def _latex_listing(operands: Sequence[str], attributes: Attributes) -> str:
    return r"\begin{bmatrix} " + r" \\ ".join(operands) + r" \end{bmatrix}"


_CONCAT = define(
    "concat",
    lambda *arrays, axis: np.concatenate(arrays, axis=axis),
    _concat_vjp,
    text=_listing("concat"),
    latex=_latex_listing,
    variadic=True,
    explain=_explain_concat,
)


def concat(arrays: Sequence[Operand], axis: int = 0) -> Node:
    """Join values along an axis that they have.

    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.concat([mg.constant(np.ones((4, 1))), np.ones((3, 1))]).shape
    (7, 1)

    Raises
    ------
    ShapeError
        If nothing is given, or sizes on another axis differ.
    """
    operands = _operands(arrays, "concat")
    axis = checked_axis(axis, operands[0].ndim, "concat")
    return apply(_CONCAT, operands, axis=axis)


def _stack_vjp(g: Any, y: Any, inputs: Sequence[Any], axis: int, position: int) -> Any:
    return fn.getitem(g, (slice(None),) * axis + (position,))


_STACK = define(
    "stack",
    lambda *arrays, axis: np.stack(arrays, axis=axis),
    _stack_vjp,
    text=_listing("stack"),
    latex=_latex_listing,
    variadic=True,
    explain=lambda *inputs, axis: "all shapes must be the same",
)


def stack(arrays: Sequence[Operand], axis: int = 0) -> Node:
    """Join values of one shape along a new axis."""
    operands = _operands(arrays, "stack")
    axis = checked_axis(axis, operands[0].ndim + 1, "stack")
    return apply(_STACK, operands, axis=axis)


def split(x: Operand, parts: int | Sequence[int], axis: int = 0) -> list[Node]:
    """Part `x` along an axis: into so many equal parts, or before each of the given indices.

    >>> import numpy as np
    >>> import minigrad as mg
    >>> h, wes = mg.split(mg.constant(np.ones((7, 1))), [4])
    >>> h.shape, wes.shape
    ((4, 1), (3, 1))
    """
    if not isinstance(x, Node):
        x = np.asarray(x)
    axis = checked_axis(axis, x.ndim, f"split of {_shown(x)}")
    size = x.shape[axis]
    if isinstance(parts, (int, np.integer)):
        if parts < 1 or size % parts:
            raise ShapeError(f"split: {_shown(x)}: size {size} on axis {axis} has no {parts} equal parts")
        bounds = [i * (size // int(parts)) for i in range(int(parts) + 1)]
    else:
        bounds = [0, *map(int, parts), size]
        if any(a > b for a, b in itertools.pairwise(bounds)) or bounds[1] < 0:
            raise ShapeError(f"split: {_shown(x)}: {list(parts)} does not ascend from 0 to {size}")
    ahead = (slice(None),) * axis
    return [fn.getitem(x, (*ahead, slice(start, stop))) for start, stop in itertools.pairwise(bounds)]


def _operands(arrays: Sequence[Operand], what: str) -> list[Node | Array]:
    arrays = list(arrays)
    if not arrays:
        raise ShapeError(f"{what}: expected at least one value, found none")
    return [x if isinstance(x, Node) else np.asarray(x) for x in arrays]


def _shown(x: Node | Array) -> str:
    return shown(x) if isinstance(x, Node) else f"an array {x.shape}"
