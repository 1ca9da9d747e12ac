"""A drawing in characters for any diagram: plain, and never short of room.

The symbols go down to the right in the order of evaluation. Each has a column of its own to the right of it,
in which its value comes down, and its inputs come in along rows of their own: everything else is crossed
straight. What is drawn this way reads in one way only: all goes in on the left and out on the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from visualize.diagram import Diagram
from visualize.errors import DrawingError
from visualize.layout import written
from visualize.signs import width


@dataclass
class _Place:
    row: int
    first: int
    last: int
    inputs: list[tuple[int, str, int]] = field(default_factory=list)  # row, side, column of entry


def staircase(diagram: Diagram) -> str:
    """Return the diagram as a staircase.

    Raises
    ------
    DrawingError
        If a symbol takes more values than it has room for.
    """
    texts = written(diagram)
    chained = _chains(diagram)
    places: dict[int, _Place] = {}
    grid: dict[tuple[int, int], str] = {}
    column_of: dict[int, int] = {}
    row, column = -1, 0
    for i in diagram.order:
        count = len(diagram.inputs(i))
        size = width(texts[i])
        if i in chained:
            before = places[chained[i]]
            grid[before.row, before.last + 1] = "-"
            first = before.last + 2
            places[i] = _Place(before.row, first, first + size - 1)
        else:
            above, left, below = max(count - 2, 0), count > 0, count > 1
            if above > size:
                raise DrawingError(
                    f"{texts[i]} takes {count} values and has room for {size + 2}: draw it as .svg"
                )
            row += above + 1
            place = _Place(row, column + 1, column + size)
            # Counted from above by the left side to below; the first of those above is the outermost.
            for k in range(above):
                place.inputs.append((row - above + k, "top", place.first + above - 1 - k))
            place.inputs.sort(key=lambda entry: entry[2])
            if left:
                place.inputs.append((row, "left", place.first - 1))
            if below:
                place.inputs.append((row + 1, "bottom", place.first))
                row += 1
            places[i] = place
        column = places[i].last + 1
        if i not in chained.values() and diagram.outputs(i):
            column_of[i] = column
            column += 1
        row = max(row, places[i].row)
    _draw_wires(diagram, chained, places, column_of, grid)
    for i, place in places.items():
        for k in range(place.first, place.last + 1):
            grid[place.row, k] = ""
        grid[place.row, place.first] = texts[i]
    return _text(grid)


def _chains(diagram: Diagram) -> dict[int, int]:
    """Return what stands on one line behind another: it alone takes its value, directly after it."""
    found = {}
    for before, i in zip(diagram.order, diagram.order[1:], strict=False):
        into, out = diagram.inputs(i), diagram.outputs(before)
        if len(into) == 1 and into[0].id == before and len(out) == 1:
            found[i] = before
    return found


def _draw_wires(
    diagram: Diagram,
    chained: dict[int, int],
    places: dict[int, _Place],
    column_of: dict[int, int],
    grid: dict[tuple[int, int], str],
) -> None:
    ends: dict[int, list[tuple[int, str, int]]] = {}
    for i, place in places.items():
        if i in chained:
            continue
        for source, entry in zip(diagram.inputs(i), place.inputs, strict=True):
            ends.setdefault(source.id, []).append(entry)
    for giver, entries in ends.items():
        column, start = column_of[giver], places[giver].row
        rows = {row for row, _, _ in entries}
        lowest = max(rows)
        for row in range(start + 1, lowest + 1):
            _down(grid, (row, column), taps=row in rows, last=row == lowest)
        grid[start, column] = "."
    for giver, entries in ends.items():
        for row, side, end in entries:
            stop = end if side == "left" else end - 1
            for k in range(column_of[giver] + 1, stop + 1):
                # An upright wire is crossed unbroken.
                if grid.get((row, k)) != "|":
                    grid[row, k] = "-"
            if side == "bottom":
                grid[row, end] = "'"
            if side == "top":
                grid[row, end] = "."
                place_row = row + 1
                while (place_row, end) not in grid and not _is_box(places, place_row, end):
                    grid[place_row, end] = "|"
                    place_row += 1


def _is_box(places: dict[int, _Place], row: int, column: int) -> bool:
    return any(p.row == row and p.first <= column <= p.last for p in places.values())


def _down(grid: dict[tuple[int, int], str], cell: tuple[int, int], *, taps: bool, last: bool) -> None:
    grid[cell] = "`" if last else "+" if taps else "|"


def _text(grid: dict[tuple[int, int], str]) -> str:
    lines: dict[int, dict[int, str]] = {}
    for (row, column), sign in grid.items():
        if sign:
            lines.setdefault(row, {})[column] = sign
    left = min(min(entries) for entries in lines.values())
    out = []
    for row in range(min(lines), max(lines) + 1):
        written_so_far: list[str] = []
        at = left
        for column, sign in sorted(lines.get(row, {}).items()):
            written_so_far.append(" " * (column - at) + sign)
            at = column + width(sign)
        out.append("".join(written_so_far))
    return "\n".join(out)
