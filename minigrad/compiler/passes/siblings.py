"""Siblings: the same function on neighbouring slices of one buffer is one call on the whole.

Two directions. *Down*: operations that read neighbouring slices of a value, with other operands that are
neighbours too, become one operation whose result is sliced. *Up*: neighbours in a concatenation that multiply
one and the same value become one broadcast product, and what else multiplies that value is put beside them.
"""

from __future__ import annotations

from minigrad.compiler.ir import LEAVES, VIEWS, Program, Value, concat, slice_
from minigrad.compiler.passes.simplify import simplify

_ELEMENTWISE = frozenset(
    {"add", "subtract", "multiply", "divide", "negative", "exp", "log", "sqrt", "abs", "sign", "tanh"}
    | {"sigmoid", "relu", "maximum", "minimum", "square"}
)


def siblings(program: Program) -> None:
    """Merge siblings; see the module."""
    for _ in range(8):
        if not merge_down(program):
            break
        simplify(program)
    extend_ends(program)
    merge_up(program)
    simplify(program)
    for _ in range(8):
        if not merge_down(program):
            break
        simplify(program)


def merge_down(program: Program) -> bool:
    """Merge operations on neighbouring slices (axis 0) of one value."""
    keep = program.values()
    users = program.users()
    by: dict[int, Value] = {}
    for base in keep:
        slices = sorted(
            (u for u in _distinct(users.get(id(base), ())) if u.op == "slice" and u.attributes["axis"] == 0),
            key=lambda s: (s.attributes["start"], s.attributes["stop"]),
        )
        if len(slices) < 2:
            continue
        run: list[tuple[Value, Value]] = []  # (slice, its user)
        for s in slices:
            extended = False
            for user in _distinct(users.get(id(s), ())):
                if id(user) in by or user.op not in _ELEMENTWISE or user.shape != s.shape:
                    continue
                if run and _alike(run, s, user):
                    run.append((s, user))
                    extended = True
                    break
            if not extended:
                _merge(run, base, by)
                run = []
                for user in _distinct(users.get(id(s), ())):
                    if id(user) not in by and user.op in _ELEMENTWISE and user.shape == s.shape:
                        run = [(s, user)]
                        break
        _merge(run, base, by)
        if by:
            break  # users have changed; the next round sees the rest
    program.replace(by)
    return bool(by)


def _distinct(values: object) -> list[Value]:
    return list({id(v): v for v in values}.values())  # type: ignore[attr-defined]


def _alike(run: list[tuple[Value, Value]], s: Value, user: Value) -> bool:
    """Whether a user of the slice `s` is the same operation as the last of the run, next to it."""
    before, last = run[-1]
    if before.attributes["stop"] != s.attributes["start"] or last.op != user.op or last.span != user.span:
        return False
    if len(last.inputs) != len(user.inputs) or last.dtype != user.dtype:
        return False
    for a, b in zip(last.inputs, user.inputs, strict=True):
        if a is before and b is s:
            continue
        if (a is before) != (b is s):
            return False
        if a is b:
            if a.shape and len(a.shape) == len(user.shape) and a.shape[0] != 1:
                return False  # it would have to be repeated
            continue
        neighbours = (
            a.op == b.op == "slice"
            and a.inputs[0] is b.inputs[0]
            and a.attributes["axis"] == b.attributes["axis"] == 0
            and a.attributes["stop"] == b.attributes["start"]
            and len(a.shape) == len(user.shape)
            and a.shape[0] == last.shape[0]
            and b.shape[0] == user.shape[0]
        )
        stacked = (
            a.span is None
            and b.span is None
            and a.op == b.op == "parameter"
            and a.shape[1:] == b.shape[1:]
            and len(a.shape) == len(user.shape)
            and a.shape[0] == last.shape[0]
            and b.shape[0] == user.shape[0]
        )
        if not neighbours and not stacked:
            return False
    return True


def _merge(run: list[tuple[Value, Value]], base: Value, by: dict[int, Value]) -> None:
    if len(run) < 2:
        return
    inputs: list[Value] = []
    for position in range(len(run[0][1].inputs)):
        operands = [user.inputs[position] for _, user in run]
        inputs.append(operands[0] if all(x is operands[0] for x in operands) else concat(operands, 0))
    first = run[0][1]
    shape = (sum(user.shape[0] for _, user in run), *first.shape[1:])
    name = "_".join(user.name for _, user in run if user.name)[:40] or None
    merged = Value(first.op, inputs, shape, first.dtype, first.span, name, **first.attributes)
    start = 0
    for _, user in run:
        by[id(user)] = slice_(merged, 0, start, start + user.shape[0])
        start += user.shape[0]


