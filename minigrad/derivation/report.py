"""How a report is shown: as text for 80 columns, as data, and as a repaired copy of the file."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .judge import Finding

if TYPE_CHECKING:
    from .checker import Report

WIDTH = 80
_LABELS = {
    "right": "RIGHT",
    "right-as": "RIGHT AS",
    "wrong": "WRONG",
    "shape": "SHAPE",
    "undefined": "UNDEFINED",
    "not-tested": "NOT TESTED",
    "not-understood": "NOT UNDERSTOOD",
    "skipped": "skipped",
}
COLORS = {"right": "green", "right-as": "yellow", "not-tested": "cyan", "skipped": "dim"}


def color(verdict: str) -> str:
    """Return the colour of a verdict, in the words of `rich`."""
    return COLORS.get(verdict, "red")


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as plain data."""
    return {
        "model": report.model,
        "lines": [
            {
                "number": f.number,
                "text": f.text,
                "equation": f.equation,
                "verdict": f.verdict,
                "matched": f.matched,
                "reading": f.reading,
                "exact": f.exact,
                "error": _finite(f.error),
                "reason": f.reason,
                "notes": f.notes,
                "nodes": f.nodes,
                "columns": list(f.span) if f.span else None,
                "suggestions": [
                    {"text": s.text, "change": s.change, "checked": s.checked} for s in f.suggestions
                ],
            }
            for f in report.lines
        ],
        "gradients": {g.name: {"error": _finite(g.error), "right": g.right} for g in report.gradients},
        "repaired": None
        if report.repaired is None
        else {g.name: {"error": _finite(g.error), "right": g.right} for g in report.repaired},
        "skipped": [{"number": x.number, "text": x.text} for x in report.text.lines if x.kind == "skipped"],
        "warnings": report.warnings,
        "ok": report.ok,
    }


def _finite(error: float | None) -> float | None:
    return error if error is not None and error == error and abs(error) != float("inf") else None


def as_text(report: Report) -> str:
    """Return the report as it stands in a terminal, without colours."""
    return "\n".join(text for text, _ in blocks(report))


