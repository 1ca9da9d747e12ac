"""The compiler's intermediate representation: operations of the step, pointwise in time.

A `Value` is one operation. It stands either *once* (`span` is None: parameters, sums over time) or at
every step of its `span` (first, last), like a family of the rolled view. All inputs of a stepped value
are read at its own step; the only operation that looks elsewhere is ``window``, whose value at t is its
source's value at ``t + offset``, with other values standing in at the ends (the initial state). So a
recurrence is a cycle through a window, everything outside of such cycles can run once for all steps, and
rewrites need not think about time at all.

Operations are those of `minigrad.primitives`, and these:

    parameter, input, constant    leaves
    frames      one value per step, from as many values that stand once
    indexed     one value per step: another entry (`indices`) of one value that stands once
    window      another value's steps, moved by `offset`; `boundary` steps take further inputs
    at          a value's one step `step`
    total       the sum over all steps
    add         a sum of any number of addends, broadcast (`add` and `accumulate` of the graph)
    slice       entries `start` to `stop` along `axis`
    square, subtract_one_hot    x * x; p minus 1 at the classes y
    rows        the transpose, laid out anew in memory
    product_over_time           sum_t a[t]^T @ b[t], one product over all steps and columns
    scaled_tanh                 post * tanh(x) + shift
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Span = tuple[int, int]
Shape = tuple[int, ...]

LEAVES = frozenset({"parameter", "input", "constant"})
# Values that are another reading of memory that exists already: they cost nothing.
VIEWS = frozenset({"slice", "permute_dims", "window", "at", "broadcast_to", "getitem"})


class Value:
    """One operation of the intermediate representation; see the module."""

    __slots__ = ("attributes", "dtype", "inputs", "name", "op", "shape", "span")

    def __init__(
        self,
        op: str,
        inputs: Sequence[Value],
        shape: Shape,
        dtype: Any,
        span: Span | None = None,
        name: str | None = None,
        /,
        **attributes: Any,
    ) -> None:
        self.op = op
        self.inputs = list(inputs)
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.span = span
        self.name = name
        self.attributes = attributes

    @property
    def steps(self) -> int:
        """How many times it is computed."""
        return 1 if self.span is None else self.span[1] - self.span[0] + 1

    @property
    def size(self) -> int:
        """The number of entries of one step."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    def __repr__(self) -> str:
        where = "" if self.span is None else f"[{self.span[0]}..{self.span[1]}]"
        inputs = ", ".join(x.name or x.op for x in self.inputs)
        return f"{self.name or self.op}{where} = {self.op}({inputs}) {self.shape}"


# -- making values -----------------------------------------------------------------------------------


def span_of(inputs: Iterable[Value]) -> Span | None:
    """Return the span that stepped inputs share; None if all of them stand once."""
    spans = {x.span for x in inputs if x.span is not None}
    assert len(spans) <= 1, f"values of different spans meet: {spans}"
    return spans.pop() if spans else None


def elementwise(op: str, *inputs: Value, name: str | None = None, **attributes: Any) -> Value:
    """Make an elementwise operation of broadcast inputs."""
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    dtype = np.result_type(*(x.dtype for x in inputs))
    return Value(op, inputs, shape, dtype, span_of(inputs), name, **attributes)


def add(*addends: Value, name: str | None = None) -> Value:
    """Make a sum; of one addend, the addend."""
    return addends[0] if len(addends) == 1 else elementwise("add", *addends, name=name)


def product(factors: Sequence[Value], name: str | None = None) -> Value:
    """Make an elementwise product of any number of factors, from the left."""
    value = factors[0]
    for factor in factors[1:]:
        value = elementwise("multiply", value, factor)
    if name is not None and len(factors) > 1:
        value.name = name
    return value


def matmul(a: Value, b: Value, name: str | None = None) -> Value:
    """Make a matrix product of values with two axes."""
    shape = (a.shape[0], b.shape[1])
    return Value("matmul", (a, b), shape, np.result_type(a.dtype, b.dtype), span_of((a, b)), name)


def transpose(x: Value) -> Value:
    """Make the transpose of a value with two axes; of a transpose, the original."""
    if x.op == "permute_dims" and x.attributes["axes"] == (1, 0):
        return x.inputs[0]
    return Value("permute_dims", (x,), x.shape[::-1], x.dtype, x.span, x.name and f"{x.name}^T", axes=(1, 0))


def slice_(x: Value, axis: int, start: int, stop: int, name: str | None = None) -> Value:
    """Make a slice along one axis; a slice of a slice along the same axis is one slice."""
    if start == 0 and stop == x.shape[axis]:
        return x
    if x.op == "slice" and x.attributes["axis"] == axis:
        first = x.attributes["start"]
        return slice_(x.inputs[0], axis, first + start, first + stop, name)
    shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
    return Value("slice", (x,), shape, x.dtype, x.span, name, axis=axis, start=start, stop=stop)


