"""`check`: a derivation as a person wrote it goes in, every line comes back judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minigrad.errors import MinigradError
from minigrad.node import Node

from .judge import BAD, GOOD, Finding, Judge
from .reader import Text, read
from .repair import Repairer
from .run import GradientResult, run
from .syntax import Derivative, Equation, Name, Step, walk
from .truth import redrawn, worlds_of


class CheckError(MinigradError, ValueError):
    """A text or a graph that cannot be checked at all."""


@dataclass
class Report:
    """Everything that was found out about a text.

    Attributes
    ----------
    model : str
        What it was held against.
    lines : list of Finding
        One for each equation, in the order of the text.
    gradients : list of GradientResult
        End to end: the gradients of parameters that the text computes, run as it stands.
    repaired : list of GradientResult or None
        The same with every first repair applied, where some line needed one and each got one.
    warnings : list of str
    skipped : int
        Lines that are prose, drawings or headings.
    """

    model: str
    text: Text
    lines: list[Finding]
    gradients: list[GradientResult]
    repaired: list[GradientResult] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """How many lines are prose, drawings or headings."""
        return sum(line.kind == "skipped" for line in self.text.lines)

    @property
    def ok(self) -> bool:
        """Whether no line is wrong and every gradient that the text computes is right."""
        return not any(f.is_bad for f in self.lines) and all(g.right for g in self.gradients)

    def count(self, *verdicts: str) -> int:
        """Return how many lines have one of the verdicts."""
        return sum(f.verdict in verdicts for f in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, the form of ``minigrad check --json``."""
        from .report import as_dict

        return as_dict(self)

    def __str__(self) -> str:
        from .report import as_text

        return as_text(self)


def check(
    text: str | Text,
    loss: Node | Sequence[Node],
    *,
    repairs: bool = True,
    model: str = "",
) -> Report:
    """Hold a derivation against a recorded graph, line by line and end to end.

    Parameters
    ----------
    text : str
        A derivation in the notation, with whatever stands around it.
    loss : Node or sequence of Node
        A scalar: the loss of the graph that the derivation is about.  Given one, the graph is recorded
        again twice with other numbers; several are several runs of one program, for instance with another
        batch size.
    repairs : bool
        Search for repairs of lines that are not right.
    model : str
        How the report calls the model.

    Returns
    -------
    Report
        ``print(report)`` shows it; ``report.ok``, ``report.lines``, ``report.gradients`` are for programs.

    Raises
    ------
    CheckError
        If the graph has no steps to speak of, or no gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> from minigrad.derivation import check
    >>> W = mg.parameter(np.array([[0.5, 0.2, 0.1]]), name="W")
    >>> x = mg.constant(np.array([[1.0], [2.0], [3.0]]), name="x")
    >>> y = mg.tanh((W @ x).named("z")).named("y")
    >>> report = check("dz = (1 - y²) * dy", mg.squared_error(y, [[1.0]]))
    >>> report.lines[0].verdict
    'right'
    """
    losses = [loss] if isinstance(loss, Node) else list(loss)
    if not losses:
        raise CheckError("check: no graph was given; pass the loss node")
    for node in losses:
        if node.size != 1:
            raise CheckError(f"check: {node.label} has shape {node.shape}; a loss is a single number")
    if len(losses) == 1:
        losses = [redrawn(losses[0], seed) for seed in (0, 1, 2)]
    parsed = text if isinstance(text, Text) else read(text)
    worlds = worlds_of(losses)
    if not worlds[0].loss.requires_grad:
        raise CheckError(f"check: no parameter stands behind {losses[0].label}; make one with mg.parameter")
    with np.errstate(all="ignore"):  # what a text divides by zero is its own affair, and comes out wrong
        judge = Judge(parsed, worlds)
        findings = judge.judge_all()
        report = Report(model, parsed, findings, run(judge, findings))
        if repairs and any(f.is_bad for f in findings):
            _repair(judge, findings, report)
    report.warnings += _warnings(judge, findings, worlds)
    return report


