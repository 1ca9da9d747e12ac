"""Open bounds, ``dz[:?]``: the shapes decide them, and the exact form says what they are."""

from __future__ import annotations

from dataclasses import replace

from .names import Vocabulary
from .syntax import Expression, Name, Number, Open, Slice, transform, walk
from .truth import World


def fill(
    sides: list[Expression], base: str, world: World, vocabulary: Vocabulary, notes: list[str]
) -> list[Expression] | None:
    """Return the sides with every ``?`` replaced by its size, or None if there is none."""
    if not any(isinstance(p, Slice) and any(isinstance(b, Open) for pair in p.bounds for b in pair)
               for side in sides for p in walk(side)):  # fmt: skip
        return None
    places = list(vocabulary.steps_of(base).values())
    goal = world.nodes[places[-1]].shape[0] if places else 0

    def filled(tree: Expression) -> Expression:
        if not isinstance(tree, Slice) or not isinstance(tree.operand, Name):
            return tree
        found = vocabulary.differentiated(tree.operand) or vocabulary.locate(tree.operand)
        rows = [world.nodes[i].shape[0] for i in vocabulary.steps_of(found[0]).values()] if found else []
        start, stop = tree.bounds[0]
        if isinstance(stop, Open) and start is None:
            stop = size_name(goal, world, notes)
        elif isinstance(start, Open) and stop is None and rows:
            start = size_name(rows[-1] - goal, world, notes)
        return replace(tree, bounds=((start, stop), *tree.bounds[1:]))

    return [transform(side, filled) for side in sides]


def size_name(size: int, world: World, notes: list[str]) -> Expression:
    """Return ``H`` for the number of rows of h, else the number."""
    places = world.names.get("h", {})
    if places and "H" not in world.names:
        rows = world.nodes[next(iter(places.values()))].shape[0]
        if rows == size:
            note = f"H = {size}, the rows of h"
            if note not in notes:
                notes.append(note)
            return Name("H")
    return Number(float(size))
