"""Products that share an operand are one product with the other operands stacked.

    W_f @ z, W_i @ z, ...           [W_f; W_i; ...] @ z             the gates of an LSTM, say
    W_f^T @ d_f + W_i^T @ d_i       [W_f; W_i]^T @ [d_f; d_i]       their gradient
    d_f @ z^T, d_i @ z^T            [d_f; d_i] @ z^T                their weights' gradients

Stacked weights cost nothing: the parameters themselves come to live side by side in memory. Stacked values
cost nothing either if they can be written side by side from the beginning, which the plan of memory sees to.
"""

from __future__ import annotations

from typing import Any

from minigrad.compiler.ir import LEAVES, VIEWS, Program, Value, add, concat, matmul, slice_
from minigrad.compiler.passes.simplify import simplify


def products_that_share(program: Program) -> None:
    """Stack products; see the module."""
    order = stack_left_operands(program)
    simplify(program)
    join_sums_of_products(program, order)
    simplify(program)
    stack_parts(program)
    simplify(program)


def stack_left_operands(program: Program) -> dict[int, int]:
    """Make one product of those with the same right operand and left operands that stand once.

    Returns the place of each parameter in its stack, by id, so that other stacks take the same order.
    """
    groups: dict[Any, list[Value]] = {}
    keep = program.values()
    heights = _heights(keep)
    users = program.users()
    inside = program.recurrences()
    for value in keep:
        if value.op == "matmul" and len(value.shape) == 2:
            W, x = value.inputs
            if W.span is None and len(W.shape) == 2 and W.dtype == value.dtype:
                # What need not wait for a recurrence is not made to.
                key = (id(x), value.span, W.dtype, inside.get(id(value)))
                groups.setdefault(key, []).append(value)
    by: dict[int, Value] = {}
    order: dict[int, int] = {}
    for group in groups.values():
        if len(group) < 2 or len({id(v.inputs[0]) for v in group}) < len(group):
            continue
        if not all(_root(v.inputs[0]).op == "parameter" for v in group):
            continue
        roots = [id(_root(v.inputs[0])) for v in group]
        if len(set(roots)) < len(group):
            continue
        if all(root in order for root in roots):
            group.sort(key=lambda v: order[id(_root(v.inputs[0]))])
        else:
            # Those that go through the same function come to stand side by side (and in the gradient, too).
            group.sort(key=lambda v: _destiny(v, users, heights))
        stacked = matmul(concat([v.inputs[0] for v in group], 0), group[0].inputs[1])
        stacked.name = "_".join(dict.fromkeys(_called(v, users) for v in group))[:40] or None
        start = 0
        for place, value in enumerate(group):
            order.setdefault(id(_root(value.inputs[0])), place)
            by[id(value)] = slice_(stacked, 0, start, start + value.shape[0])
            start += value.shape[0]
    program.replace(by)
    return order


def join_sums_of_products(program: Program, order: dict[int, int]) -> None:
    """Make one product of a sum of products: the operands side by side."""
    by: dict[int, Value] = {}
    users = program.users()
    keep = program.values()
    for value in keep:
        if value.op != "add" or value.span is None or len(value.shape) != 2:
            continue
        found = [
            x
            for x in value.inputs
            if x.op == "matmul"
            and len(users[id(x)]) == 1
            and x.shape == value.shape
            and x.inputs[0].span is None
            and x.inputs[1].span == value.span
            and x.inputs[1].op not in VIEWS | LEAVES | {"frames", "indexed", "concat"}
        ]
        if len(found) < 2 or len({id(x.inputs[1]) for x in found}) < len(found):
            continue
        if not all(_root(x.inputs[0]).op == "parameter" for x in found):
            continue
        found.sort(key=lambda x: order.get(id(_root(x.inputs[0])), len(order)))
        others = [x for x in value.inputs if not any(x is y for y in found)]
        left = concat([x.inputs[0] for x in found], 1)
        right = concat([x.inputs[1] for x in found], 0)
        if right.name is None:
            right.name = "_".join(x.inputs[1].name or "d" for x in found)[:40]
        joined = matmul(left, right)
        by[id(value)] = add(*others, joined, name=value.name)
    program.replace(by)


def stack_parts(program: Program) -> None:
    """Make one product (or one sum over columns) of those whose operands stand side by side already."""
    keep = program.values()
    users = program.users()
    by: dict[int, Value] = {}
    for whole in keep:
        if whole.op != "concat" or whole.attributes["axis"] != 0 or whole.span is None:
            continue
        by_use: dict[Any, dict[int, Value]] = {}
        for part in whole.inputs:
            for user in users[id(part)]:
                if user.span != whole.span or id(user) in by:
                    continue
                if user.op == "matmul" and user.inputs[0] is part and user.inputs[1].span is not None:
                    by_use.setdefault(("matmul", id(user.inputs[1])), {})[id(part)] = user
                elif user.op == "sum" and user.attributes["axis"] == (1,) and user.attributes["keepdims"]:
                    by_use.setdefault(("sum",), {})[id(part)] = user
        for uses in by_use.values():
            if len(uses) < len(whole.inputs):
                continue
            some = next(iter(uses.values()))
            if some.op == "matmul":
                stacked = matmul(whole, some.inputs[1])
            else:
                shape = (whole.shape[0], 1)
                stacked = Value("sum", (whole,), shape, some.dtype, some.span, None, **some.attributes)
            start = 0
            for part in whole.inputs:
                user = uses[id(part)]
                by[id(user)] = slice_(stacked, 0, start, start + part.shape[0])
                start += part.shape[0]
    program.replace(by)


def _root(x: Value) -> Value:
    """Return what a view is a view of."""
    while x.op in ("slice", "permute_dims"):
        x = x.inputs[0]
    return x


def _heights(values: list[Value]) -> dict[int, int]:
    """Return the length of the longest way from each value to an end, not counting other steps."""
    heights = {id(value): 0 for value in values}
    for value in reversed(values):
        if value.op != "window" or not value.attributes["offset"]:
            for x in value.inputs:
                heights[id(x)] = max(heights[id(x)], heights[id(value)] + 1)
    return heights


_SUMS = frozenset({"add", "multiply", "subtract", "slice"})


def _destiny(value: Value, users: dict[int, list[Value]], heights: dict[int, int]) -> tuple[str, int]:
    """Return which function a product goes into, and how far that is from the end of the step."""
    value = _follow(value, users)
    return value.op, heights.get(id(value), 0)


def _called(value: Value, users: dict[int, list[Value]]) -> str:
    end = _follow(value, users)
    return value.name or end.name or ""


def _follow(value: Value, users: dict[int, list[Value]]) -> Value:
    for _ in range(10):
        readers = users.get(id(value), ())
        if len(readers) != 1:
            break
        value = readers[0]
        if value.op not in _SUMS:
            break
    return value
