"""From text to equations: which lines are equations, where they begin and end, and what they say.

Two layers.  `parse` reads one logical line by the grammar (`grammar.lark`).  `read` finds the logical
lines in a text as people write it: it joins continued lines, takes away `Thus,` and `tensor`, notes
headings such as ``T = 2``, and passes over prose and drawings, which it counts and lists.

Nothing here is ever evaluated by Python, and everything is bounded: the length of a line, how deep brackets
and signs may nest, how many lines are joined.  Whatever the bytes are, `read` returns.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
    walk,
)

if TYPE_CHECKING:
    from lark import Lark, Token

MAX_LENGTH = 4_000  # characters of one logical line
MAX_DEPTH = 60  # how deep an expression may nest
MAX_JOINED = 60  # physical lines that make one logical line
MAX_LINES = 5_000  # equations in one text
MAX_BYTES = 64_000_000


class NotationError(MinigradError, ValueError):
    """A line that cannot be read; `column` (from 0) is where in the line, `length` how far."""

    def __init__(self, message: str, column: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.column = column
        self.length = length


@dataclass(frozen=True, slots=True)
class Line:
    """One equation of the text, or what stands in its place.

    Attributes
    ----------
    number : int
        The line of the file on which it begins, from 1.
    text : str
        As typed; continued lines are joined by a blank.
    kind : str
        ``equation``, ``not-understood`` (`reason` says why), or ``skipped`` (prose, drawing, heading).
    equation : Equation or None
    section : str or None
        The step of the heading that it stands under: ``"2"`` for ``T = 2``, ``"T"``, ``"1"``, or None.
    thus : bool
        Whether it began with `Thus,` or the like: it says the line before it in other words.
    """

    number: int
    text: str
    kind: str
    equation: Equation | None = None
    section: str | None = None
    thus: bool = False
    reason: str = ""
    column: int = 0
    length: int = 1
    last: int = 0  # the last line of the file that it covers


@dataclass
class Text:
    """A text that has been read: its lines, which names stand for which, and which model it speaks of."""

    lines: list[Line] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    steps: int | None = None

    @property
    def equations(self) -> list[Line]:
        """The lines that are equations, or that look like one and cannot be read."""
        return [line for line in self.lines if line.kind != "skipped"]


# -- one line ----------------------------------------------------------------------------------------


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


# -- a whole text ------------------------------------------------------------------------------------

_THUS = re.compile(
    r"\s*(?:[-*•>]\s+|\(?\d{1,3}[.)]\s+)?(?:(thus|so|hence|therefore|then|and|also|where)\b[,:]?\s+)?"
    r"(?:(?:tensor|let|auto|var|const|float|double|matrix|vector)\s+(?=[^\W\d]\w*\s*[=]))?",
    re.IGNORECASE,
)
_HEADING = re.compile(r"\s*(?:#+\s*)?(?:for\s+)?(?:at\s+)?[Ttn]\s*=\s*([Tt]|\d{1,6})\s*:?\s*$")
_LOOP = re.compile(r"\s*for\s+[tn]\s*(?:=|in|from)\s*T\s*(?:\.\.\.?|…|,\s*\.\.\.,|to|down\s+to)\s*1\s*:?\s*$")
_LAST_TO = re.compile(r"\s*(?:for\s+)?[tn]\s*=\s*(\S{1,5})\s*(?:\.\.|to)\s*(\S{1,5})\s*:?\s*$")
_ALIAS = re.compile(r"\s*where\s+(.+)$", re.IGNORECASE)
_ALIAS_PAIR = re.compile(r"`?([^\W\d]\w*)`?\s+(?:is|stands\s+for|means)\s+`?([^\W\d]\w*)`?\s*$")
_DIRECTIVE = re.compile(
    r"[\s#/%-]*(?:model|network)\s*[:=]\s*([\w./:-]+)(?:[\s,;]+(?:(\d{1,4})\s*steps?|steps?\s*[:=]?\s*(\d{1,4})))?",
    re.I,
)
_TARGET = re.compile(r"\s*[`\w∂/^{}\[\]()'′’ₜₙ₀-₉₊₋,.+=<>: -]{1,80}$")
_TRAILING = re.compile(r"[-+*⋅·×@⊙/=,(\[{\\]\s*$")
_DRAWN = re.compile(r"\[\w+\]|\{\w+\}|\([\w*+]+(\+\w+)?\)|[|`´,'.\-+#<>_~*\s─-╿]+")


def decode(data: bytes) -> str:
    """Make text of bytes, whatever they are: UTF-8, UTF-16 with its mark, else one character a byte."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_file(path: str | Path) -> str:
    """Read a text file in any encoding; a file that holds zero bytes, or too much, is refused."""
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise NotationError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB: this is no derivation")
    if b"\0" in data[:100_000] and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise NotationError(f"{path} is a binary file; a derivation is a text file")
    return decode(data)


