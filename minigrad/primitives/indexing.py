"""Taking entries out, and putting gradients back where they came from.

An index is kept in `attributes` in a hashable form: a slice is written as the tuple (start, stop, step).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import AxisError, ShapeError, UnsupportedError
from minigrad.node import Array, Attributes, Node, Operand, checked_axis
from minigrad.primitives.base import ATOM, apply, define, shown

Index = tuple[Any, ...]


def thaw_index(index: Index) -> Index:
    """Turn the hashable form of an index into the one that numpy takes.

    >>> from minigrad.primitives import thaw_index
    >>> thaw_index((0, (None, 4, None)))
    (0, slice(None, 4, None))
    """
    return tuple([slice(*part) if isinstance(part, tuple) else part for part in index])


def _freeze_index(index: Index) -> Index:
    return tuple(
        [
            (part.start, part.stop, part.step)
            if isinstance(part, slice)
            else part
            if part is None or part is Ellipsis
            else int(part)
            for part in index
        ]
    )


def _is_basic(index: Index) -> bool:
    return all(
        part is None
        or part is Ellipsis
        or isinstance(part, slice)
        or (isinstance(part, (int, np.integer)) and not isinstance(part, bool))
        for part in index
    )


def _write_index(operands: Sequence[str], attributes: Attributes) -> str:
    parts = []
    for part in attributes["index"]:
        if isinstance(part, tuple):
            start, stop, step = ("" if bound is None else str(bound) for bound in part)
            parts.append(f"{start}:{stop}" + (f":{step}" if step else ""))
        elif part is Ellipsis:
            parts.append("...")
        else:
            parts.append(str(part))
    return f"{operands[0]}[{', '.join(parts)}]"


_GETITEM = define(
    "getitem",
    lambda x, index: x[thaw_index(index)],
    lambda g, y, x, index: fn.scatter(g, index, x.shape),
    text=_write_index,
    latex=_write_index,
    precedence=ATOM,
    binds=ATOM,
)


def _scatter(g: Any, index: Index, shape: tuple[int, ...]) -> Array:
    result = np.zeros(shape, np.asarray(g).dtype)
    result[thaw_index(index)] = g
    return result


def _sum_of_scatters(uses: list[tuple[Array, Node]]) -> Array:
    """Add the gradients of many slices of one value into one array."""
    g, node = uses[0]
    total = np.zeros(node.inputs[0].shape, g.dtype)
    for g, node in uses:
        total[thaw_index(node.attributes["index"])] += g
    return total


_GETITEM.merged[0] = _sum_of_scatters

_SCATTER = define(
    "scatter",
    _scatter,
    lambda g, y, x, index, shape: fn.getitem(g, thaw_index(index)),
    text=lambda operands, attributes: f"scatter({operands[0]}, {_write_index(('',), attributes)})",
)


def scatter(x: Operand, index: Index, shape: Sequence[int]) -> Node:
    """Return zeros of `shape` with `x` at a (frozen) basic index: the adjoint of slicing."""
    return apply(_SCATTER, (x,), index=index, shape=tuple(shape))


def getitem(x: Operand, index: Any) -> Node:
    """Return ``x[index]``: integers, slices, ``...``, None, integer arrays and boolean masks, as in numpy.

    Raises
    ------
    AxisError
        If the index lies outside of `x`.
    """
    if not isinstance(x, Node):
        return x[index]  # type: ignore[index, return-value]
    whole = index if isinstance(index, tuple) else (index,)
    bounds = [bound for s in whole if isinstance(s, slice) for bound in (s.start, s.stop, s.step)]
    if any(isinstance(part, Node) for part in (*whole, *bounds)):
        raise UnsupportedError(
            f"{x.label}[...]: an index cannot be a node; use mg.take(x, indices, axis), "
            "or index with its numbers: node.value"
        )
    try:
        if _is_basic(whole):
            return apply(_GETITEM, (x,), index=_freeze_index(whole))
        # Any other index picks entries of the flat array; numpy itself says which ones.
        positions = np.arange(x.size).reshape(x.shape)[index]
    except (IndexError, ShapeError, TypeError) as error:
        reason = str(error).split(": ")[-1]
        raise AxisError(f"index {index!r} does not fit {shown(x)}: {reason}") from None
    return take(fn.reshape(x, (-1,)), positions)


# -- take and its adjoint: rows or columns by number, such as embeddings --------------------------------


def _take(x: Array, indices: Array, axis: int) -> Array:
    return x.take(indices, axis=axis)


def _put(g: Any, indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
    result = np.zeros(shape, np.asarray(g).dtype)
    where: Any = (slice(None),) * axis + (indices,)
    np.add.at(result, where, g)
    return result


def _sum_of_puts(uses: list[tuple[Array, Node]]) -> Array | None:
    """Put the gradients of many lookups in one table back at once."""
    _g, node = uses[0]
    axis = node.attributes["axis"]
    indices = [node.inputs[1].value for _, node in uses]
    if any(i.ndim != 1 for i in indices) or len({node.attributes["axis"] for _, node in uses}) > 1:
        return None
    gradient = np.concatenate([g for g, _ in uses], axis=axis)
    return _put(gradient, np.concatenate(indices), axis, node.inputs[0].shape)


_TAKE = define(
    "take",
    _take,
    lambda g, y, x, indices, axis: fn.put(g, indices, axis, x.shape),
    None,
    text="take({0}, {1}, axis={axis})",
    latex=r"{0}_{{[{1}]}}",
    merged={0: _sum_of_puts},
)

_PUT = define(
    "put",
    _put,
    lambda g, y, x, indices, axis, shape: fn.take(g, indices, axis),
    None,
    text="put({0}, {1}, axis={axis})",
)


def take(x: Operand, indices: Operand, axis: int = 0) -> Node:
    """Return the entries of `x` along `axis` with the given numbers, as in numpy.

    With ``axis=1`` and an embedding ``Wex (E, V)``, the indices ``(B,)`` give the columns ``(E, B)``.

    Raises
    ------
    AxisError
        If an index lies outside of the axis; negative ones do.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> Wex = mg.parameter(np.arange(6.0).reshape(2, 3), name="Wex")
    >>> mg.take(Wex, [2, 0], axis=1).value
    array([[2., 0.],
           [5., 3.]])
    """
    if not isinstance(x, Node):
        x = np.asarray(x)
    axis = checked_axis(axis, x.ndim, "take")
    checked_indices("take", indices, x.shape[axis], x, axis)
    if not isinstance(indices, Node):
        indices = np.asarray(indices)
        if not indices.size:
            indices = indices.astype(np.intp)  # an empty list would be one of floats
    return apply(_TAKE, (x, indices), axis=axis)


def put(g: Operand, indices: Operand, axis: int, shape: Sequence[int]) -> Node:
    """Return zeros of `shape` with `g` added at the indices along `axis`: the adjoint of `take`."""
    return apply(_PUT, (g, indices), axis=axis, shape=tuple(shape))


_TAKE_ALONG_AXIS = define(
    "take_along_axis",
    lambda x, indices, axis: np.take_along_axis(x, indices, axis),
    lambda g, y, x, indices, axis: fn.put_along_axis(g, indices, axis, x.shape),
    None,
)


def _put_along_axis(g: Array, indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
    result = np.zeros(shape, np.asarray(g).dtype)
    places = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    places[axis] = indices
    np.add.at(result, tuple(places), g)
    return result


_PUT_ALONG_AXIS = define(
    "put_along_axis",
    _put_along_axis,
    lambda g, y, x, indices, axis, shape: fn.take_along_axis(g, indices, axis),
    None,
)


def take_along_axis(x: Operand, indices: Operand, axis: int) -> Node:
    """Return one entry (or several) for each line of `x` along `axis`, as in numpy (a gather)."""
    if not isinstance(x, Node):
        x = np.asarray(x)
    axis = checked_axis(axis, x.ndim, "take_along_axis")
    if not isinstance(indices, Node):
        indices = np.asarray(indices)
    checked_indices("take_along_axis", indices, x.shape[axis], x, axis)
    same = len(indices.shape) == x.ndim and all(
        a == b for i, (a, b) in enumerate(zip(indices.shape, x.shape, strict=True)) if i != axis
    )
    if not same:
        raise ShapeError(
            f"take_along_axis: indices {indices.shape} must have the shape of {x.shape} but for axis {axis}"
        )
    return apply(_TAKE_ALONG_AXIS, (x, indices), axis=axis)


def put_along_axis(g: Operand, indices: Operand, axis: int, shape: Sequence[int]) -> Node:
    """Return zeros of `shape` with `g` added at the indices: the adjoint of `take_along_axis`."""
    return apply(_PUT_ALONG_AXIS, (g, indices), axis=axis, shape=tuple(shape))


def _one_hot(indices: Array, depth: int, axis: int, dtype: Any) -> Array:
    shape = (*indices.shape[:axis], depth, *indices.shape[axis:])
    result = np.zeros(shape, dtype)
    if indices.ndim == 1 and axis == 0:
        result[indices, np.arange(len(indices))] = 1
    else:
        np.put_along_axis(result, np.expand_dims(indices, axis), 1, axis)
    return result


ONE_HOT = define("one_hot", _one_hot, None, text="{0}", latex="{0}")  # on paper a class is its column


def one_hot(indices: Operand, depth: int, axis: int = 0, dtype: Any = np.float64) -> Node:
    """Return columns (``axis=0``) that are 1 at the given class and 0 elsewhere: ``(depth, batch)``.

    >>> import minigrad as mg
    >>> mg.one_hot(mg.constant([2, 0]), 3).value
    array([[0., 1.],
           [0., 0.],
           [1., 0.]])
    """
    if not isinstance(indices, Node):
        indices = np.asarray(indices)
    checked_indices("one_hot", indices, depth, None, axis)
    axis = checked_axis(axis, len(indices.shape) + 1, "one_hot")
    return apply(ONE_HOT, (indices,), depth=int(depth), axis=axis, dtype=np.dtype(dtype))


def checked_indices(what: str, indices: Operand, size: int, x: Node | Array | None, axis: int) -> None:
    """Raise unless `indices` are integers from 0 to `size` - 1; the error names the first that is not."""
    array = indices.value if isinstance(indices, Node) else np.asarray(indices)
    if isinstance(indices, (list, tuple)) and not array.size:
        return
    name = indices.label if isinstance(indices, Node) else "indices"
    if array.dtype.kind not in "iu":
        raise UnsupportedError(
            f"{what}: {name} has dtype {array.dtype}; expected integers, the numbers of the entries to take"
        )
    if array.size > 16:
        lowest, highest = array.min(), array.max()
    else:  # for a few indices Python is quicker than numpy
        listed = array.ravel().tolist() or [0]
        lowest, highest = min(listed), max(listed)
    if array.size and (lowest < 0 or highest >= size):
        where = tuple(int(i) for i in np.argwhere((array < 0) | (array >= size))[0])
        place = f"{list(where)}" if where else ""
        of = f"{x.label} {x.shape}" if isinstance(x, Node) else f"there are {size}"
        among = f"{of} has {size} along axis {axis}" if isinstance(x, Node) else of
        raise AxisError(
            f"{what}: {name}{place} is {array[where]}, and {among}: expected a number from 0 to {size - 1}"
        )
