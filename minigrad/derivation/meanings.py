"""What the left side of a line may mean, and where the line is tested."""

from __future__ import annotations

from typing import Any

from .context import Facts, Truth
from .evaluate import STRICT, EvaluationError, Reading
from .finding import Target
from .goals import Goal
from .names import Vocabulary
from .reader import Line
from .syntax import Derivative, Expression, Name, Step, Transpose, walk
from .truth import World

MOST_STEPS = 24  # at which a line is tested, in one draw


class Meanings:
    """Understands left sides; the part of `Judge` that knows about meanings."""

    worlds: list[World]
    lines: list[Line]
    facts: Facts
    vocabulary: Vocabulary

    # -- left sides ------------------------------------------------------------------------------

    def target(self, side: Expression) -> Target:
        """Understand a left side."""
        if isinstance(side, Transpose):
            inner = self.target(side.operand)
            inner.transposed = True
            return inner if inner.kind in ("gradient", "value") else Target("sides")
        if isinstance(side, Derivative):
            if self.vocabulary.is_loss(side.of):
                found = self.vocabulary.locate(side.wrt)
                if found:
                    return Target("gradient", *found, at=side.at, name=side.wrt, derivative=side)
                name = Name("d" + side.wrt.text, side.wrt.step, span=side.span)
                return Target("own", name.text, name.step, name=name)
            if self.vocabulary.locate(side.of) and self.vocabulary.locate(side.wrt):
                return Target("local", derivative=side)
            missing = side.of if not self.vocabulary.locate(side.of) else side.wrt
            return Target("unknown", name=missing)
        if isinstance(side, Name):
            gradient = self.vocabulary.differentiated(side)
            if gradient:
                return Target("gradient", *gradient, name=side)
            found = self.vocabulary.locate(side)
            if found and not self.is_new_step(*found):
                return Target("value", *found, name=side)
            return Target("own", side.text, side.step, name=side)
        return Target("sides")

    def is_new_step(self, base: str, step: Step | None) -> bool:
        """Whether a name that the text has bound at other steps is not bound at this one."""
        places = self.vocabulary.bound.get(base)
        return places is not None and step is not None and not step.base and step.offset not in places

    def is_parameter(self, base: str) -> bool:
        """Whether a name belongs to no step."""
        places = self.vocabulary.steps_of(base)
        return None in places

    def goals(self, target: Target, line: Line, index: int, general: bool) -> list[Goal]:
        """Return the meanings of a left side, those that make a line right first."""
        voc = self.vocabulary
        assert line.equation is not None
        operator = line.equation.operators[0] if line.equation.operators else "="
        if target.kind == "local":
            d = target.derivative
            assert d is not None

            def whole(scope: Truth) -> Any:
                return scope.local(d, STRICT).array

            def entries(scope: Truth) -> Any:
                value = scope.local(d, Reading(entries=True))
                return None if value.jacobian else value.array

            goals = [Goal("local", "immediate derivative", whole)]
            try:
                if any(entries(p) is not None for p in self.points(line, index, general)[:1]):
                    goals.append(Goal("local", "immediate derivative, entry by entry", entries))
            except EvaluationError:
                pass
            return goals
        base = target.base

        def place_at(scope: Truth, offset: int = 0) -> int | None:
            assert target.name is not None
            step = scope.step_for(base, target.step, target.name)
            if step is None:
                return voc.steps_of(base).get(None)
            return voc.steps_of(base).get(step + offset)

        def goal(meaning: str, label: str, truth: Any, accepts: bool = True, offset: int = 0) -> Goal:
            def find(scope: Truth) -> Any:
                place = place_at(scope, offset)
                return None if place is None else truth(scope, place)

            def where(scope: Truth) -> int | None:
                return place_at(scope, offset) if target.kind == "gradient" else None

            return Goal(meaning, label, find, accepts, where, target.transposed)

        if target.kind == "value":
            return [goal("value", f"value of {base}", lambda s, i: s.world.value(i))]
        if self.is_parameter(base):
            return self._parameter_goals(target, line, index, general, operator, goal)
        total = goal("total", f"gradient of {base}", lambda s, i: s.world.total(i))
        direct = goal("direct", "direct part only", lambda s, i: s.world.direct(i), False)
        if target.at is not None:
            at = target.at
            label = f"contribution of t = {at}"
            return [
                goal("contribution", label, lambda s, i: s.world.from_step(i, s.resolve_step(at, (0, 0))))
            ]
        carry = goal(
            "carry",
            "carry to t-1",
            lambda s, i: s.world.from_step(i, s.t) if s.t is not None else s.world.carry(i),
            offset=-1,
        )
        if target.carry:
            return [carry]
        if general and target.step is None and self.carried(base) and self.is_last_of_two(base, index, line):
            still = goal(
                "total", "gradient at t, unchanged; what goes to t-1 is expected here", total.truth, False
            )
            return [
                carry,
                Goal(still.meaning, still.label, total.truth, False, total.place, target.transposed),
            ]
        if not general:
            arriving = goal("arriving", "what arrives from later steps", lambda s, i: s.world.carry(i), False)
            return [total, direct, arriving]
        if target.step is not None and target.step.offset:
            here = goal("carry", "what arrives from t", lambda s, i: s.world.from_step(i, s.t))
            return [total, here, direct]
        goals = [total]
        if self.carried(base):
            goals.append(carry)
        if self.completed_later(base, index):
            goals.append(goal("direct", "direct part", lambda s, i: s.world.direct(i)))
        goals.append(direct)
        return goals

    def _parameter_goals(
        self, target: Target, line: Line, index: int, general: bool, operator: str, goal: Any
    ) -> list[Goal]:
        base = target.base
        total = goal("total", f"gradient of {base}", lambda s, i: s.world.total(i))
        if target.at is not None:
            at = target.at
            label = f"contribution of t = {at}"
            return [
                goal("contribution", label, lambda s, i: s.world.from_step(i, s.resolve_step(at, (0, 0)))),
                total_only(total),
            ]
        each = goal(
            "contribution", "one step's contribution", lambda s, i: s.world.from_step(i, s.t), operator != "="
        )
        if general:
            return [each] if operator != "=" else [total, each]
        restated = self.restated(line, index, base)
        steps = list(self.worlds[0].steps)
        goals = [total]
        for t in steps:
            accepted = t == restated or (operator != "=" and restated is None)
            goals.append(
                goal(
                    f"contribution {t}",
                    f"contribution of t = {t}",
                    lambda s, i, t=t: s.world.from_step(i, t),
                    accepted,
                )
            )
        return goals

    def restated(self, line: Line, index: int, base: str) -> int | None:
        """Return the step whose contribution a line such as ``Thus, dL/dWhh = ...`` goes on to speak of."""
        if line.thus and index:
            for before in reversed(self.lines[:index]):
                if before.equation is None:
                    break
                side = before.equation.sides[0]
                if isinstance(side, Derivative) and self.vocabulary.is_loss(side.of):
                    found = self.vocabulary.locate(side.wrt)
                    if found and found[0] == base and side.at is not None:
                        return side.at.offset if not side.at.base else self.worlds[0].last
                    break
        return None

    def carried(self, base: str) -> bool:
        """Whether a gradient reaches values of a name from a later step."""
        world = self.worlds[0]
        return any(world.carry(i).any() for i in self.vocabulary.steps_of(base).values())

    def is_last_of_two(self, base: str, index: int, line: Line) -> bool:
        """Whether the step has assigned ``dX`` already and does not assign it again: this is the carry."""
        if "next " + base in self.facts.assigned_later or self.facts.assigned_later.get(base) != index:
            return False
        before = [a for a in self.facts.assigned.get(base, []) if a.line < index]
        section = self.section(line)
        return (
            any(a.meaning == "total" and a.section in (None, section) for a in before)
            and line.section is None
            and any(a.section is None for a in before)
        )

    def completed_later(self, base: str, index: int) -> bool:
        """Whether the next line that assigns ``dX`` adds to what is there."""
        for line in self.lines[index + 1 :]:
            if line.equation is None:
                continue
            target = self.target(line.equation.sides[0])
            if target.kind != "gradient" or target.base != base or target.carry:
                if self._uses(line.equation.sides[1:], base):
                    return False
                continue
            operator = line.equation.operators[0] if line.equation.operators else "="
            return operator == "+=" or self._uses(line.equation.sides[1:], base)
        return False

    def _uses(self, sides: tuple[Expression, ...], base: str) -> bool:
        for side in sides:
            for part in walk(side):
                if isinstance(part, Name):
                    found = self.vocabulary.differentiated(part)
                    if found and found[0] == base and not found[2]:
                        return True
        return False

    # -- points ----------------------------------------------------------------------------------

    def is_general(self, line: Line) -> bool:
        """Whether a line speaks of a general step."""
        assert line.equation is not None
        return self.vocabulary.is_general(list(line.equation.sides))

    def points(self, line: Line, index: int, general: bool) -> list[Truth]:
        """Return where a line is tested: every draw, and every step that it speaks of."""
        section = self.section(line)
        result = []
        for k, world in enumerate(self.worlds):
            if general:
                steps = some(list(reversed(world.steps))) if section is None else [section]
                result += [Truth(self.facts, k, world, index, t, section) for t in steps]
            else:
                result.append(Truth(self.facts, k, world, index, None, section))
        return result

    def section(self, line: Line) -> int | None:
        """Return the only step that a line applies to, or None."""
        if line.section is None:
            return None
        return self.worlds[0].last if line.section in ("T", "t") else int(line.section)


def some(steps: list[int]) -> list[int]:
    """Return all of a few steps; of many, both ends and some between (end to end, all are run)."""
    if len(steps) <= MOST_STEPS:
        return steps
    third = MOST_STEPS // 3
    middle = [third + k * (len(steps) - 2 * third) // third for k in range(third)]
    return [*steps[:third], *(steps[k] for k in middle), *steps[-third:]]


def total_only(goal: Goal) -> Goal:
    """Return the goal as one that only explains."""
    return Goal(goal.meaning, "total gradient, not one step's contribution", goal.truth, False, goal.place)
