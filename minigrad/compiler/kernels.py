"""How each operation is carried out in numpy: calls that write into memory that is given to them.

A kernel takes the operation, its result's memory and its operands' (all with a leading axis of steps when
it runs for all steps at once) and returns calls. What has no kernel falls back to the primitive itself, which
allocates its result, and a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.compiler.ir import Value
from minigrad.node import Array
from minigrad.primitives.base import PRIMITIVES


class Call(NamedTuple):
    """One numpy call: the function and its operands, the last of which is written."""

    function: Callable[..., Any]
    operands: tuple[Any, ...]


Kernel = Callable[[Value, Array, Sequence[Array], bool], "list[Call] | None"]
KERNELS: dict[str, Kernel] = {}


def maximum_into(a: Array, b: Array, out: Array) -> None:
    """Write the larger of two; numpy wants the result of this one by keyword."""
    np.maximum(a, b, out=out)


def minimum_into(a: Array, b: Array, out: Array) -> None:
    """Write the smaller of two."""
    np.minimum(a, b, out=out)


_UFUNCS: dict[str, Callable[..., Any]] = {
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.true_divide,
    "negative": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "tanh": np.tanh,
    "maximum": maximum_into,
    "minimum": minimum_into,
    "power": np.power,
    "square": np.square,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
}


def calls(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call] | None:
    """Return the calls of an operation; None if it can only run step by step.

    With `batched`, `out` and the operands that have steps have them as their first axis.
    """
    ufunc = _UFUNCS.get(value.op)
    if ufunc is not None:
        return [elementwise(ufunc, out, aligned(value, operands, batched))]
    kernel = KERNELS.get(value.op)
    if kernel is not None:
        return kernel(value, out, operands, batched)
    return None if batched else [fallback(value, out, operands)]


def fallback(value: Value, out: Array, operands: Sequence[Array]) -> Call:
    """Compute an operation by its primitive and copy the result."""
    function, attributes = PRIMITIVES[value.op].value, value.attributes

    def compute(*arrays: Array) -> None:
        arrays[-1][...] = function(*arrays[:-1], **attributes)

    return Call(compute, (*operands, out))


def kernel(*names: str) -> Callable[[Kernel], Kernel]:
    """Enter a kernel into the table."""

    def enter(function: Kernel) -> Kernel:
        for name in names:
            KERNELS[name] = function
        return function

    return enter


# -- views -------------------------------------------------------------------------------------------


def aligned(value: Value, operands: Sequence[Array], batched: bool) -> list[Array]:
    """Return operands that broadcast: with steps, axes missing in front go between them and the step."""
    if not batched:
        return list(operands)
    ndim = len(value.shape)
    result = []
    for x, array in zip(value.inputs, operands, strict=True):
        if x.span is not None and len(x.shape) < ndim:
            array = array.reshape(array.shape[0], *(1,) * (ndim - len(x.shape)), *x.shape)
        result.append(array)
    return result


def elementwise(ufunc: Callable[..., Any], out: Array, operands: Sequence[Array]) -> Call:
    """Make an elementwise call, on views with as few axes as can be: numpy is fastest on one."""
    return Call(ufunc, collapsed([*operands, out]))


def collapsed(arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return views of arrays that broadcast to the last one's shape, with axes ordered and joined."""
    out = arrays[-1]
    if all(x.ndim == 0 or (x.shape == out.shape and x.flags.c_contiguous) for x in arrays):
        return tuple(x if x.ndim <= 1 else x.reshape(-1) for x in arrays)
    ndim = out.ndim
    strides = []
    for x in arrays:
        missing = ndim - x.ndim
        own = [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)]
        strides.append([0] * missing + own)
    order = sorted(
        (i for i in range(ndim) if out.shape[i] != 1), key=lambda i: abs(strides[-1][i]), reverse=True
    )
    shape: list[int] = []
    joined: list[list[int]] = [[] for _ in arrays]
    for i in order:
        n = out.shape[i]
        if shape and all(j[-1] == s[i] * n for j, s in zip(joined, strides, strict=True)):
            shape[-1] *= n
            for j, s in zip(joined, strides, strict=True):
                j[-1] = s[i]
        else:
            shape.append(n)
            for j, s in zip(joined, strides, strict=True):
                j.append(s[i])
    views = []
    for x, own in zip(arrays, joined, strict=True):
        if not any(own) and x is not out:
            views.append(x[(slice(0, 1),) * x.ndim].reshape(()))  # one number for all
            continue
        kept = [(n if s or x is out else 1, s) for n, s in zip(shape, own, strict=True)]
        views.append(np.lib.stride_tricks.as_strided(x, tuple(n for n, _ in kept), tuple(s for _, s in kept)))
    return tuple(views)


