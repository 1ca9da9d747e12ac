"""From text to lines: which of them are equations, and where they begin and end.

`read` finds the logical lines in a text as people write it: it joins continued lines, takes away `Thus,` and
`tensor`, notes headings such as ``T = 2``, and passes over prose and drawings, which it lists.  What an
equation says is read by the grammar (`equation.py`).  Whatever the bytes are, `read` returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .equation import MAX_DEPTH, MAX_LENGTH, NotationError, parse, parse_line
from .syntax import (
    Call,
    Derivative,
    Equation,
    Name,
    walk,
)

MAX_JOINED = 60  # physical lines that make one logical line
MAX_LINES = 5_000  # equations in one text
MAX_BYTES = 64_000_000

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "Line",
    "NotationError",
    "Text",
    "parse",
    "parse_line",
    "read",
    "read_file",
]


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
