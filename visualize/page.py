"""The page: drawing, equations as the graph gives them, a hand derivation with its verdicts, values.

Everything on it that speaks of the same node carries the same key, so that pointing at one of them lights up
the others: `dh[2]` belongs to the symbol `[h]` of step 2, to the line ``dh = Why^T * do + dh``, to the line
of the person's derivation that was judged against it, and to the row of its numbers. The page is one file
without any reference to the network, and says so in a content security policy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import minigrad as mg
from minigrad.errors import MinigradError
from visualize.diagram import Diagram, Symbol
from visualize.dot import shown_text, symbol_id
from visualize.drawing import Drawing
from visualize.files import marked, write
from visualize.plate import plate
from visualize.summary import Summary, gradients, summarize

if TYPE_CHECKING:
    from minigrad.derivation import Derivation
    from minigrad.derivation import Report as Checked

# So many steps have their numbers on the page; a slider over more would not be read.
MOST_STEPS = 60

_VERDICTS = {
    "right": ("✓", "right", "good"),
    "right-as": ("✓", "right, read as", "fair"),
    "wrong": ("✗", "wrong", "bad"),
    "shape": ("✗", "shapes do not fit", "bad"),
    "undefined": ("✗", "undefined name", "bad"),
    "not-tested": ("–", "not tested", "open"),
    "not-understood": ("?", "not understood", "bad"),
    "skipped": ("", "", "none"),
}


# Kind of symbol, its class, and what it is.
_LEGEND = (
    ("value", "value", "h"),
    ("product", "product with a parameter", "W"),
    ("function", "activation, with its bias", "tanh+b"),
    ("operation", "operation, elementwise", "*"),
    ("operation", "join: products are added, vectors concatenated", "#"),
    ("carried", "carried to the next step", "━"),
)


class _Keys:
    """Numbers for labels of nodes: a label may hold anything, an attribute had better not."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def __call__(self, labels: Iterable[str]) -> str:
        return " ".join(str(self.of.setdefault(label, len(self.of))) for label in dict.fromkeys(labels))


@dataclass
class _Line:
    """A line of the hand derivation as the page shows it."""

    number: int
    before: str
    marked: str
    after: str
    keys: str = ""
    sign: str = ""
    verdict: str = ""
    kind: str = "none"
    remarks: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Values:
    """A row of the table of values."""

    label: str
    keys: str
    step: int | None
    shape: str
    value: Summary
    gradient: Summary | None


