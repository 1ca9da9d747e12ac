"""The parts that an equation consists of, and how they are written.

An equation is a small tree.  Trees are compared without their places in the text (`span`), sums and
products are flat (a sum of a thousand terms is one node, not a thousand), and a tree knows nothing of
values: reading, evaluating, repairing and writing all meet here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]
NOWHERE: Span = (0, 0)


@dataclass(frozen=True, slots=True)
class Step:
    """A time step: ``t + offset``, ``T + offset``, or the plain number `offset`."""

    base: str  # "t", "T" or ""
    offset: int

    def __str__(self) -> str:
        if not self.base:
            return str(self.offset)
        return self.base + (f"{self.offset:+d}" if self.offset else "")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is not negative."""

    value: float
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name and the step that it was given in brackets, if any: ``h``, ``h1``, ``h[t-1]``."""

    text: str
    step: Step | None = None
    quoted: bool = False  # `h 1` in backquotes: exactly this value of the model
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to arguments, with options such as ``axis=0``."""

    function: str
    arguments: tuple[Expression, ...]
    options: tuple[tuple[str, Any], ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Derivative:
    """``dY/dX``; with Y the loss it is the gradient of X.  `at` is the step in ``(t = 2)``."""

    of: Name
    wrt: Name
    at: Step | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Negative:
    """A minus sign before a value."""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms with their signs."""

    terms: tuple[Expression, ...]
    signs: tuple[int, ...]  # one per term
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Product:
    """Factors with the operators between them."""

    factors: tuple[Expression, ...]
    operators: tuple[str, ...]  # one fewer than factors; "" is an operator left out, as in 2x
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Power:
    """A base and its exponent: ``h²``."""

    base: Expression
    exponent: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Transpose:
    """``W^T``."""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prime:
    """``act(z)'``: the derivative of the function that was called."""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Open:
    """A bound that the shapes decide: the ``?`` of ``dz[:?]``."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Slice:
    """``dz[:4]`` or ``dz[0:4, :]``; one (start, stop) for each axis, None where nothing is written."""

    operand: Expression
    bounds: tuple[tuple[Expression | Open | None, Expression | Open | None], ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """``{h, x}`` or ``[h, x]`` as an argument."""

    items: tuple[Expression, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TimeSum:
    """``sum t from 1 to T ...``; it reaches as far to the right as it can."""

    variable: str
    first: Step
    last: Step
    body: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


Expression: TypeAlias = (
    Number
    | Name
    | Call
    | Derivative
    | Negative
    | Sum
    | Product
    | Power
    | Transpose
    | Prime
    | Slice
    | Listing
    | TimeSum
)


@dataclass(frozen=True, slots=True)
class Equation:
    """``sides[0] = sides[1] = ...``, with ``=``, ``+=`` or ``-=``; one side is a bare expression."""

    sides: tuple[Expression, ...]
    operators: tuple[str, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


def children(tree: Expression) -> tuple[Expression, ...]:
    """Return the parts of a tree, in the order in which they are written."""
    match tree:
        case Call(arguments=parts) | Listing(items=parts) | Sum(terms=parts) | Product(factors=parts):
            return parts
        case Power():
            return (tree.base, tree.exponent)
        case Negative() | Transpose() | Prime():
            return (tree.operand,)
        case Slice():
            bounds = [b for pair in tree.bounds for b in pair if b is not None and not isinstance(b, Open)]
            return (tree.operand, *bounds)
        case Derivative():
            return (tree.of, tree.wrt)
        case TimeSum():
            return (tree.body,)
    return ()


def with_children(tree: Expression, parts: tuple[Expression, ...]) -> Expression:
    """Return `tree` with other parts in the places that `children` lists."""
    match tree:
        case Call():
            return replace(tree, arguments=parts)
        case Listing():
            return replace(tree, items=parts)
        case Sum():
            return replace(tree, terms=parts)
        case Product():
            return replace(tree, factors=parts)
        case Power():
            return replace(tree, base=parts[0], exponent=parts[1])
        case Negative() | Transpose() | Prime():
            return replace(tree, operand=parts[0])
        case Slice():
            rest = iter(parts[1:])
            bounds = tuple(
                tuple(b if b is None or isinstance(b, Open) else next(rest) for b in pair)
                for pair in tree.bounds
            )
            return replace(tree, operand=parts[0], bounds=bounds)  # type: ignore[arg-type]
        case Derivative():
            return replace(tree, of=parts[0], wrt=parts[1])  # type: ignore[arg-type]
        case TimeSum():
            return replace(tree, body=parts[0])
    return tree


def walk(tree: Expression) -> Iterator[Expression]:
    """Yield the tree and all its parts, from the top."""
    todo: list[Expression] = [tree]
    while todo:
        part = todo.pop()
        yield part
        todo.extend(reversed(children(part)))


def transform(tree: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Apply `change` to every part, from the leaves up (trees are at most `reader.MAX_DEPTH` deep)."""
    parts = children(tree)
    if parts:
        changed = tuple(transform(part, change) for part in parts)
        if any(a is not b for a, b in zip(parts, changed, strict=True)):
            tree = with_children(tree, changed)
    return change(tree)


def summed(terms: list[Expression], signs: list[int]) -> Expression:
    """Return a sum; sums within it that stand first or are added are merged, one term stays itself."""
    flat_terms: list[Expression] = []
    flat_signs: list[int] = []
    for term, sign in zip(terms, signs, strict=True):
        if isinstance(term, Negative):
            term, sign = term.operand, -sign
        if isinstance(term, Sum) and sign > 0:
            flat_terms += term.terms
            flat_signs += term.signs
        else:
            flat_terms.append(term)
            flat_signs.append(sign)
    if len(flat_terms) == 1:
        return flat_terms[0] if flat_signs[0] > 0 else Negative(flat_terms[0])
    return Sum(tuple(flat_terms), tuple(flat_signs))


# -- writing -----------------------------------------------------------------------------------------

_SUM, _PRODUCT, _UNARY, _POSTFIX, _ATOM = range(1, 6)
_SUPERSCRIPTS = {2: "²", 3: "³"}


def render(tree: Expression | Equation) -> str:
    """Write a tree as a person would type it.

    >>> from minigrad.derivation.reader import parse
    >>> render(parse("dc=dtanc*(1-tanh(c)^2)+dc"))
    'dc = dtanc * (1 - tanh(c)²) + dc'
    """
    if isinstance(tree, Equation):
        text = _write(tree.sides[0])[0]
        for operator, side in zip(tree.operators, tree.sides[1:], strict=True):
            text += f" {operator} {_write(side)[0]}"
        return text
    return _write(tree)[0]


def _bound(text: tuple[str, int], least: int) -> str:
    return f"({text[0]})" if text[1] < least else text[0]


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e16:
        return str(int(value))
    return repr(value)


def _write(tree: Expression) -> tuple[str, int]:
    match tree:
        case Number():
            return _number(tree.value), _ATOM if tree.value >= 0 else _UNARY
        case Name():
            text = f"`{tree.text}`" if tree.quoted else tree.text
            return (f"{text}[{tree.step}]" if tree.step else text), _ATOM
        case Call():
            parts = [_write(a)[0] for a in tree.arguments]
            parts += [f"{key}={_literal(value)}" for key, value in tree.options]
            return f"{tree.function}({', '.join(parts)})", _ATOM
        case Listing():
            return "{" + ", ".join(_write(a)[0] for a in tree.items) + "}", _ATOM
        case Derivative():
            text = f"d{_write(tree.of)[0]}/d{_write(tree.wrt)[0]}"
            return text + (f" (t = {tree.at})" if tree.at else ""), _ATOM
        case Negative():
            return "-" + _bound(_write(tree.operand), _UNARY), _UNARY
        case Sum():
            text = ""
            for i, (term, sign) in enumerate(zip(tree.terms, tree.signs, strict=True)):
                written = _bound(_write(term), _PRODUCT)
                if i == 0:
                    text = written if sign > 0 else f"-{_bound(_write(term), _UNARY)}"
                else:
                    text += f" {'+' if sign > 0 else '-'} {written}"
            return text, _SUM
        case Product():
            text = _bound(_write(tree.factors[0]), _PRODUCT + 1)
            for operator, factor in zip(tree.operators, tree.factors[1:], strict=True):
                written = _bound(_write(factor), _PRODUCT + 1)
                if operator:
                    text += f" {operator} {written}"
                elif written[0].isdigit():
                    text += f"({written})"
                else:
                    text += (" " if text[-1:].isalpha() else "") + written
            return text, _PRODUCT
        case Power():
            base = _bound(_write(tree.base), _ATOM if isinstance(tree.base, Power) else _POSTFIX)
            if isinstance(tree.exponent, Number) and tree.exponent.value in _SUPERSCRIPTS:
                return base + _SUPERSCRIPTS[int(tree.exponent.value)], _POSTFIX
            return f"{base}^{_bound(_write(tree.exponent), _ATOM)}", _POSTFIX
        case Transpose():
            return _bound(_write(tree.operand), _POSTFIX) + "^T", _POSTFIX
        case Prime():
            return _bound(_write(tree.operand), _POSTFIX) + "'", _POSTFIX
        case Slice():
            bounds = ", ".join(f"{_end(start)}:{_end(stop)}" for start, stop in tree.bounds)
            return f"{_bound(_write(tree.operand), _POSTFIX)}[{bounds}]", _POSTFIX
        case TimeSum():
            text = f"sum {tree.variable} from {tree.first} to {tree.last} {_write(tree.body)[0]}"
            return text, 0
    raise TypeError(tree)


def _end(bound: Expression | Open | None) -> str:
    if bound is None:
        return ""
    return "?" if isinstance(bound, Open) else _write(bound)[0]
