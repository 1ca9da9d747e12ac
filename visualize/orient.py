"""Which way the wires of a drawing run.

A wire has one symbol that gives and one or more that take. What meets a symbol's left side is taken in, its
right side gives out; above and below, the arity decides: a product or a function takes one value, an
operation two, a value at most one. Where that leaves two readings, a value with a wire above and one below is
taken to pass on what it takes in; where two are left still, the drawing is refused and an arrow asked for, so
that nothing is misread.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from visualize.diagram import CARRY, FOLD, FUNCTION, JOIN, OPERATION, PRODUCT, VALUE, Diagram, Symbol, Wire
from visualize.errors import DrawingError, DrawingSyntaxError

Cell = tuple[int, int]
Complain = Callable[[Cell, str, str], DrawingSyntaxError]
_ORDER = {"top": 0, "left": 1, "in": 1, "bottom": 2, "right": 3, "out": 3}


@dataclass(frozen=True)
class Place:
    """A symbol and where it stands, counted from 0."""

    kind: str
    text: str
    row: int
    column: int

    @property
    def written(self) -> str:
        """The symbol as it was drawn."""
        return Symbol(0, self.kind, self.text).written


@dataclass(frozen=True)
class Port:
    """A side of a symbol that a wire meets."""

    symbol: int
    side: str
    column: int


@dataclass
class Net:
    """A wire with all its ends; `sinks` are those that an arrow points to."""

    ports: list[Port]
    cell: Cell
    sinks: list[Port] = field(default_factory=list)


class _Contradiction(Exception):
    def __init__(self, cell: Cell, found: str, expected: str) -> None:
        self.place = cell, found, expected


End = tuple[int, int]  # a net and one of its ports


class _Solver:
    def __init__(self, places: list[Place], nets: list[Net]) -> None:
        self.places = places
        self.nets = nets
        # Where two readings are left, a value with a wire above and one below passes on what it takes in.
        self.passing = False
        self.fresh: list[End] = []  # decided, with conclusions still to be drawn
        self.ends_of: dict[int, list[End]] = defaultdict(list)
        for n, net in enumerate(nets):
            for p, port in enumerate(net.ports):
                self.ends_of[port.symbol].append((n, p))

    def start(self) -> dict[End, bool]:
        """Decide what the sides and the arrows say: True for an end that takes the value in."""
        taken: dict[End, bool] = {}
        for n, net in enumerate(self.nets):
            for p, port in enumerate(net.ports):
                if port.side in ("left", "in"):
                    self.decide(taken, (n, p), True)
                elif port.side in ("right", "out"):
                    self.decide(taken, (n, p), False)
                if port in net.sinks:
                    self.decide(taken, (n, p), True)
        return taken

    def decide(self, taken: dict[End, bool], end: End, into: bool) -> None:
        """Note a decision, from which conclusions are to be drawn if it is new."""
        known = taken.get(end)
        if known is None:
            taken[end] = into
            self.fresh.append(end)
        elif known != into:
            net = self.nets[end[0]]
            what = self.places[net.ports[end[1]].symbol].written
            raise _Contradiction(
                net.cell,
                f"the wire at {what} would have to run both ways",
                "what enters a symbol on its left side and leaves on its right side",
            )

    def propagate(self, taken: dict[End, bool], since: End | None = None) -> None:
        """Draw all conclusions from a decision, or from everything; they go from net to symbol to net."""
        self.fresh.clear()
        if since is None:
            for n in range(len(self.nets)):
                self._net(taken, n)
            for symbol in self.ends_of:
                self._symbol(taken, symbol)
        else:
            self.fresh.append(since)
        while self.fresh:
            n, p = self.fresh.pop()
            self._net(taken, n)
            self._symbol(taken, self.nets[n].ports[p].symbol)

    def _net(self, taken: dict[End, bool], n: int) -> None:
        net = self.nets[n]
        ends = [(n, p) for p in range(len(net.ports))]
        givers = [e for e in ends if taken.get(e) is False]
        unknown = [e for e in ends if e not in taken]
        if len(givers) > 1:
            names = " and ".join(self.places[net.ports[p].symbol].written for _, p in givers[:2])
            raise _Contradiction(
                net.cell, f"both {names} give to one wire", "one that gives; join them first"
            )
        if givers:
            for end in unknown:
                self.decide(taken, end, True)
            return
        if not unknown:
            names = " and ".join(self.places[port.symbol].written for port in net.ports[:2])
            raise _Contradiction(net.cell, f"nothing gives to the wire of {names}", "one symbol that gives")
        if len(unknown) == 1:
            self.decide(taken, unknown[0], False)

    def _bounds(self, symbol: int) -> tuple[int, int]:
        """Return the smallest and the largest number of inputs of a symbol."""
        place, count = self.places[symbol], len(self.ends_of[symbol])
        if place.kind == VALUE:
            if self.passing:
                sides = {self.nets[n].ports[p].side for n, p in self.ends_of[symbol]}
                return (1 if {"top", "bottom"} <= sides and "left" not in sides else 0), 1
            return 0, 1
        if place.kind in (PRODUCT, FUNCTION, FOLD):
            return 1, 1
        if place.kind == CARRY:
            return 0, 1
        if place.kind == JOIN or len(place.text) == 1:
            return 2, 2
        if place.text == "where":
            return 3, 3
        return max(2, count - 1), max(2, count)

    def _symbol(self, taken: dict[End, bool], symbol: int) -> None:
        ends = self.ends_of[symbol]
        known = [taken.get(e) for e in ends]
        into = known.count(True)
        unknown = [e for e, k in zip(ends, known, strict=True) if k is None]
        least, most = self._bounds(symbol)
        place = self.places[symbol]
        if into > most or into + len(unknown) < least:
            found = f"{place.written} takes {into} value{'' if into == 1 else 's'}"
            wanted = {0: "at most one", 1: "one", 2: "two", 3: "three"}.get(least, str(least))
            raise _Contradiction((place.row, place.column), found, f"{wanted} for {_what(place)}")
        if unknown and into == most:
            for end in unknown:
                self.decide(taken, end, False)
        elif unknown and into + len(unknown) == least:
            for end in unknown:
                self.decide(taken, end, True)

    def settle(self, taken: dict[End, bool]) -> list[End]:
        """Decide all that can be decided by trying each end both ways; return what stays open."""
        self.propagate(taken)
        while True:
            unknown = self._unknown(taken)
            decided = False
            for end in unknown:
                if end in taken:
                    continue
                left: list[dict[End, bool]] = []
                last: _Contradiction | None = None
                for into in (False, True):
                    trial = dict(taken)
                    trial[end] = into
                    try:
                        self.propagate(trial, end)
                        self._no_cycle(trial)
                        left.append(trial)
                    except _Contradiction as error:
                        last = error
                if not left:
                    assert last is not None
                    raise last
                if len(left) == 1:
                    taken.update(left[0])
                    decided = True
            if not decided:
                self._no_cycle(taken)
                return self._unknown(taken)

    def _unknown(self, taken: dict[End, bool]) -> list[End]:
        return [
            (n, p) for n, net in enumerate(self.nets) for p in range(len(net.ports)) if (n, p) not in taken
        ]

    def _no_cycle(self, taken: dict[End, bool]) -> None:
        wires = []
        for n, net in enumerate(self.nets):
            giver = next((p for p in range(len(net.ports)) if taken.get((n, p)) is False), None)
            if giver is not None:
                wires += [
                    (net.ports[giver].symbol, port.symbol, port)
                    for p, port in enumerate(net.ports)
                    if p != giver
                ]
        if _cycle(wires, len(self.places)):
            raise _Contradiction(
                self.nets[0].cell, "the wires run in a circle", "a drawing that begins somewhere"
            )

    def wires(self, taken: dict[End, bool]) -> list[tuple[int, int, Port]]:
        """Return the wires as source, target and the port of the target."""
        found = []
        for n, net in enumerate(self.nets):
            giver = next(p for p in range(len(net.ports)) if not taken[n, p])
            for p, port in enumerate(net.ports):
                if p != giver:
                    found.append((net.ports[giver].symbol, port.symbol, port))
        return found


def _what(place: Place) -> str:
    return {
        VALUE: "a value", PRODUCT: "a product with a parameter", FUNCTION: "a function", JOIN: "a join",
        OPERATION: "an operation", FOLD: "folded steps", CARRY: "an open end",
    }[place.kind]  # fmt: skip


def _cycle(wires: list[tuple[int, int, Port]], count: int) -> bool:
    waiting = Counter(target for _, target, _ in wires)
    after: dict[int, list[int]] = defaultdict(list)
    for source, target, _ in wires:
        after[source].append(target)
    ready = [i for i in range(count) if not waiting[i]]
    done = 0
    while ready:
        done += 1
        for target in after[ready.pop()]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return done < count


def orient(places: list[Place], nets: list[Net], complain: Complain) -> Diagram:
    """Return the diagram of symbols and nets, or refuse what reads in no way or in two."""
    # Carries were added while the wires were traced; they stand behind the symbols of the text.
    used = {port.symbol for net in nets for port in net.ports}
    places = places + [Place(CARRY, ">", 0, 0)] * (max(used, default=-1) + 1 - len(places))
    solver = _Solver(places, nets)
    try:
        taken = solver.start()
        unsettled = solver.settle(taken)
        if unsettled:
            solver.passing = True
            unsettled = solver.settle(taken)
    except _Contradiction as error:
        raise complain(*error.place) from None
    if unsettled:
        net = nets[unsettled[0][0]]
        names = " and ".join(places[port.symbol].written for port in net.ports[:2])
        raise Ambiguous(
            complain(net.cell, f"the wire of {names} can run either way", "an arrow on it: > < ^ or v"),
            sorted({n for n, _ in unsettled}),
            nets,
        )
    wires = solver.wires(taken)
    return _diagram(places, wires, nets, complain)


class Ambiguous(DrawingSyntaxError):
    """A drawing that reads in two ways; knows the nets that an arrow would settle."""

    def __init__(self, error: DrawingSyntaxError, unsettled: list[int], nets: list[Net]) -> None:
        self.__dict__.update(error.__dict__)
        DrawingError.__init__(self, str(error))
        self.unsettled = unsettled
        self.nets = nets


def _diagram(
    places: list[Place], wires: list[tuple[int, int, Port]], nets: list[Net], complain: Complain
) -> Diagram:
    into: dict[int, list[tuple[Port, int]]] = defaultdict(list)
    for source, target, port in wires:
        into[target].append((port, source))
    made = []
    for target, ends in into.items():
        ends.sort(key=lambda end: (_ORDER[end[0].side], end[0].column))
        made += [Wire(source, target, position) for position, (_, source) in enumerate(ends)]
    steps = _steps(places, made)
    symbols = [
        Symbol(i, p.kind, p.text, steps[i], place=(p.row + 1, p.column + 1)) for i, p in enumerate(places)
    ]
    return Diagram(symbols, made)


def _steps(places: list[Place], wires: list[Wire]) -> list[int | None]:
    """Count the time steps: a value that depends on another of its name is one step later.

    What is no such state belongs to the step of the first state that it leads to, or to the last one that
    leads to it.
    """
    bare = Diagram([Symbol(i, p.kind, p.text) for i, p in enumerate(places)], wires)
    ranks: list[dict[str, int]] = [{} for _ in places]  # per symbol: how often a name came before
    repeated = Counter(p.text for p in places if p.kind == VALUE)
    own: dict[int, int] = {}
    states: set[str] = set()  # names that depend on themselves; others that are repeated only follow them
    for i in bare.order:
        seen: dict[str, int] = {}
        for source in bare.inputs(i):
            for name, rank in ranks[source.id].items():
                seen[name] = max(seen.get(name, -1), rank)
        place = places[i]
        if place.kind == VALUE and repeated[place.text] > 1:
            alias = [s for s in bare.inputs(i) if s.kind == VALUE and s.text == place.text]
            if alias:  # the same value, drawn again where the next cell takes it over
                own[i] = seen[place.text]
            else:
                given = all(s.kind == CARRY for s in bare.inputs(i))  # the state before the first step
                own[i] = seen.get(place.text, -1 if given else 0) + 1
                if place.text in seen:
                    states.add(place.text)
            seen[place.text] = own[i]
        ranks[i] = seen
    of: list[int | None] = [
        own[i] if i in own and places[i].text in states else None for i in range(len(places))
    ]
    if not states:
        return [None] * len(places)
    for i in reversed(bare.order):
        later = [of[s.id] for s in bare.outputs(i) if of[s.id] is not None]
        if of[i] is None and later:
            of[i] = min(later)  # type: ignore[type-var]
    for i in bare.order:
        before = [of[s.id] for s in bare.inputs(i) if of[s.id] is not None]
        if of[i] is None and before:
            of[i] = max(before)  # type: ignore[type-var]
    return of
