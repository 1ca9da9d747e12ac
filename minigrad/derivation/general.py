"""One line for all steps: what reads alike in every step is printed once."""

from __future__ import annotations

from .express import Writer
from .rows import Differs, Gradients, Row, Term, TermLine, total_of
from .syntax import (
    Equation,
    Expression,
    Name,
    render,
    walk,
)
from .truth import World


class General(Gradients):
    """One line for all steps."""

    def __init__(self, world: World) -> None:
        super().__init__(world, relative=True)
        for name, places in world.names.items():
            if None in places and len(places) > 1 and any(i in self.wanted for i in places.values()):
                raise Differs(name)
        # A value of the first step may hang on no parameter; it is computed alike, and so is its gradient.
        names = {world.nodes[i].name for i in self.wanted}
        self.wanted = sorted(
            {*self.wanted}
            | {i for i in world.gradients if i in self.writer.canonical and world.nodes[i].name in names
               and not world.nodes[i].is_leaf and not self.is_loss(i)}
        )  # fmt: skip

    def rows(self) -> list[Row]:
        """Return the printed lines."""
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

    def _lines(self) -> tuple[list[TermLine], dict[int, list[TermLine]], dict[str, bool]]:
        outside: list[TermLine] = []
        by_step: dict[int, list[TermLine]] = {t: [] for t in self.world.steps}
        carried: dict[str, bool] = {}
        for i in self.wanted:
            node = self.world.nodes[i]
            assert node.name is not None
            label = f"d{node.label}"
            own: dict[int | None, list[Term]] = {}
            for term in self.terms(i):
                own.setdefault(term.step, []).append(term)
            if node.step is None:
                for t, terms in own.items():
                    trees = [self.writer.write(x.node, t, i, self.goal(i)) for x in terms]
                    order = max(x.node.serial for x in terms)
                    kind = "contribution" if t is not None else "outside"
                    line = TermLine(kind, node.name, total_of(trees), order, t, label)
                    if t is None:
                        outside.append(line)
                    elif t in by_step:
                        by_step[t].append(line)
                    else:
                        raise Differs(label)
                continue
            if node.step not in by_step and not (node.step == self.world.first - 1):
                raise Differs(label)
            later = {t for t in own if t is not None and t > node.step}
            if later - {node.step + 1} or any(t is not None and t < node.step for t in own):
                raise Differs(label)
            direct = [x for t, terms in own.items() if t not in later for x in terms]
            if direct:
                if node.step not in by_step:
                    raise Differs(label)
                trees = [self.writer.write(x.node, node.step, i, self.goal(i)) for x in direct]
                order = max(x.node.serial for x in direct)
                by_step[node.step].append(
                    TermLine("total", node.name, total_of(trees), order, node.step, label)
                )
            for t in later:
                trees = [self.writer.write(x.node, t, i, self.goal(i)) for x in own[t]]
                order = max(x.node.serial for x in own[t])
                if t not in by_step:
                    raise Differs(label)
                by_step[t].append(TermLine("carry", node.name, total_of(trees), order, t, label))
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
                    line = TermLine(
                        "carry", str(node.name), total_of(trees), order, self.world.first, f"d{node.label}"
                    )
                    by_step[self.world.first].append(line)
        return outside, by_step, carried

    def _unified(
        self, by_step: dict[int, list[TermLine]]
    ) -> tuple[list[TermLine], dict[int, list[TermLine]]]:
        """Part the lines into those that hold at every step and those of the last or the first step alone."""
        first, last = self.world.first, self.world.last
        groups: dict[tuple[str, str], dict[int, TermLine]] = {}
        for t, lines in by_step.items():
            for line in lines:
                groups.setdefault((line.kind, line.name), {})[t] = line
        general: list[TermLine] = []
        special: dict[int, list[TermLine]] = {}
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
                raise Differs(name)
        for t in special:
            special[t] = _in_order(special[t], self.writer)
        self._check_special(general, special)
        return general, special

    def _check_special(self, general: list[TermLine], special: dict[int, list[TermLine]]) -> None:
        """Raise unless the lines of the last step can run first, and those of the first step last."""
        first, last = self.world.first, self.world.last
        made = {line.name for line in general if line.kind != "contribution"}
        for line in special.get(last, []):
            for name in _gradients(line.tree, self.writer):
                if name in made and first != last:
                    raise Differs(line.name)
        late = {line.name for line in special.get(first, []) if line.kind == "total"}
        for line in general:
            if late & _gradients(line.tree, self.writer) and first != last:
                raise Differs(line.name)
        totals = {line.name for line in general if line.kind == "total"}
        for line in special.get(last, []):
            if line.kind == "total" and line.name in totals:
                raise Differs(line.name)

    def _conflicts(self, general: list[TermLine], carried: dict[str, bool]) -> set[str]:
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

    def _ordered(self, general: list[TermLine], carried: dict[str, bool], needs_next: set[str]) -> list[Row]:
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

    def _row(self, line: TermLine, carried: dict[str, bool], needs_next: set[str]) -> Row:
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
            tree = total_of([tree, nxt if line.name in needs_next else left])
        return Row(Equation((left, tree), ("=",)), "", nodes, "total", line.name)


def _in_order(lines: list[TermLine], writer: Writer) -> list[TermLine]:
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
