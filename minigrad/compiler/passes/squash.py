"""One tanh for all gates: sigmoid(a) = (1 + tanh(a / 2)) / 2.

Neighbouring slices that go through sigmoid and tanh become one tanh, scaled before and after. The scale
before is a factor for each row, and sinks through sums and products down to the weights, where it is
applied once for all steps.

The result has the sigmoid's absolute accuracy, not its relative one (near 0 it is a difference of numbers
near 1), so nothing is rewritten where a logarithm, a quotient or a root of it is taken.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minigrad.compiler.ir import LEAVES, Program, Value, add, constant, elementwise, matmul, slice_
from minigrad.compiler.passes.simplify import simplify

_DELICATE = frozenset({"log", "divide", "sqrt", "power", "scalar_power", "log_softmax", "sign", "where"})
_COMPARES = frozenset(
    {"greater", "greater_equal", "less", "less_equal", "equal", "maximum", "minimum", "max"}
)


def one_tanh(program: Program) -> None:
    """Rewrite sigmoids that stand in a recurrence; see the module."""
    inside = program.recurrences()
    users = program.users()
    keep = program.values()
    by: dict[int, Value] = {}
    for base in keep:
        if id(base) not in inside or len(base.shape) != 2 or base.op == "slice":
            continue
        found: list[tuple[int, int, Value]] = []
        for reader in {id(u): u for u in users.get(id(base), ())}.values():
            if reader.op in ("sigmoid", "tanh"):
                found.append((0, base.shape[0], reader))
            elif reader.op == "slice" and reader.attributes["axis"] == 0:
                found.extend(
                    (reader.attributes["start"], reader.attributes["stop"], user)
                    for user in {id(u): u for u in users.get(id(reader), ())}.values()
                    if user.op in ("sigmoid", "tanh")
                )
        found.sort(key=lambda item: item[:2])
        if not any(user.op == "sigmoid" for *_, user in found):
            continue
        covers = found[0][0] == 0 and found[-1][1] == base.shape[0]
        if not covers or any(a[1] != b[0] for a, b in pairwise(found)):
            continue
        if any(_is_delicate(user, users) for *_, user in found if user.op == "sigmoid"):
            continue
        scale = np.ones((base.shape[0], 1), base.dtype)
        shift = np.zeros((base.shape[0], 1), base.dtype)
        for start, stop, user in found:
            if user.op == "sigmoid":
                scale[start:stop] = shift[start:stop] = 0.5
        name = "_".join(user.name for *_, user in found if user.name)[:40] or None
        scaled = _scaled(base, constant(scale, "scale"), inside, users)
        merged = Value(
            "scaled_tanh", (scaled,), base.shape, base.dtype, base.span, name, scale=scale, shift=shift
        )
        for start, stop, user in found:
            by[id(user)] = slice_(merged, 0, start, stop, user.name)
    program.replace(by)
    simplify(program)


def _scaled(x: Value, scale: Value, inside: dict[int, int], users: dict[int, list[Value]]) -> Value:
    """Return x with its rows multiplied by `scale (n, 1)`, as far from the recurrence as it can be done."""
    if x.op == "add" and all(y.shape == x.shape or y.span is None for y in x.inputs):
        return add(*(_scaled(y, scale, inside, users) for y in x.inputs), name=x.name)
    if x.op == "matmul" and x.inputs[0].span is None:
        return matmul(elementwise("multiply", x.inputs[0], scale), x.inputs[1], name=x.name)
    return elementwise("multiply", x, scale)


def _is_delicate(value: Value, users: dict[int, list[Value]]) -> bool:
    """Whether something that needs relative accuracy, or a comparison, reads what comes of a value."""
    seen = {id(value)}
    todo = [value]
    while todo:
        for user in users.get(id(todo.pop()), ()):
            if user.op in _DELICATE | _COMPARES:
                return True
            if id(user) not in seen and user.op not in LEAVES:
                seen.add(id(user))
                todo.append(user)
    return False
