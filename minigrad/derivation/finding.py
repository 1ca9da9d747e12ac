"""What is found out about a line: its verdict, its reason, its repairs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .evaluate import STRICT, Reading
from .reader import Line
from .syntax import Derivative, Equation, Name, Span, Step

GOOD = ("right", "right-as")
BAD = ("wrong", "shape", "undefined", "not-understood")


@dataclass
class Suggestion:
    """A repair that has been tried: the whole line as it would then stand."""

    text: str
    change: str
    cost: float
    checked: bool = True
    equation: Equation | None = None
    span: Span = (0, 0)
    defined: int = 0  # the line that assigns the name which is put in


@dataclass
class Finding:
    """What was found about one equation.

    Attributes
    ----------
    number : int
        Line of the file.
    text : str
        The line as typed.
    equation : str
        The equation of the line that this is about, in the project's spelling.
    verdict : str
        ``right``, ``right-as``, ``wrong``, ``shape``, ``undefined``, ``not-tested``, ``not-understood`` or
        ``skipped``.
    matched : str
        Which meaning of the left side was met.
    reading : str
        Which licence it needed; empty for none.
    exact : str
        For ``right-as``, the line in exact form.
    error : float or None
        The largest relative error.
    reason : str
    suggestions : list of Suggestion
    span : tuple
        Columns of the culprit in `text`.
    notes : list of str
    nodes : list of str
        Labels of the model's nodes that the equation is about, such as ``dh[2]``; for links.
    layout : str
        ``rows`` or ``columns`` where the line decides it.
    """

    number: int
    text: str
    equation: str
    verdict: str
    matched: str = ""
    reading: str = ""
    exact: str = ""
    error: float | None = None
    reason: str = ""
    suggestions: list[Suggestion] = field(default_factory=list)
    span: Span | None = None
    notes: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    layout: str = ""
    errors: dict[int | None, float] = field(default_factory=dict)
    used: Reading = STRICT
    meaning: str = ""
    line: Line | None = None
    general: bool = False
    kind: str = ""  # undefined name etc.

    @property
    def is_bad(self) -> bool:
        """Whether the line is wrong, or cannot be judged for a reason of its own."""
        return self.verdict in BAD


@dataclass
class Target:
    """A left side that has been understood."""

    kind: str  # "gradient", "value", "local", "own", "sides"
    base: str = ""
    step: Step | None = None
    carry: bool = False
    at: Step | None = None
    transposed: bool = False
    name: Name | None = None
    derivative: Derivative | None = None
