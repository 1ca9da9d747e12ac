"""What an equation's side comes to, under a reading.

On paper a product means what fits: elementwise between equal shapes, otherwise a matrix product; a vector
next to a matrix may stand for the diagonal matrix; gradients may be rows or columns.  A `Reading` says
which of these licences is taken.  The strict one takes none, and the checker reports which one a line needed.

Nothing broadcasts but scalars (and a column of a parameter over the columns of a batch): a shape that does
not fit is an error with a place, not a number that happens to come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import MinigradError

from .syntax import (
    Call,
    Derivative,
    Expression,
    Listing,
    Name,
    Negative,
    Number,
    Open,
    Power,
    Prime,
    Product,
    Slice,
    Span,
    Step,
    Sum,
    TimeSum,
    Transpose,
    children,
    transform,
    walk,
)

Array: TypeAlias = NDArray[Any]
MAX_EXPONENT = 64


class EvaluationError(MinigradError, ValueError):
    """A side that comes to nothing; `kind` is a verdict, `span` the culprit."""

    def __init__(self, kind: str, message: str, span: Span, name: Name | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.span = span
        self.name = name


class NotAtThisStep(EvaluationError):
    """A value that the model has, but not at the step that was asked for."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__("undefined", message, span)


@dataclass(frozen=True, slots=True)
class Reading:
    """Which licences are taken; all defaults is: exactly as written.

    Attributes
    ----------
    precedence : bool
        ``a ⋅ 1 - b ⋅ c`` stands for ``a ⋅ (1 - b) ⋅ c``.
    association : int
        How a chain of products is grouped: 0 from the left, 1 from the right, k + 1 split after k factors.
    rows : bool
        The gradient of a vector is a row.
    diagonal : bool
        A vector next to a matrix or a row stands for the diagonal matrix.
    entries : bool
        A local derivative stands for its entries that are not zero by construction (an elementwise factor, or
        for a matrix the outer product), not for the whole Jacobian.
    matrix : bool
        Between square matrices of equal shape the product is the matrix product.
    inputs_as_rows : bool
        The data are rows.
    """

    precedence: bool = False
    association: int = 0
    rows: bool = False
    diagonal: bool = False
    entries: bool = False
    matrix: bool = False
    inputs_as_rows: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether no licence is taken."""
        return not (
            self.precedence
            or self.association
            or self.rows
            or self.diagonal
            or self.matrix
            or self.inputs_as_rows
        )

    def describe(self) -> str:
        """Say in words which licences it takes; empty for none."""
        words = []
        if self.precedence:
            words.append("loose precedence")
        if self.association:
            words.append("products from the right" if self.association == 1 else "other grouping")
        if self.matrix:
            words.append("matrix product between square matrices")
        if self.diagonal:
            words.append("elementwise factor as a diagonal")
        if self.rows:
            words.append("gradients as rows")
        if self.inputs_as_rows:
            words.append("data as rows")
        return ", ".join(words)


STRICT = Reading()


@dataclass(frozen=True, slots=True)
class Value:
    """Numbers, and whether they are a Jacobian (which always multiplies as a matrix)."""

    array: Array
    jacobian: bool = False


class Scope:
    """Where the names of a line get their values from; the checker's contexts derive from it."""

    columns = 1  # size of the batch

    def name(self, name: Name, reading: Reading) -> Value:
        """Return the value that a name has here."""
        raise NotImplementedError

    def derivative(self, derivative: Derivative, reading: Reading) -> Value:
        """Return the value of ``dY/dX``."""
        raise NotImplementedError

    def function(self, name: str, span: Span) -> Callable[..., Array] | None:
        """Return the function of that name, or None if the notation itself knows it."""
        return None

    def slope(self, name: str, argument: Array, span: Span) -> Array:
        """Return the derivative of a function of one argument, elementwise."""
        raise NotImplementedError

    def at(self, variable: str, step: int) -> Scope:
        """Return the scope in which `variable` stands for a step (the body of a sum over time)."""
        raise NotImplementedError

    def resolve_step(self, step: Step, span: Span) -> int:
        """Return a step as a number."""
        raise NotImplementedError


