"""One line at a time: which of its meanings, under which reading, is true.

Every name on the right takes its true value, so one slip is one finding.  The readings are tried from
strict to loose, and the first under which the line meets a goal at every point (every draw, every step) wins.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .context import Assigned, Facts, Truth
from .evaluate import (
    ACTIVATIONS,
    STRICT,
    EvaluationError,
    Reading,
    evaluate,
    functions_in,
    known_function,
    loosened,
    readings,
)
from .explain import by_step, factor_between, listed
from .finding import BAD, GOOD, Finding, Suggestion, Target
from .goals import ACCEPTED, Attempt, Goal, attempt
from .meanings import Meanings
from .names import Vocabulary
from .reader import Line, Text
from .syntax import (
    Call,
    Derivative,
    Equation,
    Expression,
    Name,
    Prime,
    Step,
    render,
    walk,
)
from .truth import World

__all__ = ["BAD", "GOOD", "Finding", "Judge", "Suggestion", "Target"]


class Judge(Meanings):
    """Judges the lines of one text in order; what it learns on the way is in `facts`."""

    def __init__(self, text: Text, worlds: list[World]) -> None:
        self.text = text
        self.worlds = worlds
        self.lines = text.equations
        self.facts = Facts(Vocabulary(worlds[0], aliases=dict(text.aliases)))
        self.vocabulary = self.facts.vocabulary
        self.rows_allowed = True
        self.forward = False  # whether the line at hand is one of the forward pass
        self.identities: dict[
            str, str
        ] = {}  # names that the text defines by a function found to be the identity
        for i, line in enumerate(self.lines):
            if line.equation is not None:
                target = self.target(line.equation.sides[0])
                if target.kind == "gradient":
                    key = ("next " if target.carry else "") + target.base
                    self.facts.assigned_later[key] = i

    # -- judging ---------------------------------------------------------------------------------

    def judge_all(self) -> list[Finding]:
        """Judge all lines; the layout of a program is that of most of its lines."""
        findings = self._judge_all()
        program = [f for f in findings if f.general and f.verdict in GOOD]
        rows = [f for f in program if f.used.rows and not _has_letters(f)]
        if rows and 2 * len(rows) <= len(program):
            again = Judge(self.text, self.worlds)
            again.rows_allowed = False
            findings = again._judge_all()
            self.__dict__.update(again.__dict__)
        return findings

    def _judge_all(self) -> list[Finding]:
        findings = []
        for i, line in enumerate(self.lines):
            finding = self.judge(i, line)
            findings.append(finding)
            self.learn(i, line, finding)
        return findings

    def judge(self, index: int, line: Line) -> Finding:
        """Judge one line."""
        if line.equation is None:
            span = (line.column, line.column + line.length)
            return Finding(
                line.number, line.text, "", "not-understood", reason=line.reason, span=span, line=line
            )
        finding = Finding(line.number, line.text, render(line.equation), "wrong", line=line)
        try:
            self._judge(index, line, line.equation, finding)
        except EvaluationError as error:
            self._failed(finding, error)
        except RecursionError:
            finding.verdict, finding.reason = "not-understood", "nested too deep"
        return finding

    def _judge(self, index: int, line: Line, equation: Equation, finding: Finding) -> None:
        from .rules import is_rule, judge_rule

        if is_rule(equation, self):
            judge_rule(equation, self, finding)
            return
        sides = list(equation.sides)
        if len(sides) == 1:
            self._bare(index, line, sides[0], finding)
            return
        target = self.target(sides[0])
        if target.kind == "sides" and self.target(sides[-1]).kind in ("gradient", "value", "local"):
            sides.reverse()
            target = self.target(sides[0])
        if target.kind == "unknown":
            assert target.name is not None
            raise EvaluationError("undefined", "no such name", target.name.span, target.name)
        general = self.is_general(line)
        finding.general = general
        if (
            line.equation is not None
            and line.equation.operators[0] != "="
            and target.kind in ("local", "value")
        ):
            what = "a local derivative" if target.kind == "local" else "a value of the forward pass"
            finding.reason = f"{what} is no sum over the steps: `=` is meant"
            finding.span = None
            return
        if target.kind == "own":
            self._definition(index, line, target, sides, general, finding)
            return
        if target.kind == "sides":
            self._identity(index, line, sides, general, finding)
            return
        goals = self.goals(target, line, index, general)
        finding.nodes = self.labels(target, line, general)
        if target.kind == "value" and self.is_given(target.base, target.step, index, line, general):
            finding.verdict = "not-tested"
            finding.reason = f"`{render(sides[0])}` is given and not computed; here it is drawn at random"
            return
        best = self.solve(index, line, sides[1:], target, goals, general)
        failure = best[0].failure
        if target.kind == "value" and failure is not None and failure.name is not None:
            best = self._bound_to_leaf(failure.name, best, index, line, sides, target, goals, general)
        self._conclude(finding, best, sides, target, goals, index, line, general)

    def is_given(self, base: str, step: Step | None, index: int, line: Line, general: bool) -> bool:
        """Whether a value is data, a parameter or an initial state."""
        places = self.vocabulary.steps_of(base)
        for point in self.points(line, index, general)[:1]:
            at = None if None in places else point.t if step is None else point.resolve_step(step, (0, 0))
            place = places.get(at)
            return place is not None and self.worlds[0].nodes[place].is_leaf
        return False

    def before(self, target: Target, line: Line) -> Any:
        """Return what is added to where a line says ``+=`` of something that is no parameter."""
        assert line.equation is not None
        operator = line.equation.operators[0] if line.equation.operators else "="
        if operator == "=" or target.kind != "gradient" or self.is_parameter(target.base):
            return None
        name = target.name
        assert name is not None

        def state(scope: Truth) -> Any:
            step = scope.step_for(target.base, target.step, name)
            place = self.vocabulary.steps_of(target.base).get(step)
            if place is None or scope.t is None or target.step is not None:
                return None
            return scope.state(target.base, place)

        return state

    def solve(
        self,
        index: int,
        line: Line,
        sides: list[Expression],
        target: Target,
        goals: list[Goal],
        general: bool,
        allowed: list[Reading] | None = None,
    ) -> list[Attempt]:
        """Return for each side the attempt under the first reading that meets a goal, else the strict one."""
        assert line.equation is not None
        points = self.points(line, index, general)
        before = self.before(target, line)
        sign = -1 if line.equation.operators and line.equation.operators[0] == "-=" else 1
        results: list[Attempt] = []
        self.forward = target.kind in ("value", "own")
        if target.kind == "gradient" and not general and target.derivative is not None:
            left = replace(target.derivative, span=(0, 0))
            for point in points if any(left == p for s in sides for p in walk(s)) else ():
                point.direct_of = target.base, target.step
        for side in sides:
            found = self._solve_side(side, goals, points, before, sign, allowed)
            results.append(found)
        return results

    def _solve_side(
        self,
        side: Expression,
        goals: list[Goal],
        points: list[Truth],
        before: Any,
        sign: int,
        allowed: list[Reading] | None,
    ) -> Attempt:
        accepting = [goal for goal in goals if goal.accepts]
        unknown = self.unknown_functions(side)
        strict: Attempt | None = None
        for functions in self.bindings(unknown):
            self.facts.functions.update(functions)
            for reading in allowed if allowed is not None else self.readings(side):
                for goal in accepting:
                    trial = attempt(side, reading, goal, points, before, quick=True, sign=sign)
                    if trial.fits:
                        return attempt(side, reading, goal, points, before, sign=sign)
                    if strict is None or (strict.failure and not trial.failure and reading.is_strict):
                        strict = trial
                    if trial.failure is not None and trial.failure.kind == "undefined":
                        break
                if strict is not None and strict.failure is not None and strict.failure.name is not None:
                    break
            for name in functions:
                self.facts.functions.pop(name, None)
        assert strict is not None
        if strict.failure is None and strict.goal is not None:
            trials = [attempt(side, strict.reading, goal, points, before, sign=sign) for goal in accepting]
            usable = [t for t in trials if t.failure is None]
            if usable:
                return min(usable, key=lambda t: (sum(e > ACCEPTED for e in t.errors.values()), t.worst))
        return strict

    def readings(self, side: Expression) -> Iterator[Reading]:
        """Yield the readings of a side; a program that is written in columns has no rows in single lines."""
        letters = any(isinstance(p, Derivative) for p in walk(side))
        for reading in readings([side], self.is_chain([side])):
            if reading.inputs_as_rows and not self.forward:
                continue  # how data lie is a matter of the forward pass
            if self.rows_allowed or letters or not reading.rows:
                yield reading

    def _bound_to_leaf(
        self,
        name: Name,
        best: list[Attempt],
        index: int,
        line: Line,
        sides: list[Expression],
        target: Target,
        goals: list[Goal],
        general: bool,
    ) -> list[Attempt]:
        """In the forward pass, take an unknown letter for the parameter with which the line is right."""
        for parameter in self.parameters():
            self.vocabulary.aliases[name.text] = parameter
            self.vocabulary.define("")
            trial = self.solve(index, line, sides[1:], target, goals, general, [STRICT])
            if all(t.fits for t in trial):
                self.vocabulary.notes[name.text] = f"`{name.text}` is taken for the model's `{parameter}`"
                return trial
            del self.vocabulary.aliases[name.text]
            self.vocabulary.define("")
        return best

    def parameters(self) -> list[str]:
        """Return the names of the model's parameters."""
        world = self.worlds[0]
        return [
            n
            for n, places in world.names.items()
            if None in places and world.nodes[places[None]].is_parameter
        ]

    def unknown_functions(self, side: Expression) -> list[str]:
        """Return the functions of a side that the text leaves open."""
        names = {c.function.rstrip("'′’") for c in functions_in(side) if c.function != "(t=)"}
        return sorted(n for n in names if n not in self.facts.functions and not known_function(n))[:2]

    def bindings(self, unknown: list[str]) -> Iterator[dict[str, str]]:
        """Yield what the functions that the text leaves open may be."""
        likely = [n for n in unknown if len(n) <= 4 or "act" in n]
        if not likely or len(likely) != len(unknown):
            yield {}
            return
        for chosen in itertools.product(ACTIVATIONS, repeat=len(likely)):
            yield dict(zip(likely, chosen, strict=True))

    def _conclude(
        self,
        finding: Finding,
        attempts: list[Attempt],
        sides: list[Expression],
        target: Target,
        goals: list[Goal],
        index: int,
        line: Line,
        general: bool,
    ) -> None:
        bad = next((a for a in attempts if not a.fits), None)
        if bad is not None:
            if bad.failure is not None:
                raise bad.failure
            self._wrong(finding, bad, sides[1 + attempts.index(bad)], goals, index, line, general)
            return
        loosest = max(attempts, key=lambda a: (not a.reading.is_strict, len(a.reading.describe())))
        goal = loosest.goal
        assert goal is not None
        finding.error = max(a.worst for a in attempts)
        finding.meaning, finding.matched, finding.used = goal.meaning, goal.label, loosest.reading
        finding.errors = by_step(loosest)
        if not any(a.tested for a in attempts):
            finding.verdict = "not-tested"
            finding.reason = self.why_zero(target, general)
            return
        self._licences(finding, loosest.reading, sides, target, line)
        self._notes(finding, loosest, sides, target, index, line, general)

    def why_zero(self, target: Target, general: bool) -> str:
        """Say why nothing could be tested."""
        reason = (
            "the true value is zero wherever it was tested, so that any formula that gives zero would pass"
        )
        for places in self.worlds[0].names.values():
            start = places.get(self.worlds[0].first - 1)
            if start is not None and not self.worlds[0].value(start).any():
                return f"{reason}; {self.worlds[0].nodes[start].label} is zero: give it random values"
        return reason

    def _licences(
        self, finding: Finding, reading: Reading, sides: list[Expression], target: Target, line: Line
    ) -> None:
        """Fill in the verdict right or right-as, the reading and the exact form."""
        chain = self.is_chain(sides[1:])
        opened = self.filled_bounds(sides, target, finding)
        words = reading.describe()
        finding.layout = self.layout(reading, sides, target) if not chain else ""
        if chain and reading.rows and not (reading.precedence or reading.association or reading.matrix):
            words = ""
            finding.matched = f"{finding.matched}, by the chain rule"
        repeated = target.kind == "gradient" and not finding.general and target.derivative is not None
        if repeated and any(target.derivative == p for s in sides[1:] for p in walk(s)):
            assert target.derivative is not None
            words = ", ".join(
                filter(None, [words, f"{render(target.derivative)} on the right as its direct part"])
            )
        exact = [loosened(side) if reading.precedence else side for side in sides]
        if finding.meaning.startswith("contribution ") and target.at is None and line.equation is not None:
            t = finding.meaning.split()[1]
            finding.notes.append(f"right as the contribution of t = {t}, not as the total gradient")
            words = ", ".join(filter(None, [words, "one step's contribution"]))
            if target.derivative is not None:
                exact[0] = Derivative(target.derivative.of, target.derivative.wrt, Step("", int(t)))
        if opened is not None:
            words = ", ".join(filter(None, [words, "size filled in"]))
            exact = opened
        finding.reading = words
        finding.verdict = "right-as" if words else "right"
        if words:
            operators = line.equation.operators if line.equation else ()
            finding.exact = render(Equation(tuple(exact), operators))

    def layout(self, reading: Reading, sides: list[Expression], target: Target) -> str:
        """Return ``rows`` or ``columns`` if the line has gradients of vectors whose layout decides."""
        vectors = [
            p for s in sides for p in walk(s)
            if isinstance(p, Derivative) and self.vocabulary.is_loss(p.of) and self.vector(p.wrt)
        ]  # fmt: skip
        if not vectors:
            return ""
        return "rows" if reading.rows else "columns"

    def vector(self, name: Name) -> bool:
        """Whether a name is a vector."""
        found = self.vocabulary.locate(name)
        return found is not None and not self.is_parameter(found[0])

    def is_chain(self, sides: list[Expression]) -> bool:
        """Whether a side is the chain rule in letters: derivatives and nothing else, one of them local."""
        for side in sides:
            leaves = [p for p in walk(side) if isinstance(p, Name | Derivative | Call | Prime)]
            derivatives = [p for p in leaves if isinstance(p, Derivative)]
            inner = {id(n) for d in derivatives for n in (d.of, d.wrt)}
            if any(not isinstance(p, Derivative) and id(p) not in inner for p in leaves):
                return False
            if not any(not self.vocabulary.is_loss(d.of) for d in derivatives):
                return False
        return True

    def filled_bounds(
        self, sides: list[Expression], target: Target, finding: Finding
    ) -> list[Expression] | None:
        """Return the sides with their open bounds filled in, or None if there are none."""
        from .bounds import fill

        return fill(sides, target.base, self.worlds[0], self.vocabulary, finding.notes)

    def _notes(
        self,
        finding: Finding,
        found: Attempt,
        sides: list[Expression],
        target: Target,
        index: int,
        line: Line,
        general: bool,
    ) -> None:
        local = [
            p for s in sides[1:] for p in walk(s)
            if isinstance(p, Derivative) and not self.vocabulary.is_loss(p.of)
        ]  # fmt: skip
        if local and found.goal is not None and target.kind == "gradient":
            points = self.points(line, index, general)
            for point in points:
                point.mode = "total"
            other = attempt(sides[1], found.reading, found.goal, points)
            if not other.fits:
                shown = ", ".join(dict.fromkeys(render(d) for d in local))
                finding.notes.append(
                    f"{shown}: immediate derivative; as a total derivative the line would be wrong"
                )
        bound = {p.function: self.facts.functions[p.function] for s in sides for p in functions_in(s)
                 if p.function in self.facts.functions}  # fmt: skip
        for name, function in bound.items():
            finding.notes.append(f"with {name} = {function}, as in this model")
        if "identity" in bound.values() and isinstance(sides[0], Name):
            found_name = self.vocabulary.locate(sides[0])
            if found_name:
                self.identities[found_name[0]] = next(n for n, f in bound.items() if f == "identity")
        used = set()
        for side in sides:
            for p in walk(side):
                if isinstance(p, Derivative):
                    for differentiated in (p.of, p.wrt):
                        located = self.vocabulary.locate(differentiated)
                        if located and located[0] in self.identities:
                            used.add(located[0])
        if not bound and not self.is_chain(sides[1:]):
            for name in sorted(used):
                finding.notes.append(
                    f"right only where {self.identities[name]} is the identity, as in this model"
                )
        for side in sides:
            for p in walk(side):
                if isinstance(p, Name):
                    for text in (p.text, p.text[1:], re.sub(r"_?\d+$", "", p.text)):
                        note = self.vocabulary.notes.pop(text, None)
                        if note:
                            finding.notes.append(note)

    def labels(self, target: Target, line: Line, general: bool) -> list[str]:
        """Return the labels of the nodes that a left side is about."""
        if target.kind not in ("gradient", "value"):
            return []
        prefix = "d" if target.kind == "gradient" else ""
        base = self.vocabulary.aliases.get(target.base, target.base)
        result = []
        for point in self.points(line, 0, general):
            if point.index:
                break
            assert target.name is not None
            try:
                step = point.step_for(target.base, target.step, target.name)
            except EvaluationError:
                continue
            result.append(f"{prefix}{base}" if step is None else f"{prefix}{base}[{step}]")
        return list(dict.fromkeys(result))

    # -- what is wrong ---------------------------------------------------------------------------

    def _failed(self, finding: Finding, error: EvaluationError) -> None:
        finding.verdict = error.kind if error.kind in (*BAD, "not-tested") else "undefined"
        finding.reason = str(error)
        finding.span = error.span if error.span != (0, 0) else None
        finding.kind = error.name.text if error.name is not None else ""

    def _wrong(
        self,
        finding: Finding,
        bad: Attempt,
        side: Expression,
        goals: list[Goal],
        index: int,
        line: Line,
        general: bool,
    ) -> None:
        finding.verdict = "wrong"
        finding.error = bad.worst
        finding.errors = by_step(bad)
        finding.used = bad.reading
        finding.meaning = bad.goal.meaning if bad.goal else ""
        target = self.target(line.equation.sides[0]) if line.equation else None
        if (
            target
            and target.kind == "gradient"
            and not target.carry
            and general
            and finding.meaning != "carry"
        ):
            finding.meaning = self.expected_meaning(target.base, index)
        points = self.points(line, index, general)
        before = self.before(target, line) if target else None
        diagnoses = []
        for goal in goals:
            if goal.accepts:
                continue
            if attempt(side, bad.reading, goal, points, before, quick=True).fits:
                diagnoses.append(goal)
        finding.reason = self._why(bad, diagnoses, line)

    def _why(self, bad: Attempt, diagnoses: list[Goal], line: Line) -> str:
        steps = by_step(bad)
        right = [t for t, e in steps.items() if e <= ACCEPTED and t is not None]
        off = [t for t, e in steps.items() if e > ACCEPTED and t is not None]
        opening = ""
        if right and off:
            opening = f"right at {listed(right)}, off by {bad.worst:.2g} at {listed(off)}"
        for goal in diagnoses:
            if goal.meaning == "direct":
                return f"{opening + ': ' if opening else ''}the carry from t+1 is missing"
            if goal.meaning == "arriving":
                return "this is only what arrives from the next step; the direct part is missing"
            if goal.meaning == "contribution":
                return "right for one step, but `=` overwrites it at every step; `+=` adds them up"
            return f"this is the {goal.label}, not the total gradient"
        if opening:
            return opening
        hint = factor_between(bad, self.worlds[0])
        if hint:
            return hint
        if bad.worst == np.inf:
            return "not zero where the true value is zero"
        return f"off by {bad.worst:.2g} of the largest true entry"

    def expected_meaning(self, base: str, index: int) -> str:
        """Guess what a wrong assignment of ``dX`` was meant to be, so that later lines are judged fairly."""
        count = later = 0
        for i, line in enumerate(self.lines):
            if line.equation is None:
                continue
            target = self.target(line.equation.sides[0])
            if target.kind == "gradient" and target.base == base and not target.carry:
                count += 1
                later += i > index
        return "carry" if count > 1 and later == 0 and self.carried(base) else "total"

    # -- other forms -----------------------------------------------------------------------------

    def _identity(
        self, index: int, line: Line, sides: list[Expression], general: bool, finding: Finding
    ) -> None:
        """Two expressions that are said to be equal."""
        goal = Goal("identity", "both sides are equal", lambda s: evaluate(sides[0], s, STRICT).array)
        attempts = self.solve(index, line, sides[1:], Target("sides"), [goal], general)
        self._conclude(finding, attempts, sides, Target("sides"), [goal], index, line, general)

    def _bare(self, index: int, line: Line, side: Expression, finding: Finding) -> None:
        """Judge an expression without `=`: say what it equals, if it is something."""
        general = self.is_general(line)
        names = dict.fromkeys(
            p.wrt for p in walk(side) if isinstance(p, Derivative) and self.vocabulary.is_loss(p.of)
        )
        for name in names:
            target = self.target(Derivative(Name("L"), Name(name.text, name.step)))
            if target.kind != "gradient":
                continue
            goals = [g for g in self.goals(target, line, index, general) if g.meaning == "total"]
            for found in self.solve(index, line, [side], target, goals, general):
                if found.fits and found.tested:
                    finding.verdict, finding.matched = "right", f"equals dL/d{name.text}"
                    finding.error, finding.meaning = found.worst, "bare"
                    self._licences(finding, found.reading, [side, side], target, Line(0, "", ""))
                    finding.meaning = "bare"
                    return
        for point in self.points(line, index, general)[:1]:
            evaluate(side, point, STRICT)
        finding.verdict = "not-tested"
        finding.reason = "an expression without `=` claims nothing"

    def _definition(
        self, index: int, line: Line, target: Target, sides: list[Expression], general: bool, finding: Finding
    ) -> None:
        """Judge a new name: find the node with the same value, or keep it as the text's own."""
        from .define import define

        define(self, index, line, target, sides, general, finding)

    # -- learning --------------------------------------------------------------------------------

    def learn(self, index: int, line: Line, finding: Finding) -> None:
        """Take note of what a line has assigned."""
        if line.equation is None or len(line.equation.sides) < 2:
            return
        target = self.target(line.equation.sides[0])
        if target.kind != "gradient" or self.is_parameter(target.base) or not finding.general:
            return
        key = ("next " if target.carry else "") + target.base
        if target.step is not None:
            return
        meaning = finding.meaning if finding.meaning in ("total", "carry", "direct") else "total"
        if finding.verdict not in GOOD and finding.verdict != "not-tested":
            meaning = self.expected_meaning(target.base, index)
        self.facts.assigned.setdefault(key, []).append(Assigned(index, self.section(line), meaning))


def _has_letters(finding: Finding) -> bool:
    equation = finding.line.equation if finding.line is not None else None
    return equation is not None and any(isinstance(p, Derivative) for s in equation.sides for p in walk(s))