def read(text: str, first: int = 1, last: int | None = None) -> Text:
    r"""Find the equations of a text.

    Parameters
    ----------
    text : str
        Anything.
    first, last : int
        Only these lines of it are read (from 1, both included).

    >>> [line.kind for line in read("Softmax first:\ndo = p - y").lines]
    ['skipped', 'equation']
    """
    result = Text()
    section: str | None = None
    equations = 0
    for number, end, raw in _logical(text.split("\n"), first, last):
        if _directive(raw, result):
            result.lines.append(Line(number, raw, "skipped", last=end))
            continue
        heading = _HEADING.match(raw) if len(raw) < 80 else None
        if heading or (len(raw) < 80 and (_LOOP.match(raw) or _LAST_TO.match(raw))):
            section = heading[1] if heading and heading[1] != "t" else None
            result.lines.append(Line(number, raw, "skipped", reason="heading", last=end))
            continue
        found = _read_line(number, end, raw, section, result)
        if len(found) == 1 and found[0].kind == "skipped" and found[0].reason != "drawing":
            section = None if _names_total(raw) else section
        if found and found[0].kind != "skipped":
            equations += 1
            if equations > MAX_LINES:
                raise NotationError(f"more than {MAX_LINES:,} equations: this is no derivation")
        result.lines += found
    return result


def _names_total(raw: str) -> bool:
    return re.search(r"\b(total|general|sum|final|all)\b", raw, re.IGNORECASE) is not None


def _directive(raw: str, result: Text) -> bool:
    if not any(word in raw[:400].lower() for word in ("model", "network", "where")):
        return False
    directive = _DIRECTIVE.fullmatch(raw.rstrip()) if len(raw) < 300 else None
    if directive:
        result.model = directive[1]
        steps = directive[2] or directive[3]
        result.steps = int(steps) if steps else result.steps
        return True
    clause = _ALIAS.match(raw) if len(raw) < 1000 else None
    if clause:
        pairs = [
            _ALIAS_PAIR.match(part.strip()) for part in re.split(r",|;|\band\b", clause[1].rstrip(" .;"))
        ]
        if all(pairs):
            result.aliases.update({pair[1]: pair[2] for pair in pairs if pair})
            return True
    return False


def _logical(lines: list[str], first: int, last: int | None) -> Iterator[tuple[int, int, str]]:
    """Join continued lines: after a trailing operator or an open bracket, before a leading ``=``."""
    end = len(lines) if last is None else min(last, len(lines))
    i = max(first, 1) - 1
    while i < end:
        raw = lines[i].rstrip("\r")
        start = i
        if _is_plain_prose(raw):
            yield start + 1, start + 1, raw
            i += 1
            continue
        if len(raw) <= MAX_LENGTH and _may_be_equation(raw):
            body = _without_comment(raw)
            while i + 1 < end and i - start < MAX_JOINED and len(raw) <= MAX_LENGTH:
                follower = lines[i + 1].rstrip("\r")
                if not follower.strip() or _is_drawing(follower):
                    break
                goes_on = _TRAILING.search(body) or body.count("(") > body.count(")")
                if not (goes_on or re.match(r"\s*=[^=]", follower)):
                    break
                if goes_on and _is_prose(follower):
                    break
                raw = f"{body.rstrip().rstrip(chr(92))} {_without_comment(follower).strip()}"
                body = raw
                i += 1
        yield start + 1, i + 1, raw
        i += 1