def evaluate(tree: Expression, scope: Scope, reading: Reading = STRICT, goal: tuple[int, ...] = ()) -> Value:
    """Return what a tree comes to.

    `goal` is the shape of what it is held against; it decides open bounds as in ``dz[:?]``.
    """
    with np.errstate(all="ignore"):
        return _Evaluation(scope, reading, goal).value(loosened(tree) if reading.precedence else tree)


class _Evaluation:
    def __init__(self, scope: Scope, reading: Reading, goal: tuple[int, ...]) -> None:
        self.scope = scope
        self.reading = reading
        self.goal = goal

    def value(self, tree: Expression) -> Value:
        match tree:
            case Number():
                return Value(np.asarray(tree.value))
            case Name():
                return self.scope.name(tree, self.reading)
            case Derivative():
                return self.scope.derivative(tree, self.reading)
            case Negative():
                inner = self.value(tree.operand)
                return replace(inner, array=-inner.array)
            case Sum():
                return self.sum(tree)
            case Product():
                return self.product(tree)
            case Power():
                return self.power(tree)
            case Transpose():
                inner = self.value(tree.operand)
                return Value(_transposed(inner.array, tree.span), inner.jacobian)
            case Prime():
                return self.prime(tree)
            case Call():
                return self.call(tree)
            case Slice():
                return self.slice(tree)
            case TimeSum():
                return self.over_time(tree)
            case Listing():
                raise EvaluationError("shape", "a list stands only in concat(...) or vstack(...)", tree.span)
        raise TypeError(tree)

    # -- sums and products -----------------------------------------------------------------------

    def sum(self, tree: Sum) -> Value:
        total: Value | None = None
        for term, sign in zip(tree.terms, tree.signs, strict=True):
            value = self.value(term)
            array = value.array if sign > 0 else -value.array
            if total is None:
                total = Value(array, value.jacobian)
                continue
            a = total.array
            if a.shape != array.shape and not (a.ndim == 0 or array.ndim == 0):
                a, array = self.over_columns(a, array, "add" if sign > 0 else "subtract", term.span)
            total = Value(a + array, total.jacobian or value.jacobian)
        assert total is not None
        return total

    def over_columns(self, a: Array, b: Array, what: str, span: Span) -> tuple[Array, Array]:
        """Repeat a single column over the columns of a batch, or say that the shapes do not fit."""
        n = self.scope.columns
        if (
            n > 1
            and a.ndim == b.ndim == 2
            and a.shape[0] == b.shape[0]
            and {a.shape[1], b.shape[1]} == {1, n}
        ):
            return np.broadcast_arrays(a, b)  # type: ignore[return-value]
        if what in ("add", "subtract") and _squeezed(a) == _squeezed(b) and a.ndim != b.ndim:
            return a.reshape(_squeezed(a)), b.reshape(_squeezed(b))
        raise EvaluationError("shape", f"cannot {what} {shape_text(a)} and {shape_text(b)}", span)

    def product(self, tree: Product) -> Value:
        values = [self.value(factor) for factor in tree.factors]
        spans = [factor.span for factor in tree.factors]
        operators = list(tree.operators)
        kind = self.reading.association
        if kind and len(values) > 2 and "/" not in operators:
            if kind == 1:
                while len(values) > 1:
                    b, a = values.pop(), values.pop()
                    spans.pop()
                    values.append(self.times(a, b, operators.pop(), spans[-1]))
                return values[0]
            k = kind - 1
            if 1 < k < len(values):
                left = self.chain(values[:k], operators[: k - 1], spans[:k])
                right = self.chain(values[k:], operators[k:], spans[k:])
                return self.times(left, right, operators[k - 1], spans[k])
        return self.chain(values, operators, spans)

    def chain(self, values: list[Value], operators: list[str], spans: list[Span]) -> Value:
        total = values[0]
        for value, operator, span in zip(values[1:], operators, spans[1:], strict=True):
            total = self.times(total, value, operator, span)
        return total

    def times(self, left: Value, right: Value, operator: str, span: Span) -> Value:
        a, b = left.array, right.array
        if operator == "/":
            if b.size == 1 or a.shape == b.shape:
                return Value(a / (b.reshape(()) if b.size == 1 != a.size else b), left.jacobian)
            if a.ndim == 0:
                return Value(a / b, right.jacobian)
            a, b = self.over_columns(a, b, "divide", span)
            return Value(a / b)
        if operator == "⊙":
            if a.shape != b.shape and a.ndim and b.ndim:
                a, b = self.over_columns(a, b, "multiply elementwise", span)
            return Value(a * b)
        if operator != "@" and (a.ndim == 0 or b.ndim == 0):
            return Value(a * b, left.jacobian or right.jacobian)
        if left.jacobian or right.jacobian:
            return self.contracted(left, right, span)
        if operator != "@":
            if a.shape == b.shape and not (
                self.reading.matrix and a.ndim == 2 and a.shape[0] == a.shape[1] > 1
            ):
                return Value(a * b)
            if self.reading.diagonal:
                result = _diagonal(a, b)
                if result is not None:
                    return Value(result)
        if a.ndim == 2 and b.ndim == 2 and a.shape[1] == b.shape[0]:
            return Value(a @ b)
        if operator == "@":
            if a.ndim and b.ndim and a.ndim != 2 and a.shape[-1] == b.shape[-2 if b.ndim > 1 else 0]:
                return Value(np.asarray(a @ b))
            raise EvaluationError("shape", _product_text(a, b), span)
        if (1 in a.shape and a.size == 1) or b.size == 1:  # a 1 x 1 matrix is a scalar
            return Value(a.reshape(()) * b if a.size == 1 else a * b.reshape(()))
        try:
            a, b = self.over_columns(a, b, "multiply", span)
        except EvaluationError:
            raise EvaluationError("shape", _product_text(a, b), span) from None
        return Value(a * b)

    def contracted(self, left: Value, right: Value, span: Span) -> Value:
        a, b = left.array, right.array
        if self.reading.entries and a.shape == b.shape:
            return Value(a * b, True)
        if a.ndim >= 1 and b.ndim >= 1 and a.shape[-1] == b.shape[0]:
            return Value(np.tensordot(a, b, axes=1), True)
        if self.reading.diagonal or self.reading.entries:
            result = _diagonal(a, b)
            if result is not None:
                return Value(result, True)
        raise EvaluationError("shape", _product_text(a, b), span)

    def power(self, tree: Power) -> Value:
        base = self.value(tree.base)
        exponent = self.value(tree.exponent).array
        if exponent.ndim and exponent.shape != base.array.shape:
            raise EvaluationError("shape", f"an exponent of shape {shape_text(exponent)}", tree.span)
        if np.max(np.abs(exponent)) > MAX_EXPONENT:
            raise EvaluationError("not-understood", f"an exponent above {MAX_EXPONENT}", tree.span)
        return Value(np.asarray(base.array**exponent))

    # -- functions -------------------------------------------------------------------------------

    def call(self, tree: Call) -> Value:
        name = tree.function
        if name == "(t=)":
            raise EvaluationError(
                "not-understood", "(t = ...) belongs to a gradient such as dL/dWhh", tree.span
            )
        own = self.scope.function(name, tree.span)
        if own is None:
            known = NOTATION.get(name)
            if known is None:
                raise EvaluationError(
                    "undefined", f"no function is called `{name}`", (tree.span[0], tree.span[0] + len(name))
                )
            if known == "matmul":
                a, b = self.arguments(tree, 2)
                return self.times(a, b, "@", tree.arguments[1].span)
            own = known if callable(known) else _primitive(known)
        operands = [self.value(a).array for a in _unlisted(tree.arguments)]
        try:
            return Value(np.asarray(own(*operands, **dict(tree.options))))
        except EvaluationError:
            raise
        except Exception as error:
            shapes = ", ".join(shape_text(a) for a in operands)
            reason = str(error).split("\n")[0][:100]
            raise EvaluationError("shape", f"{name} of {shapes}: {reason}", tree.span) from None

    def arguments(self, tree: Call, count: int) -> list[Value]:
        if len(tree.arguments) != count:
            raise EvaluationError(
                "shape", f"{tree.function} takes {count} arguments, found {len(tree.arguments)}", tree.span
            )
        return [self.value(a) for a in tree.arguments]

    def prime(self, tree: Prime) -> Value:
        if isinstance(tree.operand, Call) and len(tree.operand.arguments) == 1:
            argument = self.value(tree.operand.arguments[0]).array
            return Value(self.scope.slope(tree.operand.function, argument, tree.span))
        raise EvaluationError(
            "not-understood", "' is the derivative of a function call, as in tanh(z)'", tree.span
        )

    def over_time(self, tree: TimeSum) -> Value:
        first = self.scope.resolve_step(tree.first, tree.span)
        last = self.scope.resolve_step(tree.last, tree.span)
        if last - first > 10_000:
            raise EvaluationError("not-understood", "a sum over more than 10,000 steps", tree.span)
        total: Value | None = None
        for step in range(first, last + 1):
            inner = _Evaluation(self.scope.at(tree.variable, step), self.reading, self.goal)
            value = inner.value(tree.body)
            total = value if total is None else Value(total.array + value.array, value.jacobian)
        if total is None:
            raise EvaluationError("undefined", "a sum over no steps", tree.span)
        return total

    # -- slices ----------------------------------------------------------------------------------

    def slice(self, tree: Slice) -> Value:
        inner = self.value(tree.operand)
        array = inner.array
        if array.ndim < len(tree.bounds):
            raise EvaluationError("shape", f"{shape_text(array)} has no {len(tree.bounds)} axes", tree.span)
        index = []
        row = self.reading.rows and array.ndim == 2 and array.shape[0] == 1 and len(tree.bounds) == 1
        for axis, (start, stop) in enumerate(tree.bounds):
            axis += row
            size = array.shape[axis]
            goal = self.goal[axis] if len(self.goal) > axis else None
            a, b = self.bounds(start, stop, size, goal, tree.span)
            if not 0 <= a <= b <= size:
                raise EvaluationError("shape", f"[{a}:{b}] of {size} rows", tree.span)
            index.append(slice(a, b))
        return Value(array[(slice(None), *index)] if row else array[tuple(index)])

    def bounds(
        self,
        start: Expression | Open | None,
        stop: Expression | Open | None,
        size: int,
        goal: int | None,
        span: Span,
    ) -> tuple[int, int]:
        opened = isinstance(start, Open) or isinstance(stop, Open)
        if opened and goal is None:
            raise EvaluationError("undefined", "nothing here decides the open bound `?`", span)
        a = 0 if start is None or isinstance(start, Open) else self.whole(start)
        b = size if stop is None or isinstance(stop, Open) else self.whole(stop)
        a, b = (a + size if a < 0 else a), (b + size if b < 0 else b)
        if opened:
            assert goal is not None
            if isinstance(stop, Open):
                b = a + goal
            else:
                a = b - goal
        return a, b

    def whole(self, tree: Expression) -> int:
        value = self.value(tree).array
        if value.ndim or float(value) != int(value):
            raise EvaluationError("shape", "a bound is a whole number", tree.span)
        return int(value)


