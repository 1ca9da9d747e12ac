"""Reading one logical line by the grammar: an equation, and those that follow after `where`.

Nothing here is ever evaluated by Python, and everything is bounded: the length of a line, how deep
brackets and signs may nest, the size of a number.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from minigrad.errors import MinigradError

from .syntax import (
    Call,
    Derivative,
    Equation,
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
)

if TYPE_CHECKING:
    from lark import Lark, Token

MAX_LENGTH = 4_000  # characters of one logical line
MAX_DEPTH = 60  # how deep an expression may nest


class NotationError(MinigradError, ValueError):
    """A line that cannot be read; `column` (from 0) is where in the line, `length` how far."""

    def __init__(self, message: str, column: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.column = column
        self.length = length


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar, parser="lalr", lexer="basic", start="line", postlex=_Implicit(), transformer=_builder()
    )


class _Implicit:
    """Between tokens that stand side by side with no operator, as in 2x or (1 - h²)(1 + h), puts one."""

    always_accept = ()
    ENDS = frozenset({"NUMBER", "RPAR", "NAME", "PRIME", "SUPERSCRIPT", "TRANSPOSE", "RSQB"})

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        from lark import Token

        before: Token | None = None
        for token in stream:
            if (
                before is not None
                and before.type in self.ENDS
                and (
                    token.type == "LPAR"
                    or (before.type in ("NUMBER", "RPAR") and token.type in ("NAME", "FUNCTION"))
                )
            ):
                yield Token("TIMES", "", start_pos=token.start_pos, end_pos=token.start_pos)
            yield token
            before = token


_OPERATORS = {"·": "⋅", "×": "⋅", "∙": "⋅", "•": "⋅", "∘": "⊙", ".*": "⊙", "÷": "/"}
_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₜₙ", "0123456789+-tt")
_SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@functools.cache
def _builder() -> Any:
    from lark import Transformer

    class _Build(Transformer):  # type: ignore[type-arg]
        """Trees from the bottom up, while parsing, so that no depth of nesting can exhaust the stack."""

        def number(self, parts: list[Any]) -> Number:
            return Number(_number(parts[0]), span=_place(parts))

        def name(self, parts: list[Any]) -> Name:
            return read_name(str(parts[0]), _place(parts))

        def group(self, parts: list[Any]) -> Expression:
            inner = parts[1]
            deeper = _depths.get(id(inner), 1) + 1
            tree = replace(inner, span=_place(parts))
            if deeper > MAX_DEPTH:
                raise NotationError(f"nested more than {MAX_DEPTH} deep", *_from_to(tree.span))
            _depths[id(tree)] = deeper
            return tree  # type: ignore[no-any-return]

        def call(self, parts: list[Any]) -> Call:
            arguments = parts[2] or []
            options = tuple(a for a in arguments if isinstance(a, tuple))
            positional = tuple(a for a in arguments if not isinstance(a, tuple))
            return _deep(Call(str(parts[0]), positional, options, span=_place(parts)))

        def arguments(self, parts: list[Any]) -> list[Any]:
            return [p for p in parts if p is not None]

        def option(self, parts: list[Any]) -> tuple[str, Any]:
            return str(parts[0]), parts[2]

        def literal(self, parts: list[Any]) -> Any:
            word = str(parts[0])
            if word[0].isdigit():
                return float(word) if any(c in word for c in ".eE") else int(word)
            known = {"None": None, "True": True, "False": False, "Ellipsis": Ellipsis}
            if re.fullmatch(r"(float|int|uint)(8|16|32|64)|bool", word):
                return word
            if word not in known:
                raise NotationError(f"`{word}` is no number", parts[0].start_pos, len(word))
            return known[word]

        def minus(self, parts: list[Any]) -> Any:
            return -(float(parts[1]) if any(c in parts[1] for c in ".eE") else int(parts[1]))

        def tuple(self, parts: list[Any]) -> Any:
            return tuple(parts)

        def listing(self, parts: list[Any]) -> Listing:
            return Listing(tuple(parts[0]), span=_place(parts))

        def negative(self, parts: list[Any]) -> Expression:
            return _deep(Negative(parts[1], span=_place(parts)))

        def superscript(self, parts: list[Any]) -> Expression:
            return _deep(Power(parts[0], Number(_exponent(parts[1])), span=_place(parts)))

        def power(self, parts: list[Any]) -> Expression:
            return _deep(Power(parts[0], parts[2], span=_place(parts)))

        def exponent(self, parts: list[Any]) -> Expression:
            first = parts[0]
            if first.type in ("LPAR", "LBRACE"):
                return parts[1]  # type: ignore[no-any-return]
            if first.type == "MINUS":
                return Negative(parts[1], span=_place(parts))
            if first.type == "NUMBER":
                return Number(_number(first), span=_place(parts))
            return read_name(str(first), _place(parts))

        def transpose(self, parts: list[Any]) -> Expression:
            return _deep(Transpose(parts[0], span=_place(parts)))

        def prime(self, parts: list[Any]) -> Expression:
            return _deep(Prime(parts[0], span=_place(parts)))

        def end(self, parts: list[Any]) -> Any:
            return Open(span=_place(parts)) if getattr(parts[0], "type", "") == "OPEN" else parts[0]

        def bound(self, parts: list[Any]) -> Any:
            colons = [i for i, part in enumerate(parts) if getattr(part, "type", "") == "COLON"]
            if not colons:
                return parts[0]
            i = colons[0]
            return (parts[i - 1] if i else None, parts[i + 1] if i + 1 < len(parts) else None)

        def bounds(self, parts: list[Any]) -> list[Any]:
            return parts

        def subscript(self, parts: list[Any]) -> Expression:
            base, bounds = parts
            span = _place(parts)
            if all(isinstance(b, tuple) for b in bounds):
                return _deep(Slice(base, tuple(bounds), span=span))
            if len(bounds) == 1 and isinstance(base, Name) and base.step is None:
                return replace(base, step=step_of(bounds[0], span), span=(span[0], span[1] + 1))
            raise NotationError(
                "in brackets stands a time step, as in h[t-1], or a slice, as in dz[:4]", *_from_to(span)
            )

        def at(self, parts: list[Any]) -> Expression:
            step = parse_step(str(parts[1]).strip("() ").partition("=")[2], _place(parts[1:]))
            base = parts[0]
            if isinstance(base, Name):
                return Derivative(Name("L"), _gradient_of(base), step, span=_place(parts))
            return Call("(t=)", (base,), (("step", step),), span=_place(parts))

        def product(self, parts: list[Any]) -> Expression:
            if len(parts) == 1:
                return parts[0]  # type: ignore[no-any-return]
            operators = [_OPERATORS.get(str(p), str(p)) for p in parts[1::2]]
            return _deep(_with_derivatives(list(parts[0::2]), operators, _place(parts)))

        def sum(self, parts: list[Any]) -> Expression:
            terms: list[Expression] = []
            signs: list[int] = []
            sign = 1
            for part in parts:
                kind = getattr(part, "type", "")
                if kind in ("PLUS", "MINUS"):
                    sign = 1 if kind == "PLUS" else -1
                else:
                    terms.append(part)
                    signs.append(sign)
                    sign = 1
            if len(terms) == 1:
                return terms[0] if signs[0] > 0 else _deep(Negative(terms[0], span=_place(parts)))
            return _deep(Sum(tuple(terms), tuple(signs), span=_place(parts)))

        def over_time(self, parts: list[Any]) -> Expression:
            variable, first, last = _range(str(parts[0]), _place(parts))
            return _deep(TimeSum(variable, first, last, parts[1], span=_place(parts)))

        def equation(self, parts: list[Any]) -> Equation:
            known = {":=": "=", "←": "=", "≔": "="}
            operators = tuple(known.get(str(p), str(p)) for p in parts[1::2])
            return Equation(tuple(parts[0::2]), operators, span=_place(parts))

        def line(self, parts: list[Any]) -> list[Equation]:
            return [p for p in parts if isinstance(p, Equation)]

    return _Build()


def _place(parts: list[Any]) -> Span:
    spans = []
    for part in parts:
        if isinstance(part, list):
            spans += [p.span for p in part if hasattr(p, "span")]
        elif hasattr(part, "span"):
            spans.append(part.span)
        elif getattr(part, "start_pos", None) is not None:
            spans.append((part.start_pos, part.end_pos))
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0, 0)


def _from_to(span: Span) -> tuple[int, int]:
    return span[0], max(1, span[1] - span[0])


_depths: dict[int, int] = {}
TreeT = TypeVar("TreeT", bound=Expression)


def _deep(tree: TreeT) -> TreeT:
    """Return `tree`, refusing one that nests too deep."""
    depth = 1 + max((_depths.get(id(part), 1) for part in children(tree)), default=0)
    if depth > MAX_DEPTH:
        raise NotationError(f"nested more than {MAX_DEPTH} deep", *_from_to(tree.span))
    _depths[id(tree)] = depth
    return tree


def _number(token: Token) -> float:
    value = float(token)
    if value > 1e100:
        raise NotationError("a number above 1e100", token.start_pos or 0, len(token))
    return value


def _exponent(text: str) -> float:
    return float(text.translate(_SUPERSCRIPT)[:20])


def parse_step(text: str, span: Span = (0, 0)) -> Step:
    """Read a time step: ``t``, ``t-1``, ``n - 1``, ``T``, ``2``.

    >>> parse_step("n-1")
    Step(base='t', offset=-1)
    """
    match = re.fullmatch(r"([tnT]?)([+-]?[0-9]{0,9})", re.sub(r"\s|[{}]", "", text.replace("−", "-")))
    if not match or not match.group(0):
        raise NotationError(f"`{text.strip()}` is no time step such as t-1 or 2", *_from_to(span))
    letter, offset = match.groups()
    if offset in ("+", "-") or (letter and offset and offset[0].isdigit()):
        raise NotationError(f"`{text.strip()}` is no time step such as t-1 or 2", *_from_to(span))
    return Step({"n": "t"}.get(letter, letter), int(offset or 0))


def step_of(tree: Expression, span: Span) -> Step:
    """Turn what stands in the brackets of ``h[t-1]`` into a step."""
    from .syntax import render

    return parse_step(render(tree), span)


def read_name(word: str, span: Span = (0, 0)) -> Name:
    """Read a name with the step that is written on it: ``h_{t-1}``, ``hₜ₋₁``, ``∂L``.

    The digits of ``h1`` stay: only a model can say whether they are a step.
    """
    if word.startswith("`"):
        return Name(word.strip("`"), quoted=True, span=span)
    word = unicodedata.normalize("NFC", word)
    if word.startswith("∂") and len(word) > 1:
        word = "d" + word[1:]
    base, brace, index = word.partition("_{")
    if brace:
        try:
            return Name(base, parse_step(index[:-1], span), span=span)
        except NotationError:
            return Name(base + "_" + re.sub(r"\W", "_", index[:-1]), span=span)
    plain = re.sub(r"[₀-₉₊₋ₜₙ]+$", "", word)
    if plain != word:
        return Name(plain, parse_step(word[len(plain) :].translate(_SUBSCRIPT), span), span=span)
    return Name(word, span=span)


def _gradient_of(name: Name) -> Name:
    """Turn the name ``dWhh`` into ``Whh``."""
    if not name.text.startswith("d") or len(name.text) < 2:
        raise NotationError("(t = ...) belongs to a gradient such as dL/dWhh", *_from_to(name.span))
    return replace(name, text=name.text[1:])


def _with_derivatives(factors: list[Any], operators: list[str], span: Span) -> Expression:
    """Join ``dL / dh2``, read as a quotient, into one derivative each."""
    i = 0
    while i < len(operators):
        if operators[i] == "/" and isinstance(factors[i], Negative) and _is_differential(factors[i].operand):
            # the sign of -dL/dh belongs to the whole
            positive = _with_derivatives([factors[i].operand, factors[i + 1]], ["/"], span)
            if isinstance(positive, Derivative | Slice | Transpose):
                factors[i : i + 2] = [Negative(positive, span=factors[i].span)]
                del operators[i]
                continue
        if operators[i] == "/" and _is_differential(factors[i]):
            below: Any = factors[i + 1]
            at: Step | None = None
            wrappers: list[Any] = []  # dL/dh^T is the transpose of dL/dh, dL/dz[:4] its first rows
            while isinstance(below, Slice | Transpose):
                wrappers.append(below)
                below = below.operand
            if isinstance(below, Derivative) and below.of.text == "L":  # dWhh (t = 2), read as dL/dWhh
                below, at = replace(below.wrt, text="d" + below.wrt.text), below.at
            if _is_differential(below):
                above = factors[i]
                place = (above.span[0], factors[i + 1].span[1])
                derivative: Any = Derivative(_gradient_of(above), _gradient_of(below), at, span=place)
                for wrapper in reversed(wrappers):
                    derivative = replace(wrapper, operand=derivative, span=place)
                factors[i : i + 2] = [derivative]
                del operators[i]
                continue
        i += 1
    if len(factors) == 1:
        return factors[0]  # type: ignore[no-any-return]
    return Product(tuple(factors), tuple(operators), span=span)


def _is_differential(tree: Any) -> bool:
    return isinstance(tree, Name) and not tree.quoted and tree.text.startswith("d") and len(tree.text) > 1


def _range(text: str, span: Span) -> tuple[str, Step, Step]:
    words = re.search(r"\s([a-z])\s+from\s+(\S+)\s+to\s+(\S+)", text)
    if words:
        return words[1], parse_step(words[2], span), parse_step(words[3], span)
    below = re.search(r"_\{?\s*([a-z])(?:\s*=\s*([^{}]+))?\}?", text) or re.search(r"over\s+([a-z])()", text)
    above = re.search(r"\^\s*\{?([^{}]+)\}?$", text)
    assert below, text
    first = parse_step(below[2], span) if below[2] else Step("", 1)
    return below[1], first, parse_step(above[1], span) if above else Step("T", 0)


def parse_line(text: str) -> list[Equation]:
    """Read one logical line: an equation and those that follow it after `where`.

    Raises
    ------
    NotationError
        With the column at which the line stops making sense.
    """
    from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

    if len(text) > MAX_LENGTH:
        raise NotationError(f"longer than {MAX_LENGTH:,} characters", MAX_LENGTH)
    _depths.clear()
    prepared = _previous_step(text)
    try:
        return _parser().parse(prepared)  # type: ignore[return-value]
    except VisitError as error:
        if isinstance(error.orig_exc, NotationError):
            raise error.orig_exc from None
        raise NotationError(str(error.orig_exc)) from None
    except UnexpectedCharacters as error:
        at = error.pos_in_stream or 0
        found = text[at]
        called = unicodedata.name(found, "a control character") if not found.isprintable() else f"`{found}`"
        raise NotationError(f"{called} has no meaning here", at) from None
    except UnexpectedToken as error:
        if error.token.type == "$END" or error.token.start_pos is None:
            raise NotationError("the line ends where a value should follow", len(text.rstrip())) from None
        at = error.token.start_pos
        why = f"`{error.token}` does not fit here: {_expected(error.accepts or error.expected)}"
        raise NotationError(why, at, max(1, len(error.token))) from None
    except (LarkError, UnexpectedInput) as error:
        raise NotationError(str(error).splitlines()[0]) from None


def _expected(tokens: Any) -> str:
    if "OPERATOR" in tokens:
        return "an operator, `=` or the end of the line was expected"
    if "NAME" in tokens:
        return "a name, a number or `(` was expected"
    return "the bracket was not closed"


def _previous_step(text: str) -> str:
    """Under a sum over t, ``ht-1`` is h at the step before; the blank keeps every column in its place."""
    if not re.search(r"(sum|Σ|∑).{0,20}\b[tn]\b", text[:MAX_LENGTH]):
        return text
    return re.sub(r"(?<![\w])([^\W\d_]\w{0,40}?)t-1(?![A-Za-z0-9_])", lambda m: f"{m[1]}ₜ₋₁", text)


def parse(text: str) -> Equation:
    """Read one equation.

    >>> parse("dby += do").operators
    ('+=',)
    """
    equations = parse_line(text)
    if len(equations) != 1:
        raise NotationError("expected one equation, found `where`", text.find("where"))
    return equations[0]