def concat(parts: Sequence[Value], axis: int, name: str | None = None) -> Value:
    """Make a concatenation; of neighbouring slices of one value, a slice of it."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if all(x.op == "slice" and x.attributes["axis"] == axis for x in parts):
        base = first.inputs[0]
        joined = all(x.inputs[0] is base for x in parts) and all(
            x.attributes["stop"] == y.attributes["start"] for x, y in pairwise(parts)
        )
        if joined:
            return slice_(base, axis, first.attributes["start"], parts[-1].attributes["stop"], name)
    if all(x.op == "permute_dims" and x.attributes["axes"] == (1, 0) for x in parts):
        return transpose(concat([x.inputs[0] for x in parts], 1 - axis))
    cut = {
        (x.attributes["axis"], x.attributes["start"], x.attributes["stop"]) for x in parts if x.op == "slice"
    }
    if all(x.op == "slice" and x.span is None for x in parts) and len(cut) == 1:
        ((where, start, stop),) = cut
        sources = [x.inputs[0] for x in parts]
        if where != axis and len({x.shape[where] for x in sources}) == 1:
            return slice_(concat(sources, axis), where, start, stop)
    size = sum(x.shape[axis] for x in parts)
    shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
    return Value("concat", parts, shape, first.dtype, span_of(parts), name, axis=axis)


def constant(array: Any, name: str | None = None) -> Value:
    """Make a leaf that never changes."""
    array = np.asarray(array)
    return Value("constant", (), array.shape, array.dtype, None, name, array=array)


# -- programs ----------------------------------------------------------------------------------------


class Program:
    """Values and what is wanted of them.

    Attributes
    ----------
    outputs : list of Value
        The loss first, then the gradients; all stand once.
    """

    def __init__(self, outputs: Sequence[Value]) -> None:
        self.outputs = list(outputs)

    def components(self) -> list[list[Value]]:
        """Return the strongly connected components, each after those that it reads (Tarjan 1972).

        A component of more than one value is a recurrence. Its values are in an order in which each comes
        after those that it reads at its own step.
        """
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        on_stack: set[int] = set()
        stack: list[Value] = []
        found: list[list[Value]] = []
        for root in self.outputs:
            if id(root) in index:
                continue
            work: list[tuple[Value, int]] = [(root, 0)]
            while work:
                value, position = work.pop()
                key = id(value)
                if position == 0:
                    index[key] = low[key] = len(index)
                    stack.append(value)
                    on_stack.add(key)
                else:
                    low[key] = min(low[key], low[id(value.inputs[position - 1])])
                for i in range(position, len(value.inputs)):
                    below = value.inputs[i]
                    if id(below) not in index:
                        work.append((value, i + 1))
                        work.append((below, 0))
                        break
                    if id(below) in on_stack:
                        low[key] = min(low[key], index[id(below)])
                else:
                    if low[key] == index[key]:
                        component: list[Value] = []
                        while True:
                            top = stack.pop()
                            on_stack.discard(id(top))
                            component.append(top)
                            if top is value:
                                break
                        found.append(_body_order(component))
        return found

    def values(self) -> list[Value]:
        """Return all values, each after what it reads at its own step."""
        return [value for component in self.components() for value in component]

    def recurrences(self) -> dict[int, int]:
        """Return, by id, the number of the recurrence that a value belongs to; others are left out."""
        return {
            id(value): number
            for number, component in enumerate(self.components())
            if len(component) > 1
            for value in component
        }

    def users(self) -> dict[int, list[Value]]:
        """Return the readers of each value by its id, once for each reading."""
        users: dict[int, list[Value]] = {}
        for value in self.values():
            for x in value.inputs:
                users.setdefault(id(x), []).append(value)
        return users

    def replace(self, by: dict[int, Value]) -> None:
        """Put other values in the place of some, everywhere; `by` maps ids of the old ones."""

        def final(x: Value) -> Value:
            seen = 0
            while id(x) in by and by[id(x)] is not x:
                x = by[id(x)]
                seen += 1
                assert seen < 10_000, "values replace each other in a circle"
            return x

        if not by:
            return
        done: set[int] = set()
        todo = [final(x) for x in self.outputs]
        self.outputs = list(todo)
        while todo:
            value = todo.pop()
            if id(value) in done:
                continue
            done.add(id(value))
            value.inputs = [final(x) for x in value.inputs]
            todo.extend(value.inputs)

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values())


def _body_order(component: list[Value]) -> list[Value]:
    """Order a recurrence so that each value comes after what it reads at its own step."""
    if len(component) == 1:
        return component
    inside = {id(value) for value in component}
    done: set[int] = set()
    order: list[Value] = []
    for root in reversed(component):
        work: list[tuple[Value, bool]] = [(root, False)]
        while work:
            value, ready = work.pop()
            if ready:
                order.append(value)
                continue
            if id(value) in done:
                continue
            done.add(id(value))
            work.append((value, True))
            if value.op != "window" or not value.attributes["offset"]:
                work.extend(
                    (x, False) for x in reversed(value.inputs) if id(x) in inside and id(x) not in done
                )
    return order