def _unlisted(arguments: tuple[Expression, ...]) -> Iterator[Expression]:
    for argument in arguments:
        if isinstance(argument, Listing):
            yield from argument.items
        else:
            yield argument


def _diagonal(a: Array, b: Array) -> Array | None:
    """Multiply a vector, as a diagonal matrix, with what stands next to it."""
    if a.ndim < 2 or b.ndim < 2:
        return None
    if b.shape[1:] == (1,) and a.shape[-1] == b.shape[0] and b.shape[0] > 1:  # M diag(v), r diag(v)
        return np.asarray(a * b[:, 0])
    if a.shape[1:] == (1,) and a.shape[0] == b.shape[0] and a.shape[0] > 1:  # diag(v) M
        return np.asarray(a.reshape((-1,) + (1,) * (b.ndim - 1)) * b)
    if b.ndim == 2 and a.shape == b.T.shape and 1 not in a.shape:  # rows of a batch
        return np.asarray(a * b.T)
    return None


def _transposed(a: Array, span: Span) -> Array:
    if a.ndim == 0:
        return a
    if a.ndim != 2:
        raise EvaluationError("shape", f"{shape_text(a)} has no transpose", span)
    return a.T


def _squeezed(a: Array) -> tuple[int, ...]:
    return tuple(n for n in a.shape if n != 1)


