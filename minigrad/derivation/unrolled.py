"""Every step on its own, and names for the parts of what would fill pages."""

from __future__ import annotations

from minigrad.node import Node

from .express import TooLong
from .rows import Gradients, Row, Term, total_of
from .syntax import (
    Derivative,
    Equation,
    Expression,
    Name,
    Step,
    children,
    render,
    walk,
)
from .truth import World


class Unrolled(Gradients):
    """Every step on its own."""

    def __init__(self, world: World) -> None:
        super().__init__(world, relative=False)
        self.own = 0

    def rows(self) -> list[Row]:
        """Return the printed lines."""
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
                totals.append(
                    (order, Row(Equation((whole, total_of(parts)), ("=",)), nodes=(f"d{node.label}",)))
                )
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

    def _written(self, terms: list[Term], goal: tuple[int, ...]) -> tuple[list[Row], Expression]:
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
            rows.append(Row(Equation((name, total_of(trees[:count])), ("=",))))
            trees = [name, *trees[count:]]
        return rows, total_of(trees)

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