class Report:
    """A page about one network; shows itself in a notebook.

    Attributes
    ----------
    drawing : Drawing
    derivation : Derivation or None
        As the graph gives it; None, with `trouble` saying why, where none can be written.
    checked : minigrad.derivation.Report or None
        The hand derivation, judged.
    """

    def __init__(
        self, loss: mg.Node, text: str | None, *, title: str | None, name: str | None, fold: str = "auto"
    ) -> None:
        from minigrad.derivation import check, write

        self.loss = loss
        self.drawing = Drawing([loss], "hand", "both", fold, False, title)
        self.title = title or self.drawing.title
        self.name = name or "by hand"
        self.trouble = ""
        self.derivation: Derivation | None = None
        try:
            self.derivation = write(loss)
        except MinigradError as error:
            self.trouble = str(error)
        self.checked: Checked | None = None if text is None else check(text, loss)
        self.text = text
        self._keys = _Keys()

    @property
    def summary(self) -> str:
        """What the page holds, in a line."""
        parts = [f"{len(self.drawing.diagram.symbols)} symbols"]
        if self.derivation is not None:
            parts.append(f"{len(self.derivation.equations)} derived equations")
        if self.checked is not None:
            parts.append(self.verdicts)
        return ", ".join(parts)

    @property
    def verdicts(self) -> str:
        """How many lines of the hand derivation are right, and how many are not."""
        assert self.checked is not None
        good = self.checked.count("right", "right-as")
        bad = sum(f.is_bad for f in self.checked.lines)
        untested = self.checked.count("not-tested")
        said = f"{good} line{'' if good == 1 else 's'} right, {bad} not"
        return said + (f", {untested} not tested" if untested else "")

    # -- what is on the page -------------------------------------------------------------------------

    def _symbol_keys(self, symbol: Symbol) -> str:
        # (sig+bf) stands for fg_pre and bf; what comes out of it, fg, has a symbol of its own.
        inside = [*symbol.nodes[:-1], *symbol.parameters]
        labels = [f"d{node.label}" for node in inside if node.name]
        if not labels and symbol.node is not None and symbol.node.name:
            labels = [f"d{symbol.node.label}"]
        return self._keys(labels)

    def _equations(self) -> list[dict[str, Any]]:
        from minigrad.derivation.forms import mathml

        rows: list[dict[str, Any]] = []
        if self.derivation is None:
            return rows
        for row in self.derivation.rows:
            if row.exact is None:
                heading = row.heading.strip()
                if heading:
                    rows.append({"heading": heading})
                elif rows:
                    rows[-1]["last"] = True
                continue
            rows.append(
                {
                    "keys": self._keys(row.nodes),
                    "left": mathml(row.exact.sides[0]),
                    "operators": list(row.exact.operators),
                    "right": [mathml(side) for side in row.exact.sides[1:]],
                    "text": row.text,
                }
            )
        return rows

    def _lines(self) -> list[_Line]:
        if self.text is None or self.checked is None:
            return []
        found: dict[int, list[Any]] = {}
        for finding in self.checked.lines:
            found.setdefault(finding.number, []).append(finding)
        lines = []
        for number, text in enumerate(self.text.splitlines(), 1):
            text = text.expandtabs()
            findings = found.get(number, [])
            line = _Line(number, text, "", "")
            for finding in findings:
                sign, said, kind = _VERDICTS[finding.verdict]
                worse = ("none", "good", "fair", "open", "bad")
                if not line.verdict or worse.index(kind) > worse.index(line.kind):
                    line.sign, line.verdict, line.kind = sign, said, kind
                line.remarks += _remarks(finding)
                if finding.span and finding.is_bad and finding.text == text:
                    start, end = finding.span
                    line.before, line.marked, line.after = text[:start], text[start:end], text[end:]
            line.keys = self._keys(label for f in findings for label in f.nodes)
            lines.append(line)
        return lines

    def _rows(self) -> list[_Values]:
        named = [n for n in mg.Graph(self.loss).nodes if n.name]
        steps = [n.step for n in named if n.step is not None]
        ordered = sorted(set(steps))
        if len(ordered) > MOST_STEPS:  # those at both ends, as the drawing has them
            ordered = ordered[: MOST_STEPS // 2] + ordered[-MOST_STEPS // 2 :]
        kept = set(ordered)
        named = [n for n in named if n.step is None or n.step in kept]
        back = gradients([self.loss], named)
        return [
            _Values(
                n.label,
                self._keys([f"d{n.label}"]),
                n.step,
                " × ".join(map(str, n.shape)) or "scalar",
                summarize(n.value),
                summarize(back[n.serial]) if n.serial in back else None,
            )
            for n in named
        ]

    def _picture(self) -> tuple[Diagram, str, bool]:
        """Return the diagram, its SVG, and whether that can show values or gradients."""
        drawing = Drawing([self.loss], "compact", "forward", self.drawing.fold, False, self.title)
        compact = plate(drawing.diagram, self.drawing.numbers, self.title)
        if compact is not None:
            return drawing.diagram, compact, True
        return self.drawing.diagram, self.drawing.svg, False

    def _boxes(self, diagram: Diagram) -> dict[int, list[str]]:
        """Return the ids of the symbols of each step, to which the page can zoom."""
        found: dict[int, list[str]] = {}
        for symbol in diagram.symbols:
            if symbol.step is not None and diagram.inputs(symbol):
                found.setdefault(symbol.step, []).append(symbol_id(symbol))
        return found

    @cached_property
    def html(self) -> str:
        """The page."""
        import json

        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        values = self._rows()
        steps = sorted({row.step for row in values if row.step is not None})
        diagram, svg, turns = self._picture()
        keys = {symbol_id(s): self._symbol_keys(s) for s in diagram.symbols}
        page: str = environment.get_template("page.html.jinja").render(
            title=shown_text(self.title, 200),
            svg=_for_page(svg, keys),
            turns=turns,
            legend=_LEGEND,
            equations=self._equations(),
            trouble=self.trouble,
            lines=self._lines(),
            checked=self.checked,
            name=shown_text(self.name, 200),
            verdicts=self.verdicts if self.checked is not None else "",
            values=values,
            steps=steps,
            zoom=json.dumps(self._boxes(diagram)),
            shown_text=lambda text: shown_text(text, 200),
            number=lambda x: "" if x is None or not np.isfinite(x) else f"{x:.2g}",
        )
        return page

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the page.

        Raises
        ------
        WouldOverwriteError
            If the file exists and was not written by this project.
        """
        return write(path, marked(self.html.encode(), "html"), overwrite=overwrite)

    def _repr_html_(self) -> str:
        import html

        # In a frame of its own: the page's style is not to reach the notebook's, nor the other way round.
        return (
            f'<iframe srcdoc="{html.escape(self.html, quote=True)}" sandbox="allow-scripts" '
            'style="width:100%;height:900px;border:1px solid #8884" '
            f'title="{html.escape(self.title)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<report: {self.title}, {self.summary}>"


def _remarks(finding: Any) -> list[tuple[str, str]]:
    """Return what is to be said of a line below it, each with its kind."""
    found: list[tuple[str, str]] = []
    if finding.verdict == "right-as":
        found.append(("read as", finding.exact or finding.reading))
    if finding.reason and finding.verdict != "right":
        found.append(("why", finding.reason))
    found += [("mended", suggestion.text.strip()) for suggestion in finding.suggestions[:1]]
    found += [("note", note) for note in finding.notes]
    return found


def _for_page(svg: str, keys: dict[str, str]) -> str:
    """Return the SVG for a place inside of a page: reachable by keyboard, with the keys of its symbols."""
    import xml.etree.ElementTree as ET

    from visualize.svg import _SVG

    root = ET.fromstring(svg)
    root.set("role", "group")
    root.set("data-viewbox", root.get("viewBox", ""))
    for group in root.iter(f"{{{_SVG}}}g"):
        key = group.get("id", "")
        if key in keys:
            label = group.find(f"{{{_SVG}}}title")
            group.set("tabindex", "-1")
            group.set("role", "img")
            group.set("data-keys", keys[key])
            text = "" if label is None else (label.text or "")
            group.set("aria-label", text.replace("\n", "; "))
    return ET.tostring(root, encoding="unicode")


def report(
    loss: mg.Node,
    derivation: str | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> Report:
    """Make the page of a network, and of a derivation of it by hand.

    Parameters
    ----------
    loss : Node
        A scalar.
    derivation : str, optional
        The text of a derivation in the notation of `minigrad.derivation`.
    path : path, optional
        Write the page there.
    title, name : str, optional
        What the page calls the network and the derivation.
    overwrite : bool
        Replace a file that this project did not write.

    Returns
    -------
    Report
        Shows itself in a notebook; `html` holds the page, `save` writes it.

    Examples
    --------
    >>> from minigrad.cli.model import load
    >>> report(load("elman"), "do = p - y").verdicts
    '1 line right, 0 not'
    """
    made = Report(loss, derivation, title=title, name=name)
    if path is not None:
        made.save(path, overwrite=overwrite)
    return made


__all__: Sequence[str] = ("Report", "report")
