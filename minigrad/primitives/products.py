"""The matrix product."""

from __future__ import annotations

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import ShapeError
from minigrad.node import Array, Node, Operand, state
from minigrad.primitives.base import PRODUCT, apply, binary, define, shown


def _matmul(a: Array, b: Array) -> Array:
    if state.tracing is not None:
        return _of_that_shape(a, b)
    # For matrices the same product as matmul, with less ado for small operands.
    product: Array = a.dot(b) if a.ndim == 2 and b.ndim == 2 else np.matmul(a, b)
    return product


def _of_that_shape(a: Array, b: Array) -> Array:
    """Return ones in the shape of the product: under tracing nobody asks for values, and these are dear."""
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"inner sizes {a.shape[-1]} and {b.shape[-2]} differ")
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    return np.broadcast_to(np.ones((), np.result_type(a, b)), shape)


def _explain_matmul(a: Node, b: Node) -> str | None:
    if a.ndim < 2 or b.ndim < 2:
        return "a product needs operands with axes"
    if a.shape[-1] != b.shape[-2]:
        return f"inner sizes {a.shape[-1]} and {b.shape[-2]} differ"
    return f"the leading axes {a.shape[:-2]} and {b.shape[:-2]} cannot be broadcast"


def _sum_of_products(uses: list[tuple[Array, Node]]) -> Array | None:
    """Return ``sum_t g_t x_t^T`` as one product ``[g_1 g_2 ...] [x_1 x_2 ...]^T``."""
    g, node = uses[0]
    x = node.inputs[1].value
    if any(g.ndim != 2 or node.inputs[1].value.ndim != 2 for g, node in uses):
        return None
    if x.shape[1] * (g.shape[0] + x.shape[0]) > g.shape[0] * x.shape[0]:
        return None  # copying the operands side by side would cost more than adding the products
    gradients = np.concatenate([g for g, _ in uses], axis=1)
    operands = np.concatenate([node.inputs[1].value for _, node in uses], axis=1)
    total: Array = gradients.dot(operands.T)
    return total


_MATMUL = define(
    "matmul",
    _matmul,
    lambda g, y, a, b: fn.matmul(g, fn.matrix_transpose(b)),
    lambda g, y, a, b: fn.matmul(fn.matrix_transpose(a), g),
    text="{0} @ {1}",
    latex="{0} {1}",
    precedence=PRODUCT,
    binds=(PRODUCT, PRODUCT + 1),
    broadcasts=True,  # the axes in front of the last two
    explain=_explain_matmul,
    merged={0: _sum_of_products},
)


def matmul(a: Operand, b: Operand) -> Node:
    """Return the matrix product ``a @ b``, as in numpy.

    Parameters
    ----------
    a : (..., n, k) or (k,)
    b : (..., k, m) or (k,)

    Returns
    -------
    Node
        ``(..., n, m)``; without the axis of an operand that is a vector.

    Raises
    ------
    ShapeError
        If the inner sizes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.matmul(mg.constant(np.ones((2, 3))), np.ones((3, 4))).shape
    (2, 4)
    """
    if type(a) is np.ndarray and type(b) is np.ndarray and a.ndim >= 2 and b.ndim >= 2:
        return _matmul(a, b)  # type: ignore[return-value]
    if type(a) is Node and type(b) is Node and a.value.ndim >= 2 and b.value.ndim >= 2:
        return binary(_MATMUL, a, b)
    return _matmul_any(a, b)


def _matmul_any(a: Operand, b: Operand) -> Node:
    ndims = np.ndim(a.value if isinstance(a, Node) else a), np.ndim(b.value if isinstance(b, Node) else b)
    if 0 in ndims:
        which = a if ndims[0] == 0 else b
        name = shown(which) if isinstance(which, Node) else repr(which)
        raise ShapeError(f"matmul: {name} is a number and not a matrix; use multiply (*)")
    shapes = [x.shape if isinstance(x, Node) else np.shape(x) for x in (a, b)]
    if 1 in ndims and shapes[0][-1] != shapes[1][-2 if ndims[1] > 1 else 0]:
        # Said here, of the operands as they were given: below, a vector is a reshape of them.
        names = [shown(x) if isinstance(x, Node) else f"an array {np.shape(x)}" for x in (a, b)]
        sizes = f"{shapes[0][-1]} and {shapes[1][-2 if ndims[1] > 1 else 0]}"
        raise ShapeError(f"matmul: {names[0]} @ {names[1]}: inner sizes {sizes} differ")
    if ndims[0] == 1:
        a = fn.reshape(a, (1, -1))
    if ndims[1] == 1:
        b = fn.reshape(b, (-1, 1))
    y = apply(_MATMUL, (a, b))
    if 1 in ndims:
        shape = list(y.shape)
        if ndims[1] == 1:
            del shape[-1]
        if ndims[0] == 1:
            del shape[-1 if ndims[1] == 1 else -2]
        y = fn.reshape(y, tuple(shape))
    return y
