"""Arrays as memory: stacks over time, blocks, and parameters side by side."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minigrad.compiler.ir import Value
from minigrad.node import Array, Node


class Stack:
    """The memory of one value: an array with a leading axis of steps, or without one if it stands once."""

    __slots__ = ("array", "first", "stepped")

    def __init__(self, array: Array, first: int, stepped: bool) -> None:
        self.array = array
        self.first = first  # the step of index 0
        self.stepped = stepped

    def at(self, t: int) -> Array:
        """Return the view of one step."""
        return self.array[t - self.first, ...] if self.stepped else self.array

    def steps(self, first: int, last: int) -> Array:
        """Return the view of several steps, step axis first."""
        return self.array[first - self.first : last - self.first + 1] if self.stepped else self.array


def as_rows(value: Value) -> bool:
    """Whether a value with two axes is laid out transposed: columns looked up in a table come as rows."""
    return value.op == "take" and len(value.shape) == 2 and value.attributes["axis"] == 1


def cut(array: Array, axis: int, start: int, stop: int) -> Array:
    """Return the view of entries `start` to `stop` along an axis."""
    return array[(slice(None),) * axis + (slice(start, stop),)]


def aligned_bytes(nbytes: int) -> Array:
    """Return bytes that begin at a cache line."""
    raw = np.empty(nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes]


def regular(frames: list[Array]) -> Array | None:
    """Return arrays of one shape as one array with a leading axis, if they stand at equal distances."""
    first = frames[0]
    if len(frames) == 1:
        return first[None]
    places = [x.__array_interface__["data"][0] for x in frames]
    distance = places[1] - places[0]
    if any(b - a != distance for a, b in pairwise(places)):
        return None
    strides = (distance, *first.strides)
    shape = (len(frames), *first.shape)
    return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)


def already_stacked(arrays: list[Array], axis: int) -> Array | None:
    """Return the array that some arrays are neighbouring parts of, if another program has stacked them so."""
    base = arrays[0].base
    if not isinstance(base, np.ndarray) or any(a.base is not base for a in arrays):
        return None
    start = 0
    for a in arrays:
        if start + a.shape[axis] > base.shape[axis] if base.ndim == a.ndim else True:
            return None
        part = cut(base, axis, start, start + a.shape[axis])
        same = part.__array_interface__["data"] == a.__array_interface__["data"]
        if not same or part.strides != a.strides or part.shape != a.shape or part.dtype != a.dtype:
            return None
        start += a.shape[axis]
    return base if start == base.shape[axis] else None


def adopt(node: Node, view: Array) -> None:
    """Let a parameter live in `view`."""
    if node.value is not view:
        same = node.value.__array_interface__["data"] == view.__array_interface__["data"]
        if not same or node.value.strides != view.strides:
            view[...] = node.value
            node.value = view


def all_constant(value: Value) -> bool:
    """Whether nothing that a value reads ever changes."""
    return all(x.op == "constant" for x in value.inputs)


def best_block(free: list[Array], nbytes: int) -> Array | None:
    """Take the smallest block that is large enough, and not far too large, out of the free ones."""
    best = -1
    for i, block in enumerate(free):
        if nbytes <= block.nbytes <= 2 * nbytes + 4096 and (best < 0 or block.nbytes < free[best].nbytes):
            best = i
    return free.pop(best) if best >= 0 else None