def reshaped(array: Array, shape: tuple[int, ...]) -> Array | None:
    """Return an array in another shape if that needs no copy."""
    if array.size == 0:
        return None
    result = array.reshape(shape)
    return result if np.may_share_memory(result, array) else None


# -- elementwise ---------------------------------------------------------------------------------------


@kernel("add", "accumulate")
def _add(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    x = aligned(value, operands, batched)
    if len(x) == 1:
        return [elementwise(np.positive, out, x)]
    # The first two that fill the result's shape: what is still small stays to be broadcast.
    result = [elementwise(np.add, out, x[:2])]
    result.extend(elementwise(np.add, out, (out, y)) for y in x[2:])
    return result


@kernel("relu")
def _relu(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    return [elementwise(maximum_into, out, (operands[0], np.zeros((), out.dtype)))]


@kernel("sigmoid")
def _sigmoid(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    lowest = np.array(-87 if out.dtype.itemsize == 4 else -708, out.dtype)
    return [
        elementwise(maximum_into, out, (operands[0], lowest)),
        elementwise(np.negative, out, (out,)),
        elementwise(np.exp, out, (out,)),
        elementwise(np.add, out, (out, np.ones((), out.dtype))),
        elementwise(np.reciprocal, out, (out,)),
    ]


@kernel("scaled_tanh")
def _scaled_tanh(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    result = [elementwise(np.tanh, out, operands)]
    scale, shift = value.attributes["scale"][:, 0], value.attributes["shift"][:, 0]
    # Rows next to each other with the same numbers go together.
    start = 0
    for stop in range(1, len(scale) + 1):
        if stop == len(scale) or (scale[stop], shift[stop]) != (scale[start], shift[start]):
            rows = out[..., start:stop, :]
            if shift[start]:
                # s * y + d as (y + d / s) * s: no product with a broadcast row.
                ahead = np.array(shift[start] / scale[start], out.dtype)
                result.append(elementwise(np.add, rows, (rows, ahead)))
            if scale[start] != 1:
                result.append(elementwise(np.multiply, rows, (rows, np.array(scale[start], out.dtype))))
            start = stop
    return result


@kernel("scalar_power")
def _scalar_power(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    exponent = value.attributes["exponent"]
    if exponent == -1:
        return [elementwise(np.reciprocal, out, operands)]
    if exponent == 0.5:
        return [elementwise(np.sqrt, out, operands)]
    return [elementwise(np.power, out, (operands[0], np.array(exponent, out.dtype)))]


@kernel("astype", "rows", "laid_out", "broadcast_to")
def _copy(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    (x,) = operands
    if value.op == "rows":
        x = x.swapaxes(-1, -2)
    if value.op == "broadcast_to":
        x = np.broadcast_to(x, out.shape)
    return [copy(out, x)]


def copy(out: Array, x: Array) -> Call:
    """Make the call that copies x into out."""
    if x.dtype == out.dtype and x.shape == out.shape and x.flags.c_contiguous and out.flags.c_contiguous:
        return Call(_assign, (x.reshape(-1), out.reshape(-1)))
    return Call(_assign, (x, out))


def _assign(x: Array, out: Array) -> None:
    out[...] = x


@kernel("reshape")
def _reshape(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    return [copy(out.reshape(operands[0].shape), operands[0])]


@kernel("where")
def _where(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    condition, a, b = aligned(value, operands, batched)
    if condition.dtype != bool:
        return [Call(_choose, (condition, a, b, out))]
    return [Call(_assign, (b, out)), Call(_choose, (condition, a, b, out))]


def _choose(condition: Array, a: Array, b: Array, out: Array) -> None:
    if condition.dtype != bool:
        out[...] = b
        condition = condition.astype(bool)
    np.copyto(out, a, where=condition)


@kernel("multiply_each")
def _multiply_each(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    """Multiply stacked factors `(k * n, m)` by one value `(n, m)` each."""
    x, factors = operands
    lead = out.shape[:1] if batched else ()
    n, m = value.inputs[0].shape
    shape = (*lead, value.shape[0] // n, n, m)
    if batched:
        x = x[:, None]
    return [elementwise(np.multiply, _split(out, shape), (_split(factors, shape), x))]


def _split(array: Array, shape: tuple[int, ...]) -> Array:
    """Split an axis in two: always a view."""
    lead = len(shape) - 3
    n = shape[lead + 1]
    step = array.strides[lead]
    strides = (*array.strides[:lead], step * n, step, *array.strides[lead + 1 :])
    return np.lib.stride_tricks.as_strided(array, shape, strides)


def sum_into(x: Array, axis: tuple[int, ...], keepdims: bool, out: Array) -> None:
    """Write the sum over axes."""
    np.add.reduce(x, axis, None, out, keepdims)  # type: ignore[call-overload]


def largest_into(x: Array, axis: tuple[int, ...], keepdims: bool, out: Array) -> None:
    """Write the largest over axes."""
    np.maximum.reduce(x, axis, None, out, keepdims)  # type: ignore[call-overload]


# -- products ------------------------------------------------------------------------------------------


def product(a: Array, b: Array, out: Array) -> Call:
    """Make the call of a product of matrices: `dot` where it writes in place, else `matmul`."""
    if _whole(a) and _whole(b) and out.size:
        if out.flags.c_contiguous:
            return Call(np.dot, (a, b, out))
        if out.flags.f_contiguous:
            return Call(np.dot, (b.T, a.T, out.T))
    return Call(np.matmul, (a, b, out))


def _whole(x: Array) -> bool:
    return x.flags.c_contiguous or x.flags.f_contiguous


@kernel("matmul")
def _matmul(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    a, b = operands
    if a.shape[-1] == 1 and out.size and a.ndim <= out.ndim and b.ndim <= out.ndim:
        # An outer product: nothing is added up, and broadcasting is faster.
        return [elementwise(np.multiply, out, (a, b))]
    if a.ndim == 2 and b.ndim == 2 and out.ndim == 2:
        return [product(a, b, out)]
    if batched and out.ndim == 3:
        one_left, one_right = value.inputs[0].span is None, value.inputs[1].span is None
        if one_left and b.shape[2] == 1:
            # One column: the steps are the columns of one product.
            x, y = reshaped(b, b.shape[:2]), reshaped(out, out.shape[:2])
            if x is not None and y is not None:
                return [product(x, a.T, y)]
        if one_right:
            x = reshaped(a, (a.shape[0] * a.shape[1], a.shape[2]))
            y = reshaped(out, (out.shape[0] * out.shape[1], out.shape[2]))
            if x is not None and y is not None:
                return [product(x, b, y)]
    return [Call(np.matmul, (a, b, out))]


@kernel("product_over_time")
def _product_over_time(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    a, b = operands
    if b.ndim == 2:
        b = np.broadcast_to(b, (a.shape[0], *b.shape))
    x = reshaped(a, (a.shape[0] * a.shape[1], a.shape[2]))
    y = reshaped(b, (b.shape[0] * b.shape[1], b.shape[2]))
    if x is not None and y is not None:
        if y.shape[1] == 1 and value.inputs[1].op == "constant":
            return [Call(sum_into, (x, (0,), False, out.reshape(-1)))]
        return [product(x.T, y, out)]
    addend = np.empty(out.shape, out.dtype)

    def add_up(a: Array, b: Array, out: Array) -> None:
        np.matmul(a[0].T, b[0], out)
        for s, t in zip(a[1:], b[1:], strict=True):
            np.matmul(s.T, t, addend)
            np.add(out, addend, out)

    return [Call(add_up, (a, b, out))]
