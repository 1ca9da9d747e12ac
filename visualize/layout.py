"""Where the symbols of a drawing in characters stand: states on straight lines, the rest in upright strands.

A carried state runs along its own row, its *lane*, from left to right. Everything else is cut into strands,
chains that stand upright upon each other as in ``[fg]`` over ``(sig+bf)`` over ``{Wf}``: below, between or
above the lanes, by what they connect. Strands are packed to the right in the order of evaluation, each as far
left as the rows that it needs allow. Where there is no state, the longest chain takes the place of the lane.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from visualize.diagram import CARRY, FOLD, Diagram
from visualize.groups import Groups
from visualize.lanes import lanes
from visualize.signs import encode, width


@dataclass
class Box:
    """Where a symbol stands: its row, its first and its last column."""

    row: int
    first: int
    last: int

    @property
    def center(self) -> int:
        """The column in the middle."""
        return (self.first + self.last) // 2


@dataclass
class Spacing:
    """How generous a layout is; what cannot be routed is laid out again with more room."""

    between: int = 1  # blank columns between strands
    stub: int = 1  # wire between symbols on a lane
    margin: int = 1  # rows between a lane and the strands beside it
    touch: bool = True  # strands stand directly upon each other


@dataclass
class Layout:
    """The places of all symbols, and which neighbours touch instead of having a wire."""

    boxes: dict[int, Box]
    texts: dict[int, str]
    touching: set[tuple[int, int]]
    upward: dict[int, bool]  # for a symbol in a strand: whether the strand runs up


@dataclass
class _Strand:
    symbols: list[int]
    region: int = 0
    up: bool = True
    starts_at: int | None = None  # a lane's symbol whose column it shares at its beginning
    ends_at: int | None = None  # and at its end
    level: dict[int, int] = field(default_factory=dict)


def written(diagram: Diagram) -> dict[int, str]:
    """Return what each symbol looks like in characters."""
    texts = {}
    for symbol in diagram.symbols:
        text = symbol.written
        if len(text) > 1:
            text = text[0] + encode(symbol.text) + text[-1]
        texts[symbol.id] = text
    return texts


class Arranger:
    """Arranges one diagram."""

    def __init__(self, diagram: Diagram, spacing: Spacing) -> None:
        self.diagram = diagram
        self.spacing = spacing
        self.texts = written(diagram)
        self.width = {i: width(text) for i, text in self.texts.items()}
        self.position = {i: n for n, i in enumerate(diagram.order)}
        self.out = {s.id: [t.id for t in diagram.outputs(s)] for s in diagram.symbols}
        self.into = {s.id: [t.id for t in diagram.inputs(s)] for s in diagram.symbols}
        self.lanes = self._lanes()
        self.lane_of = {i: n for n, lane in enumerate(self.lanes) for i in lane}
        self.step = self._steps()
        self.strands: list[_Strand] = []
        self.strand_of: dict[int, _Strand] = {}
        self.touching: set[tuple[int, int]] = set()

    def arrange(self) -> Layout:
        """Return the layout."""
        self._make_strands()
        # What a strand leads to is placed before it.
        for strand in sorted(self.strands, key=lambda s: -self.position[s.symbols[-1]]):
            self._place(strand)
        self._align()
        rows = self._rows()
        boxes = self._columns(rows)
        upward = {i: s.up for s in self.strands for i in s.symbols}
        return Layout(boxes, self.texts, self.touching, upward)

    # -- lanes ---------------------------------------------------------------------------------------

    def _lanes(self) -> list[list[int]]:
        found = [list(lane.symbols) for lane in lanes(self.diagram) if lane.symbols]
        if found:
            return found
        return self._longest_chains()

    def _longest_chains(self) -> list[list[int]]:
        """Without a state, the longest chain lies flat."""
        depth: dict[int, int] = {}
        before: dict[int, int | None] = {}
        for i in self.diagram.order:
            best = max(self.into[i], key=lambda j: depth[j], default=None)
            depth[i] = 0 if best is None else depth[best] + 1
            before[i] = best
        end: int | None = max(depth, key=lambda i: depth[i])
        chain: list[int] = []
        while end is not None:
            chain.append(end)
            end = before[end]
        return [chain[::-1]]

    def _steps(self) -> dict[int, float]:
        """Give every symbol a time; what has none stands with what it feeds, or after what feeds it.

        Folded steps have a time of their own, between those that are drawn.
        """
        of: dict[int, float | None] = {s.id: s.step for s in self.diagram.symbols}
        for i in self.diagram.order:
            before = [step for j in self.into[i] if (step := of[j]) is not None]
            if of[i] is None and before:
                of[i] = max(before) + (0.5 if self.diagram.symbols[i].kind == FOLD else 0)
        for i in reversed(self.diagram.order):
            after = [step for j in self.out[i] if (step := of[j]) is not None]
            if of[i] is None:
                of[i] = min(after, default=0)
        return {i: step or 0 for i, step in of.items()}

    # -- strands -------------------------------------------------------------------------------------

    def _make_strands(self) -> None:
        tail: dict[int, _Strand] = {}
        depth: dict[int, int] = {}
        for i in self.diagram.order:
            depth[i] = max((depth[j] + 1 for j in self.into[i]), default=0)
            if i in self.lane_of:
                continue
            candidates = [j for j in self.into[i] if j in tail and self.step[j] == self.step[i]]
            if self.diagram.symbols[i].ordered:
                # Counted from above: only the last input of a strand that runs up comes from below.
                candidates = [j for j in candidates if j == self.into[i][-1] and self.into[i].count(j) == 1]
            best = max(candidates, key=lambda j: (depth[j], self.into[i].index(j)), default=None)
            if best is None:
                strand = _Strand([i])
                self.strands.append(strand)
            else:
                strand = tail.pop(best)
                strand.symbols.append(i)
            tail[i] = strand
            self.strand_of[i] = strand

    def _place(self, strand: _Strand) -> None:
        """Decide between which lanes a strand stands, and whether it runs up or down."""
        first, last = strand.symbols[0], strand.symbols[-1]
        sources = [j for j in self.into[first] if j in self.lane_of]
        targets = [j for j in self.out[last] if j in self.lane_of]
        top = len(self.lanes)
        fed = [self.strand_of[j] for j in self.out[last] if j in self.strand_of]
        if sources and not targets and fed:
            # It stands beside the strand that it leads to.
            strand.region = fed[0].region
            strand.up = self.lane_of[sources[0]] < strand.region
        elif sources and targets:
            a, b = self.lane_of[sources[0]], self.lane_of[targets[0]]
            strand.up = a <= b
            strand.region = a + 1 if a <= b else a
        elif targets:
            b = self.lane_of[targets[0]]
            # The first input of what minds the order comes from above.
            symbol = self.diagram.symbols[targets[0]]
            from_above = symbol.ordered and self.into[targets[0]].index(last) == 0
            strand.up = not from_above
            strand.region = b + 1 if from_above else b
        elif sources:
            a = self.lane_of[sources[0]]
            below = a == 0 and top > 1
            strand.up = not below
            strand.region = 0 if below else a + 1
        else:
            kin = [self.strand_of[j] for j in self.into[first] if j in self.strand_of]
            kin = kin or [self.strand_of[j] for j in self.out[last] if j in self.strand_of]
            if kin and kin[0] is not strand:
                strand.up, strand.region = kin[0].up, kin[0].region
        if not strand.up:
            self._turn(strand)

    def _turn(self, strand: _Strand) -> None:
        """In a strand that runs down, what comes from above is the first input."""
        for i in strand.symbols[1:]:
            if self.diagram.symbols[i].ordered:
                strand.up = True
                return

    def _align(self) -> None:
        """Let strands share the column of the lane symbol where they begin or end, as far as they can."""
        groups = Groups(self)
        used: set[tuple[int, str]] = set()
        for strand in self.strands:
            last, first = strand.symbols[-1], strand.symbols[0]
            for target in self.out[last]:
                if target not in self.lane_of or self.step[target] != self.step[last]:
                    continue
                lane = self.lane_of[target]
                side = self._side(strand, lane)
                symbol = self.diagram.symbols[target]
                if symbol.ordered and (self.into[target].index(last) == 0) == (side == "bottom"):
                    continue
                beside = (strand.region == lane) if strand.up else (strand.region == lane + 1)
                if beside and (target, side) not in used and groups.join(last, target):
                    used.add((target, side))
                    strand.ends_at = target
                    break
        for strand in self.strands:
            first = strand.symbols[0]
            for source in dict.fromkeys(self.into[first]):
                if source not in self.lane_of or self.step[source] != self.step[first]:
                    continue
                lane = self.lane_of[source]
                side = "top" if strand.up else "bottom"
                beside = strand.region == (lane + 1 if strand.up else lane)
                others = [
                    s
                    for s in self.strands
                    if s is not strand
                    and source in self.into[s.symbols[0]]
                    and (s.region, s.up) == (strand.region, strand.up)
                ]
                leaf = not self.into[source]
                if (
                    beside
                    and not others
                    and not leaf
                    and (source, side) not in used
                    and self.diagram.symbols[first].kind != CARRY
                    and not self.diagram.symbols[first].ordered
                    and len(self.into[first]) == 1
                    and groups.join(source, first)
                ):
                    used.add((source, side))
                    strand.starts_at = source
                    break
        self.groups = groups

    def _side(self, strand: _Strand, lane: int) -> str:
        return "bottom" if strand.up else "top"

    # -- rows ----------------------------------------------------------------------------------------

    def _rows(self) -> dict[int, int]:
        """Give every symbol a row, counted from the top of the drawing."""
        up: dict[int, int] = {}
        down: dict[int, int] = {}
        for i in self.diagram.order:
            strand = self.strand_of.get(i)
            if strand is None:
                continue
            level = 1
            table = up if strand.up else down
            place = strand.symbols.index(i)
            if place == 0 and strand.starts_at is not None and self.spacing.touch:
                level = 1 - self.spacing.margin  # directly upon the symbol of the lane
            for j in self.into[i]:
                mate = self.strand_of.get(j)
                if mate is None or mate.region != strand.region or mate.up != strand.up:
                    continue
                if mate is strand and strand.symbols[place - 1] == j:
                    gap = 1 if self._may_touch(j, i) else 2
                    level = max(level, table[j] + gap)
                elif place == 0:
                    level = max(level, table[j] + 2)
                else:
                    level = max(level, table[j] + 1)
            table[i] = level
        return self._stack(up, down)

    def _may_touch(self, source: int, target: int) -> bool:
        return self.spacing.touch and len(self.out[source]) == 1

    def _stack(self, up: dict[int, int], down: dict[int, int]) -> dict[int, int]:
        count, margin = len(self.lanes), self.spacing.margin
        height: dict[int, int] = defaultdict(int)
        for i, strand in self.strand_of.items():
            level = (up if strand.up else down)[i]
            height[strand.region] = max(height[strand.region], level)
        rows: dict[int, int] = {}
        row = 0
        base: dict[int, int] = {}  # region -> row of the lane (or edge) above it
        lane_row: dict[int, int] = {}
        for region in range(count, -1, -1):
            base[region] = row
            inner = height[region]
            if region == count:
                row += inner + (margin if inner else 0)
            elif region == 0:
                row += inner + margin
            else:
                row += inner + (2 * margin if inner else margin) + 1
            if region > 0:
                lane_row[region - 1] = row
                row += 0
        for i, lane in self.lane_of.items():
            rows[i] = lane_row[lane]
        for i, strand in self.strand_of.items():
            region = strand.region
            below = lane_row.get(region - 1, row + 1)
            above = lane_row.get(region, -1 - margin if region == count else -1)
            if strand.up:
                if region == 0:
                    # Below all lanes: the strand hangs with its last symbol at the lane.
                    deepest = max(up[j] for j in self._hanging(strand))
                    touch = strand.ends_at is not None and self._may_touch(strand.symbols[-1], strand.ends_at)
                    rows[i] = above + (0 if touch else margin) + (deepest - up[i]) + 1
                else:
                    rows[i] = below - margin - up[i]
            else:
                rows[i] = above + margin + down[i]
        self.lane_row = lane_row
        return rows

    def _hanging(self, strand: _Strand) -> list[int]:
        """All symbols of strands below the lanes that are connected to a strand."""
        found = {id(strand): strand}
        waiting = [strand]
        while waiting:
            current = waiting.pop()
            for i in current.symbols:
                for j in [*self.into[i], *self.out[i]]:
                    mate = self.strand_of.get(j)
                    if (
                        mate is not None
                        and mate.region == strand.region
                        and mate.up == strand.up
                        and id(mate) not in found
                    ):
                        found[id(mate)] = mate
                        waiting.append(mate)
        return [i for s in found.values() for i in s.symbols]

    # -- columns -------------------------------------------------------------------------------------

    def _columns(self, rows: dict[int, int]) -> dict[int, Box]:
        boxes: dict[int, Box] = {}
        skyline: dict[int, int] = defaultdict(lambda: -1)  # row -> last column taken
        edge = 0  # where the present step begins
        furthest = -1
        step: float | None = None
        for group in self.groups.in_order():
            now = self.step[group[0]]
            if step is not None and now != step:
                edge = furthest + 1 + self.spacing.stub + self.spacing.between
            step = now
            least = {i: self._least(i, boxes, skyline, rows, edge) for i in group}
            # One column for all: the middle of the group.
            center = max(least[i] + (self.width[i] - 1) // 2 for i in group)
            for i in group:
                first = center - (self.width[i] - 1) // 2
                box = Box(rows[i], first, first + self.width[i] - 1)
                boxes[i] = box
                skyline[box.row] = max(skyline[box.row], box.last)
                furthest = max(furthest, box.last)
        self._find_touching(boxes)
        return boxes

    def _least(
        self,
        i: int,
        boxes: dict[int, Box],
        skyline: dict[int, int],
        rows: dict[int, int],
        edge: int,
    ) -> int:
        """Return the first column that a symbol may begin in."""
        row, space = rows[i], self.spacing
        least = edge
        if skyline[row] >= 0:
            least = max(least, skyline[row] + 1 + space.between)
        # Wires run in the rows beside, and symbols above each other would touch.
        for near in (row - 1, row + 1):
            if skyline[near] >= edge:
                least = max(least, self._clear(i, near, row, boxes, rows))
        lane = self.lane_of.get(i)
        strand = self.strand_of.get(i)
        for j in self.into[i]:
            if j not in boxes or self.strand_of.get(j) is strand is not None:
                continue
            source = boxes[j]
            half = (self.width[i] - 1) // 2
            if lane is not None and self.lane_of.get(j) == lane:
                gap = space.stub + 1
                least = max(least, source.last + gap)
                # The wire along the lane is a bus for the strands that it feeds on its way.
                for k in self.out[j]:
                    if k in boxes and k != i and self.lane_of.get(k) != lane:
                        fed = self.strand_of.get(k)
                        if fed is not None and fed.starts_at != j:
                            least = max(least, boxes[k].center + 2)
            elif strand is not None and strand.symbols[0] == i and j in self.lane_of:
                if strand.starts_at != j:
                    least = max(least, source.last + 2 - half + space.between - 1)
            elif lane is None or not self._ends(j, i):
                least = max(least, source.center + 2)
            elif lane is not None:
                least = max(least, source.center + 2 - half)
        return least

    def _ends(self, source: int, target: int) -> bool:
        strand = self.strand_of.get(source)
        return strand is not None and strand.ends_at == target

    def _clear(self, i: int, near: int, row: int, boxes: dict[int, Box], rows: dict[int, int]) -> int:
        """Keep symbols on neighbouring rows apart, except those that are wired to each other."""
        least = 0
        for j, box in boxes.items():
            if box.row == near and j not in self.into[i] and j not in self.out[i]:
                least = max(least, box.last + 1)
        return least

    def _find_touching(self, boxes: dict[int, Box]) -> None:
        by_row: dict[int, list[int]] = defaultdict(list)
        for i, box in boxes.items():
            by_row[box.row].append(i)
        for i, box in boxes.items():
            for j in by_row.get(box.row + 1, []):
                other = boxes[j]
                if other.first <= box.last and box.first <= other.last:
                    pair = (i, j) if j in self.out[i] else (j, i)
                    arrow = CARRY in (self.diagram.symbols[i].kind, self.diagram.symbols[j].kind)
                    if pair[1] in self.out[pair[0]] and not arrow:
                        self.touching.add(pair)
