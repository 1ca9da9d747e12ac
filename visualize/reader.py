"""Reading a drawing in characters: the symbols, then the wires cell by cell, then which way they run.

Every end of every wire has to meet something that takes it, or the drawing is refused with the place and
what was expected there; nothing is guessed. A closed rectangle of wire is the frame of a cell and carries
nothing, since no wire has a reason to return into itself; wires may cross it with `+` or `|`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from visualize.diagram import CARRY, FOLD, FUNCTION, JOIN, OPERATION, PRODUCT, VALUE, Diagram, is_operation
from visualize.errors import DrawingSyntaxError
from visualize.orient import Net, Place, Port, orient
from visualize.signs import (
    ARROWS,
    BRACKETS,
    CONNECTS,
    DIRECTIONS,
    DOWN,
    JUNCTION,
    LEFT,
    RIGHT,
    UP,
    cells,
    decode,
    opposite,
)

_SIDE = {LEFT: "left", RIGHT: "right", UP: "top", DOWN: "bottom"}
_WAY = {LEFT: "to the left", RIGHT: "to the right", UP: "above", DOWN: "below"}
Cell = tuple[int, int]


@dataclass
class Box:
    """A symbol where it stands."""

    id: int
    kind: str
    text: str
    row: int
    first: int
    last: int


@dataclass
class _Page:
    """The drawing as rows of columns."""

    rows: list[list[str]]
    boxes: list[Box] = field(default_factory=list)
    at: dict[Cell, int] = field(default_factory=dict)  # the symbol that covers a cell
    left: int = 0
    right: int = 0

    def sign(self, cell: Cell) -> str:
        row, column = cell
        if cell in self.at or not 0 <= row < len(self.rows) or not 0 <= column < len(self.rows[row]):
            return " "
        return self.rows[row][column]

    def error(self, cell: Cell, found: str, expected: str) -> DrawingSyntaxError:
        source = "".join(self.rows[cell[0]]) if 0 <= cell[0] < len(self.rows) else ""
        return DrawingSyntaxError(cell[0] + 1, cell[1] + 1, found, expected, source)


def parse(text: str) -> Diagram:
    """Read a drawing in characters.

    Parameters
    ----------
    text : str
        The drawing under the conventions of `visualize.signs`; lines that begin with ``//`` are remarks.

    Returns
    -------
    Diagram
        The time steps are found by counting the states: the second `[h]` on a line is a step after the first.

    Raises
    ------
    DrawingSyntaxError
        With line, column, what was found there and what was expected.

    Examples
    --------
    >>> print(parse('''
    ...      [h]-{Whh}-#-(tanh+bh)-[h]->
    ...                |
    ...              {Wxh}
    ...               [x]
    ... '''))
    [h] -> {Whh}
    {Whh} -> #
    [x] -> {Wxh}
    {Wxh} -> #
    # -> (tanh+bh)
    (tanh+bh) -> [h]
    [h] -> >
    """
    page = _read_symbols(text)
    if not page.boxes:
        raise DrawingSyntaxError(1, 1, "there is no symbol", "a value [x], a product {W}, a function (tanh)")
    _remove_frames(page)
    nets = _trace(page)
    places = [Place(b.kind, b.text, b.row, b.first) for b in page.boxes]
    return orient(places, nets, page.error)


# -- symbols -----------------------------------------------------------------------------------------


def _read_symbols(text: str) -> _Page:
    lines = text.expandtabs().splitlines()
    page = _Page([cells("" if line.lstrip().startswith("//") else line.rstrip()) for line in lines])
    for row, line in enumerate(page.rows):
        column = 0
        while column < len(line):
            sign = line[column]
            if sign in BRACKETS:
                column = _read_symbol(page, row, column)
            elif sign == "#":
                _enter(page, JOIN, "#", row, column, column)
            elif sign in "]})" and sign:
                raise page.error((row, column), f"'{sign}' closes nothing", f"'{_opening(sign)}' before it")
            elif sign not in CONNECTS and sign not in ARROWS and sign not in (JUNCTION, " ", ""):
                raise page.error(
                    (row, column),
                    f"'{sign}' is no sign of a drawing",
                    "a symbol in brackets, a wire or a blank",
                )
            column += 1
    filled = [i for line in page.rows for i, sign in enumerate(line) if sign not in (" ", "")]
    page.left, page.right = min(filled, default=0), max(filled, default=0)
    return page


def _opening(closing: str) -> str:
    return next(o for o, c in BRACKETS.items() if c == closing)


def _read_symbol(page: _Page, row: int, column: int) -> int:
    line = page.rows[row]
    closing = BRACKETS[line[column]]
    end = column + 1
    while end < len(line) and line[end] != closing:
        if line[end] in BRACKETS or (line[end] in "]})" and line[end]):
            raise page.error((row, end), f"'{line[end]}' inside of '{line[column]}'", f"'{closing}' first")
        end += 1
    if end == len(line):
        raise page.error((row, column), f"'{line[column]}' is not closed on its line", f"'{closing}'")
    inside = decode("".join(line[column + 1 : end]).strip())
    if not inside:
        raise page.error((row, column), "empty brackets", "a name inside")
    if line[column] == "[":
        kind = VALUE
    elif line[column] == "{":
        kind = PRODUCT
    elif inside.startswith("…"):
        kind = FOLD
    else:
        kind = OPERATION if is_operation(inside) else FUNCTION
    _enter(page, kind, inside, row, column, end)
    return end


def _enter(page: _Page, kind: str, text: str, row: int, first: int, last: int) -> None:
    box = Box(len(page.boxes), kind, text, row, first, last)
    page.boxes.append(box)
    for column in range(first, last + 1):
        page.at[row, column] = box.id


# -- frames ------------------------------------------------------------------------------------------


def _remove_frames(page: _Page) -> None:
    for row, line in enumerate(page.rows):
        for column, sign in enumerate(line):
            if sign == "," and (row, column) not in page.at:
                frame = _frame(page, row, column)
                if frame is not None:
                    _erase_frame(page, *frame)


def _frame(page: _Page, top: int, left: int) -> tuple[int, int, int, int | None] | None:
    """Return top, left, bottom, right of the frame with this corner; a frame may run off on the right."""
    bottom = top + 1
    while page.sign((bottom, left)) in ("|", "+", "-"):
        bottom += 1
    if page.sign((bottom, left)) not in ("`", "'"):
        return None
    ends = []
    for row in (top, bottom):
        column = left + 1
        while page.sign((row, column)) in ("-", "+", "|"):
            column += 1
        ends.append(column)
    if ends[0] == ends[1] == page.right + 1:
        return top, left, bottom, None
    # The top may be shorter than what follows it: look for a right side that closes all.
    right = ends[0]
    if page.sign((top, right)) != "." or page.sign((bottom, right)) not in ("'", "´") or ends[1] != right:
        return None
    if any(page.sign((row, right)) not in ("|", "+", "-") for row in range(top + 1, bottom)):
        return None
    return top, left, bottom, right


def _erase_frame(page: _Page, top: int, left: int, bottom: int, right: int | None) -> None:
    columns = range(left, (page.right if right is None else right) + 1)
    for row in (top, bottom):
        for column in columns:
            if column < len(page.rows[row]):
                page.rows[row][column] = _crossing(page, (row, column), (UP, DOWN), column in (left, right))
    for row in range(top + 1, bottom):
        for side in (left, right):
            if side is not None:
                page.rows[row][side] = _crossing(page, (row, side), (LEFT, RIGHT), False)


def _crossing(page: _Page, cell: Cell, ways: tuple[Cell, Cell], corner: bool) -> str:
    """Return what is left of a cell without its frame: the wire that crosses it, or nothing."""
    beside = [(cell[0] + way[0], cell[1] + way[1]) for way in ways]
    met = [
        there in page.at or _points(page, there, opposite(way)) or page.sign(there) == JUNCTION
        for there, way in zip(beside, ways, strict=True)
    ]
    if all(met) and not corner:
        return "|" if ways == (UP, DOWN) else "-"
    if page.sign(cell) == JUNCTION:
        raise page.error(cell, "a wire ends at the frame of a cell", "a wire on both sides of the frame")
    return " "


# -- wires -------------------------------------------------------------------------------------------


def _points(page: _Page, cell: Cell, way: Cell) -> bool:
    """Whether the wire in a cell has to go on in a direction."""
    sign = page.sign(cell)
    if sign in ARROWS:
        return way in (ARROWS[sign], opposite(ARROWS[sign]))
    return way in CONNECTS.get(sign, ())


def _is_wire(sign: str) -> bool:
    return sign in CONNECTS or sign == JUNCTION or sign in ARROWS


def _trace(page: _Page) -> list[Net]:
    """Follow the wires and return the nets, each with the sides of symbols that it meets."""
    wires = [
        (row, column)
        for row, line in enumerate(page.rows)
        for column, sign in enumerate(line)
        if (row, column) not in page.at and _is_wire(sign)
    ]
    links: dict[Cell, list[Cell]] = {cell: [] for cell in wires}
    ports: dict[Cell, list[Port]] = {}
    ends: dict[Cell, list[str]] = {}
    for cell in wires:
        for way in DIRECTIONS:
            _follow(page, cell, way, links, ports, ends)
    _check_junctions(page, links, ports)
    nets = _components(page, links, ports, ends)
    return nets + _touching(page, nets)


def _follow(
    page: _Page,
    cell: Cell,
    way: Cell,
    links: dict[Cell, list[Cell]],
    ports: dict[Cell, list[Port]],
    ends: dict[Cell, list[str]],
) -> None:
    sign = page.sign(cell)
    needed = _points(page, cell, way)
    if not needed and sign != JUNCTION:
        return
    step = way
    target = cell[0] + step[0], cell[1] + step[1]
    # A horizontal wire runs on behind upright ones.
    if way in (LEFT, RIGHT) and sign != "|":
        while page.sign(target) == "|":
            target = target[0], target[1] + step[1]
    crossed = abs(target[1] - cell[1]) > 1
    if target in page.at and not crossed:
        box = page.boxes[page.at[target]]
        ports.setdefault(cell, []).append(Port(box.id, _SIDE[opposite(way)], cell[1]))
        return
    there = page.sign(target)
    if _points(page, target, opposite(way)) or (there == JUNCTION and (needed or not crossed)):
        links[cell].append(target)
        if there in CONNECTS and opposite(way) not in CONNECTS[there]:
            links[target].append(cell)
        return
    if needed and there in CONNECTS and there not in "-|":
        # A corner that a third wire meets is a junction.
        links[cell].append(target)
        links[target].append(cell)
        return
    if not needed:
        return
    may_end = sign in ARROWS or (way in (LEFT, RIGHT) and not crossed and _at_edge(page, cell, way))
    if may_end and there in (" ", "") and target not in page.at:
        ends.setdefault(cell, []).append(_SIDE[way])
        return
    raise _broken(page, cell, way, target, crossed)


def _at_edge(page: _Page, cell: Cell, way: Cell) -> bool:
    return cell[1] == (page.left if way == LEFT else page.right)


def _broken(page: _Page, cell: Cell, way: Cell, target: Cell, crossed: bool) -> DrawingSyntaxError:
    there = page.sign(target)
    if crossed:
        found = (
            f"a wire meets an upright one at column {cell[1] + 1 + way[1] + 1} and does not come out again"
        )
        return page.error(cell, found, "a wire on both sides of | (a crossing), or + (a junction)")
    if target in page.at:
        what = page.boxes[page.at[target]].text
        return page.error(target, f"a wire runs into '{what}'", "a wire that ends at a side of it")
    what = "nothing" if there in (" ", "") else f"'{there}'"
    at = target if target[0] >= 0 and target[1] >= 0 and target[0] < len(page.rows) else cell
    found = f"{what} {_WAY[way]} where the wire '{page.sign(cell)}' goes on"
    return page.error(at, found, "a symbol, a wire, a corner or a junction +")


def _check_junctions(page: _Page, links: dict[Cell, list[Cell]], ports: dict[Cell, list[Port]]) -> None:
    for cell, linked in links.items():
        sign = page.sign(cell)
        count = len(set(linked)) + len(ports.get(cell, []))
        if sign == JUNCTION and count < 3:
            raise page.error(cell, f"the junction + joins {count} wires", "three or four, or a plain - or |")
        if sign in ARROWS:
            for way in (ARROWS[sign], opposite(ARROWS[sign])):
                beside = page.sign((cell[0] + way[0], cell[1] + way[1]))
                if beside in ARROWS and beside.strip():
                    raise page.error(cell, f"two arrows in a row, {sign}{beside}", "one arrow")
            if not count:
                raise page.error(cell, f"'{sign}' stands alone", "a wire beside it")


def _components(
    page: _Page, links: dict[Cell, list[Cell]], ports: dict[Cell, list[Port]], ends: dict[Cell, list[str]]
) -> list[Net]:
    both: dict[Cell, set[Cell]] = {cell: set(linked) for cell, linked in links.items()}
    for cell, linked in links.items():
        for other in linked:
            both[other].add(cell)
    nets = []
    seen: set[Cell] = set()
    for start in links:
        if start in seen:
            continue
        members = _reach(both, start, None)
        seen |= members
        net = Net([p for cell in sorted(members) for p in ports.get(cell, [])], min(members))
        for cell in sorted(members):
            for side in ends.get(cell, []):
                net.ports.append(_carry(page, cell, side))
            sign = page.sign(cell)
            if sign in ARROWS and cell not in ends:
                behind = (cell[0] + ARROWS[sign][0], cell[1] + ARROWS[sign][1])
                ahead = _reach(both, behind, cell) if behind in both else set()
                net.sinks += [p for c in ahead for p in ports.get(c, [])]
                # The arrow may stand right before a symbol.
                net.sinks += [p for p in ports.get(cell, []) if p.side == _SIDE[opposite(ARROWS[sign])]]
        if len(net.ports) < 2:
            what = page.boxes[net.ports[0].symbol].text if net.ports else None
            found = f"the wire of '{what}' leads nowhere" if what else "a wire that meets no symbol"
            raise page.error(net.cell, found, "a wire from one symbol to another")
        nets.append(net)
    return nets


def _reach(both: dict[Cell, set[Cell]], start: Cell, barrier: Cell | None) -> set[Cell]:
    found = {start}
    waiting = [start]
    while waiting:
        for other in both[waiting.pop()]:
            if other not in found and other != barrier:
                found.add(other)
                waiting.append(other)
    return found


def _carry(page: _Page, cell: Cell, side: str) -> Port:
    """Make a symbol of the open end of a wire: a state that enters or leaves."""
    sign = page.sign(cell)
    way = {"left": LEFT, "right": RIGHT, "top": UP, "bottom": DOWN}[side]
    forward = ARROWS.get(sign, RIGHT)
    box = Box(len(page.boxes), CARRY, ">", cell[0], cell[1], cell[1])
    page.boxes.append(box)
    # At the end that an arrow points out of, the state leaves: the symbol takes in.
    return Port(box.id, "in" if way == forward else "out", cell[1])


def _touching(page: _Page, nets: list[Net]) -> list[Net]:
    """Connect symbols that stand directly upon each other or side by side."""
    wired = {
        frozenset((a.symbol, b.symbol)) for net in nets for a in net.ports for b in net.ports if a is not b
    }
    found = []
    for box in page.boxes:
        if box.kind == CARRY:
            continue
        below = dict.fromkeys(
            page.at[box.row + 1, c] for c in range(box.first, box.last + 1) if (box.row + 1, c) in page.at
        )
        beside = page.at.get((box.row, box.last + 1))
        for other, sides in [(i, ("bottom", "top")) for i in below] + [(beside, ("right", "left"))]:
            if other is None:
                continue
            mate = page.boxes[other]
            both_plain = OPERATION not in (box.kind, mate.kind) and JOIN not in (box.kind, mate.kind)
            if both_plain and frozenset((box.id, other)) in wired:
                continue  # drawn twice: the wire says it already
            column = max(box.first, mate.first)
            ports = [Port(box.id, sides[0], column), Port(other, sides[1], column)]
            found.append(Net(ports, (box.row, column)))
    return found
