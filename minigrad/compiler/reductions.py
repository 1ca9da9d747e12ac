"""Kernels of what combines entries (sums, softmax, losses) and of what picks them by number (classes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compiler.ir import Value
from minigrad.compiler.kernels import (
    Call,
    copy,
    elementwise,
    fallback,
    kernel,
    largest_into,
    maximum_into,
    reshaped,
    sum_into,
)
from minigrad.node import Array
from minigrad.primitives import thaw_index
from minigrad.primitives.base import PRIMITIVES


@kernel("sum", "mean", "max")
def _reduce(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    (x,) = operands
    axis = value.attributes["axis"]
    axes = tuple(range(x.ndim - batched)) if axis is None else axis
    axes = tuple(a + batched for a in axes)
    keepdims = value.attributes["keepdims"]
    if value.op == "max":
        return [Call(largest_into, (x, axes, keepdims, out))]
    result = [Call(sum_into, (x, axes, keepdims, out))]
    if value.op == "mean":
        count = int(np.prod([x.shape[a] for a in axes], dtype=int))
        result.append(elementwise(np.true_divide, out, (out, np.array(count, out.dtype))))
    return result


@kernel("total")
def _total(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    return [Call(sum_into, (operands[0], (0,), False, out))]


def reduction(ufunc: Callable[..., Any], x: Array, axis: int, out: Array) -> list[Call]:
    """Reduce one axis (kept with size 1) by halves: a few long calls instead of many short inner loops.

    numpy reduces an axis that is not the last line by line, and with few columns the lines are short.
    """
    n, inner = x.shape[axis], int(np.prod(x.shape[axis + 1 :], dtype=int))
    if not (1 < inner <= 64 and n >= 8):
        return [Call(largest_into if ufunc is maximum_into else sum_into, (x, (axis,), True, out))]
    ahead = (slice(None),) * axis
    scratch = np.empty((*x.shape[:axis], n // 2, *x.shape[axis + 1 :]), x.dtype)
    result = []
    while n > 1:
        half = n // 2
        target = scratch[(*ahead, slice(0, half))] if half > 1 else out
        a, b = x[(*ahead, slice(0, half))], x[(*ahead, slice(half, 2 * half))]
        if n % 2:  # the odd one joins the first before the others are folded on it
            first = scratch[(*ahead, slice(0, 1))] if half > 1 else out
            rest = x[(*ahead, slice(n - 1, n))]
            result.append(elementwise(ufunc, target, (a, b)))
            result.append(elementwise(ufunc, first, (first, rest)))
        else:
            result.append(elementwise(ufunc, target, (a, b)))
        x, n = scratch, half
    return result


@kernel("softmax", "log_softmax")
def _softmax(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    (x,) = operands
    axis = value.attributes["axis"] + batched
    best = np.empty([1 if i == axis else n for i, n in enumerate(x.shape)], out.dtype)
    result = [*reduction(maximum_into, x, axis, best), elementwise(np.subtract, out, (x, best))]
    if value.op == "softmax":
        result.append(elementwise(np.exp, out, (out,)))
        result.extend(reduction(np.add, out, axis, best))
        result.append(elementwise(np.reciprocal, best, (best,)))
        result.append(elementwise(np.multiply, out, (out, best)))
        return result
    scratch = np.empty_like(best)
    exponentials = np.empty(out.shape, out.dtype)
    result.append(elementwise(np.exp, exponentials, (out,)))
    result.extend(reduction(np.add, exponentials, axis, scratch))
    result.append(elementwise(np.log, scratch, (scratch,)))
    result.append(elementwise(np.subtract, out, (out, scratch)))
    return result


@kernel("squared_error")
def _squared_error(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call] | None:
    prediction, target = aligned_to(value.inputs, operands, batched)
    difference = np.empty(np.broadcast_shapes(prediction.shape, target.shape), out.dtype)
    if batched and len(difference) != len(out):
        return None
    axes = tuple(range(int(batched), difference.ndim))
    return [
        elementwise(np.subtract, difference, (prediction, target)),
        elementwise(np.square, difference, (difference,)),
        Call(sum_into, (difference, axes, False, out)),
        elementwise(np.multiply, out, (out, np.array(0.5, out.dtype))),
    ]


def aligned_to(inputs: Sequence[Value], operands: Sequence[Array], batched: bool) -> list[Array]:
    """Return operands that broadcast against each other and not against the result."""
    ndim = max(len(x.shape) for x in inputs)
    result = []
    for x, array in zip(inputs, operands, strict=True):
        if batched and x.span is not None and len(x.shape) < ndim:
            array = array.reshape(array.shape[0], *(1,) * (ndim - len(x.shape)), *x.shape)
        result.append(array)
    return result


# -- joining, and putting back ---------------------------------------------------------------------------


@kernel("scatter")
def _scatter(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call]:
    index = (slice(None),) * batched + thaw_index(value.attributes["index"])

    def scatter(x: Array, out: Array) -> None:
        out.fill(0)
        out[index] = x

    return [Call(scatter, (operands[0], out))]


@kernel("take")
def _take(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call] | None:
    table, indices = operands
    axis = value.attributes["axis"]
    if batched and value.inputs[0].span is not None:
        return None
    if axis == 1 and table.ndim == 2 and value.inputs[1].shape and len(value.inputs[1].shape) == 1:
        # Columns of the table are rows of its transpose, and the result is laid out as rows.
        rows = out.swapaxes(-1, -2)
        if rows.flags.c_contiguous:
            return [Call(_look_up, (table.T, indices, rows))]
    return None if batched else [fallback(value, out, operands)]


def _look_up(table: Array, indices: Array, out: Array) -> None:
    # The indices have been checked; "clip" lets numpy write without a buffer.
    table.take(indices, 0, out, "clip")


# -- classes ---------------------------------------------------------------------------------------------


def _positions(classes: Array, depth: int, axis: int) -> tuple[Array, Array, int]:
    """Return where entry 0 of each line lies in a flat `(..., depth, ...)`, room for sums, and the stride.

    `classes` has the shape of all lines; `axis` is where the classes stand between them.
    """
    shape = (*classes.shape[:axis], depth, *classes.shape[axis:])
    stride = int(np.prod(shape[axis + 1 :], dtype=np.intp))
    flat = np.arange(int(np.prod(shape, dtype=np.intp)), dtype=np.intp).reshape(shape)
    first = np.ascontiguousarray(flat.take(0, axis)).reshape(-1)
    return first, np.empty_like(first), stride


@kernel("one_hot")
def _one_hot(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call] | None:
    (classes,) = operands
    flat = reshaped(out, (-1,))
    if flat is None:
        return None if batched else [fallback(value, out, operands)]
    first, places, stride = _positions(classes, value.attributes["depth"], value.attributes["axis"] + batched)

    def one_hot(classes: Array, out: Array) -> None:
        out.fill(0)
        np.multiply(classes.reshape(-1), stride, places)
        np.add(places, first, places)
        out[places] = 1

    return [Call(one_hot, (classes, flat))]


@kernel("subtract_one_hot")
def _subtract_one_hot(
    value: Value, out: Array, operands: Sequence[Array], batched: bool
) -> list[Call] | None:
    p, classes = operands
    flat = reshaped(out, (-1,))
    if flat is None or (batched and value.inputs[1].span is None):
        if batched:
            return None

        def plainly(p: Array, classes: Array, out: Array) -> None:
            out[...] = p
            out[classes, np.arange(len(classes))] -= 1

        return [Call(plainly, (p, classes, out))]
    first, places, stride = _positions(classes, p.shape[int(batched)], int(batched))
    entries = np.empty(len(first), out.dtype)

    def subtract_ones(classes: Array, out: Array) -> None:
        np.multiply(classes.reshape(-1), stride, places)
        np.add(places, first, places)
        out.take(places, None, entries, "clip")
        np.subtract(entries, 1, entries)
        out[places] = entries

    return [copy(out, p), Call(subtract_ones, (classes, flat))]


@kernel("cross_entropy")
def _cross_entropy(value: Value, out: Array, operands: Sequence[Array], batched: bool) -> list[Call] | None:
    logits, classes, p = operands
    plain = PRIMITIVES["cross_entropy"].value
    attributes = value.attributes
    integers = classes.dtype.kind in "iu"
    same_steps = not batched or all(x.span is not None for x in value.inputs)
    flat = reshaped(p, (-1,)) if p.flags.c_contiguous else None
    if not integers or flat is None or not same_steps or not classes.size:
        return None if batched else [fallback(value, out, operands)]
    axis = attributes["axis"] + batched
    first, places, stride = _positions(classes, p.shape[axis], axis)
    chosen = np.empty(len(first), p.dtype)
    lines = chosen.reshape(out.shape[0], -1) if batched else chosen.reshape(1, -1)
    tiny = 1e-30

    def cross_entropy(logits: Array, classes: Array, flat: Array, p: Array, out: Array) -> None:
        np.multiply(classes.reshape(-1), stride, places)
        np.add(places, first, places)
        flat.take(places, None, chosen, "clip")
        if np.minimum.reduce(chosen) > tiny:
            np.log(chosen, chosen)
            np.add.reduce(lines, 1, None, out.reshape(-1))  # type: ignore[call-overload]
            np.negative(out, out)
        elif batched:
            # A probability near underflow has no accurate logarithm: the slow way, from the logits.
            for t in range(len(out)):
                out[t] = plain(logits[t], classes[t], p[t], **attributes)
        else:
            out[...] = plain(logits, classes, p, **attributes)

    return [Call(cross_entropy, (logits, classes, flat, p, out))]
