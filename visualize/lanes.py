"""The straight lines of a drawing: what a state passes through from one step to the next.

A carry is a wire from one step into a later one. Its line in a step is the shortest chain of symbols from
where it comes in to where it goes out again. Where that chain goes through a fork inside the step (the `z`
of an LSTM, from which four gates start), only what stands before the first fork and after the last join
stays on the line: what is between belongs to the strands of the fork.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from visualize.diagram import CARRY, FOLD, VALUE, Diagram


@dataclass(frozen=True)
class Lane:
    """The symbols on one carry's line, in the order of time."""

    name: str
    symbols: tuple[int, ...]


def lanes(diagram: Diagram) -> list[Lane]:
    """Return the lines of the carries, the one that is taken up first first."""
    exits = _exits(diagram)
    found = []
    taken: set[int] = set()
    for name, sources in exits.items():
        symbols: dict[int, None] = {}
        for source in sources:
            for i in _chain(diagram, source, name, taken | set(symbols)):
                symbols.setdefault(i)
        line = []
        for i in symbols:
            # An arrow through which a state enters the drawing stands before it.
            value = diagram.symbols[i].kind == VALUE
            arrows = [s.id for s in diagram.inputs(i) if s.kind == CARRY and value]
            line += [j for j in arrows if j not in symbols and j not in taken]
            line.append(i)
        taken.update(line)
        found.append(Lane(name, tuple(line)))
    return found


def _crosses(diagram: Diagram, source: int, target: int) -> bool:
    a, b = diagram.symbols[source], diagram.symbols[target]
    if FOLD in (a.kind, b.kind):
        return b.step is not None or b.kind == FOLD
    if b.kind == CARRY:
        return True
    return a.step is not None and b.step is not None and a.step < b.step


def _exits(diagram: Diagram) -> dict[str, list[int]]:
    """Return for each carried name the symbols that hand it on, in the order of time."""
    found: dict[str, list[int]] = {}
    position = {i: n for n, i in enumerate(diagram.order)}
    for wire in diagram.wires:
        if _crosses(diagram, wire.source, wire.target):
            source = diagram.symbols[wire.source]
            name = source.text
            if source.kind == FOLD:
                into = diagram.inputs(source)
                if not into:
                    continue
                name = into[0].text
            sources = found.setdefault(name, [])
            if wire.source not in sources:
                sources.append(wire.source)
    for sources in found.values():
        sources.sort(key=lambda i: position[i])
    return found


def _chain(diagram: Diagram, source: int, name: str, taken: set[int]) -> list[int]:
    """Return `source` and what follows it on its line, up to the symbol that hands the name on again."""
    previous: dict[int, int] = {}
    waiting = deque([source])
    goal = None
    while waiting and goal is None:
        i = waiting.popleft()
        for target in sorted({w.id for w in diagram.outputs(i)}):
            if target in previous or target == source:
                continue
            step, start = diagram.symbols[target].step, diagram.symbols[source].step
            if step is not None and start is not None and step > start + 1:
                continue
            previous[target] = i
            symbol = diagram.symbols[target]
            if symbol.kind in (FOLD, CARRY) or (
                symbol.text == name and diagram.inputs(symbol) and symbol.kind == VALUE
            ):
                goal = target
                break
            waiting.append(target)
    if goal is None:
        return [source]
    path = [goal]
    while path[-1] != source:
        path.append(previous[path[-1]])
    path.reverse()
    inner = path[1:-1]
    forks = [n for n, i in enumerate(inner) if len({s.id for s in diagram.outputs(i)}) > 1]
    if forks:
        inner = inner[: forks[0] + 1]
    return [i for i in [source, *inner, goal] if i not in taken]