def shape_text(a: Array | tuple[int, ...]) -> str:
    """Write a shape as a person says it: ``4 x 1``.

    >>> shape_text((4, 1))
    '4 x 1'
    """
    shape = a if isinstance(a, tuple) else a.shape
    return " x ".join(map(str, shape)) if shape else "a number"


def _product_text(a: Array, b: Array) -> str:
    return f"{shape_text(a)} times {shape_text(b)} is neither elementwise nor a matrix product"


# -- the functions of the notation -------------------------------------------------------------------


def _primitive(name: str) -> Callable[..., Array]:
    from minigrad.primitives import PRIMITIVES

    return PRIMITIVES[name].value


def _concat(*arrays: Array, axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


def _transpose(a: Array) -> Array:
    return a.T


def _diag(a: Array) -> Array:
    return np.diag(a[:, 0]) if a.ndim == 2 and a.shape[1] == 1 else np.diag(a)


def _softmax(x: Array, axis: int = 0) -> Array:
    return _primitive("softmax")(x, axis=axis)


def _log_softmax(x: Array, axis: int = 0) -> Array:
    return _primitive("log_softmax")(x, axis=axis)


def _reduction(name: str) -> Callable[..., Array]:
    def reduce(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
        return np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims))

    return reduce


# A word of the notation: the primitive that it names, or a function of arrays.
NOTATION: dict[str, str | Callable[..., Array]] = {
    "tanh": "tanh", "hyperbolic_tangent": "tanh", "th": "tanh",
    "sigmoid": "sigmoid", "sig": "sigmoid", "sigm": "sigmoid", "σ": "sigmoid", "logistic": "sigmoid",
    "relu": "relu", "exp": "exp", "log": "log", "ln": "log", "sqrt": "sqrt", "abs": "abs", "sign": "sign",
    "maximum": "maximum", "minimum": "minimum", "where": "where",
    "softmax": _softmax, "log_softmax": _log_softmax,
    "squared": np.square, "square": np.square, "sqr": np.square,
    "transpose": _transpose, "matmul": "matmul", "dot": "matmul",
    "concat": _concat, "vstack": _concat, "concatenate": _concat,
    "hstack": lambda *arrays: np.concatenate(arrays, axis=1),
    "full": lambda value, shape: np.full(shape, value),
    "diag": _diag, "identity": lambda x: x, "ones_like": np.ones_like, "zeros_like": np.zeros_like,
    "sum": _reduction("sum"), "mean": _reduction("mean"), "max": _reduction("max"), "min": _reduction("min"),
}  # fmt: skip
ACTIVATIONS = ("tanh", "sigmoid", "relu", "identity", "exp")


