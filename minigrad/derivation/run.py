"""The text as a program: run as it stands, its own values feeding its own lines.

Lines that speak of a general step run once for each step, from the last to the first; lines that name their
steps run in the order of the text.  The gradients that come out at the end are held against the recorded
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .context import Base, Facts, sum_of_columns
from .evaluate import Array, EvaluationError, NotAtThisStep, Reading, Value, evaluate, loosened
from .goals import ACCEPTED, canonical
from .syntax import Derivative, Expression, Name, Span, Step

if TYPE_CHECKING:
    from .judge import Finding, Judge, Target


@dataclass
class GradientResult:
    """How a gradient of a parameter comes out in the end; `error` is None if the text does not reach it."""

    name: str
    error: float | None
    right: bool
    reason: str = ""


class Broken(EvaluationError):
    """A value that the text could not compute because of an earlier line."""

    def __init__(self, name: str, span: Span) -> None:
        super().__init__("undefined", f"{name} could not be computed", span)


class Run(Base):
    """The text's own values; what the text does not compute is taken from the model."""

    def __init__(self, facts: Facts, index: int, world: object, computed: set[str]) -> None:
        super().__init__(facts, index, world, None)  # type: ignore[arg-type]
        self.computed = computed  # bases of gradients that the text computes
        self.current: dict[str, Array | None] = {}  # dX as it stands now
        self.indexed: dict[tuple[str, int | None], Array | None] = {}  # dX at a step
        self.parts: dict[tuple[str, int], Array | None] = {}  # one step's contributions
        self.sums: dict[str, Array | None] = {}  # parameters, accumulated
        self.own: dict[tuple[str, int | None], Value | None] = {}

    def at(self, variable: str, step: int) -> Run:
        """Return the scope in which the variable of a sum over time stands for a step."""
        inner = Run(self.facts, self.index, self.world, self.computed)
        for name in ("current", "indexed", "parts", "sums", "own"):
            setattr(inner, name, getattr(self, name))
        inner.t = step
        return inner

    def name(self, name: Name, reading: Reading) -> Value:
        """Return the value that a name has here."""
        gradient = self.vocabulary.differentiated(name)
        if gradient is not None and (name.text, self.t) not in self.own:
            return self.gradient(gradient[0], gradient[1], gradient[2], name, reading)
        for key in ((name.text, self.t), (name.text, None)):
            if key in self.own:
                value = self.own[key]
                if value is None:
                    raise Broken(name.text, name.span)
                return value
        found = self.vocabulary.locate(name)
        if found is not None:
            return self.forward(*found, name, reading)
        size = self.size(name)
        if size is not None:
            return size
        if name.text in self.vocabulary.own and self.t is not None:
            later = self.own.get((name.text, self.t + 1))
            any_step = next((v for (n, _), v in self.own.items() if n == name.text and v is not None), None)
            if later is not None:
                return later
            if any_step is not None:
                return Value(np.zeros(any_step.array.shape))
            raise Broken(name.text, name.span)
        raise self.undefined(name)

    def gradient(self, base: str, step: Step | None, carry: bool, name: Name, reading: Reading) -> Value:
        """Return the gradient that a name stands for, in the layout of the reading."""
        key = ("next " if carry else "") + base
        places = self.vocabulary.steps_of(base)
        wanted = self.step_for(base, step, name)
        place = places.get(wanted, next(iter(places.values())))
        shape = self.world.nodes[place].shape
        if key not in self.computed:
            if wanted not in places:
                return self.oriented(np.zeros(shape), place, reading)
            return self.oriented(
                self.world.carry(place) if carry else self.world.total(place), place, reading
            )
        if None in places:
            value = self.total(base)
            if value is None:
                raise Broken(name.text, name.span)
            return self.oriented(value, place, reading)
        if step is None and self.t is not None:
            found = (
                self.current[key]
                if key in self.current
                else self.indexed.get((base, wanted), np.zeros(shape))
            )
        elif (base, wanted) in self.indexed:
            found = self.indexed[base, wanted]
        elif wanted is not None and wanted > self.world.last:
            found = np.zeros(shape)
        elif wanted in places:
            found = self.world.total(places[wanted])
        else:
            found = np.zeros(shape)
        if found is None:
            raise Broken(name.text, name.span)
        return self.oriented(found, place, reading)

    def total(self, base: str) -> Array | None:
        """Return the gradient of a parameter as the text has it in the end."""
        if base in self.sums:
            return self.sums[base]
        parts = [v for (b, _), v in self.parts.items() if b == base]
        known = [v for v in parts if v is not None]
        if not known or len(known) < len(parts):
            return None
        return np.sum(known, axis=0)  # type: ignore[no-any-return]

    def derivative(self, derivative: Derivative, reading: Reading) -> Value:
        """Return the value of ``dY/dX``."""
        if not self.vocabulary.is_loss(derivative.of):
            return self.local(derivative, reading)
        found = self.vocabulary.locate(derivative.wrt)
        if found is None:
            return self.name(
                Name("d" + derivative.wrt.text, derivative.wrt.step, span=derivative.span), reading
            )
        if derivative.at is not None:
            step = self.resolve_step(derivative.at, derivative.span)
            place = self.place(found[0], self.step_for(found[0], found[1], derivative.wrt), derivative.wrt)
            if (found[0], step) in self.parts:
                value = self.parts[found[0], step]
                if value is None:
                    raise Broken(derivative.wrt.text, derivative.span)
            else:
                value = self.world.from_step(place, step)
            return self.oriented(value, place, reading)
        return self.gradient(*found, False, derivative.wrt, reading)


