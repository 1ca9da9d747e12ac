"""Lines about functions and letters in general: ``f(x) = x^2``, ``f(x)' = 2x``, ``df(a*b)/da = dab * b``.

They name nothing of the model.  A function that the text itself defines is tried out on random numbers, its
derivative by the complex step; what speaks of any f at all claims nothing about this model and is not tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .evaluate import STRICT, Array, EvaluationError, Reading, Scope, Value, evaluate, known_function
from .syntax import Call, Derivative, Equation, Expression, Name, Number, Prime, Span, walk

if TYPE_CHECKING:
    from .judge import Finding, Judge


@dataclass(frozen=True)
class Own:
    """A function that the text defines."""

    variable: str
    body: Expression


class _Scalars(Scope):
    """Letters are numbers, and functions are those that the text has defined."""

    def __init__(self, functions: dict[str, Own], letters: dict[str, complex]) -> None:
        self.functions = functions
        self.letters = letters

    def name(self, name: Name, reading: Reading) -> Value:
        if name.text not in self.letters:
            raise EvaluationError("undefined", "no such name", name.span, name)
        return Value(np.asarray(self.letters[name.text]))

    def derivative(self, derivative: Derivative, reading: Reading) -> Value:
        raise EvaluationError("not-tested", "a derivative of letters", derivative.span)

    def function(self, name: str, span: Span) -> Any:
        own = self.functions.get(name)
        if own is None:
            return None

        def call(x: Array) -> Array:
            return evaluate(own.body, _Scalars({}, {own.variable: complex(x)}), STRICT).array

        return call

    def slope(self, name: str, argument: Array, span: Span) -> Array:
        function = self.function(name, span)
        if function is None:
            raise EvaluationError("undefined", f"no function is called `{name}`", span)
        return np.asarray(function(argument + 1e-30j).imag / 1e-30)


def is_rule(equation: Equation, judge: Judge) -> bool:
    """Whether an equation speaks of functions in general: calls with letters that are not the model's."""
    calls = [p for s in equation.sides for p in walk(s) if isinstance(p, Call)]
    left = equation.sides[0]
    inner = left.operand if isinstance(left, Prime) else left
    if not calls or not any(isinstance(p, Call) for p in walk(left)):
        return False
    names = [p for s in equation.sides for p in walk(s) if isinstance(p, Name)]
    of_model = [
        n
        for n in names
        if len(n.text) > 1 and (judge.vocabulary.locate(n) or judge.vocabulary.differentiated(n))
    ]
    if (
        isinstance(inner, Call)
        and len(inner.arguments) == 1
        and isinstance(inner.arguments[0], Name | Number)
    ):
        return not known_function(inner.function) and not of_model
    generic = [c for c in calls if c.function.rstrip("'′’").startswith("d")]
    return bool(generic) and not any(known_function(c.function) for c in generic) and not of_model


def judge_rule(equation: Equation, judge: Judge, finding: Finding) -> None:
    """Learn a function that a line defines, or try out what it says of one."""
    functions: dict[str, Own] = judge.__dict__.setdefault("own_functions", {})
    left, right = equation.sides[0], equation.sides[-1]
    if isinstance(left, Call) and len(left.arguments) == 1 and isinstance(left.arguments[0], Name):
        variable = left.arguments[0].text
        free = {p.text for p in walk(right) if isinstance(p, Name)} - {variable}
        calls = {p.function for p in walk(right) if isinstance(p, Call)}
        if not free and left.function not in calls and left.function not in functions:
            functions[left.function] = Own(variable, right)
            finding.verdict = "not-tested"
            finding.reason = f"this defines {left.function}; it is tested where it is used"
            return
    called = {p.function for s in equation.sides for p in walk(s) if isinstance(p, Call)}
    if not called or not called <= set(functions):
        finding.verdict = "not-tested"
        finding.reason = "a rule for any function, not about a value of this model"
        return
    random = np.random.default_rng(0)
    letters = sorted({p.text for s in equation.sides for p in walk(s) if isinstance(p, Name)})
    for _ in range(5):
        scope = _Scalars(functions, {name: complex(random.uniform(0.5, 2)) for name in letters})
        values = [complex(evaluate(side, scope, STRICT).array) for side in equation.sides]
        off = max(abs(v - values[0]) for v in values) / max(abs(values[0]), 1e-300)
        if not off <= 1e-9:
            finding.verdict, finding.error = "wrong", off
            finding.reason = f"the sides are {values[0].real:.4g} and {values[-1].real:.4g}"
            return
    finding.verdict, finding.matched, finding.error = "right", "both sides are equal", 0.0