def blocks(report: Report, only_bad: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report with their colours; with `only_bad` nothing of what is right."""
    shown = [f for f in report.lines if f.is_bad or not only_bad]
    equations = Counter(finding.number for finding in report.lines)
    for finding in shown if not only_bad else ():
        yield _row(finding, alone=equations[finding.number] == 1), color(finding.verdict)
    for finding in shown:
        if finding.verdict != "right" or finding.notes:
            yield "", ""
            yield from _details(finding)
    yield "", ""
    yield from _summary(report)


def _row(finding: Finding, alone: bool) -> str:
    """Return a line of the table: the equation as typed, or the one of several that the line holds."""
    label = _LABELS[finding.verdict]
    text = " ".join(finding.text.split()) if alone or not finding.equation else finding.equation
    what = finding.matched or finding.reason
    column = 33
    shown = text if len(text) <= column else text[: column - 1] + "…"
    row = f"{finding.number:4}  {label:14}  {shown:{column}}  "
    rest = WIDTH - len(row)
    return (row + (what if len(what) <= rest else what[: rest - 1] + "…")).rstrip()


def _details(finding: Finding) -> Iterator[tuple[str, str]]:
    title = f"{_LABELS[finding.verdict]}  line {finding.number}"
    if finding.verdict == "right-as":
        title += f", {finding.reading}"
    kind = _kind(finding)
    yield title + (f", {kind}" if kind else ""), color(finding.verdict)
    gutter = f"{finding.number:6} | "
    indent = " " * len(gutter)
    source, column, start, end = _excerpt(finding, WIDTH - len(gutter))
    yield gutter + source, ""
    first_note = ""
    if finding.verdict in ("undefined", "shape", "not-understood") and finding.span:
        width = max(1, min(end - start, WIDTH - len(gutter) - max(0, start - column)))
        carets = indent + " " * max(0, start - column) + "^" * width
        yield from _after(carets, _said(finding), indent)
        first_note = "said"
    elif finding.span and finding.is_bad:
        width = max(1, min(end - start, len(source)))
        yield indent + " " * max(0, start - column) + "^" * width, color(finding.verdict)
    if finding.verdict == "right-as":
        if finding.exact and finding.exact != finding.equation:
            yield from _wrapped(f"as written: {finding.equation}", indent, "            ")
            yield from _wrapped(f"right as:   {finding.exact}{_layout(finding)}", indent, "            ")
        else:
            yield from _wrapped(f"right with {finding.reading}", indent)
    elif finding.reason and not first_note:
        yield from _wrapped(finding.reason, indent)
    for note in finding.notes:
        yield from _wrapped(note, indent)
    tries = finding.suggestions if finding.verdict != "undefined" else finding.suggestions[1:]
    for i, suggestion in enumerate(tries):
        word = "try: " if i == 0 and finding.verdict != "undefined" else "or:  "
        yield from _wrapped(word + suggestion.text, indent, "     ", "green")


def _excerpt(finding: Finding, width: int) -> tuple[str, int, int, int]:
    """Return the line as typed, or the part of it that this is about, and where the culprit stands in it.

    The part is given with the column of the original text at which it begins.
    """
    source = finding.text.rstrip()
    begin = len(source) - len(source.lstrip())
    finish = len(source)
    start, end = finding.span or (begin, begin)
    equation = finding.line.equation if finding.line is not None else None
    if equation is not None and len(source) - begin > width and equation.span != (0, 0):
        begin, finish = equation.span  # one of several equations of a long line
    if finish - begin > width:
        if finding.span and end - begin > width - 2:
            begin = max(begin, min(start - 20, finish - width + 2))
        finish = min(finish, begin + width - 2)
    piece = source[begin:finish]
    before = "…" if source[:begin].strip() else ""
    after = "…" if source[finish:].strip() else ""
    return before + piece + after, begin - len(before), start, end


def _layout(finding: Finding) -> str:
    return ", gradients as rows" if finding.used.rows else ""


def _kind(finding: Finding) -> str:
    """Name the slip, from the repair that mends it."""
    if finding.verdict != "wrong" or not finding.suggestions:
        return ""
    change = finding.suggestions[0].change
    for word, kind in (
        ("the term", "missing term"),
        ("the factor", "missing factor"),
        ("a sign", "wrong sign"),
        ("the sign", "wrong sign"),
        ("a transpose", "missing transpose"),
        ("no transpose", "transposed"),
        ("the time index", "wrong time index"),
        ("grouping", "brackets"),
        ("1 - ", "missing `1 -`"),
        ("a square", "missing square"),
        ("`+=`", "overwrites"),
    ):
        if change.startswith(word):
            return kind
    if change.startswith("no "):
        return "something too much"
    return ""


def _said(finding: Finding) -> str:
    text = finding.reason
    if finding.verdict == "undefined" and finding.suggestions:
        first = finding.suggestions[0]
        where = f" (line {first.defined})" if first.defined else ""
        text += f"; did you mean {first.change}{where}? With it the line is right."
    return text


def _after(carets: str, said: str, indent: str) -> Iterator[tuple[str, str]]:
    """Put a message after the carets, or under them where that leaves too little room."""
    room = WIDTH - len(carets) - 1
    if room < 34 and len(said) > room:
        yield carets, "red"
        yield from _wrapped(said, indent, color="red")
        return
    first = True
    for line in textwrap.wrap(said, room, break_long_words=False, break_on_hyphens=False):
        yield (carets if first else " " * len(carets)) + " " + line, "red"
        first = False


def _wrapped(text: str, indent: str, hanging: str = "", color: str = "") -> Iterator[tuple[str, str]]:
    lines = textwrap.wrap(
        text, WIDTH - len(indent), subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
    for line in lines:
        yield indent + line, color


def _summary(report: Report) -> Iterator[tuple[str, str]]:
    counts = [
        f"{report.count(verdict)} {label.lower()}"
        for verdict, label in _LABELS.items()
        if report.count(verdict)
    ]
    yield from _wrapped(", ".join(counts) or "no equations", "")
    passed = [
        line.number for line in report.text.lines if line.kind == "skipped" and line.reason != "heading"
    ]
    if passed:
        yield from _wrapped(f"passed over (prose, drawings): lines {ranges(passed)}", "", "  ")
    if report.gradients:
        right = [g.name for g in report.gradients if g.right]
        off = [g for g in report.gradients if not g.right and g.error is not None]
        lost = [g.name for g in report.gradients if g.error is None]
        if not off and not lost:
            yield from _wrapped(f"end to end: all gradients right ({', '.join(right)})", "", "  ", "green")
        else:
            if right:
                yield from _wrapped(f"end to end: right: {', '.join(right)}", "", "  ")
            if off:
                words = ", ".join(f"{g.name} (off by {g.error:.2g})" for g in off)
                yield from _wrapped(f"end to end: wrong: {words}", "", "  ", "red")
            if lost:
                yield from _wrapped(f"end to end: not computed: {', '.join(lost)}", "", "  ", "red")
    if report.repaired is not None:
        wrong = [g.name for g in report.repaired if not g.right]
        if wrong:
            yield from _wrapped(f"with the repairs still wrong: {', '.join(wrong)}", "", "  ", "red")
        elif report.repaired:
            yield "with the first repair of each line: all gradients right", "green"
    for warning in report.warnings:
        yield from _wrapped(f"warning: {warning}", "", "  ", "yellow")


def ranges(numbers: list[int]) -> str:
    """Write line numbers briefly.

    >>> ranges([1, 2, 3, 7])
    '1-3, 7'
    """
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    written = [str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts]
    return ", ".join(written if len(written) <= 12 else [*written[:11], f"and {len(written) - 11} more"])


def fixed(source: str, report: Report) -> tuple[str, int]:
    """Return the source with the first repair of every line in its place, and how many lines were changed.

    Every change is marked with a comment that keeps the line as it was typed.
    """
    lines = source.split("\n")
    changed = 0
    by_line: dict[int, list[Finding]] = {}
    for finding in report.lines:
        by_line.setdefault(finding.number, []).append(finding)
    for number, findings in sorted(by_line.items(), reverse=True):
        mended = [f for f in findings if f.is_bad and f.suggestions]
        mended += [f for f in findings if f.verdict == "right-as" and "size filled in" in f.reading]
        if not mended:
            continue
        line = findings[0].line
        assert line is not None
        parts = [
            f.suggestions[0].text if f.suggestions else f.exact if f in mended else f.equation
            for f in findings
        ]
        last = max(line.last, number)
        original = " ".join(part.strip() for part in lines[number - 1 : last])
        indent = lines[number - 1][: len(lines[number - 1]) - len(lines[number - 1].lstrip())]
        lines[number - 1 : last] = [f"{indent}{' where '.join(parts)}  # was: {original}"]
        changed += 1
    return "\n".join(lines), changed