def _is_plain_prose(raw: str) -> bool:
    """Whether a line is a sentence at first sight: most of a long text is, and costs no more."""
    head, equals, _ = raw.partition("=")
    return bool(equals) and len(head) < 400 and head[-1:] not in "+-:" and _is_prose(head.split("#")[0])


def _without_comment(raw: str) -> str:
    return re.split(r"\s#|^#|//|\s%", raw, maxsplit=1)[0]


def _is_drawing(raw: str) -> bool:
    """Whether a line is drawn rather than written: rules, boxes, wires."""
    if re.fullmatch(r"\s*([=\-_*~#.])\1{2,}\s*.*?", raw) or re.search(r"([=\-_~])\1{3,}|--[+-]|[-+]--", raw):
        return True
    inner = raw.strip()
    if re.search(r"(^|\s)[|`,'´.]\s*(\s|$|-)|\|\s", inner) and not re.search(r"(?<![=])=(?!=)", raw):
        return True
    # Symbols of a drawing alone in the line: {Wex}  [x]  (tanh+bh)  (*)
    return bool(inner) and not _DRAWN.sub("", inner)


def _may_be_equation(raw: str) -> bool:
    if not ("=" in raw or "←" in raw or "≔" in raw or "/" in raw):
        return False
    return not _is_drawing(raw) and ("=" in raw or "←" in raw or "≔" in raw or _starts_expression(raw))


def _starts_expression(raw: str) -> bool:
    """Whether a line without `=` is an expression over gradients: ``dL/dW (t = 1) + dL/dW (t = 2)``."""
    body = raw[: MAX_LENGTH + 1].strip()
    return re.match(r"[d∂]\w+\s*/\s*[d∂]\w", body) is not None and not _is_prose(body)


def _is_prose(text: str) -> bool:
    """Whether words stand side by side as in a sentence."""
    words = re.sub(r"\b(where|sum|over|from|to)\b", " + ", text)
    return re.search(r"[^\W\d]\w*[,.;:]?\s+[^\W\d]\w*[,.;:]?\s+[^\W\d]\w*", words) is not None


def _read_line(number: int, end: int, raw: str, section: str | None, result: Text) -> list[Line]:
    def skipped(reason: str) -> list[Line]:
        return [Line(number, raw[:200], "skipped", section=section, reason=reason, last=end)]

    if not raw.strip():
        return []
    if _is_plain_prose(raw):
        return skipped("prose")
    if len(raw) > MAX_LENGTH:
        if "=" in raw[:200] and not _is_prose(raw[:200]) and not _is_drawing(raw[:200]):
            reason = f"longer than {MAX_LENGTH:,} characters"
            return [Line(number, raw[:200], "not-understood", reason=reason, last=end)]
        return skipped("prose")
    if _is_drawing(raw):
        return skipped("drawing")
    if not _may_be_equation(raw):
        return skipped("prose")
    body = _without_comment(raw).rstrip().rstrip(";").rstrip()
    if not body:
        return skipped("comment")
    opening = _THUS.match(body)
    assert opening
    thus = bool(opening[1]) and opening[1].lower() not in ("where", "and")
    start = opening.end()
    target = re.split(r"\+=|-=|:=|←|≔|=", body[start:], maxsplit=1)[0]
    if re.search(r"[^\W\d]", body[start:]) is None:
        return skipped("numbers")
    if _is_prose(target):
        return skipped("prose")
    padded = " " * start + body[start:]
    try:
        equations = parse_line(padded)
    except NotationError as error:
        if _is_prose(body[start:]) and not _TARGET.match(target):
            return skipped("prose")
        column, length, reason = error.column, error.length, str(error)
        return [Line(number, raw, "not-understood", None, section, thus, reason, column, length, end)]
    if all(
        not any(isinstance(p, Name | Call | Derivative) for p in walk(s)) for e in equations for s in e.sides
    ):
        return skipped("numbers")
    return [
        Line(number, _part(raw, equations, i), "equation", equation, section, thus and i == 0, last=end)
        for i, equation in enumerate(equations)
    ]


def _part(raw: str, equations: list[Equation], i: int) -> str:
    """Return the line as typed (all equations of a line point into the same text)."""
    return raw
