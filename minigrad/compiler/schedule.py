"""In what order a program runs: once, for all steps at once, or step by step."""

from __future__ import annotations

from dataclasses import dataclass

from minigrad.compiler.ir import LEAVES, VIEWS, Program, Value
from minigrad.errors import MinigradError


class NotLoopableError(MinigradError, ValueError):
    """A recurrence that no single loop over time can run; the compiler then takes the graph unrolled."""


@dataclass
class Item:
    """A part of the program: one value outside of recurrences, or a loop over a recurrence.

    Attributes
    ----------
    values : list of Value
        In the order of computation within a step.
    direction : int
        1 or -1 for a loop forward or backward in time; 0 for a value on its own.
    """

    values: list[Value]
    direction: int = 0


def schedule(program: Program) -> list[Item]:
    """Return the parts of a program in the order in which they run.

    Raises
    ------
    NotLoopableError
        If values of a recurrence are carried both forward and backward, or one of them stands once.
    """
    items: list[Item] = []
    for component in program.components():
        if len(component) == 1:
            if component[0].op not in LEAVES:
                items.append(Item(component))
            continue
        directions = set()
        inside = {id(value) for value in component}
        for value in component:
            if value.span is None:
                raise NotLoopableError(f"{value.name or value.op} stands once and in a recurrence")
            if value.op == "window" and id(value.inputs[0]) in inside:
                offset = value.attributes["offset"]
                if offset:
                    directions.add(-1 if offset > 0 else 1)
        if len(directions) != 1:
            raise NotLoopableError("a recurrence runs both forward and backward in time")
        items.append(Item(component, directions.pop()))
    return _with_rows(_sunk(program, items))


# From this many entries on, a step's value fills a good part of the first caches, and a call more is nothing.
_LARGE = 8_192
_ALONE = frozenset({"take", "one_hot", "rows", "softmax", "log_softmax", "cross_entropy", "total", "window"})
_SAME_STEP = VIEWS - {"window", "at"}


def _sunk(program: Program, items: list[Item]) -> list[Item]:
    """Compute what is large, and read in one loop only, in that loop, a step at a time.

    Once for all steps is the rule where calls are what costs. Where memory is, a value had better be computed
    just before it is read, while its operands are in the cache; its stack over time then falls away.
    """
    users = program.users()
    loops = {id(value): item for item in items if item.direction for value in item.values}
    outputs = {id(x) for x in program.outputs}
    sunk: set[int] = set()

    def only_loop(value: Value) -> Item | None:
        found: Item | None = None
        todo = [value]
        while todo:
            x = todo.pop()
            if id(x) in outputs or not users.get(id(x)):
                return None
            for user in users[id(x)]:
                loop = loops.get(id(user))
                if loop is None and user.op in _SAME_STEP and user.span == value.span:
                    todo.append(user)
                elif loop is None or user.op == "window" or user.span != value.span:
                    return None
                elif found is None or found is loop:
                    found = loop
                else:
                    return None
        return found

    for item in reversed(items):
        value = item.values[0]
        if item.direction or value.span is None or value.op in _ALONE | VIEWS | {"frames", "indexed"}:
            continue
        if value.size < _LARGE or value.dtype.kind != "f" or _is_one_product(value):
            continue
        loop = only_loop(value)
        if loop is not None:
            loop.values.insert(0, value)
            loops[id(value)] = loop
            sunk.add(id(value))
    # Parts of what was sunk go with it whatever their size: they are computed in its memory.
    return [item for item in items if item.direction or id(item.values[0]) not in sunk]


def _is_one_product(value: Value) -> bool:
    """Whether a product for all steps is really one product: with one column, or of rows with weights."""
    return value.op == "matmul" and (value.shape[-1] == 1 or value.inputs[0].span is not None)


# From this many entries on, a step's values are worth copying while they are in the cache.
_COPY_AT_ONCE = 16_384


def _with_rows(items: list[Item]) -> list[Item]:
    """Lay out large values of a loop as rows within the loop: then nothing else may need their stack."""
    loops = {id(value): item for item in items if item.direction for value in item.values}
    kept: list[Item] = []
    for item in items:
        value = item.values[0]
        if item.direction == 0 and value.op == "rows" and value.size >= _COPY_AT_ONCE:
            x = value.inputs[0]
            while x.op == "slice":
                x = x.inputs[0]
            loop = loops.get(id(x))
            if loop is not None and x.span == value.span:
                loop.values.append(value)
                continue
        kept.append(item)
    return kept
