"""Wires between the symbols of a drawing in characters.

Each symbol's output is one net. Its first end is reached by the cheapest way over the free cells, with a
price on length, bends and crossings; every further end taps the net's own wire where that is cheapest (the
shortest-path heuristic for Steiner trees of Takahashi & Matsuyama 1980, over a grid as in Lee 1961). What
cannot be reached is reported, and the drawing is laid out again with more room.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from visualize.diagram import CARRY, JOIN, OPERATION, Diagram
from visualize.layout import Layout
from visualize.signs import DOWN, JUNCTION, LEFT, RIGHT, SIGN_OF, UP, opposite

Cell = tuple[int, int]
Way = tuple[int, int]

STEP, BEND, CROSSING, SIDE, NEAR = 1.0, 3.0, 5.0, 4.0, 0.4
_OUTWARD = {"left": LEFT, "right": RIGHT, "top": UP, "bottom": DOWN}


# Cells that the search for one wire may visit before it gives up.
MOST_VISITS = 8_000


class Unroutable(Exception):
    """A wire found no way; `net` is the symbol that it begins at."""

    def __init__(self, message: str, net: int | None = None) -> None:
        super().__init__(message)
        self.net = net


@dataclass
class _Route:
    """One net: from a symbol to all that take its value."""

    source: int
    sinks: list[tuple[int, int]]  # target and position
    ways: dict[Cell, set[Way]] = field(default_factory=lambda: defaultdict(set))
    sides: set[str] = field(default_factory=set)


class Router:
    """Routes all nets of a layout."""

    def __init__(self, diagram: Diagram, layout: Layout, first: Sequence[int] = ()) -> None:
        self.diagram = diagram
        self.visits = 0  # cells that the searches went through
        self.first = list(first)  # nets that found no way before, to be routed before the others
        self.layout = layout
        boxes = layout.boxes
        self.solid: dict[Cell, int] = {
            (box.row, column): i for i, box in boxes.items() for column in range(box.first, box.last + 1)
        }
        self.rows = min(b.row for b in boxes.values()) - 3, max(b.row for b in boxes.values()) + 3
        self.columns = min(b.first for b in boxes.values()) - 4, max(b.last for b in boxes.values()) + 4
        self.wire: dict[Cell, _Route] = {}
        self.crossed: dict[Cell, _Route] = {}  # the net that goes across another in a cell
        self.reserved: dict[Cell, tuple[int, int, int]] = {}  # port cell -> source, target, position
        self.inputs: dict[tuple[int, int], str] = {}  # target, position -> side
        self.taken: dict[int, set[str]] = defaultdict(set)  # sides of a symbol in use
        self.routes = self._nets()
        self._plan_inputs()

    def _nets(self) -> list[_Route]:
        nets: dict[int, _Route] = {}
        for target in self.diagram.order:
            for position, source in enumerate(self.diagram.inputs(target)):
                net = nets.setdefault(source.id, _Route(source.id, []))
                net.sinks.append((target, position))
        return list(nets.values())

    # -- sides ---------------------------------------------------------------------------------------

    def _plan_inputs(self) -> None:
        """Choose at which side each input enters; what touches enters where it touches."""
        boxes = self.layout.boxes
        for i in self.diagram.order:
            symbol = self.diagram.symbols[i]
            sources = [s.id for s in self.diagram.inputs(i)]
            if len(sources) > 3:
                raise Unroutable(f"{symbol.written} takes {len(sources)} values")
            chosen: dict[int, str] = {}
            for position, j in enumerate(sources):
                if (j, i) in self.layout.touching and position not in chosen:
                    side = "bottom" if boxes[j].row > boxes[i].row else "top"
                    if side not in chosen.values():
                        chosen[position] = side
            for position, side in self._best_sides(i, sources, chosen).items():
                self.inputs[i, position] = side
                self.taken[i].add(side)
        for j, i in self.layout.touching:
            self.taken[j].add("top" if boxes[i].row < boxes[j].row else "bottom")

    def _best_sides(self, i: int, sources: list[int], chosen: dict[int, str]) -> dict[int, str]:
        symbol = self.diagram.symbols[i]
        sides = ("top", "left", "bottom")
        best: tuple[float, dict[int, str]] | None = None
        for combination in _injections(len(sources), sides):
            if any(combination[p] != side for p, side in chosen.items()):
                continue
            if symbol.ordered and [sides.index(s) for s in combination] != sorted(
                sides.index(s) for s in combination
            ):
                continue
            cost = sum(self._side_cost(i, j, side) for j, side in zip(sources, combination, strict=True))
            if best is None or cost < best[0]:
                best = cost, dict(enumerate(combination))
        if best is None:
            raise Unroutable(f"{symbol.written} has no free side")
        return best[1]

    def _side_cost(self, i: int, j: int, side: str) -> float:
        a, b = self.layout.boxes[j], self.layout.boxes[i]
        port = self._ports(i, side)[0]
        if port in self.solid:
            return 100.0 if (j, i) not in self.layout.touching else 0.0
        cost = abs(a.row - port[0]) * 0.5 + abs(a.center - port[1]) * 0.05
        upward = self.layout.upward.get(i)
        if side == "left":
            return cost + (0.0 if a.last < b.first else 8.0) + (0.0 if a.row == b.row else 1.0)
        if upward is not None and side == ("top" if upward else "bottom"):
            cost += 3.0  # that is where its own value goes on
        if (side == "top") != (a.row < b.row):
            cost += 4.0
        return cost

    def _ports(self, i: int, side: str) -> list[Cell]:
        """Return the cells outside of a side, the best first."""
        box = self.layout.boxes[i]
        if side == "left":
            return [(box.row, box.first - 1)]
        if side == "right":
            return [(box.row, box.last + 1)]
        row = box.row + _OUTWARD[side][0]
        columns = sorted(range(box.first, box.last + 1), key=lambda c: abs(c - box.center))
        return [(row, c) for c in columns]

    # -- routing -------------------------------------------------------------------------------------

    def route(self) -> None:
        """Route all nets.

        Raises
        ------
        Unroutable
            If a wire finds no way.
        """
        # A left side has one cell, above and below there is a choice.
        for (i, position), side in sorted(self.inputs.items(), key=lambda item: item[1] != "left"):
            source = self.diagram.inputs(i)[position].id
            if (source, i) in self.layout.touching and self._touches(source, i, side):
                continue
            ports = [p for p in self._ports(i, side) if p not in self.solid]
            port = next((p for p in ports if self.reserved.get(p, (source,))[0] == source), None)
            if port is None:
                raise Unroutable(f"no free cell beside {self.diagram.symbols[i].written}")
            self.reserved[port] = source, i, position
        for net in sorted(self.routes, key=self._urgency):
            self._route_net(net)

    def _touches(self, source: int, target: int, side: str) -> bool:
        above = self.layout.boxes[source].row < self.layout.boxes[target].row
        return side == ("top" if above else "bottom")

    def _urgency(self, net: _Route) -> tuple[int, int, int]:
        if net.source in self.first:
            return -1, self.first.index(net.source), 0
        boxes = self.layout.boxes
        a = boxes[net.source]
        straight = all(boxes[t].row == a.row for t, _ in net.sinks)
        reach = max(abs(boxes[t].first - a.last) + abs(boxes[t].row - a.row) for t, _ in net.sinks)
        return (0 if straight else 1, reach, net.source)

    def _route_net(self, net: _Route) -> None:
        boxes = self.layout.boxes
        a = boxes[net.source]
        open_sinks = []
        for target, position in net.sinks:
            touching = (net.source, target) in self.layout.touching
            if touching and self.inputs[target, position] in ("top", "bottom"):
                above = boxes[target].row < a.row
                if self.inputs[target, position] == ("bottom" if above else "top"):
                    net.sides.add("top" if above else "bottom")
                    continue
            open_sinks.append((target, position))
        # Far ends last: they tap the wire to the near ones.
        open_sinks.sort(key=lambda s: abs(boxes[s[0]].row - a.row) * 2 + abs(boxes[s[0]].first - a.last))
        for target, position in open_sinks:
            self._connect(net, target, position)

    def _connect(self, net: _Route, target: int, position: int) -> None:
        side = self.inputs[target, position]
        goals = {
            cell: opposite(_OUTWARD[side]) for cell in self._ports(target, side) if self._free(cell, net)
        }
        planned = next((c for c, (s, t, p) in self.reserved.items() if (t, p) == (target, position)), None)
        if planned is not None and planned in goals:
            goals = {planned: goals[planned]}
        starts = self._starts(net)
        path = self._search(net, starts, goals)
        if path is None:
            written = [self.diagram.symbols[i].written for i in (net.source, target)]
            raise Unroutable(f"no way from {written[0]} to {written[1]}", net.source)
        self._enter(net, path, goals[path[-1][0]])

    def _free(self, cell: Cell, net: _Route) -> bool:
        if cell in self.solid:
            return False
        other = self.wire.get(cell)
        if other is not None and other is not net:
            return False
        reserved = self.reserved.get(cell)
        return reserved is None or reserved[0] == net.source

    def _starts(self, net: _Route) -> list[tuple[float, Cell, Way, bool]]:
        """Return where a new branch may begin: cost, cell, the way that it comes in by, whether it taps."""
        found: list[tuple[float, Cell, Way, bool]] = []
        for cell in net.ways:
            if cell in self.crossed or not self._may_tap(cell, net):
                continue
            for way in (UP, RIGHT, DOWN, LEFT):
                if way not in net.ways[cell]:
                    found.append((1.0, cell, way, True))
        symbol = self.diagram.symbols[net.source]
        has_left = any(self.inputs.get((net.source, p)) == "left" for p in range(3))
        for side in ("right", "top", "bottom"):
            if side in self.taken[net.source] or (symbol.kind == CARRY and side != "right"):
                continue
            if net.sides and side not in net.sides and symbol.kind in (OPERATION, JOIN):
                continue
            if net.sides and not has_left and side != "right" and "right" not in net.sides:
                continue  # above and below at once would read as passing through
            price = 0.0 if side == "right" else 1.0
            if net.sides or net.ways:
                price += SIDE
            for cell in self._ports(net.source, side):
                if cell not in net.ways and cell not in self.wire and self._free(cell, net):
                    off = (
                        0.2 * abs(cell[1] - self.layout.boxes[net.source].center) if side != "right" else 0.0
                    )
                    found.append((price + off, cell, _OUTWARD[side], False))
        return found

    def _may_tap(self, cell: Cell, net: _Route) -> bool:
        """Tell whether a junction here would be read as nothing but a junction of its own wire."""
        for way in (UP, RIGHT, DOWN, LEFT):
            beside = cell[0] + way[0], cell[1] + way[1]
            if way not in net.ways[cell]:
                if beside in self.solid:
                    return False
                other = self.wire.get(beside)
                if (
                    other is not None
                    and (other is not net or len(other.ways[beside]) > 2)
                    and len(other.ways[beside]) > 2
                ):
                    return False
        return True

    def _search(
        self, net: _Route, starts: list[tuple[float, Cell, Way, bool]], goals: dict[Cell, Way]
    ) -> list[tuple[Cell, Way]] | None:
        """Return the cheapest path as cells, each with the way that leads into it."""
        if not goals:
            return None
        ends = list(goals)

        def far(cell: Cell) -> float:
            return min(abs(cell[0] - e[0]) + abs(cell[1] - e[1]) for e in ends)

        queue: list[tuple[float, float, int, Cell, Way]] = []
        best: dict[tuple[Cell, Way], float] = {}
        came: dict[tuple[Cell, Way], tuple[Cell, Way] | None] = {}
        taps: set[tuple[Cell, Way]] = set()
        count = 0
        for price, cell, way, tap in starts:
            state = cell, way
            if best.get(state, 1e9) > price:
                best[state] = price
                came[state] = None
                if tap:
                    taps.add(state)
                queue.append((price + far(cell), price, count, cell, way))
                count += 1
        heapq.heapify(queue)
        most = self.visits + MOST_VISITS
        while queue and self.visits < most:
            self.visits += 1
            _, price, _, cell, way = heapq.heappop(queue)
            state = cell, way
            if price > best[state]:
                continue
            if cell in goals and (state not in taps or goals[cell] == way):
                last = goals[cell]
                if last != opposite(way) and (last == way or cell not in self.crossed):
                    extra = 0.0 if last == way else BEND
                    if not extra or all(extra + price <= q[0] for q in queue[:1]):
                        return _unwind(came, state)
            for turn in (UP, RIGHT, DOWN, LEFT):
                if turn == opposite(way) or (state in taps and turn != way):
                    continue
                other = self.wire.get(cell)
                if other is not None and other is not net and turn != way:
                    continue  # straight on over another wire
                beside = cell[0] + turn[0], cell[1] + turn[1]
                cost = self._cost(net, beside, turn, goals)
                if cost is None:
                    continue
                total = price + cost + (BEND if turn != way else 0.0)
                following = beside, turn
                if total < best.get(following, 1e9):
                    best[following] = total
                    came[following] = state
                    count += 1
                    heapq.heappush(queue, (total + far(beside), total, count, beside, turn))
        return None

    def _cost(self, net: _Route, cell: Cell, way: Way, goals: dict[Cell, Way]) -> float | None:
        """Return the price of going into a cell, None where it is not possible."""
        if cell in self.solid or not self.rows[0] <= cell[0] <= self.rows[1]:
            return None
        if not self.columns[0] <= cell[1] <= self.columns[1]:
            return None
        other = self.wire.get(cell)
        if other is net:
            return None  # its own wire is tapped, not run into
        reserved = self.reserved.get(cell)
        if reserved is not None and reserved[0] != net.source:
            return None
        if other is not None:
            along = other.ways[cell]
            if len(along) != 2 or way in along or opposite(way) in along or cell in self.crossed:
                return None
            # A crossing has a wire on both sides; next to a symbol it would not be seen as one.
            if any((cell[0], cell[1] + side[1]) in self.solid for side in (LEFT, RIGHT)):
                return None
            return STEP + CROSSING
        price = STEP
        for beside in (UP, RIGHT, DOWN, LEFT):
            around = cell[0] + beside[0], cell[1] + beside[1]
            if around in self.solid and beside not in (way, opposite(way)):
                price += NEAR
            mate = self.wire.get(around)
            if mate is not None and mate is not net and beside not in (way, opposite(way)):
                price += NEAR
        return price

    def _enter(self, net: _Route, path: list[tuple[Cell, Way]], last: Way) -> None:
        """Draw a path into the grid."""
        for number, (cell, way) in enumerate(path):
            onward = path[number + 1][1] if number + 1 < len(path) else last
            mate = self.wire.get(cell)
            if mate is not None and mate is not net:
                self.crossed[cell] = net
                continue
            if number or cell not in net.ways:
                net.ways[cell].add(opposite(way))
            net.ways[cell].add(onward)
            self.wire[cell] = net
        first, way = path[0]
        back = first[0] - way[0], first[1] - way[1]
        if self.solid.get(back) == net.source and opposite(way) in net.ways[first]:
            net.sides.add(next(side for side, outward in _OUTWARD.items() if outward == way))
            self.taken[net.source] |= set()

    # -- characters ----------------------------------------------------------------------------------

    def signs(self) -> dict[Cell, str]:
        """Return the sign of every cell with a wire."""
        found = {}
        for cell, net in self.wire.items():
            ways = frozenset(net.ways[cell])
            if cell in self.crossed:
                found[cell] = "|"
            else:
                found[cell] = SIGN_OF.get(ways, JUNCTION)
        return found


def _unwind(
    came: dict[tuple[Cell, Way], tuple[Cell, Way] | None], state: tuple[Cell, Way]
) -> list[tuple[Cell, Way]]:
    path = []
    at: tuple[Cell, Way] | None = state
    while at is not None:
        path.append(at)
        at = came[at]
    return path[::-1]


def _injections(count: int, sides: tuple[str, ...]) -> list[tuple[str, ...]]:
    from itertools import permutations

    return list(permutations(sides, count))


__all__ = ["CARRY", "Router", "Unroutable"]
