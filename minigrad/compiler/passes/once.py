"""Once for all steps: what depends on no recurrence is moved out of those that do.

A recurrence is a strongly connected component. Three rules of algebra carry work out of it:

- ``W @ concat(h, x)`` is ``W_h @ h + W_x @ x``, and only the first product has to wait for h;
- of a sum in a recurrence, the addends from outside are added first: ``(W h + V x) + b = W h + (V x + b)``;
- of a product of factors likewise: ``(dc * c[t-1]) * (fg * (1 - fg))`` is ``dc`` times something known.

Values outside of recurrences need no moving: they are computed for all steps in one call.
"""

from __future__ import annotations

from minigrad.compiler.ir import Program, Value, add, concat, elementwise, matmul, slice_
from minigrad.compiler.passes.simplify import simplify


def once_for_all_steps(program: Program) -> None:
    """Move work out of recurrences; see the module."""
    split_products(program)
    for _ in range(6):
        if not slice_what_is_sliced(program):
            break
        simplify(program)
    gather(program)
    simplify(program)


def split_products(program: Program) -> None:
    """Split products with a concatenation of values in and out of a recurrence."""
    inside = program.recurrences()
    by: dict[int, Value] = {}
    keep = program.values()
    for value in keep:
        if value.op != "matmul" or len(value.shape) != 2:
            continue
        W, z = value.inputs
        if z.op != "concat" or z.attributes["axis"] != 0 or W.span is not None or z.span is None:
            continue
        groups: list[tuple[bool, list[Value]]] = []
        for part in z.inputs:
            here = id(part) in inside
            if groups and groups[-1][0] == here:
                groups[-1][1].append(part)
            else:
                groups.append((here, [part]))
        if len(groups) < 2:
            continue
        start = 0
        addends = []
        for _, parts in groups:
            size = sum(part.shape[0] for part in parts)
            addends.append(matmul(slice_(W, 1, start, start + size), concat(parts, 0)))
            start += size
        by[id(value)] = add(*addends, name=value.name)
    program.replace(by)


def slice_what_is_sliced(program: Program) -> bool:
    """Compute slices instead of wholes, where nothing but slices is read: of sums and of products."""
    by: dict[int, Value] = {}
    users = program.users()
    outputs = {id(x) for x in program.outputs}
    keep = program.values()
    for value in keep:
        if value.op != "slice":
            continue
        (x,) = value.inputs
        if x.op not in ("add", "matmul") or id(x) in outputs or x.span is None:
            continue
        if any(user.op != "slice" for user in users[id(x)]):
            continue
        axis, start, stop = (value.attributes[name] for name in ("axis", "start", "stop"))
        if x.op == "add" and all(y.shape == x.shape for y in x.inputs):
            by[id(value)] = add(*(slice_(y, axis, start, stop) for y in x.inputs))
        elif x.op == "matmul" and len(x.shape) == 2:
            a, b = x.inputs
            by[id(value)] = (
                matmul(slice_(a, 0, start, stop), b) if axis == 0 else matmul(a, slice_(b, 1, start, stop))
            )
    program.replace(by)
    return bool(by)


def gather(program: Program) -> None:
    """In sums and products of a recurrence, combine what comes from outside of it first."""
    inside = program.recurrences()
    users = program.users()
    by: dict[int, Value] = {}
    keep = program.values()
    absorbed: set[int] = set()
    for value in reversed(keep):
        here = inside.get(id(value))
        if here is None or value.op not in ("add", "multiply") or id(value) in absorbed:
            continue
        terms = _flat(value, value.op, here, inside, users, absorbed)
        within = [x for x in terms if inside.get(id(x)) == here]
        without = [x for x in terms if inside.get(id(x)) != here]
        if len(without) < 2 and len(terms) == len(value.inputs):
            continue
        combined: list[Value] = []
        if without:
            outer = without[0]
            for x in without[1:]:
                outer = elementwise(value.op, outer, x)
            combined.append(outer)
        if value.op == "add":
            new = add(*within, *combined, name=value.name)
        else:
            new = within[0]
            for x in (*within[1:], *combined):
                new = elementwise("multiply", new, x)
            new.name = value.name
        by[id(value)] = new
    program.replace(by)


def _flat(
    value: Value,
    op: str,
    here: int,
    inside: dict[int, int],
    users: dict[int, list[Value]],
    absorbed: set[int],
) -> list[Value]:
    """Return the terms of nested sums (or products) of one recurrence that nothing else reads."""
    terms: list[Value] = []
    todo = list(reversed(value.inputs))
    while todo:
        x = todo.pop()
        if x.op == op and inside.get(id(x)) == here and len(users[id(x)]) == 1 and x.span == value.span:
            absorbed.add(id(x))
            todo.extend(reversed(x.inputs))
        else:
            terms.append(x)
    return terms