def run(judge: Judge, findings: list[Finding]) -> list[GradientResult]:
    """Run the text in every world and hold its gradients of parameters against the recorded ones."""
    targets = [
        judge.target(f.line.equation.sides[0]) if f.line is not None and f.line.equation is not None else None
        for f in findings
    ]
    computed = {
        ("next " if t.carry else "") + t.base for t in targets if t is not None and t.kind == "gradient"
    }
    worst: dict[str, GradientResult] = {}
    for k, world in enumerate(judge.worlds):
        scope = Run(judge.facts, k, world, computed)
        _execute(judge, findings, targets, scope)
        for base in sorted(computed):
            places = judge.vocabulary.steps_of(base)
            if None not in places or not world.nodes[places[None]].is_parameter:
                continue
            name = judge.vocabulary.aliases.get(base, base)
            found = _compare(name, scope.total(base), world.total(places[None]))
            known = worst.get(name)
            if (
                known is None
                or (found.error is None)
                or (known.error is not None and found.error > known.error)
            ):
                worst[name] = found
    return list(worst.values())


def _compare(name: str, value: Array | None, truth: Array) -> GradientResult:
    if value is None:
        return GradientResult(
            name, None, False, "could not be computed, because of the lines above that are wrong"
        )
    if value.shape != truth.shape:
        return GradientResult(name, None, False, "has another shape")
    size = float(np.max(np.abs(truth))) if truth.size else 0.0
    off = float(np.max(np.abs(value - truth))) if truth.size else 0.0
    error = off / size if size > 0 else (0.0 if off == 0 else float("inf"))
    if not np.isfinite(error):
        error = float("inf")
    return GradientResult(name, error, error <= ACCEPTED)


def _execute(judge: Judge, findings: list[Finding], targets: list[Target | None], scope: Run) -> None:
    general = [i for i, f in enumerate(findings) if f.general]
    world = scope.world
    done_loop = False
    for i, finding in enumerate(findings):
        if finding.general:
            if not done_loop:
                done_loop = True
                for j in range(i + 1, len(findings)):  # names for what no step enters
                    target = targets[j]
                    if target is not None and target.kind == "own" and not findings[j].general:
                        _line(judge, findings[j], target, scope)
                for t in reversed(world.steps):
                    scope.t = t
                    for j in general:
                        line = findings[j].line
                        if line is not None and judge.section(line) in (None, t):
                            _line(judge, findings[j], targets[j], scope)
                scope.t = None
            continue
        if finding.line is not None:
            scope.section = judge.section(finding.line)
        _line(judge, finding, targets[i], scope)
        scope.section = None


def _line(judge: Judge, finding: Finding, target: Target | None, scope: Run) -> None:
    line = finding.line
    if target is None or line is None or line.equation is None or len(line.equation.sides) < 2:
        return
    if target.kind not in ("gradient", "own"):
        return
    side: Expression = line.equation.sides[-1]
    reading = finding.used
    try:
        value: Value | None = evaluate(
            loosened(side) if reading.precedence else side, scope, reading, _goal(scope, target)
        )
    except NotAtThisStep:
        return
    except EvaluationError as error:
        if error.kind == "columns":
            return
        value = None
    _store(judge, finding, target, scope, value, line.equation.operators[0])


def _goal(scope: Run, target: Target) -> tuple[int, ...]:
    places = scope.vocabulary.steps_of(target.base)
    return scope.world.nodes[next(iter(places.values()))].shape if places else ()


def _store(
    judge: Judge, finding: Finding, target: Target, scope: Run, value: Value | None, operator: str
) -> None:
    base = target.base
    if target.kind == "own":
        own_key = (base, scope.t)
        before = scope.own.get(own_key)
        if operator != "=" and before is not None and value is not None:
            value = Value(before.array + value.array)
        scope.own[own_key] = value
        return
    places = scope.vocabulary.steps_of(base)
    place = places.get(scope.t, next(iter(places.values())))
    shape = scope.world.nodes[place].shape
    array: Array | None = None
    if value is not None:
        rows = finding.used.rows and scope.is_vector(place)
        array = canonical(value.array, np.zeros(shape[::-1] if target.transposed else shape), rows)
        array = array.T if target.transposed else array
        array = sum_of_columns(array, shape)
        if array.shape != shape:
            array = None
    sign = -1 if operator == "-=" else 1
    if None in places:
        _store_parameter(judge, finding, target, scope, array, operator, sign)
        return
    key = ("next " if target.carry else "") + base
    if target.step is None and scope.t is not None:
        if operator != "=" and array is not None:
            before_array = scope.current.get(key, np.zeros(shape))
            array = None if before_array is None else before_array + sign * array
        scope.current[key] = array
        if finding.meaning != "carry":
            scope.indexed[base, scope.t] = array
        return
    assert target.name is not None
    try:
        step = scope.step_for(base, target.step, target.name)
    except EvaluationError:
        return
    scope.indexed[base, step] = array
    if scope.t is not None and target.step is not None and target.step.offset:
        scope.current[base] = array


def _store_parameter(
    judge: Judge, finding: Finding, target: Target, scope: Run, array: Array | None, operator: str, sign: int
) -> None:
    base = target.base
    if target.at is not None:
        scope.parts[base, scope.resolve_step(target.at, (0, 0))] = array
        return
    if finding.meaning.startswith("contribution ") and finding.verdict in ("right", "right-as"):
        scope.parts[base, int(finding.meaning.split()[1])] = array
        return
    if operator == "=":
        scope.sums[base] = array
        return
    before = scope.sums.get(base, np.zeros(array.shape if array is not None else ()))
    scope.sums[base] = None if before is None or array is None else before + sign * array