def known_function(name: str) -> bool:
    """Say whether the notation knows a function of that name (the engine's primitives included)."""
    from minigrad.primitives import PRIMITIVES

    if name not in NOTATION and name in PRIMITIVES:
        NOTATION[name] = name
    return name in NOTATION


def slope_of(name: str, x: Array, span: Span = (0, 0)) -> Array:
    """Return the elementwise derivative of a function of the notation, from the primitive's own vjp."""
    from minigrad.primitives import PRIMITIVES

    if name == "identity":
        return np.ones_like(x)
    if name in ("squared", "square", "sqr"):
        return 2 * x
    target = NOTATION.get(name)
    primitive = PRIMITIVES.get(target) if isinstance(target, str) else None
    rule = primitive.vjp(0) if primitive is not None and len(primitive.vjps) == 1 else None
    if primitive is None or rule is None:
        raise EvaluationError("undefined", f"`{name}` has no elementwise derivative", span)
    return np.asarray(rule(np.ones_like(x), primitive.value(x), x))


# -- looser trees ------------------------------------------------------------------------------------


def loosened(tree: Expression) -> Expression:
    """Read ``a ⋅ 1 - b ⋅ c`` as ``a ⋅ (1 - b) ⋅ c``, everywhere.

    >>> from minigrad.derivation.reader import parse
    >>> from minigrad.derivation.syntax import render
    >>> render(loosened(parse("y = g ⋅ 1 - squared(h) ⋅ W").sides[1]))
    'g ⋅ (1 - squared(h)) ⋅ W'
    """
    return transform(tree, _loosened)


