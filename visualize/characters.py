"""A diagram as a drawing in characters, which `visualize.parse` reads back.

The drawing is laid out, routed, and then read: only what reads back as the same diagram is given out. Where a
wire could be read both ways an arrow is put on it; where a wire finds no way, there is more room in the next
attempt, and in the end the staircase, which always has room.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from visualize.diagram import Diagram
from visualize.errors import DrawingError, DrawingSyntaxError
from visualize.layout import Arranger, Layout, Spacing
from visualize.orient import Ambiguous
from visualize.reader import parse
from visualize.router import Router, Unroutable
from visualize.signs import DOWN, LEFT, RIGHT, UP, decode, encode, width
from visualize.staircase import staircase

# More symbols than this are no drawing that anyone follows on a terminal.
MOST_SYMBOLS = 1500
# Cells that the searches for wires may go through, and more for each symbol, before the staircase is drawn.
EFFORT, EFFORT_EACH = 10_000, 150


def _attempts() -> Iterator[Spacing]:
    yield Spacing()
    yield Spacing(between=2)
    yield Spacing(between=2, margin=2)
    yield Spacing(between=3, stub=2, margin=3)


def draw_text(diagram: Diagram) -> str:
    """Return a diagram as a drawing in characters.

    Raises
    ------
    DrawingError
        If it has more than 1500 symbols, none, or cannot be drawn in the plane of characters.

    Examples
    --------
    >>> from visualize import parse
    >>> print(parse("[x]-{W}-(tanh+b)-[y]").draw_text())
    [x]-{W}-(tanh+b)-[y]
    """
    if not diagram.symbols:
        raise DrawingError("there is nothing to draw")
    if len(diagram.symbols) > MOST_SYMBOLS:
        raise DrawingError(
            f"{len(diagram.symbols):,} symbols are too many for a drawing in characters (at most "
            f"{MOST_SYMBOLS:,}): fold the steps (fold='auto', --fold auto) or draw one (fold='step')"
        )
    # Held against what is read are the names as they are drawn: a very long one is shortened.
    diagram = Diagram([replace(s, text=decode(encode(s.text))) for s in diagram.symbols], diagram.wires)
    routed = lay_out(diagram)
    if routed is not None:
        return routed[0]
    text = staircase(diagram)
    if not parse(text).isomorphic(diagram):
        raise DrawingError(
            "this diagram cannot be drawn in characters so that it reads back; draw it as .svg"
        )
    return text


def lay_out(diagram: Diagram) -> tuple[str, Layout, Router] | None:
    """Return the drawing with its layout and its wires, or None if these find no way."""
    effort = Effort(EFFORT + EFFORT_EACH * len(diagram.symbols))
    for spacing in _attempts():
        drawn = _drawn(diagram, spacing, effort)
        if drawn is not None and crowding(drawn[2]) and effort.left > 0:
            # Wires side by side are hard to tell apart: more room, if that helps.
            wider = _drawn(diagram, replace(spacing, between=spacing.between + 3), effort)
            if wider is not None and crowding(wider[2]) <= crowding(drawn[2]) // 2:
                return wider
        if drawn is not None or effort.left <= 0:
            return drawn
    return None


def crowding(router: Router) -> int:
    """Count the places where upright wires of two values run side by side without a gap."""
    found = 0
    for (row, column), net in router.wire.items():
        beside = router.wire.get((row, column + 1))
        if beside is None or beside is net:
            continue
        found += {UP, DOWN} <= net.ways[row, column] and {UP, DOWN} <= beside.ways[row, column + 1]
    return found


@dataclass
class Effort:
    """How many cells the searches for wires may still go through; a tangle is not to take for ever."""

    left: int


def _drawn(diagram: Diagram, spacing: Spacing, effort: Effort) -> tuple[str, Layout, Router] | None:
    """Return the drawing with this much room, or None if there is no way for its wires."""
    layout = Arranger(diagram, spacing).arrange()
    first: list[int] = []
    for _ in range(4):
        router = None
        try:
            router = Router(diagram, layout, first)
            router.route()
            text = _settled(layout, router)
        except Unroutable as error:
            if error.net is None or error.net in first[:1]:
                return None
            first = [error.net, *[i for i in first if i != error.net]]
        except DrawingSyntaxError:
            return None
        else:
            return (text, layout, router) if parse(text).isomorphic(diagram) else None
        finally:
            effort.left -= router.visits if router is not None else 0
        if effort.left <= 0:
            return None
    return None


def _settled(layout: Layout, router: Router) -> str:
    """Write the drawing, with arrows where it could be read in two ways."""
    arrows: dict[tuple[int, int], str] = {}
    for _ in range(12):
        text, origin = _written(layout, router, arrows)
        try:
            parse(text)
            return text
        except Ambiguous as error:
            before = len(arrows)
            for number in error.unsettled:
                row, column = error.nets[number].cell
                cell = row + origin[0], column + origin[1]
                arrow = _arrow(router, cell)
                if arrow is not None:
                    arrows.update([arrow])
                    break
            if len(arrows) == before:
                raise
    return text


def _arrow(router: Router, cell: tuple[int, int]) -> tuple[tuple[int, int], str] | None:
    """Return a place for an arrow on the net in a cell: straight, and next to a symbol that takes."""
    net = router.wire.get(cell)
    if net is None:
        return None
    for target, position in net.sinks:
        side = router.inputs[target, position]
        way = {"left": RIGHT, "top": DOWN, "bottom": UP}[side]
        for port in router._ports(target, side):
            straight = net.ways.get(port) == {way, (-way[0], -way[1])}
            if router.wire.get(port) is net and straight and port not in router.crossed:
                return port, {RIGHT: ">", DOWN: "v", UP: "^", LEFT: "<"}[way]
    return None


def _written(
    layout: Layout, router: Router, arrows: dict[tuple[int, int], str]
) -> tuple[str, tuple[int, int]]:
    """Return the text, and the row and column that its first character stands for."""
    signs = router.signs() | arrows
    rows = [b.row for b in layout.boxes.values()] + [r for r, _ in signs]
    columns = [b.first for b in layout.boxes.values()] + [c for _, c in signs]
    top, left = min(rows), min(columns)
    lines: list[dict[int, str]] = [{} for _ in range(max(rows) - top + 1)]
    for (row, column), sign in signs.items():
        lines[row - top][column - left] = sign
    for i, box in layout.boxes.items():
        lines[box.row - top][box.first - left] = layout.texts[i]
    return "\n".join(_line(line) for line in lines), (top, left)


def _line(entries: dict[int, str]) -> str:
    written: list[str] = []
    at = 0
    for column in sorted(entries):
        text = entries[column]
        written.append(" " * (column - at) + text)
        at = column + width(text)
    return "".join(written)
