"""`write`: the backward pass of any graph, printed as a person would derive it.

The recorded backward pass holds one `accumulate` node for the gradient of each named value, with its
addends and the step that each comes from.  An addend is a term of the equation; an addend from the step
after is the carry; the addends of a parameter are its contributions by step.  Each is written as seen from
its own step, and where all steps read alike, the equation is printed once, for a general t.  What does not
read alike in all steps is printed step by step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from minigrad.errors import MinigradError, NotScalarError
from minigrad.node import Node

from .express import TooLong, Writer, plain
from .syntax import (
    Derivative,
    Equation,
    Expression,
    Name,
    Product,
    Step,
    Sum,
    children,
    render,
    summed,
    transform,
    walk,
)
from .truth import World


class DerivationError(MinigradError, ValueError):
    """A graph of which no derivation can be written."""


@dataclass(frozen=True)
class Row:
    """One printed line: an equation, a heading, or an empty line.

    Attributes
    ----------
    exact : Equation or None
        With every product marked as elementwise (``⊙``) or a matrix product (``⋅``, ``@``), for typesetting.
    heading : str
    nodes : tuple of str
        Labels of the nodes that it is about, such as ``dh[2]``.
    kind : str
        ``total``, ``carry`` (to t - 1), ``contribution`` (to a parameter, of each step), ``outside``.
    name : str
        Of what it is the gradient.
    """

    exact: Equation | None = None
    heading: str = ""
    nodes: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""

    @property
    def equation(self) -> Equation | None:
        """The equation in the notation."""
        if self.exact is None:
            return None
        return Equation(tuple(plain(side) for side in self.exact.sides), self.exact.operators)

    @property
    def text(self) -> str:
        """The line in the notation."""
        equation = self.equation
        if equation is None:
            return self.heading
        text = render(equation)
        side = equation.sides[-1]
        if len(text) > 110 and isinstance(side, Sum) and set(side.signs) == {1}:
            parts = [render(term) for term in side.terms]
            lines = [f"{render(equation.sides[0])} {equation.operators[0]} {parts[0]}"]
            for part in parts[1:]:
                if len(lines[-1]) + len(part) > 110:
                    lines[-1] += " +"
                    lines.append(f"    {part}")
                else:
                    lines[-1] += f" + {part}"
            text = "\n".join(lines)
        return text


@dataclass
class Derivation:
    """A written derivation; shows itself in a terminal and in a notebook.

    Attributes
    ----------
    rows : list of Row
    general : bool
        Written for a general step t, or step by step.
    steps : tuple of int
    loss : Node
        What was differentiated.
    stepped : frozenset of str
        The names that have a value at every step.
    """

    rows: list[Row]
    general: bool
    steps: tuple[int, ...]
    title: str = ""
    loss: Node | None = field(default=None, repr=False)
    stepped: frozenset[str] = frozenset()

    @property
    def equations(self) -> list[Equation]:
        """The equations alone."""
        return [row.equation for row in self.rows if row.equation is not None]

    @property
    def text(self) -> str:
        """In the notation, as `check` reads it."""
        return "\n".join(row.text for row in self.rows) + "\n"

    @property
    def leibniz(self) -> str:
        """In the notation, with dL/dh for dh and the carries written as what arrives from t + 1."""
        from .forms import leibniz

        return leibniz(self)

    @property
    def latex(self) -> str:
        """As an `align*` environment."""
        from .forms import latex_document

        return latex_document(self)

    @property
    def markdown(self) -> str:
        """As Markdown with LaTeX."""
        from .forms import markdown

        return markdown(self)

    @property
    def html(self) -> str:
        """As a self-contained page with MathML."""
        from .forms import html

        return html(self)

    def _repr_latex_(self) -> str:
        from .forms import latex_body

        return f"$\\begin{{aligned}}\n{latex_body(self)}\n\\end{{aligned}}$"

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str:
        from .forms import table

        return table(self)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


@dataclass
class _Term:
    """An addend of a gradient: the recorded node, the step it is seen from, its target."""

    place: int
    step: int | None
    node: Node


@dataclass
class _Line:
    """A line for one step: kind, base name, tree, and the order of recording."""

    kind: str  # "total", "carry", "contribution", "outside"
    name: str
    tree: Expression
    order: int
    step: int | None
    label: str


def write(loss: Node, *, per_step: bool = False) -> Derivation:
    """Write the backward pass of a graph as a person would derive it.

    Parameters
    ----------
    loss : Node
        A scalar.
    per_step : bool
        Every step on its own, with ``dL/dWhh = dL/dWhh (t = 1) + dL/dWhh (t = 2) + ...`` at the end.

    Raises
    ------
    NotScalarError
        If `loss` is not a single number.
    DerivationError
        If no parameter stands behind it.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> from minigrad.derivation import write
    >>> W = mg.parameter(np.ones((2, 3)), name="W")
    >>> x = mg.constant(np.ones((3, 1)), name="x")
    >>> y = mg.tanh((W @ x).named("z")).named("y")
    >>> print(write(mg.squared_error(y, mg.constant(np.ones((2, 1)), name="y_true"))))
    dy = y - y_true
    dz = dy * (1 - y²)
    dW = dz * x^T
    <BLANKLINE>
    """
    if loss.size != 1:
        raise NotScalarError(f"write: {loss.label} has shape {loss.shape}; a loss is a single number")
    if not loss.requires_grad:
        raise DerivationError(f"write: no parameter stands behind {loss.label}; make one with mg.parameter")
    world = World(loss)
    if not per_step and world.steps:
        try:
            rows = _General(world).rows()
        except (_Differs, TooLong):
            rows = None
        if rows is not None:
            return Derivation(rows, True, world.steps, "", loss, _stepped(world))
    return Derivation(_Unrolled(world).rows(), False, world.steps, "", loss, _stepped(world))


def _stepped(world: World) -> frozenset[str]:
    return frozenset(name for name, places in world.names.items() if None not in places)


class _Differs(Exception):
    """The steps do not read alike."""


class _Common:
    def __init__(self, world: World, relative: bool) -> None:
        self.world = world
        self.writer = Writer(world, relative)
        self.wanted = [
            i for i in sorted(world.gradients)
            if i in self.writer.canonical and world.nodes[i].requires_grad and not self.is_loss(i)
        ]  # fmt: skip

    def is_loss(self, i: int) -> bool:
        """Whether a node is the loss or one of the losses it is the sum of: its gradient is 1."""
        g = self.world.gradients[i]
        node = self.world.nodes[i]
        return (
            node is self.world.loss or (g.primitive is None and g.size == 1) or bool(g.attributes.get("seed"))
        )

    def terms(self, i: int) -> list[_Term]:
        return [_Term(i, t, node) for t, node in self.world.addends(i)]

    def goal(self, i: int) -> tuple[int, ...]:
        return self.world.nodes[i].shape

    def is_parameter(self, i: int) -> bool:
        return self.world.nodes[i].step is None


def _sum(trees: list[Expression]) -> Expression:
    return summed(trees, [1] * len(trees))


class _General(_Common):
    """One line for all steps."""

    def __init__(self, world: World) -> None:
        super().__init__(world, relative=True)
        for name, places in world.names.items():
            if None in places and len(places) > 1 and any(i in self.wanted for i in places.values()):
                raise _Differs(name)
        # A value of the first step may hang on no parameter; it is computed alike, and so is its gradient.
        names = {world.nodes[i].name for i in self.wanted}
        self.wanted = sorted(
            {*self.wanted}
            | {i for i in world.gradients if i in self.writer.canonical and world.nodes[i].name in names
               and not world.nodes[i].is_leaf and not self.is_loss(i)}
        )  # fmt: skip

    def rows(self) -> list[Row]:
        outside, by_step, carried = self._lines()
        first, last = self.world.first, self.world.last
        general, special = self._unified(by_step)
        needs_next = self._conflicts(general, carried)
        rows: list[Row] = []
        for line in _in_order(outside, self.writer):
            rows.append(self._row(line, carried, needs_next))
        if special.get(last):
            rows.append(Row(heading=f"{'' if not rows else chr(10)}t = T"))
            rows += [self._row(x, {}, needs_next) for x in special[last]]
            if general or special.get(first):
                rows.append(Row(heading="\nt = T..1"))
        elif outside and general:
            rows.append(Row(heading=""))
        rows += self._ordered(general, carried, needs_next)
        if first != last and special.get(first):
            rows.append(Row(heading="\nt = 1"))
            rows += [self._row(x, carried, needs_next) for x in special[first]]
        return rows

    def _lines(self) -> tuple[list[_Line], dict[int, list[_Line]], dict[str, bool]]:
        outside: list[_Line] = []
        by_step: dict[int, list[_Line]] = {t: [] for t in self.world.steps}
        carried: dict[str, bool] = {}
        for i in self.wanted:
            node = self.world.nodes[i]
            assert node.name is not None
            label = f"d{node.label}"
            own: dict[int | None, list[_Term]] = {}
            for term in self.terms(i):
                own.setdefault(term.step, []).append(term)
            if node.step is None:
                for t, terms in own.items():
                    trees = [self.writer.write(x.node, t, i, self.goal(i)) for x in terms]
                    order = max(x.node.serial for x in terms)
                    kind = "contribution" if t is not None else "outside"
                    line = _Line(kind, node.name, _sum(trees), order, t, label)
                    if t is None:
                        outside.append(line)
                    elif t in by_step:
                        by_step[t].append(line)
                    else:
                        raise _Differs(label)
                continue
            if node.step not in by_step and not (node.step == self.world.first - 1):
                raise _Differs(label)
            later = {t for t in own if t is not None and t > node.step}
            if later - {node.step + 1} or any(t is not None and t < node.step for t in own):
                raise _Differs(label)
            direct = [x for t, terms in own.items() if t not in later for x in terms]
            if direct:
                if node.step not in by_step:
                    raise _Differs(label)
                trees = [self.writer.write(x.node, node.step, i, self.goal(i)) for x in direct]
                order = max(x.node.serial for x in direct)
                by_step[node.step].append(_Line("total", node.name, _sum(trees), order, node.step, label))
            for t in later:
                trees = [self.writer.write(x.node, t, i, self.goal(i)) for x in own[t]]
                order = max(x.node.serial for x in own[t])
                if t not in by_step:
                    raise _Differs(label)
                by_step[t].append(_Line("carry", node.name, _sum(trees), order, t, label))
                carried[node.name] = True
        for i in self.writer.canonical:  # the initial state: what is carried into it is the same line
            node = self.world.nodes[i]
            if (
                node.is_leaf
                and node.step == self.world.first - 1
                and node.name in carried
                and i not in self.wanted
            ):
                terms = [x for x in self.terms(i) if x.step == self.world.first]
                if terms and len(terms) == len(self.terms(i)):
                    trees = [self.writer.write(x.node, self.world.first, i, self.goal(i)) for x in terms]
                    order = max(x.node.serial for x in terms)
                    line = _Line(
                        "carry", str(node.name), _sum(trees), order, self.world.first, f"d{node.label}"
                    )
                    by_step[self.world.first].append(line)
        return outside, by_step, carried

    def _unified(self, by_step: dict[int, list[_Line]]) -> tuple[list[_Line], dict[int, list[_Line]]]:
        """Part the lines into those that hold at every step and those of the last or the first step alone."""
        first, last = self.world.first, self.world.last
        groups: dict[tuple[str, str], dict[int, _Line]] = {}
        for t, lines in by_step.items():
            for line in lines:
                groups.setdefault((line.kind, line.name), {})[t] = line
        general: list[_Line] = []
        special: dict[int, list[_Line]] = {}
        steps = set(self.world.steps)
        for (kind, name), members in groups.items():
            trees = {render(line.tree) for line in members.values()}
            missing = steps - set(members)
            if kind == "carry":
                missing -= {first}  # into an initial state that has no name, or no gradient
            if len(trees) == 1 and not missing:
                general.append(members[min(members, key=lambda t: abs(t - (first + last) / 2))])
            elif set(members) == {last}:
                special.setdefault(last, []).append(members[last])
            elif set(members) == {first} and kind != "carry":
                special.setdefault(first, []).append(members[first])
            else:
                raise _Differs(name)
        for t in special:
            special[t] = _in_order(special[t], self.writer)
        self._check_special(general, special)
        return general, special

    def _check_special(self, general: list[_Line], special: dict[int, list[_Line]]) -> None:
        """Raise unless the lines of the last step can run first, and those of the first step last."""
        first, last = self.world.first, self.world.last
        made = {line.name for line in general if line.kind != "contribution"}
        for line in special.get(last, []):
            for name in _gradients(line.tree, self.writer):
                if name in made and first != last:
                    raise _Differs(line.name)
        late = {line.name for line in special.get(first, []) if line.kind == "total"}
        for line in general:
            if late & _gradients(line.tree, self.writer) and first != last:
                raise _Differs(line.name)
        totals = {line.name for line in general if line.kind == "total"}
        for line in special.get(last, []):
            if line.kind == "total" and line.name in totals:
                raise _Differs(line.name)

    def _conflicts(self, general: list[_Line], carried: dict[str, bool]) -> set[str]:
        """Return the names whose carry cannot be assigned in any order without disturbing another line."""
        carries = {
            line.name: _gradients(line.tree, self.writer) - {line.name}
            for line in general
            if line.kind == "carry"
        }
        done: set[str] = set()
        while True:
            free = [
                n
                for n in carries
                if n not in done and not any(n in carries[m] for m in carries if m not in done and m != n)
            ]
            if not free:
                break
            done.update(free)
        return set(carries) - done

    def _ordered(self, general: list[_Line], carried: dict[str, bool], needs_next: set[str]) -> list[Row]:
        body = _in_order([x for x in general if x.kind != "carry"], self.writer)
        carries = [x for x in general if x.kind == "carry"]
        rows = []
        previous = None
        for line in body:
            if previous is not None and line.kind == "total" and previous.kind == "contribution":
                rows.append(Row(heading=""))
            rows.append(self._row(line, carried, needs_next))
            previous = line
        if carries and rows:
            rows.append(Row(heading=""))
        left = list(carries)
        while left:
            for line in left:
                others = [m for m in left if m is not line]
                if line.name in needs_next or not any(
                    line.name in _gradients(m.tree, self.writer) for m in others
                ):
                    break
            left.remove(line)
            rows.append(self._row(line, carried, needs_next))
        return rows

    def _row(self, line: _Line, carried: dict[str, bool], needs_next: set[str]) -> Row:
        places = self.world.names[line.name]
        place = places.get(line.step, next(iter(places.values())))
        node = self.world.nodes[place]
        left = self.writer.name(place, node.step, gradient=True)
        tree = line.tree
        if line.kind in ("contribution", "outside"):
            operator = "+=" if line.kind == "contribution" or len(self.terms(place)) > 1 else "="
            return Row(Equation((left, tree), (operator,)), "", (f"d{line.name}",), line.kind, line.name)
        nodes = tuple(f"d{line.name}[{t}]" for t in self.world.steps if t in places)
        nxt = Name(left.text + "_next", None, left.quoted)
        if line.kind == "carry":
            target = nxt if line.name in needs_next else left
            return Row(Equation((target, tree), ("=",)), "", nodes, "carry", line.name)
        if line.name in carried:
            tree = _sum([tree, nxt if line.name in needs_next else left])
        return Row(Equation((left, tree), ("=",)), "", nodes, "total", line.name)


def _in_order(lines: list[_Line], writer: Writer) -> list[_Line]:
    """Sort lines as they were recorded, each after those whose gradients it uses."""
    made = {line.name: float(line.order) for line in lines if line.kind == "total"}
    order = {id(line): float(line.order) for line in lines}
    for _ in lines:
        changed = False
        for line in lines:
            used = [made[n] for n in _gradients(line.tree, writer) if n in made and n != line.name]
            if line.kind == "contribution" and used and order[id(line)] != max(used) + 0.25:
                order[id(line)] = max(used) + 0.25
                changed = True
            elif used and order[id(line)] <= max(used):
                order[id(line)] = max(used) + 0.25
                changed = True
                if line.kind == "total":
                    made[line.name] = order[id(line)]
        if not changed:
            break
    return sorted(lines, key=lambda line: order[id(line)])


def _gradients(tree: Expression, writer: Writer) -> set[str]:
    """Return the names whose gradients a tree uses."""
    found = set()
    for part in walk(tree):
        if isinstance(part, Name):
            located = writer.vocabulary.differentiated(Name(part.text, quoted=False))
            if located is not None and not (part.quoted and writer.vocabulary.known(part.text)):
                found.add(located[0])
    return found


class _Unrolled(_Common):
    """Every step on its own."""

    def __init__(self, world: World) -> None:
        super().__init__(world, relative=False)
        self.own = 0

    def rows(self) -> list[Row]:
        try:
            return self._rows([])
        except TooLong:
            self.own = 0
            return self._rows(self.plan())

    def _rows(self, pieces: list[tuple[int, Row]]) -> list[Row]:
        totals: list[tuple[int, Row]] = []
        for i in self.wanted:
            node = self.world.nodes[i]
            left = self.writer.name(i, None, gradient=True)
            terms = self.terms(i)
            stepped = {t for t in (x.step for x in terms) if t is not None}
            order = self.world.gradients[i].serial
            if node.step is None and stepped and not left.quoted and left.text.startswith("d"):
                parts: list[Expression] = []
                for t in sorted(stepped):
                    mine = [x for x in terms if x.step == t]
                    rows, tree = self._written(mine, self.goal(i))
                    target = Derivative(Name("L"), Name(left.text[1:]), Step("", t))
                    at = max(x.node.serial for x in mine)
                    pieces += [(at, row) for row in rows]
                    pieces.append((at, Row(Equation((target, tree), ("=",)), nodes=(f"d{node.label}",))))
                    parts.append(target)
                rest = [x for x in terms if x.step is None]
                if rest:
                    rows, tree = self._written(rest, self.goal(i))
                    pieces += [(order, row) for row in rows]
                    parts.append(tree)
                whole = Derivative(Name("L"), Name(left.text[1:]))
                totals.append((order, Row(Equation((whole, _sum(parts)), ("=",)), nodes=(f"d{node.label}",))))
                continue
            rows, tree = self._written(terms, self.goal(i))
            pieces += [(order, row) for row in rows]
            pieces.append((order, Row(Equation((left, tree), ("=",)), nodes=(f"d{node.label}",))))
        result = self._sorted(pieces)
        if totals:
            result.append(Row(heading=""))
            result += [row for _, row in sorted(totals, key=lambda pair: pair[0])]
        return result

    def _sorted(self, pieces: list[tuple[int, Row]]) -> list[Row]:
        """Sort rows as they were recorded, each after those whose left sides it uses."""
        rows = [row for _, row in sorted(pieces, key=lambda pair: pair[0])]
        made = {row.equation.sides[0]: k for k, row in enumerate(rows) if row.equation is not None}
        needs = [
            [made[p] for p in walk(row.equation.sides[1]) if p in made] if row.equation is not None else []
            for row in rows
        ]
        result: list[Row] = []
        state = [0] * len(rows)  # 1: waiting for what it uses, 2: placed
        for first in range(len(rows)):
            todo = [first]
            while todo:
                k = todo[-1]
                waiting = [j for j in needs[k] if state[j] == 0]
                if state[k] == 0 and waiting:
                    state[k] = 1
                    todo += waiting
                    continue
                if state[k] != 2:
                    state[k] = 2
                    result.append(rows[k])
                todo.pop()
        return result

    def _written(self, terms: list[_Term], goal: tuple[int, ...]) -> tuple[list[Row], Expression]:
        """Write the sum of some addends; a sum of very many is written in pieces."""
        rows: list[Row] = []
        trees = [self.writer.write(term.node, None, term.place, goal) for term in terms]
        for tree in trees:
            if _depth(tree) > 40 or len(render(tree)) > 1500:
                raise TooLong("an expression that would fill a page")
        while len(trees) > 1 and sum(len(render(tree)) for tree in trees) > 3000:
            self.own += 1
            name = Name(f"part_{self.own}_")
            count = 1
            while count < len(trees) and sum(len(render(tree)) for tree in trees[: count + 1]) < 2500:
                count += 1
            rows.append(Row(Equation((name, _sum(trees[:count])), ("=",))))
            trees = [name, *trees[count:]]
        return rows, _sum(trees)

    def plan(self) -> list[tuple[int, Row]]:
        """Give names to parts, so that every line stays short: what is used twice, and what is large."""
        terms = [term for i in self.wanted for term in self.terms(i)]
        needed: dict[int, Node] = {}
        uses: dict[int, int] = {}
        todo = [term.node for term in terms]
        while todo:
            node = todo.pop()
            uses[node.serial] = uses.get(node.serial, 0) + 1
            if node.serial in needed or node.primitive is None:
                continue
            needed[node.serial] = node
            todo += [x for x in node.inputs if self.writer.named(x) is None]
        rows: list[tuple[int, Row]] = []
        sizes: dict[int, int] = {}
        for serial in sorted(needed):
            node = needed[serial]
            sizes[serial] = 1 + sum(sizes.get(x.serial, 1) for x in node.inputs)
            if sizes[serial] > 25 or (uses[serial] > 1 and sizes[serial] > 4):
                self.own += 1
                name = Name(f"part_{self.own}_")
                rows.append((serial, Row(Equation((name, self.writer.spelled_out(node)), ("=",)))))
                self.writer.temporaries[serial] = name
                sizes[serial] = 1
        return rows


def _depth(tree: Expression) -> int:
    deepest = 0
    todo = [(tree, 1)]
    while todo:
        part, depth = todo.pop()
        deepest = max(deepest, depth)
        todo += [(child, depth + 1) for child in children(part)]
    return deepest


def paths(loss: Node, node: Node, limit: int = 1000) -> Derivation:
    """Write the gradient of a node as the sum over all paths between named values.

    Note 002 does so for the LSTM.

    Raises
    ------
    TooManyPathsError
        If there are more than `limit` paths; those through states double with every step.

    Examples
    --------
    >>> import minigrad as mg
    >>> from minigrad.derivation import paths
    >>> a = mg.parameter(2.0, name="a")
    >>> b = (a * a).named("b")
    >>> print(paths((b * 3.0).named("L"), a))
    dL/da = dL/db ⋅ db/da
    <BLANKLINE>
    """
    from minigrad.errors import NotConnectedError, TooManyPathsError

    world = World(loss)
    common = _Common(world, relative=False)
    start = world.place.get(node.serial)
    if start is None or start not in world.gradients:
        raise NotConnectedError(f"paths: nothing leads from {node.label} to the loss {loss.label}")
    edges = _named_edges(world, common.writer.canonical | {start, world.place[loss.serial]})
    end = world.place[loss.serial]
    found: list[list[int]] = []
    todo: list[list[int]] = [[start]]
    useful = _reaching(edges, end)
    while todo:
        path = todo.pop()
        if path[-1] == end:
            found.append(path[::-1])
            if len(found) > limit:
                raise TooManyPathsError(
                    f"paths: more than {limit:,} paths lead from {loss.label} to {node.label}; "
                    "ask for a later node, or raise the limit"
                )
            continue
        todo += [[*path, j] for j in edges.get(path[-1], []) if j in useful]
    terms = [_chain(path, common) for path in sorted(found)]
    left = Derivative(Name("L"), common.writer.name(start, None))
    operators = ("=",)
    return Derivation(
        [Row(Equation((left, _sum(terms)), operators), "", (f"d{node.label}",), "total", str(node.name))],
        False, world.steps, "", loss, _stepped(world),
    )  # fmt: skip


def _named_edges(world: World, named: set[int]) -> dict[int, list[int]]:
    """Return, for each named node, the named nodes that take it in without another named one between."""
    reach: dict[int, set[int]] = {}
    edges: dict[int, list[int]] = {}
    for i, node in enumerate(world.nodes):
        sources: set[int] = set()
        for position, operand in enumerate(node.inputs):
            if node.primitive is None or node.primitive.vjp(position) is None:
                continue
            j = world.place[operand.serial]
            sources |= {j} if j in named else reach.get(j, set())
        if i in named:
            for j in sorted(sources):
                edges.setdefault(j, []).append(i)
        reach[i] = sources
    return edges


def _reaching(edges: dict[int, list[int]], end: int) -> set[int]:
    back: dict[int, list[int]] = {}
    for i, users in edges.items():
        for j in users:
            back.setdefault(j, []).append(i)
    found, todo = {end}, [end]
    while todo:
        for i in back.get(todo.pop(), []):
            if i not in found:
                found.add(i)
                todo.append(i)
    return found


def _chain(path: list[int], common: _Common) -> Expression:
    world = common.world
    while len(path) > 2 and path[1] in world.gradients and common.is_loss(path[1]):
        path = path[1:]  # dL/dL[2] is 1
    whole = Name("L")
    factors: list[Expression] = []
    for above, below in itertools.pairwise(path):
        top = whole if world.nodes[above] is world.loss else common.writer.name(above, None)
        factors.append(Derivative(top, common.writer.name(below, None)))
    if len(factors) == 1:
        return factors[0]
    return Product(tuple(factors), ("⋅",) * (len(factors) - 1))


def shifted(tree: Expression, by: int) -> Expression:
    """Return a tree as seen from another step: every step counted from t is moved.

    >>> from minigrad.derivation.reader import parse
    >>> render(shifted(Name("h", Step("t", -1)), 1))
    'h'
    """

    def move(part: Expression) -> Expression:
        if isinstance(part, Name) and part.step is not None and part.step.base == "t":
            offset = part.step.offset + by
            return Name(part.text, Step("t", offset) if offset else None, part.quoted)
        return part

    return transform(tree, move)