def _loosened(tree: Expression) -> Expression:
    if not isinstance(tree, Sum):
        return tree
    terms = [_factors(term) for term in tree.terms]
    signs = list(tree.signs)
    i = 0
    while i + 1 < len(terms):
        (left, left_ops), (right, right_ops) = terms[i], terms[i + 1]
        one = left[-1]
        if isinstance(one, Number) and one.value == 1 and (len(left) > 1 or len(right) > 1):
            inner = Sum((one, right[0]), (1, signs[i + 1]), span=(one.span[0], right[0].span[1]))
            terms[i] = ([*left[:-1], inner, *right[1:]], left_ops + right_ops)
            del terms[i + 1], signs[i + 1]
        else:
            i += 1
    parts = [
        factors[0] if len(factors) == 1 else Product(tuple(factors), tuple(operators), span=tree.span)
        for factors, operators in terms
    ]
    if len(parts) == 1 and signs[0] > 0:
        return parts[0]
    return Sum(tuple(parts), tuple(signs), span=tree.span)


def _factors(tree: Expression) -> tuple[list[Expression], list[str]]:
    if isinstance(tree, Product):
        return list(tree.factors), list(tree.operators)
    return [tree], []


def readings(trees: list[Expression], chain: bool = False) -> Iterator[Reading]:
    """Yield the readings that make a difference to the given sides, from strict to loose.

    In the chain rule in letters (`chain`) gradients as rows come first: there it is the meaning of the
    letters.
    """
    parts = [part for tree in trees for part in walk(tree)]
    products = [part for part in parts if isinstance(part, Product)]
    precedences = [False]
    if any(loosened(tree) != tree for tree in trees):
        precedences.append(True)
        products += [p for tree in trees for p in walk(loosened(tree)) if isinstance(p, Product)]
    longest = max((len(p.factors) for p in products), default=0)
    derivatives = [p for p in parts if isinstance(p, Derivative)]
    local = any(p.of.text not in ("L", "J", "E", "C", "loss") for p in derivatives)
    gradients = bool(derivatives) or any(isinstance(p, Name) and p.text.startswith("d") for p in parts)
    flags = (False, True)
    options = [
        Reading(precedence, association, rows, diagonal, entries, matrix)
        for entries in (flags if local else (False,))
        for precedence in precedences
        for rows in (flags if gradients else (False,))
        for diagonal in (flags if products else (False,))
        for association in range(min(longest, 6) if longest > 2 else 1)
        for matrix in (flags if products else (False,))
    ]
    if any(isinstance(p, Transpose) or (isinstance(p, Call) and p.function == "transpose") for p in parts):
        options.append(Reading(inputs_as_rows=True))
    return iter(sorted(options, key=lambda r: (not (chain and r.rows), _looseness(r))))


def _looseness(r: Reading) -> tuple[int, int]:
    cost = (
        2 * r.diagonal
        + 3 * r.precedence
        + 4 * r.rows
        + 4 * bool(r.association)
        + 6 * r.matrix
        + 7 * r.inputs_as_rows
    )
    return (cost, r.entries + r.association)


def functions_in(tree: Expression) -> list[Call]:
    """Return the calls in a tree."""
    return [p for p in walk(tree) if isinstance(p, Call)]


__all__ = ["Reading", "Scope", "Value", "children", "evaluate", "readings"]
