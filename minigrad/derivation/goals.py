"""What a left side may mean, and how far a right side is from it.

A goal is one meaning of a left side: a true array at every point where the line is tested.  Some goals make a
line right (the total gradient, what goes to t - 1, one step's contribution, ...); the others only explain
why it is wrong (it is the direct part only, the carry is missing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .context import Truth, sum_of_columns
from .evaluate import Array, EvaluationError, NotAtThisStep, Reading, evaluate, shape_text
from .syntax import Expression, Span

ACCEPTED = 1e-9  # of the largest true entry; right lines come out below 4e-15
TINY = 1e-250


@dataclass(frozen=True)
class Goal:
    """One meaning of a left side.

    Attributes
    ----------
    meaning : str
        ``total``, ``carry``, ``direct``, ``contribution``, ``value``, ``local`` ...
    label : str
        The same in the reader's words: ``gradient of h``, ``carry to t-1``.
    truth : callable
        The true array at a point, or None if the goal does not exist there.
    accepts : bool
        Whether meeting it makes the line right.
    place : callable
        The node whose layout applies, or None.
    """

    meaning: str
    label: str
    truth: Callable[[Truth], Array | None]
    accepts: bool = True
    place: Callable[[Truth], int | None] = lambda scope: None
    transposed: bool = False


@dataclass
class Attempt:
    """How a right side compares with a goal, point by point."""

    goal: Goal | None
    reading: Reading
    errors: dict[tuple[int, int | None], float] = field(default_factory=dict)
    failure: EvaluationError | None = None
    tested: bool = False  # whether some true value was not zero
    worst: float = 0.0
    sample: tuple[Array, Array] | None = None  # value and truth where they differ most
    skipped: int = 0

    @property
    def fits(self) -> bool:
        """Whether the side meets the goal at every point."""
        return self.failure is None and bool(self.errors) and self.worst <= ACCEPTED


def canonical(value: Array, truth: Array, rows: bool) -> Array:
    """Bring a value into the layout of the truth: columns, no extra axes, sums over columns taken."""
    if value.ndim == 3 and value.shape[0] == 1:
        value = value[0]
    if rows and value.ndim == 2:
        value = value.T
    if value.shape != truth.shape and value.size == 1 == truth.size:
        value = value.reshape(truth.shape)
    return sum_of_columns(value, truth.shape)


def attempt(
    tree: Expression,
    reading: Reading,
    goal: Goal,
    points: list[Truth],
    before: Callable[[Truth], Array | None] | None = None,
    quick: bool = False,
    sign: int = 1,
) -> Attempt:
    """Evaluate a side at every point and hold it against a goal.

    `before` is what is there already where the line adds to it (``+=``).  With `quick` it stops at the first
    point that is off.
    """
    result = Attempt(goal, reading)
    largest = 0.0
    sizes: list[tuple[tuple[int, int | None], float, float]] = []
    for scope in points:
        try:
            truth = goal.truth(scope)
            if truth is None:
                continue
            value = evaluate(tree, scope, reading, truth.shape).array
        except NotAtThisStep as error:
            result.skipped += 1
            missing = error
            continue
        except EvaluationError as error:
            if error.kind == "columns":
                continue
            result.failure = error
            return result
        if goal.transposed:
            truth = truth.T
        place = goal.place(scope)
        rows = reading.rows and place is not None and scope.is_vector(place)
        value = canonical(value, truth, rows != goal.transposed and rows)
        if value.shape != truth.shape:
            wanted = shape_text(truth.T if rows else truth)
            result.failure = EvaluationError(
                "shape",
                f"this is {shape_text(value.T if rows else value)}, the left side is {wanted}",
                _span(tree),
            )
            return result
        if sign < 0:
            value = -value
        if before is not None:
            start = before(scope)
            if start is not None:
                value = value + start
        with np.errstate(all="ignore"):
            off = float(np.max(np.abs(value - truth))) if truth.size else 0.0
            size = float(np.max(np.abs(truth))) if truth.size else 0.0
        if not np.isfinite(off):
            off = np.inf
        largest = max(largest, size)
        sizes.append(((scope.index, scope.t), off, size))
        if quick and size > TINY and off > ACCEPTED * size:
            result.worst = off / size
            result.errors[scope.index, scope.t] = result.worst
            return result
        error_here = off / size if size > TINY else (0.0 if off == 0 else np.inf)
        if result.sample is None or error_here > result.worst:
            result.sample = (value, truth)
        result.worst = max(result.worst, error_here if np.isfinite(error_here) else 0.0)
    result.worst = 0.0
    for key, off, size in sizes:
        scale = size if size > TINY else largest
        error_here = off / scale if scale > TINY else (0.0 if off < TINY else np.inf)
        result.errors[key] = error_here
        result.worst = max(result.worst, error_here)
    result.tested = largest > TINY
    if not sizes:
        result.failure = (
            missing
            if result.skipped
            else EvaluationError(
                "not-tested", "the model has no such value to hold this against", _span(tree)
            )
        )
    return result


def _span(tree: Expression) -> Span:
    return tree.span