def _repair(judge: Judge, findings: list[Finding], report: Report) -> None:
    repairer = Repairer(judge, findings)
    for i, finding in enumerate(findings):
        if finding.is_bad:
            finding.suggestions = repairer.repair(i, finding)
            if finding.suggestions and (finding.span is None or finding.verdict in ("shape", "wrong")):
                finding.span = finding.suggestions[0].span
    bad = [f for f in findings if f.is_bad]
    if all(f.suggestions for f in bad):
        again = Judge(repaired_text(report), judge.worlds)
        report.repaired = run(again, again.judge_all())


def repaired_text(report: Report) -> Text:
    """Return the text with the first repair of every line in its place."""
    lines = []
    replaced = {id(f.line): f.suggestions[0].equation for f in report.lines if f.is_bad and f.suggestions}
    for line in report.text.lines:
        equation = replaced.get(id(line))
        lines.append(replace(line, equation=equation, kind="equation") if equation is not None else line)
    return replace(report.text, lines=lines)


def _warnings(judge: Judge, findings: list[Finding], worlds: list[Any]) -> list[str]:
    warnings = []
    layouts: dict[str, list[int]] = {"rows": [], "columns": []}
    for finding in findings:
        if finding.layout and finding.verdict in GOOD:
            layouts[finding.layout].append(finding.number)
    if layouts["rows"] and layouts["columns"]:
        warnings.append(
            "the layout changes on the way: gradients of vectors are rows in "
            f"{_lines(layouts['rows'])} and columns in {_lines(layouts['columns'])}"
        )
    if len(worlds[0].steps) == 1:
        warnings.append("the graph has a single step, which hides carries between steps")
    single = _single_sizes(worlds[0])
    if single:
        warnings.append(f"{single}: sizes of 1 hide transposes; give every dimension a size of its own")
    return warnings


def _single_sizes(world: Any) -> str:
    """Say which parameter is 1 x 1, so that its transpose is itself."""
    for name, places in world.names.items():
        node = world.nodes[places[None]] if None in places else None
        if node is not None and node.is_parameter and node.ndim == 2 and node.shape == (1, 1):
            return f"{name} is 1 x 1"
    return ""


def _lines(numbers: list[int]) -> str:
    distinct = list(dict.fromkeys(numbers))
    if len(distinct) == 1:
        return f"line {distinct[0]}"
    if len(distinct) > 6:
        return f"lines {', '.join(map(str, distinct[:5]))} and {len(distinct) - 5} more"
    return f"lines {', '.join(map(str, distinct[:-1]))} and {distinct[-1]}"


def steps_named(text: Text) -> int | None:
    """Return the number of steps that a text names itself (``h4``, ``T = 2``), or None.

    >>> steps_named(read("dL/dh1 = dL/dh2 ⋅ dh2/dh1"))
    2
    """
    if text.steps:
        return text.steps
    import re

    highest = 0
    general = False
    for line in text.equations:
        if line.section and line.section.isdigit():
            highest = max(highest, int(line.section))
        if line.equation is None:
            continue
        general = general or not _explicit(line.equation)
        for side in line.equation.sides:
            for part in walk(side):
                if isinstance(part, Derivative) and isinstance(part.at, Step) and not part.at.base:
                    highest = max(highest, part.at.offset)
                if isinstance(part, Name):
                    if part.step is not None and not part.step.base:
                        highest = max(highest, part.step.offset)
                    digits = re.search(r"(?<=[^\W\d])_?(\d{1,4})$", part.text)
                    if digits:
                        highest = max(highest, int(digits[1]))
    return highest if 1 <= highest <= 200 else None


def _explicit(equation: Equation) -> bool:
    return any(isinstance(p, Derivative) for s in equation.sides for p in walk(s))


__all__ = [
    "BAD",
    "GOOD",
    "CheckError",
    "Finding",
    "GradientResult",
    "Report",
    "check",
    "repaired_text",
    "steps_named",
]
