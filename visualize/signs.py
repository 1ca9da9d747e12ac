"""The signs of a drawing in characters, which the reader and the writer share.

    .  connects left and down      ,  right and down      `  up and right      '  up and left
    -  left and right              |  up and down; with a wire on both sides, unbroken: a crossing
    +  a junction of three wires or four
    >  an arrow: on a wire, which way it runs; at its end, a state that enters or leaves the drawing

A symbol's left side takes in and its right side gives out; above and below, its arity decides. The inputs of
a symbol that minds their order (`#`, `(-)`, `(/)`) are counted from above by the left side to below.
"""

from __future__ import annotations

import re
import unicodedata

UP, RIGHT, DOWN, LEFT = (-1, 0), (0, 1), (1, 0), (0, -1)
DIRECTIONS = (UP, RIGHT, DOWN, LEFT)

CONNECTS: dict[str, frozenset[tuple[int, int]]] = {
    "-": frozenset({LEFT, RIGHT}),
    "|": frozenset({UP, DOWN}),
    ".": frozenset({LEFT, DOWN}),
    ",": frozenset({RIGHT, DOWN}),
    "`": frozenset({UP, RIGHT}),
    "'": frozenset({UP, LEFT}),
    "´": frozenset({UP, LEFT}),
}
JUNCTION = "+"
ARROWS = {">": RIGHT, "<": LEFT, "^": UP, "v": DOWN}
BRACKETS = {"[": "]", "{": "}", "(": ")"}

SIGN_OF = {connected: sign for sign, connected in CONNECTS.items() if sign != "´"}

LONGEST = 60  # characters of a name; a longer one is shortened
_ESCAPED = re.compile("⟨([0-9a-f]{1,6})⟩")


def opposite(direction: tuple[int, int]) -> tuple[int, int]:
    """Return the other way."""
    return -direction[0], -direction[1]


def encode(name: str) -> str:
    """Write a name so that it stands in brackets on one line: what cannot becomes its code, ``⟨5d⟩``."""
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 8]}…{name[-7:]}"
    out = []
    for position, c in enumerate(name):
        category = unicodedata.category(c)
        edge = c == " " and position in (0, len(name) - 1)
        if c in "[]{}()⟨⟩" or edge or category[0] in "CM" or category in ("Zl", "Zp"):
            out.append(f"⟨{ord(c):x}⟩")
        else:
            out.append(c)
    return "".join(out)


def decode(text: str) -> str:
    """Read a name that `encode` wrote."""
    return _ESCAPED.sub(lambda match: _character(match.group(1), match.group(0)), text)


def _character(code: str, text: str) -> str:
    return chr(int(code, 16)) if int(code, 16) <= 0x10FFFF else text


def width(text: str) -> int:
    """Return how many columns text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cells(line: str) -> list[str]:
    """Split a line into columns; a wide character is followed by an empty column."""
    found: list[str] = []
    for c in line:
        if unicodedata.category(c) in ("Mn", "Me", "Cf") and found:
            found[-1] += c
        else:
            found.append(c)
            if unicodedata.east_asian_width(c) in "WF":
                found.append("")
    return found
