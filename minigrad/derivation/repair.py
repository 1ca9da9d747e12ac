"""Repairs: every single edit of a wrong line, tried numerically; those that make it right are offered.

Each candidate is first tried at one point, and only what fits there is judged in full.  A missing term is
found the other way round: the difference between the truth and what stands there is looked up among all
products of two names.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .context import Truth
from .edits import Edit, Pool, edits, likeness
from .evaluate import STRICT, Array, EvaluationError, Reading, evaluate
from .goals import ACCEPTED, Goal, attempt, canonical
from .reader import Line, NotationError, parse_line
from .syntax import (
    Call,
    Derivative,
    Equation,
    Expression,
    Name,
    Negative,
    Number,
    Power,
    Prime,
    Product,
    Slice,
    Step,
    Sum,
    TimeSum,
    Transpose,
    render,
    transform,
    walk,
)

if TYPE_CHECKING:
    from .judge import Finding, Judge, Suggestion, Target

MOST = 6  # suggestions shown
SPREAD = 0.8  # how much dearer than the cheapest repair a repair may be to be shown
BUDGET = 150_000  # parts of trees that are evaluated for one line; an LSTM's line takes some 20,000


class Repairer:
    """Finds repairs for the lines of one text; shares what it computes between lines."""

    def __init__(self, judge: Judge, findings: list[Finding]) -> None:
        self.judge = judge
        self.findings = findings
        used = [f.used for f in findings if f.verdict in ("right", "right-as") and not f.used.is_strict]
        self.styles = [STRICT, *dict.fromkeys(used)][:5]
        leibniz = sum(
            any(isinstance(p, Derivative) for s in f.line.equation.sides for p in walk(s))
            for f in findings if f.line is not None and f.line.equation is not None
        )  # fmt: skip
        self.dialect = "leibniz" if leibniz * 2 > len(findings) else "program"
        self.assigned = {
            t.base for f in findings if f.line is not None and f.line.equation is not None
            for t in [judge.target(f.line.equation.sides[0])] if t.kind == "gradient"
        }  # fmt: skip

    def pool(self, general: bool, target: Target | None = None) -> Pool:
        """Return the names of the model as the text would write them, and the calls that stand in it."""
        used: dict[Expression, None] = {}
        for finding in self.findings:
            if finding.line is not None and finding.line.equation is not None:
                for side in finding.line.equation.sides:
                    for part in walk(side):
                        if isinstance(part, Name | Prime) or (
                            isinstance(part, Call) and len(part.arguments) == 1
                        ):
                            used[part] = None
                        one_minus = (
                            isinstance(part, Sum) and part.terms[0] == Number(1) and part.signs == (1, -1)
                        )
                        if one_minus:
                            used[part] = None
        calls = tuple(part for part in used if not isinstance(part, Name))[:60]
        words = frozenset(part.text for part in used if isinstance(part, Name))
        wrt = target.derivative.wrt if target is not None and target.derivative is not None else None
        own = {"dialect": self.dialect, "used": words, "extras": calls, "wrt": wrt}
        inner = None if general else replace(self._names(True, True), **own)  # type: ignore[arg-type]
        names = self._names(general)
        terms: list[Expression] = []
        if target is not None and target.kind == "value":
            weights = [n for n in names.values if self.judge.is_parameter(n.text)]
            called = any(isinstance(part, Call) and part.function == "matmul" for part in self._parts())
            terms += weights
            for w in weights:
                for v in names.values:
                    if v not in weights:
                        terms.append(Call("matmul", (w, v)) if called else Product((w, v), ("*",)))
        return replace(names, inner=inner, terms=tuple(terms), **own)  # type: ignore[arg-type]

    def _parts(self) -> Iterator[Expression]:
        """Yield every part of every equation of the text."""
        for finding in self.findings:
            if finding.line is not None and finding.line.equation is not None:
                for side in finding.line.equation.sides:
                    yield from walk(side)

    def _names(self, general: bool, indexed: bool = False) -> Pool:
        world = self.judge.worlds[0]
        voc = self.judge.vocabulary
        back = {v: k for k, v in voc.aliases.items()}
        values: list[Name] = []
        gradients: list[Name] = []
        for name, places in world.names.items():
            written = back.get(name, name)
            floats = all(world.nodes[i].dtype.kind == "f" for i in places.values())
            if not floats or name == voc.loss:
                continue
            steps = [t for t in places if t is not None]
            if general or None in places or len(steps) == 1:
                values.append(Name(written))
                if any(i in world.gradients for i in places.values()):
                    gradients.append(Name("d" + written))
            else:
                for t in steps:
                    values.append(Name(f"{written}{t}"))
                    gradients.append(Name(f"d{written}{t}"))
        values += [Name(n) for n in sorted(voc.own) if not n.startswith("d")]
        gradients += [Name(n) for n in sorted(voc.own) if n.startswith("d")]
        if indexed:
            parameters = self.judge.is_parameter
            values = [n if parameters(n.text) else Name(n.text, Step("t", 0)) for n in values]
            gradients = [n if parameters(n.text[1:]) else Name(n.text, Step("t", 0)) for n in gradients]
        return Pool(tuple(values), tuple(gradients))

    def repair(self, index: int, finding: Finding) -> list[Suggestion]:
        """Return the repairs of one line, cheapest first; [] if no single edit mends it."""
        line = finding.line
        if line is None:
            return []
        if line.equation is None:
            return self._unreadable(index, line)
        equation = line.equation
        if len(equation.sides) < 2:
            return []
        left = equation.sides[0]
        target = self.judge.target(left)
        position = len(equation.sides) - 1
        side = equation.sides[position]
        if target.kind == "sides" and self.judge.target(side).kind in ("gradient", "value", "local"):
            position, left, side = 0, side, left
            target = self.judge.target(left)
        if target.kind == "unknown" or (target.kind == "own" and finding.verdict != "undefined"):
            return self._other_target(index, line, equation, finding)
        if target.kind in ("own", "sides"):
            return []
        general = self.judge.is_general(line) or finding.general or self._speaks_generally(equation, finding)
        pool = self.pool(general, target)
        goals = [g for g in self.judge.goals(target, line, index, general) if g.accepts]
        probe = self._probe(index, line, general, goals)
        if probe is None:
            return []

        def whole(tree: Expression) -> Equation:
            sides = [*equation.sides]
            sides[position] = tree
            return Equation(tuple(sides), equation.operators)

        missing = {finding.kind} if finding.verdict == "undefined" and finding.kind else set()
        styles = self._styles(side)
        candidates = self._affordable(self._candidates(side, pool, missing, target), side)
        candidates.sort(key=lambda edit: edit.cost)
        result: list[Suggestion] = []
        rest = iter(candidates)
        while not result:
            # What costs much more than the cheapest edit that fits is not shown, and not tried.
            hits: list[tuple[Edit, Equation]] = []
            edit = None
            for edit in rest:
                if hits and edit.cost > hits[0][0].cost + SPREAD:
                    break
                if self._fits_at(probe, edit.tree, goals, target, line, styles):
                    hits.append((edit, whole(edit.tree)))
            else:
                edit = None
            result = self._confirmed(index, line, hits, general)
            if edit is None:
                break
            rest = itertools.chain([edit], rest)
        if not result or min(s.cost for s in result) > 1.2:
            terms = self._missing_terms(side, pool, probe, goals, target, line)
            result += self._confirmed(index, line, [(edit, whole(edit.tree)) for edit in terms], general)
        if equation.operators == ("=",) or equation.operators == ("+=",):
            other = "+=" if equation.operators == ("=",) else "="
            changed = Equation(equation.sides, (other,))
            cost = 1.0 if general and self.judge.is_parameter(target.base) else 1.9
            edit = Edit(side, cost, f"`{other}`", (left.span[1], left.span[1] + 2))
            result += self._confirmed(index, line, [(edit, changed)], general)
        if not result or min(s.cost for s in result) > 2:
            result += self._other_target(index, line, equation, finding)
        return _best(result)

    def _speaks_generally(self, equation: Equation, finding: Finding) -> bool:
        """Whether a line with an unknown name belongs to those that are written for a general step."""
        if finding.verdict != "undefined" or sum(f.general for f in self.findings) * 2 < len(self.findings):
            return False
        names = [p.text for s in equation.sides for p in walk(s) if isinstance(p, Name)]
        return not any(n[-1:].isdigit() for n in names)

    # -- candidates ------------------------------------------------------------------------------

    def _candidates(self, side: Expression, pool: Pool, missing: set[str], target: Target) -> Iterator[Edit]:
        if missing:
            word = next(iter(missing))
            extra = sorted({p.text for p in pool.names})
            for name in pool.names:
                cost = 0.8 + (1 - likeness(name.text, word)) + (0.2 if name.text == "d" + target.base else 0)
                if _subsequence(word, name.text):
                    cost -= 0.2
                yield self._renamed(side, word, name, cost)
            for close in difflib.get_close_matches(word, extra, n=3, cutoff=0.4):
                yield self._renamed(side, word, Name(close), 0.9 + (1 - likeness(close, word)))
            return
        yield from edits(side, pool)

    def _affordable(self, candidates: Iterator[Edit], side: Expression) -> list[Edit]:
        """Return the candidates, of a very long line only so many as can be tried in a second or two."""
        size = sum(1 for _ in walk(side)) + 2
        budget = BUDGET if size < 200 else BUDGET // 10
        return list(itertools.islice(candidates, max(50, budget // size)))

    def _renamed(self, side: Expression, word: str, name: Name, cost: float) -> Edit:
        place = next((p.span for p in walk(side) if isinstance(p, Name) and p.text == word), side.span)

        def change(part: Expression) -> Expression:
            if isinstance(part, Name) and part.text == word:
                return replace(name, step=part.step or name.step, span=part.span)
            return part

        return Edit(transform(side, change), cost, f"`{render(name)}`", place)

    def _missing_terms(
        self, side: Expression, pool: Pool, probe: Truth, goals: list[Goal], target: Target, line: Line
    ) -> Iterator[Edit]:
        """Yield ``side + term`` for the terms that make up the difference to the truth at the probe."""
        for reading in self.styles:
            if not reading.is_strict:
                continue
            for goal in goals:
                truth = _truth(goal, probe)
                if truth is None:
                    continue
                try:
                    value = canonical(evaluate(side, probe, reading, truth.shape).array, truth, False)
                except EvaluationError:
                    return
                before = self.judge.before(target, line)
                start = before(probe) if before is not None else None
                if value.shape != truth.shape:
                    continue
                rest = truth - value - (0 if start is None else start)
                for term, cost in self._terms(pool, probe):
                    try:
                        array = canonical(evaluate(term, probe, reading, truth.shape).array, truth, False)
                    except EvaluationError:
                        continue
                    if array.shape != rest.shape:
                        continue
                    for sign in (1, -1):
                        if _near(sign * array, rest, truth):
                            terms, signs = _terms_of(side)
                            tree = Sum((*terms, term), (*signs, sign))
                            yield Edit(tree, cost, f"the term {render(term)}", side.span)

    def _terms(self, pool: Pool, probe: Truth) -> Iterator[tuple[Expression, float]]:
        own = dict.fromkeys(p for p in self._parts() if isinstance(p, Product))
        for product in list(own)[:200]:
            yield product, 1.5
        for name in pool.names:
            gradient = name in pool.gradients
            yield pool.spelled(name), 1.4 if gradient else 1.8
        world = self.judge.worlds[0]
        weights = [n for n in pool.values if _is_parameter(n, world)]
        for g in pool.gradients:
            spelled = pool.spelled(g)
            for w in weights:
                yield Product((Transpose(w), spelled), ("*",)), 2.0
            for v in pool.values:
                if v not in weights:
                    yield Product((spelled, v), ("*",)), 2.2
                    yield Product((spelled, Transpose(v)), ("*",)), 2.2
                    slope = Sum((Number(1), Power(v, Number(2))), (1, -1))
                    yield Product((spelled, slope), ("*",)), 2.4

    # -- trying ----------------------------------------------------------------------------------

    def _probe(self, index: int, line: Line, general: bool, goals: list[Goal]) -> Truth | None:
        """Return the point at which candidates are tried first: one with a truth that is not zero."""
        points = [p for p in self.judge.points(line, index, general) if p.index == 0]
        middle = sorted(points, key=lambda p: abs((p.t or 0) - (p.world.first + p.world.last) / 2))
        for point in middle:
            for goal in goals:
                truth = _truth(goal, point)
                if truth is not None and truth.size and np.any(truth):
                    return point
        return middle[0] if middle else None

    def _fits_at(
        self,
        probe: Truth,
        tree: Expression,
        goals: list[Goal],
        target: Target,
        line: Line,
        styles: list[Reading],
    ) -> bool:
        before = self.judge.before(target, line)
        sign = -1 if line.equation and line.equation.operators[0] == "-=" else 1
        for reading in styles:
            for goal in goals:
                trial = attempt(tree, reading, goal, [probe], before, quick=True, sign=sign)
                if trial.fits:
                    return True
                if trial.failure is not None and trial.failure.kind == "undefined":
                    return False
        return False

    def _styles(self, tree: Expression) -> list[Reading]:
        if any(isinstance(p, Derivative) for p in walk(tree)):
            return [*self.styles, Reading(rows=True)]
        return self.styles

    def _confirmed(
        self, index: int, line: Line, found: list[tuple[Edit, Equation]], general: bool
    ) -> list[Suggestion]:
        """Judge what fitted at one point in full, cheapest first, until enough are confirmed."""
        from .judge import GOOD, Suggestion

        result: list[Suggestion] = []
        seen: set[str] = set()
        for edit, equation in sorted(found, key=lambda pair: pair[0].cost):
            key = _canonical(equation).replace("[t]", "")
            if key in seen:
                continue
            seen.add(key)
            if len(result) >= MOST or (result and edit.cost > result[0].cost + 1.2):
                break
            judged = self.judge.judge(index, replace(line, equation=equation))
            if judged.verdict not in GOOD or (judged.meaning == "own" and "same" not in judged.matched):
                continue
            if equation.sides[0] in equation.sides[1:]:
                continue  # dc = dc claims nothing
            cost = edit.cost + (0.4 if judged.verdict == "right-as" and not _opened(judged) else 0)
            text = judged.exact if judged.exact and _opened(judged) else render(equation)
            result.append(
                Suggestion(text, edit.change, cost, True, equation, edit.span, self._defined(edit.change))
            )
        return result

    def _defined(self, change: str) -> int:
        """Return the line that assigns the name which an edit puts in."""
        for finding in self.findings:
            equation = finding.line.equation if finding.line is not None else None
            if equation is not None and render(equation.sides[0]) == change.strip("`"):
                return finding.number
        return 0

    def _other_target(self, index: int, line: Line, equation: Equation, finding: Finding) -> list[Suggestion]:
        """Keep the right side and look for the left side that it is right for."""
        left = equation.sides[0]
        general = self.judge.is_general(line) or finding.general
        pool = self.pool(general)
        word = left.text if isinstance(left, Name) else left.wrt.text if isinstance(left, Derivative) else ""
        found: list[tuple[Edit, Equation]] = []
        for name in pool.names:
            taken = name.text[1:] in self.assigned
            cost = 2.8 + (1 - likeness(name.text, word)) + 0.6 * taken
            if isinstance(left, Name) and name.text != left.text:
                tree: Expression = replace(name, step=left.step)
            elif isinstance(left, Derivative) and name in pool.values:
                tree = replace(left, wrt=name)
            else:
                continue
            found.append(
                (
                    Edit(tree, cost, f"`{render(tree)}`", left.span),
                    replace(equation, sides=(tree, *equation.sides[1:])),
                )
            )
        return self._confirmed(index, line, found, general)[:2]

    def _unreadable(self, index: int, line: Line) -> list[Suggestion]:
        """Try what a slip of the keyboard leaves out or puts in, at the place where reading stopped."""
        from .judge import GOOD, Suggestion

        text, at = line.text, line.column
        result: list[Suggestion] = []
        tries = [text + ")" * k for k in (1, 2)]
        tries += [text[:at] + text[at + 1 :], text[:at] + text[at + line.length :]]
        tries += [text[:at] + extra + text[at:] for extra in (")", "*", " * ", "(", "=")]
        if at:
            tries.append(text[: at - 1] + text[at:])
        for candidate in dict.fromkeys(tries):
            try:
                equations = parse_line(candidate)
            except NotationError:
                continue
            if len(equations) != 1:
                continue
            judged = self.judge.judge(index, replace(line, equation=equations[0], text=candidate))
            if judged.verdict in GOOD:
                span = (at, at + line.length)
                result.append(
                    Suggestion(candidate.strip(), "what stands here", 1.0, True, equations[0], span)
                )
        return result[:MOST]


def _best(suggestions: list[Suggestion]) -> list[Suggestion]:
    """Return the distinct ones, cheapest first, leaving out what is much dearer than the best."""
    result: list[Suggestion] = []
    seen: set[str] = set()
    for suggestion in sorted(suggestions, key=lambda s: s.cost):
        key = _canonical(suggestion.equation) if suggestion.equation is not None else suggestion.text
        if key in seen or (result and suggestion.cost > result[0].cost + SPREAD):
            continue
        seen.add(key)
        result.append(suggestion)
    return result[:MOST]


def _opened(judged: Finding) -> bool:
    return judged.reading == "size filled in"


def _is_parameter(name: Name, world: object) -> bool:
    names = world.names  # type: ignore[attr-defined]
    return None in names.get(name.text, {})


def _terms_of(side: Expression) -> tuple[tuple[Expression, ...], tuple[int, ...]]:
    if isinstance(side, Sum):
        return side.terms, side.signs
    if isinstance(side, Negative):
        return (side.operand,), (-1,)
    return (side,), (1,)


def _truth(goal: Goal, point: Truth) -> Array | None:
    """Return the true array of a meaning; None where the left side has none (a step that is not there)."""
    try:
        return goal.truth(point)
    except EvaluationError:
        return None


def _near(a: Array, b: Array, scale: Array) -> bool:
    size = float(np.max(np.abs(scale))) if scale.size else 0.0
    return size > 0 and bool(np.any(b)) and float(np.max(np.abs(a - b))) <= ACCEPTED * size


def _subsequence(short: str, long: str) -> bool:
    letters = iter(long)
    return all(c in letters for c in short)


def _canonical(equation: Equation) -> str:
    """Write an equation so that the order of terms and factors makes no difference."""
    sides = [_canonical_tree(side) for side in equation.sides]
    return " ".join([sides[0], *equation.operators, *sides[1:]])


def canonical_text(tree: Expression | Equation) -> str:
    """Write a tree so that the order of terms and factors, and spelling, make no difference."""
    return _canonical(tree) if isinstance(tree, Equation) else _canonical_tree(tree)


def _canonical_tree(tree: Expression) -> str:
    match tree:
        case Sum():
            terms = sorted(
                ("+" if s > 0 else "-") + _canonical_tree(t)
                for t, s in zip(tree.terms, tree.signs, strict=True)
            )
            return f"({' '.join(terms)})"
        case Product():
            flat: list[str] = []
            for operator, factor in zip(("*", *tree.operators), tree.factors, strict=True):
                inner = _canonical_tree(factor)
                if operator != "/" and isinstance(factor, Product) and "/" not in factor.operators:
                    flat += inner[1:-1].split(" · ")
                else:
                    flat.append(("/" if operator == "/" else "") + inner)
            return f"({' · '.join(sorted(flat))})"
        case Negative():
            return f"(-{_canonical_tree(tree.operand)})"
        case Transpose():
            return f"{_canonical_tree(tree.operand)}^T"
        case Power(exponent=Number(value=2)):
            return f"{_canonical_tree(tree.base)}²"
        case Call(function="squared" | "square"):
            return f"{_canonical_tree(tree.arguments[0])}²"
        case Call(function="transpose"):
            return f"{_canonical_tree(tree.arguments[0])}^T"
        case Name(step=None) if tree.text[-1:] == "t" and len(tree.text) == 2:
            return f"{tree.text[0]}[t]"  # ht, under a sum over t
        case TimeSum():
            return f"sum {tree.variable} {tree.first} {tree.last} {_canonical_tree(tree.body)}"
        case Prime():
            return f"{_canonical_tree(tree.operand)}'"
        case Slice():
            inner = _canonical_tree(tree.operand)
            return inner + render(tree).removeprefix(render(tree.operand))
        case Call():
            return f"{tree.function}({', '.join(map(_canonical_tree, tree.arguments))})"
    return re.sub(r"\s", "", render(tree))
