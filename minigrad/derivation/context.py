"""Where names get their values: the truth at one point of the text, or what the text itself has computed.

`Truth` answers with true values "at that point of the program": a ``dh`` that the step has not assigned
yet is what arrives from t + 1, after ``dh = ...`` it is what that line was found to mean.  `Run` answers
with the values that the text has computed itself; it is the text as a program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .evaluate import (
    NOTATION,
    Array,
    EvaluationError,
    NotAtThisStep,
    Reading,
    Scope,
    Value,
    known_function,
    slope_of,
)
from .names import Vocabulary
from .syntax import Derivative, Name, Span, Step
from .truth import World


@dataclass(frozen=True)
class Assigned:
    """What an earlier line has made of a gradient: which line, where it applies, what it meant."""

    line: int
    section: int | None  # the only step at which it applies, or None
    meaning: str  # "total", "carry", "direct", "unknown"


@dataclass
class Facts:
    """What all scopes of a check share and what judging the lines one by one adds to."""

    vocabulary: Vocabulary
    functions: dict[str, str] = field(default_factory=dict)  # the text's functions: fh -> tanh
    assigned: dict[str, list[Assigned]] = field(default_factory=dict)  # by name of the model
    # The text's own values that the model does not have: (world, name, step) -> value.
    own: dict[tuple[int, str, int | None], Value] = field(default_factory=dict)
    own_line: dict[str, int] = field(default_factory=dict)
    assigned_later: dict[str, int] = field(default_factory=dict)  # name -> last line that assigns it


class Base(Scope):
    """What both scopes have in common: steps, functions, forward values, sizes."""

    def __init__(
        self, facts: Facts, index: int, world: World, t: int | None, section: int | None = None
    ) -> None:
        self.facts = facts
        self.vocabulary = facts.vocabulary
        self.index = index
        self.world = world
        self.columns = world.columns
        self.t = t
        self.section = section
        self.variables: dict[str, int] = {}

    def resolve_step(self, step: Step, span: Span) -> int:
        """Return a step as a number."""
        if step.base == "T":
            return self.world.last + step.offset
        if step.base == "t":
            if self.t is None:
                raise EvaluationError("undefined", "`t` stands for no step here", span)
            return self.t + step.offset
        return step.offset

    def step_for(self, base: str, step: Step | None, name: Name) -> int | None:
        """Return the step at which a name is meant: the written one, the present one, or its only one."""
        places = self.vocabulary.steps_of(base)
        if step is not None:
            wanted = self.resolve_step(step, name.span)
            if wanted not in places and None in places and step.base != "t":
                return None
            return wanted
        if None in places:
            return None
        if self.t is not None and self.t in places:
            return self.t
        within = [t for t in places if t is not None and t >= self.world.first]
        if self.t is None or self.section is not None:
            if self.section in places:
                return self.section
            if len(within) == 1:
                return within[0]
            raise EvaluationError(
                "undefined",
                f"which step of `{name.text}`? Write {name.text}[{self.world.last}], say",
                name.span,
            )
        return self.t

    def place(self, base: str, step: int | None, name: Name) -> int:
        """Return the node of a name at a step."""
        places = self.vocabulary.steps_of(base)
        if step in places:
            return places[step]
        have = sorted(t for t in places if t is not None)
        where = (
            f"steps {have[0]} to {have[-1]}" if len(have) > 1 else f"step {have[0]}" if have else "no step"
        )
        raise NotAtThisStep(f"`{base}` stands at {where}, not at {step}", name.span)

    def forward(self, base: str, step: Step | None, name: Name, reading: Reading) -> Value:
        """Return a value of the forward pass."""
        wanted = self.step_for(base, step, name)
        places = self.vocabulary.steps_of(base)
        last = self.world.last
        later = step is not None and step.base == "t" and step.offset > 0
        if later and wanted is not None and wanted > last and last in places:
            # Beyond the end of time: what it multiplies is zero as well.
            return Value(np.zeros(self.world.nodes[places[last]].shape))
        place = self.place(base, wanted, name)
        node = self.world.nodes[place]
        array = node.value
        if array.dtype.kind in "iu":
            column = self.world.column(place)
            array = array if column is None else column
        if reading.inputs_as_rows and node.is_leaf and not node.is_parameter and node.ndim == 2 and node.step:
            array = array.T
        return Value(array)

    def size(self, name: Name) -> Value | None:
        """``T``, and ``H`` for the number of rows of h."""
        if name.step is not None or len(name.text) != 1 or not name.text.isupper():
            return None
        places = self.vocabulary.steps_of(name.text.lower())
        if places:
            shape = self.world.nodes[next(iter(places.values()))].shape
            return Value(np.asarray(float(shape[0]))) if shape else None
        return Value(np.asarray(float(self.world.last))) if name.text == "T" else None

    def function(self, name: str, span: Span) -> Callable[..., Array] | None:
        """Return the function that a name stands for, or None if the notation knows it."""
        base = name.rstrip("'′’")
        bound = self.facts.functions.get(base, base)
        if base != name:
            return lambda x: slope_of(bound, x, span)
        if bound != name:
            target = NOTATION[bound]
            if isinstance(target, str):
                from minigrad.primitives import PRIMITIVES

                return PRIMITIVES[target].value
            return target
        known_function(name)
        return None

    def slope(self, name: str, argument: Array, span: Span) -> Array:
        """Return the elementwise derivative of a function."""
        return slope_of(self.facts.functions.get(name, name), argument, span)

    def undefined(self, name: Name) -> EvaluationError:
        """Return the error of a name that nothing has."""
        return EvaluationError("undefined", "no such name", name.span, name)

    def oriented(self, array: Array, place: int, reading: Reading) -> Value:
        """Return a gradient in the layout of the reading: that of a vector may be a row."""
        if reading.rows and array.ndim == 2 and self.is_vector(place):
            return Value(array.T)
        return Value(array)

    def is_vector(self, place: int) -> bool:
        """Whether a node is a vector, whose gradient may be a row."""
        node = self.world.nodes[place]
        return node.ndim == 2 and (not node.is_parameter or node.shape[1] == 1)

    def local(self, derivative: Derivative, reading: Reading, mode: str = "immediate") -> Value:
        """Return ``dY/dX``, the immediate derivative."""
        of = self.vocabulary.locate(derivative.of)
        wrt = self.vocabulary.locate(derivative.wrt)
        for found, name in ((of, derivative.of), (wrt, derivative.wrt)):
            if found is None:
                raise self.undefined(name)
        assert of is not None and wrt is not None
        y = self.place(of[0], self.step_for(of[0], of[1], derivative.of), derivative.of)
        x = self.place(wrt[0], self.step_for(wrt[0], wrt[1], derivative.wrt), derivative.wrt)
        node = self.world.nodes[y]
        jacobian = self.world.jacobian(y, x, mode)
        if jacobian is None and mode == "immediate":
            jacobian = self.world.jacobian(y, x, "total")
        if jacobian is None:
            raise EvaluationError(
                "undefined",
                f"nothing leads from {self.world.nodes[x].label} to {node.label}",
                derivative.span,
            )
        if node.size == 1 and node.ndim == 0:
            return self.oriented(jacobian[0], x, reading)
        if self.columns > 1:
            raise EvaluationError(
                "columns", "a local derivative of several columns is no matrix", derivative.span
            )
        if reading.entries:
            entries = self.world.entries(jacobian, y, x)
            if entries is not None:
                return Value(entries)
        return Value(_without_column(jacobian), True)


def _without_column(jacobian: Array) -> Array:
    return jacobian[..., 0] if jacobian.ndim == 3 and jacobian.shape[2] == 1 else jacobian


class Truth(Base):
    """True values at the point of the program just before line `line`, in step `t` (None: no step)."""

    def __init__(
        self, facts: Facts, index: int, world: World, line: int, t: int | None, section: int | None = None
    ) -> None:
        super().__init__(facts, index, world, t, section)
        self.line = line
        self.mode = "immediate"
        # The gradient that stands for its direct part on the right: dL/dh1 = dL/dh1 + dL/dh2 ⋅ dh2/dh1.
        self.direct_of: tuple[str, Step | None] | None = None
        self._known: dict[tuple[Name, bool, bool], Value] = {}

    def at(self, variable: str, step: int) -> Truth:
        """Return the scope in which the variable of a sum over time stands for a step."""
        inner = Truth(self.facts, self.index, self.world, self.line, step, None)
        inner.mode = self.mode
        return inner

    def name(self, name: Name, reading: Reading) -> Value:
        """Return the value that a name has here."""
        key = (name, reading.rows, reading.inputs_as_rows)
        value = self._known.get(key)
        if value is None:
            value = self._known[key] = self._name(name, reading)
        return value

    def _name(self, name: Name, reading: Reading) -> Value:
        gradient = self.vocabulary.differentiated(name)
        if gradient is not None:
            return self.gradient(*gradient, name, reading)
        found = self.vocabulary.locate(name)
        if found is not None:
            return self.forward(*found, name, reading)
        own = self.own(name)
        if own is not None:
            return own
        size = self.size(name)
        if size is not None:
            return size
        raise self.undefined(name)

    def own(self, name: Name) -> Value | None:
        """Return a value that the text has defined itself, or None."""
        if name.text not in self.vocabulary.own:
            return None
        step = self.t if name.step is None else self.resolve_step(name.step, name.span)
        own = self.facts.own
        if name.step is None and self.facts.own_line.get(name.text, -1) >= self.line and step is not None:
            step += 1  # defined further down: left over from the step before
        for key in ((self.index, name.text, step), (self.index, name.text, None)):
            if key in own:
                return own[key]
        if step is not None and step > self.world.last:
            any_step = own.get((self.index, name.text, self.world.last))
            if any_step is not None:
                return Value(np.zeros(any_step.array.shape))
        raise NotAtThisStep(f"`{name.text}` has no value at step {step}", name.span)

    def gradient(self, base: str, step: Step | None, carry: bool, name: Name, reading: Reading) -> Value:
        """Return the gradient that a name stands for, in the layout of the reading."""
        places = self.vocabulary.steps_of(base)
        wanted = self.step_for(base, step, name)
        if wanted not in places:
            return self.absent(base, wanted, name, reading)
        place = places[wanted]
        if self.direct_of == (base, step) and not self.world.nodes[place].is_parameter:
            return self.oriented(self.world.direct(place), place, reading)
        if carry:
            return self.oriented(self.carried(base, place, self.t if step is None else None), place, reading)
        if step is None and self.t is not None and wanted is not None:
            return self.oriented(self.state(base, place), place, reading)
        if wanted is None and base in self.facts.assigned and self.world.nodes[place].is_parameter:
            return self.oriented(self.world.total(place), place, reading)
        return self.oriented(self.world.total(place), place, reading)

    def absent(self, base: str, wanted: int | None, name: Name, reading: Reading) -> Value:
        """Return zero for what is not computed at this step; what is never computed is undefined."""
        places = self.vocabulary.steps_of(base)
        steps = [t for t in places if t is not None]
        if not steps or wanted is None or not self.world.first - 1 <= wanted <= self.world.last + 1:
            self.place(base, wanted, name)
        near = places[max(steps)]
        return self.oriented(np.zeros(self.world.nodes[near].shape), near, reading)

    def carried(self, base: str, place: int, t: int | None) -> Array:
        """``dh_next``: before the program assigns it, what arrives from t + 1; after, what goes to t - 1."""
        written = self.latest("next " + base)
        if t is not None and written is not None:
            before = self.vocabulary.steps_of(base).get(t - 1)
            if before is not None:
                return self.world.from_step(before, t)
        return self.world.carry(place)

    def latest(self, base: str) -> Assigned | None:
        """Return what the program has last made of a gradient before this line."""
        for assigned in reversed(self.facts.assigned.get(base, [])):
            if assigned.line < self.line and assigned.section in (None, self.t):
                return assigned
        return None

    def state(self, base: str, place: int) -> Array:
        """Return the value of ``dX`` at this point of step t."""
        assert self.t is not None
        latest = self.latest(base)
        places = self.vocabulary.steps_of(base)
        if latest is not None:
            if latest.meaning == "carry":
                before = places.get(self.t - 1)
                if before is not None:
                    return self.world.from_step(before, self.t)
            if latest.meaning == "direct":
                return self.world.direct(place)
            return self.world.total(place)
        if base not in self.facts.assigned_later or self.section is not None:
            return self.world.total(place)
        if any(self.world.carry(p).any() for p in places.values()):
            return self.world.carry(place)
        # Assigned further down and never carried: what the step before has left in it.
        after = places.get(self.t + 1)
        return self.world.total(after) if after is not None else np.zeros(self.world.nodes[place].shape)

    def derivative(self, derivative: Derivative, reading: Reading) -> Value:
        """Return the value of ``dY/dX``."""
        if not self.vocabulary.is_loss(derivative.of):
            return self.local(derivative, reading, self.mode)
        found = self.vocabulary.locate(derivative.wrt)
        if found is None:
            carry = self.vocabulary.differentiated(Name("d" + derivative.wrt.text, derivative.wrt.step))
            if carry is None:
                own = self.own_gradient(derivative)
                if own is not None:
                    return own
                raise self.undefined(derivative.wrt)
            return self.gradient(*carry, derivative.wrt, reading)
        if derivative.at is None:
            return self.gradient(*found, False, derivative.wrt, reading)
        place = self.place(found[0], self.step_for(found[0], found[1], derivative.wrt), derivative.wrt)
        step = self.resolve_step(derivative.at, derivative.span)
        if step not in self.world.steps:
            raise NotAtThisStep(f"there is no step {step}", derivative.span)
        return self.oriented(self.world.from_step(place, step), place, reading)

    def own_gradient(self, derivative: Derivative) -> Value | None:
        """``dL/dq`` for a q that only the text has, defined earlier under the name ``dq``."""
        name = Name("d" + derivative.wrt.text, derivative.wrt.step, span=derivative.span)
        return self.own(name)


def sum_of_columns(value: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the columns of a batch where the goal is a single column: ``dby += do``."""
    if (
        value.ndim == 2
        and len(shape) == 2
        and shape[1] == 1
        and value.shape[0] == shape[0]
        and value.shape[1] != 1
    ):
        return np.asarray(value.sum(axis=1, keepdims=True))
    return value
