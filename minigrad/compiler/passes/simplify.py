"""Common subexpressions, constants, dead code, and what a step computes although it never changes.

Dead code needs no rule: a program is what its outputs read. What is left is brought to few forms (sums are
``add``, simple indices are ``slice``), so that the other rewrites have fewer cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.compiler.ir import LEAVES, Program, Value, add, constant, elementwise, slice_, transpose
from minigrad.node import Node
from minigrad.primitives.base import PRIMITIVES

_COMMUTES = frozenset({"add", "multiply", "maximum", "minimum"})
_FOLDED_ENTRIES = 4096
_STAND_INS = 2
# What differs from step to step although nothing that it reads does.
_KEEP_STEPS = frozenset({"frames", "indexed", "window"})


def simplify(program: Program) -> None:
    """Apply the rules of this module until nothing changes."""
    for _ in range(20):
        if not _round(program):
            return


def _round(program: Program) -> bool:
    by: dict[int, Value] = {}
    known: dict[Any, Value] = {}
    keep = program.values()  # ids stay unique while the values live
    for value in keep:
        value.inputs = [_final(x, by) for x in value.inputs]
        new = _simpler(value)
        if new is None:
            key = _key(value)
            twin = known.setdefault(key, value)
            if twin is not value:
                if twin.name is None:
                    twin.name = value.name
                by[id(value)] = twin
            continue
        if new is not value:
            if new.name is None and new.op not in LEAVES and new.op != "slice":
                new.name = value.name
            keep.append(new)
            by[id(value)] = new
    program.replace(by)
    return bool(by)


def _final(x: Value, by: dict[int, Value]) -> Value:
    while id(x) in by:
        x = by[id(x)]
    return x


def _key(value: Value) -> Any:
    attributes = tuple(sorted((name, _frozen(x)) for name, x in value.attributes.items()))
    inputs = [id(x) for x in value.inputs]
    if value.op in _COMMUTES:
        inputs.sort()
    return value.op, value.span, value.shape, value.dtype.str, tuple(inputs), attributes


def _frozen(x: Any) -> Any:
    """Return an attribute as an exact key: arrays by their bytes if they are short, else by identity."""
    if isinstance(x, np.ndarray):
        return (x.shape, x.dtype.str, x.tobytes()) if x.size <= 64 else id(x)
    if isinstance(x, Node) or (isinstance(x, tuple) and len(x) > 64):
        return id(x)
    return repr(x)


def _simpler(value: Value) -> Value | None:
    """Return what stands for a value in a simpler form, or None."""
    op, inputs = value.op, value.inputs
    if op in LEAVES:
        return None
    rule = _RULES.get(op)
    if rule is not None:
        new = rule(value)
        if new is not None:
            return new
    once = all(x.span is None for x in inputs)
    if value.span is not None and once and op not in _KEEP_STEPS:
        # Nothing that it reads changes from step to step.
        return Value(op, inputs, value.shape, value.dtype, None, value.name, **value.attributes)
    wide = _widened(value)
    if wide is not None:
        return wide
    foldable = value.span is None and inputs and all(x.op == "constant" for x in inputs)
    if foldable and op in PRIMITIVES and value.size <= _FOLDED_ENTRIES:
        arrays = [x.attributes["array"] for x in inputs]
        return constant(np.array(PRIMITIVES[op].value(*arrays, **value.attributes)), value.name)
    return None


# -- rules by operation --------------------------------------------------------------------------------


def _add(value: Value) -> Value | None:
    inputs = [x for x in value.inputs if not _is(x, 0)] or value.inputs[:1]
    if len(inputs) == 1 and inputs[0].shape == value.shape:
        return inputs[0]
    if len(inputs) == 2:
        merged = _never_both(*inputs) or _never_both(*inputs[::-1])
        if merged is not None:
            return merged
    if value.op == "add" and len(inputs) == len(value.inputs):
        return None
    if np.broadcast_shapes(*(x.shape for x in inputs)) != value.shape:
        return None if value.op == "add" else elementwise("add", *value.inputs, name=value.name)
    new = add(*inputs, name=value.name)
    return new if new.span == value.span or value.span is None else None


def _never_both(a: Value, b: Value) -> Value | None:
    """Return the sum of two windows that are never there at once: one, with the other standing in.

    From a loss at the last step alone comes a gradient of the last state alone; the others have the carry.
    """
    if not (a.op == b.op == "window" and a.span == b.span and a.shape == b.shape and a.span is not None):
        return None
    if not all(_is(x, 0) for x in (*a.inputs[1:], *b.inputs[1:])) or a.inputs[0].span is None:
        return None
    here = [t for t in range(a.span[0], a.span[1] + 1) if t not in set(a.attributes["boundary"])]
    if len(here) > _STAND_INS or tuple(here) != b.attributes["boundary"]:
        return None
    source, offset = a.inputs[0], a.attributes["offset"]
    stand_ins = [Value("at", (source,), a.shape, a.dtype, None, source.name, step=t + offset) for t in here]
    return Value(
        "window", (b.inputs[0], *stand_ins), b.shape, b.dtype, b.span, b.name,
        offset=b.attributes["offset"], boundary=b.attributes["boundary"],
    )  # fmt: skip


def _is(x: Value, number: int) -> bool:
    """Whether a value is a constant with that number everywhere."""
    if x.op in ("broadcast_to", "reshape"):
        return _is(x.inputs[0], number)
    if x.op != "constant":
        return False
    array = x.attributes["array"]
    return bool(array.dtype.kind == "f" and array.size and (array == number).all())


def _multiply(value: Value) -> Value | None:
    for a, b in (value.inputs, value.inputs[::-1]):
        if _is(b, 1) and a.shape == value.shape and a.dtype == value.dtype:
            return a
    return None


def _first(value: Value) -> Value:
    return value.inputs[0]


def _scalar_power(value: Value) -> Value | None:
    exponent = value.attributes["exponent"]
    if exponent == 2:
        return Value("square", value.inputs, value.shape, value.dtype, value.span, value.name)
    return value.inputs[0] if exponent == 1 else None


def _getitem(value: Value) -> Value | None:
    """Turn an index that is one slice along one axis into ``slice``."""
    (x,) = value.inputs
    index = value.attributes["index"]
    cuts = []
    for axis, part in enumerate(index):
        if not isinstance(part, tuple):
            return None
        start, stop, step = slice(*part).indices(x.shape[axis])
        if step != 1:
            return None
        if (start, stop) != (0, x.shape[axis]):
            cuts.append((axis, start, max(start, stop)))
    for axis, start, stop in cuts:
        x = slice_(x, axis, start, stop)
    return x


def _permute_dims(value: Value) -> Value | None:
    (x,) = value.inputs
    axes = value.attributes["axes"]
    if axes == tuple(range(len(axes))):
        return x
    if x.op == "permute_dims":
        before = x.attributes["axes"]
        joined = tuple(before[a] for a in axes)
        return Value("permute_dims", x.inputs, value.shape, value.dtype, value.span, value.name, axes=joined)
    return None


def _slice(value: Value) -> Value | None:
    """Move a slice under what it is a slice of, where that is only another reading of memory."""
    (x,) = value.inputs
    axis, start, stop = (value.attributes[name] for name in ("axis", "start", "stop"))
    if x.op == "window" and len(x.inputs) == 1:
        return _moved(x, slice_(x.inputs[0], axis, start, stop))
    if start == 0 and stop == x.shape[axis]:
        return x
    if x.op == "slice" and x.attributes["axis"] == axis:
        return slice_(x, axis, start, stop)
    if x.op == "permute_dims" and x.attributes["axes"] == (1, 0):
        return transpose(slice_(x.inputs[0], 1 - axis, start, stop))
    if x.op == "concat" and x.attributes["axis"] == axis:
        offset = 0
        for part in x.inputs:
            size = part.shape[axis]
            if offset <= start and stop <= offset + size:
                # Also when it is a part as a whole, which is then read where it was computed.
                return slice_(part, axis, start - offset, stop - offset)
            offset += size
    return None


def _moved(window: Value, source: Value) -> Value:
    """Return a window without boundary over another source."""
    offset = window.attributes["offset"]
    return Value(
        "window", (source,), source.shape, source.dtype, window.span, source.name, offset=offset, boundary=()
    )


def _is_narrow(x: Value) -> bool:
    """Whether it is some of the steps of another value, as they are."""
    return x.op == "window" and len(x.inputs) == 1 and x.attributes["offset"] == 0


def _widened(value: Value) -> Value | None:
    """Compute an operation at all steps that its inputs have, if only few of them are not wanted.

    At the ends of time some operations lack a step (no gradient of the state before the first is needed);
    computing it all the same lets them run side by side with the others.
    """
    if value.span is None or value.op in _KEEP_STEPS | {"total", "at"}:
        return None
    stepped = [x for x in value.inputs if x.span is not None]
    if not stepped or not all(_is_narrow(x) for x in stepped):
        return None
    spans = {x.inputs[0].span for x in stepped}
    if len(spans) != 1:
        return None
    (span,) = spans
    assert span is not None
    extra = (span[1] - span[0] + 1) - value.steps
    if extra > 1 + value.steps // 10:
        return None
    inputs = [x.inputs[0] if x.span is not None else x for x in value.inputs]
    wide = Value(value.op, inputs, value.shape, value.dtype, span, value.name, **value.attributes)
    return Value("window", (wide,), value.shape, value.dtype, value.span, value.name, offset=0, boundary=())


def _window(value: Value) -> Value | None:
    source, *boundary = value.inputs
    if source.op == "window" and len(source.inputs) == 1:
        inner, offset = source.inputs[0], value.attributes["offset"]
        moved = offset + source.attributes["offset"]
        first, last = inner.span or (0, -1)
        if inner.span is not None and not any(
            first <= t + moved <= last for t in value.attributes["boundary"]
        ):
            attributes = {**value.attributes, "offset": moved}
            return Value(
                "window", (inner, *boundary), value.shape, value.dtype, value.span, value.name, **attributes
            )
    if source.span is not None:
        if not boundary and value.attributes["offset"] == 0 and source.span == value.span:
            return source
        return None
    if not boundary:
        return source
    assert value.span is not None
    at = dict(zip(value.attributes["boundary"], boundary, strict=True))
    inputs = [at.get(t, source) for t in range(value.span[0], value.span[1] + 1)]
    return Value("frames", inputs, value.shape, value.dtype, value.span, value.name)


def _at(value: Value) -> Value | None:
    (source,) = value.inputs
    if source.span is None:
        return source
    step = value.attributes["step"]
    if source.op == "frames":
        member: Value = source.inputs[step - source.span[0]]
        return member
    if source.op == "indexed":
        index = source.attributes["indices"][step - source.span[0]]
        return Value("getitem", source.inputs, value.shape, value.dtype, None, value.name, index=index)
    return None


def _total(value: Value) -> Value | None:
    (x,) = value.inputs
    if x.span is None:
        first, last = value.attributes["over"]
        count = constant(np.array(last - first + 1, value.dtype))
        return elementwise("multiply", x, count)
    if x.op == "slice":
        total = Value("total", x.inputs, x.inputs[0].shape, value.dtype, None, None, over=x.span)
        return slice_(total, x.attributes["axis"], x.attributes["start"], x.attributes["stop"], value.name)
    if x.span[0] == x.span[1]:
        return Value("at", (x,), value.shape, value.dtype, None, value.name, step=x.span[0])
    return None


def _subtract(value: Value) -> Value | None:
    p, y = value.inputs
    if y.op == "one_hot" and y.attributes["axis"] == 0 and y.shape == p.shape and len(p.shape) == 2:
        return Value("subtract_one_hot", (p, y.inputs[0]), value.shape, value.dtype, value.span, value.name)
    return None


def _concat(value: Value) -> Value | None:
    return value.inputs[0] if len(value.inputs) == 1 else None


def _reshape(value: Value) -> Value | None:
    (x,) = value.inputs
    if x.shape == value.shape:
        return x
    if x.op == "reshape":
        return Value("reshape", x.inputs, value.shape, value.dtype, value.span, value.name, shape=value.shape)
    return None


def _same_shape(value: Value) -> Value | None:
    return value.inputs[0] if value.inputs[0].shape == value.shape else None


def _frames(value: Value) -> Value | None:
    first = value.inputs[0]
    return first if all(x is first for x in value.inputs) else None


_RULES = {
    "add": _add,
    "accumulate": _add,
    "multiply": _multiply,
    "stop_gradient": _first,
    "scalar_power": _scalar_power,
    "getitem": _getitem,
    "permute_dims": _permute_dims,
    "slice": _slice,
    "window": _window,
    "at": _at,
    "total": _total,
    "subtract": _subtract,
    "concat": _concat,
    "reshape": _reshape,
    "broadcast_to": _same_shape,
    "frames": _frames,
}