# -- up ----------------------------------------------------------------------------------------------


def _factors(value: Value, inside: dict[int, int]) -> tuple[Value, Value] | None:
    """Return a product in a recurrence as (what is of the recurrence, what is known before)."""
    if value.op != "multiply" or len(value.shape) != 2 or id(value) not in inside:
        return None
    a, b = value.inputs
    here = inside[id(value)]
    if inside.get(id(a)) != here:
        a, b = b, a
    if (
        inside.get(id(a)) != here
        or inside.get(id(b)) == here
        or a.shape != value.shape
        or b.shape != value.shape
    ):
        return None
    return (a, b) if b.span == value.span else None


def extend_ends(program: Program) -> None:
    """Put beside a concatenation what multiplies the same value as the neighbour it would have there."""
    inside = program.recurrences()
    users = program.users()
    by: dict[int, Value] = {}
    keep = program.values()
    taken: set[int] = set()
    for whole in keep:
        if whole.op == "concat" and whole.span is not None and whole.attributes["axis"] == 0:
            taken.update(id(x) for x in whole.inputs)
    for whole in keep:
        if whole.op != "concat" or whole.span is None or whole.attributes["axis"] != 0 or id(whole) in by:
            continue
        parts = list(whole.inputs)
        before: list[Value] = []
        after: list[Value] = []
        for end, found in ((parts[0], before), (parts[-1], after)):
            pair = _factors(end, inside)
            if pair is None:
                continue
            for user in _distinct(users[id(pair[0])]):
                other = _factors(user, inside)
                if other is None or other[0] is not pair[0] or user.span != whole.span:
                    continue
                fits = _placeable(other[1], set()) and user.shape == end.shape
                if fits and id(user) not in taken and inside[id(user)] == inside[id(end)]:
                    found.append(user)
                    taken.add(id(user))
                    break
        if before or after:
            longer = concat([*before, *parts, *after], 0)
            start = sum(x.shape[0] for x in before)
            by[id(whole)] = slice_(longer, 0, start, start + whole.shape[0], whole.name)
    program.replace(by)


def merge_up(program: Program) -> None:
    """Make one broadcast product of neighbours in a concatenation that multiply the same value."""
    inside = program.recurrences()
    by: dict[int, Value] = {}
    homes: set[int] = set()
    keep = program.values()
    for whole in keep:
        if whole.op != "concat" or whole.span is None or whole.attributes["axis"] != 0:
            continue
        runs: list[list[Value]] = []
        for part in whole.inputs:
            pair = _factors(part, inside)
            previous = _factors(runs[-1][-1], inside) if runs else None
            fits = (
                pair is not None
                and previous is not None
                and pair[0] is previous[0]
                and part.shape == runs[-1][-1].shape
                and _placeable(pair[1], homes)
                and _placeable(previous[1], homes)
            )
            if fits:
                runs[-1].append(part)
            else:
                runs.append([part])
        if all(len(run) == 1 for run in runs):
            continue
        start = 0
        parts: list[Value] = []
        for run in runs:
            if len(run) == 1:
                parts.append(run[0])
                continue
            pairs = [_factors(part, inside) for part in run]
            x = pairs[0][0]  # type: ignore[index]
            known = [pair[1] for pair in pairs if pair is not None]
            homes.update(id(k) for k in known)
            factors = concat(known, 0)
            shape = (sum(part.shape[0] for part in run), run[0].shape[1])
            name = "_".join(part.name for part in run if part.name)[:40] or None
            parts.append(Value("multiply_each", (x, factors), shape, whole.dtype, whole.span, name))
        longer = concat(parts, 0, whole.name)
        by[id(whole)] = longer
        start = 0
        for run, merged in zip(runs, parts, strict=True):
            offset = 0
            for part in run:
                if part is not merged:
                    by[id(part)] = slice_(merged, 0, offset, offset + part.shape[0], part.name)
                offset += part.shape[0]
            start += offset
    program.replace(by)


# Below this many entries a call costs more than copying what is called on.
_CHEAP_COPY = 4096


def _placeable(x: Value, homes: set[int]) -> bool:
    """Whether a value can stand in a place beside others: computed there, or copied there cheaply."""
    if id(x) not in homes and x.op not in VIEWS | LEAVES | {"frames", "indexed", "concat"}:
        return True
    return x.size <= _CHEAP_COPY
