"""Errors of drawings: each names the place, what was expected there and how to mend it."""

from __future__ import annotations

from minigrad.errors import MinigradError


class DrawingError(MinigradError, ValueError):
    """Something that cannot be drawn, or cannot be drawn as asked."""


class DrawingSyntaxError(DrawingError):
    """A drawing in characters that does not read.

    Attributes
    ----------
    line, column : int
        The place, counted from 1.
    """

    def __init__(self, line: int, column: int, found: str, expected: str, source: str = "") -> None:
        self.line = line
        self.column = column
        self.found = found
        self.expected = expected
        shown = f"\n  {source.rstrip()}\n  {' ' * (column - 1)}^" if source.strip() else ""
        super().__init__(f"line {line}, column {column}: {found}; expected {expected}{shown}")


class RendererError(DrawingError, RuntimeError):
    """No Graphviz that could make the picture, or one that failed."""


class WouldOverwriteError(DrawingError, FileExistsError):
    """The file exists and was not written by this project."""
