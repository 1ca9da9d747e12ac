"""A diagram as DOT source: layout rules that keep time straight, shapes and colours that tell kinds apart.

Time runs left to right, one cluster a step. The symbols that a state passes through on its way to the next
step share a `group` and heavy edges, so that the carry is one straight line; plain clusters make a staircase.
A node is as wide as the longer of its value's and its gradient's label, which gives the forward and the
backward drawing the same coordinates.
"""

from __future__ import annotations

import html
import itertools
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visualize.diagram import CARRY, FOLD, FUNCTION, JOIN, OPERATION, PRODUCT, VALUE, Diagram, Symbol, Wire
from visualize.lanes import lanes
from visualize.summary import Summary, summarize

LONGEST = 32  # characters of a name in a picture; the whole name is in the tooltip

# shape, style, outline, fill: light colours; the SVG brings dark ones along.
LOOKS: dict[str, tuple[str, str, str, str]] = {
    VALUE: ("box", "rounded,filled", "#2f5d92", "#e8f0fa"),
    PRODUCT: ("box", "filled", "#9a6200", "#fdf0d8"),
    FUNCTION: ("ellipse", "filled", "#2b7a45", "#e6f5ea"),
    OPERATION: ("circle", "filled", "#444444", "#ffffff"),
    JOIN: ("circle", "filled", "#444444", "#ffffff"),
    CARRY: ("plaintext", "", "#666666", "#ffffff"),
    FOLD: ("box", "dashed,rounded", "#666666", "#ffffff"),
}
CARRY_COLORS = ("#8a3ffc", "#007d79", "#b28600", "#9f1853", "#005d5d", "#570408")
GRADIENT = "#c2311c"
NO_GRADIENT = "#9a9a9a"


@dataclass
class Numbers:
    """What is known of the numbers behind a diagram, by serial of the node."""

    values: dict[int, Summary] = field(default_factory=dict)
    gradients: dict[int, Summary] = field(default_factory=dict)
    gradients_known: bool = False

    def of(self, symbol: Symbol) -> tuple[Summary | None, Summary | None]:
        """Return the summaries of the value and of the gradient at a symbol."""
        node = symbol.node
        if node is None or symbol.kind in (FOLD, CARRY):
            return None, None
        if node.serial not in self.values:
            self.values[node.serial] = summarize(node.value)
        return self.values[node.serial], self.gradients.get(node.serial)


def shown_text(text: str, longest: int = LONGEST) -> str:
    r"""Return text as a picture may show it: one line, no control or direction characters, not too long.

    >>> shown_text("a\nb")
    'a␤b'
    """
    if len(text) > longest:
        text = f"{text[: longest - 8]}…{text[-7:]}"
    return "".join(_shown_character(c) for c in text)


def _shown_character(c: str) -> str:
    if c == "\n":
        return "␤"
    if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and c != "\u00ad":
        return f"⟨{ord(c):x}⟩"
    return c


def gradient_label(symbol: Symbol) -> str:
    """Return what the gradient at a symbol is called: ``dh[2]``, ``dWhh``; else its own label."""
    if symbol.kind in (VALUE, PRODUCT):
        return "d" + symbol.label
    return symbol.label


def has_gradient(symbol: Symbol) -> bool:
    """Whether a gradient flows back to a symbol."""
    if symbol.kind == FOLD:
        return True
    return symbol.node is not None and symbol.node.requires_grad


def look(symbol: Symbol) -> str:
    """Return the kind that a symbol is shown as: a parameter that stands alone looks like its products."""
    return PRODUCT if symbol.kind == VALUE and symbol.parameters else symbol.kind


def symbol_id(symbol: Symbol) -> str:
    """Return the id of a symbol in DOT, SVG and page."""
    return f"n{symbol.id}"


def wire_id(number: int) -> str:
    """Return the id of the wire of that number in `Diagram.wires`."""
    return f"e{number}"


def dot_source(
    diagram: Diagram, *, direction: str = "forward", numbers: Numbers | None = None, rich: bool = True
) -> str:
    """Return the DOT source of a diagram.

    Parameters
    ----------
    diagram : Diagram
    direction : {"forward", "backward", "both"}
        Values flowing forward, gradients flowing back in the same places, or both.
    numbers : Numbers, optional
        Show range and heat strip of each node's value and gradient.
    rich : bool
        With labels in Graphviz' HTML and a legend, for png and pdf. The SVG is finished by `visualize.svg`,
        which does the same for every renderer.
    """
    import graphviz

    graph = graphviz.Digraph("minigrad", comment="drawn by minigrad")
    graph.attr(
        rankdir="LR", newrank="true", ranksep="0.22", nodesep="0.16", bgcolor="transparent", pad="0.15"
    )
    graph.attr("node", fontname="Helvetica", fontsize="11", height="0.28", width="0.3", margin="0.07,0.03")
    graph.attr("edge", arrowsize="0.6", color="#555555", fontname="Helvetica", fontsize="9")
    if rich:
        kinds = {look(s) for s in diagram.symbols}
        graph.attr(label=_legend(kinds, direction, bool(_carry_wires(diagram))), labelloc="b")
    else:
        graph.attr(label="")
    group = _groups(diagram)
    by_step: dict[int | None, list[Symbol]] = {}
    for symbol in diagram.symbols:
        by_step.setdefault(
            symbol.step if diagram.inputs(symbol) else _step_of_leaf(diagram, symbol), []
        ).append(symbol)
    for step in sorted(by_step, key=lambda s: (s is None, s or 0)):
        symbols = by_step[step]
        if step is None:
            for symbol in symbols:
                _node(graph, symbol, direction, numbers, group, rich)
            continue
        with graph.subgraph(name=f"cluster_{step}") as cluster:
            cluster.attr(
                label=f"t = {step}", style="rounded", color="#b0b0b0", fontname="Helvetica", fontsize="10",
                labeljust="l", margin="9", id=f"step{step}", **{"class": "step"},
            )  # fmt: skip
            for symbol in symbols:
                _node(cluster, symbol, direction, numbers, group, rich)
    _wires(graph, diagram, direction, group)
    return str(graph.source)


def _step_of_leaf(diagram: Diagram, symbol: Symbol) -> int | None:
    """Return the cluster of a leaf; the initial state stands before the first step, in none."""
    if symbol.step is None:
        return None
    return symbol.step if any(s.step == symbol.step for s in diagram.outputs(symbol)) else None


def _groups(diagram: Diagram) -> dict[int, str]:
    """Return the group of each symbol that lies on a carry's line."""
    return {i: f"lane{number}" for number, lane in enumerate(lanes(diagram)) for i in lane.symbols}


def _carry_wires(diagram: Diagram) -> list[Wire]:
    return [wire for wire in diagram.wires if is_carry(diagram, wire)]


def is_carry(diagram: Diagram, wire: Wire) -> bool:
    """Whether a wire leads from one step into a later one."""
    source, target = diagram.symbols[wire.source], diagram.symbols[wire.target]
    if FOLD in (source.kind, target.kind):
        return target.step is not None or target.kind == FOLD
    if target.kind == CARRY:
        return True
    return source.step is not None and target.step is not None and source.step < target.step


def _lines(text: str) -> list[str]:
    """Split a label: the primitive view writes a name and below it a shape; a newline of a name is none."""
    head, newline, shape = text.rpartition("\n")
    if newline and (shape == "scalar" or all(size.strip().isdigit() for size in shape.split("×"))):
        return [shown_text(head), shape]
    return [shown_text(text)]


@dataclass(frozen=True)
class Line:
    """A line of a label: ``name``, ``range``, ``strip``, ``gradient`` (its name) or ``note``."""

    kind: str
    text: str
    summary: Summary | None = None


def label_lines(symbol: Symbol, direction: str, numbers: Numbers | None) -> list[Line]:
    """Return what stands in a symbol, line by line."""
    names = _lines(gradient_label(symbol) if direction == "backward" else symbol.label)
    lines = [Line("name", name) for name in names]
    value, gradient = numbers.of(symbol) if numbers is not None else (None, None)
    counted = value is not None and symbol.kind not in (FOLD, CARRY)
    if counted and direction != "backward":
        lines += _numbers(value)
    named = direction == "both" and symbol.kind in (VALUE, PRODUCT)
    if named and (has_gradient(symbol) or symbol.parameters):
        lines.append(Line("gradient", _lines(gradient_label(symbol))[0]))
    if counted and direction != "forward":
        if gradient is not None:
            lines += _numbers(gradient)
        elif numbers is not None and numbers.gradients_known:
            lines.append(Line("note", "no gradient computed"))
    return lines


def _numbers(summary: Summary | None) -> list[Line]:
    assert summary is not None
    lines = [Line("range", summary.range)]
    if summary.strip:
        # The characters keep the room; the SVG puts coloured cells in their place.
        lines.append(Line("strip", "■" * len(summary.strip), summary))
    return lines


def _label(symbol: Symbol, direction: str, numbers: Numbers | None, rich: bool) -> str:
    import graphviz

    lines = label_lines(symbol, direction, numbers)
    if not rich or all(line.kind == "name" for line in lines):
        # Marked as plain: a name in angle brackets is not a label in HTML.
        text = "\\n".join(graphviz.escape(line.text) for line in lines)
        return graphviz.nohtml(text)  # type: ignore[no-any-return]
    rows = "".join(f"<tr><td>{_rich(line)}</td></tr>" for line in lines)
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{rows}</table>>'


def _rich(line: Line) -> str:
    """Return a line as Graphviz' HTML, which its build for WebAssembly does not have."""
    text = html.escape(line.text)
    if line.kind == "gradient":
        return f'<font point-size="9" color="{GRADIENT}">{text}</font>'
    if line.kind == "strip" and line.summary is not None:
        cells = "".join(
            f'<td width="7" height="7" fixedsize="true" bgcolor="{color}"></td>'
            for color in line.summary.colors
        )
        return f'<table border="0" cellborder="0" cellspacing="1" cellpadding="0"><tr>{cells}</tr></table>'
    return text if line.kind == "name" else f'<font point-size="7">{text}</font>'


def _width(symbol: Symbol) -> float:
    longest = max(len(line) for text in (symbol.label, gradient_label(symbol)) for line in _lines(text))
    return 0.095 * longest + 0.2


def _node(
    graph: Any,
    symbol: Symbol,
    direction: str,
    numbers: Numbers | None,
    group: Mapping[int, str],
    rich: bool,
) -> None:
    kind = look(symbol)
    shape, style, outline, fill = LOOKS[kind]
    classes = ["symbol", kind]
    attributes: dict[str, str] = {}
    if direction == "backward" and not has_gradient(symbol):
        outline, attributes["fontcolor"] = NO_GRADIENT, NO_GRADIENT
        classes.append("uncomputed")
    elif direction == "backward" and symbol.kind == VALUE:
        outline = GRADIENT
    if symbol.kind in (OPERATION, JOIN) and numbers is None and len(symbol.label) <= 2:
        attributes.update(fixedsize="true", width="0.27", height="0.27", margin="0")
    elif symbol.kind in (OPERATION, JOIN):
        shape, attributes["width"] = "ellipse", f"{_width(symbol):.2f}"
    elif numbers is None:
        attributes["width"] = f"{_width(symbol):.2f}"
    if symbol.id in group:
        attributes["group"] = group[symbol.id]
    attributes["class"] = " ".join(classes)
    graph.node(
        symbol_id(symbol), _label(symbol, direction, numbers, rich), id=symbol_id(symbol),
        shape=shape, style=style, color=outline, fillcolor=fill, **attributes,
    )  # fmt: skip


def _wires(graph: Any, diagram: Diagram, direction: str, group: Mapping[int, str]) -> None:
    colors: dict[str, str] = {}
    for number, wire in enumerate(diagram.wires):
        source, target = diagram.symbols[wire.source], diagram.symbols[wire.target]
        ends = symbol_id(source), symbol_id(target)
        classes = ["wire"]
        attributes: dict[str, str] = {}
        if is_carry(diagram, wire):
            lane = group.get(source.id) or group.get(target.id) or source.text
            color = colors.setdefault(lane, CARRY_COLORS[len(colors) % len(CARRY_COLORS)])
            attributes.update(minlen="2", weight="100", penwidth="2.2", color=color)
            classes += ["carry", f"carry{list(colors).index(lane) % len(CARRY_COLORS)}"]
        elif group.get(source.id) and group.get(source.id) == group.get(target.id):
            attributes["weight"] = "100"
        if target.step is None and target.kind == VALUE and source.kind == VALUE:
            attributes["weight"] = "0"  # the total loss must not pull on the steps
        flows = has_gradient(source)
        color = attributes.get("color", "#555555")
        if direction == "both" and flows:
            # Two lines of one edge: the layout of the values stands still, and the gradient runs beside.
            classes.append("both")
            attributes.update(dir="both", color=f"{color}:{GRADIENT}")
        elif direction == "backward":
            classes.append("gradient" if flows else "uncomputed")
            attributes["style"] = "dashed" if flows else "dotted"
            attributes["dir"] = "back" if flows else "none"
            if "carry" not in classes:
                attributes["color"] = GRADIENT if flows else NO_GRADIENT
        attributes["class"] = " ".join(classes)
        graph.edge(*ends, id=wire_id(number), **attributes)
    _keep_steps_apart(graph, diagram)


def _keep_steps_apart(graph: Any, diagram: Diagram) -> None:
    """Let each step begin where the one before has ended; overlapping, they would make a staircase."""
    first: dict[float, list[int]] = {}
    last: dict[float, list[int]] = {}
    place = {s.id: _place_in_time(diagram, s) for s in diagram.symbols}
    for symbol in diagram.symbols:
        step = place[symbol.id]
        if step is None:
            continue
        if not any(place[s.id] == step for s in diagram.outputs(symbol)):
            last.setdefault(step, []).append(symbol.id)
        if not any(place[s.id] == step for s in diagram.inputs(symbol)):
            first.setdefault(step, []).append(symbol.id)
    steps = [step for step in sorted(first) if step in last]
    for before, after in itertools.pairwise(steps):
        # One point between them, and not a wire from each to each.
        point = f"between{after:g}".replace(".", "_")
        graph.node(point, "", shape="point", width="0", height="0", style="invis", id=point)
        for i in last[before]:
            graph.edge(f"n{i}", point, style="invis", weight="0", minlen="1")
        for i in first[after]:
            graph.edge(point, f"n{i}", style="invis", weight="0", minlen="1")


def _place_in_time(diagram: Diagram, symbol: Symbol) -> float | None:
    """Return a symbol's step; folded steps stand before the step that they lead to."""
    if symbol.kind != FOLD:
        return symbol.step
    after = [s.step for s in diagram.outputs(symbol) if s.step is not None]
    return min(after) - 0.5 if after else None


_EXPLAINED = {
    VALUE: "value",
    PRODUCT: "parameter",
    FUNCTION: "activation or function",
    OPERATION: "operation",
    JOIN: "join",
    FOLD: "steps folded",
}


def _legend(kinds: set[str], direction: str, carries: bool) -> str:
    cells = []
    for kind, words in _EXPLAINED.items():
        if kind not in kinds:
            continue
        _, style, outline, _ = LOOKS[kind]
        sample = {OPERATION: "○", JOIN: "○"}.get(kind)
        if sample:
            words = "operation: + − * elementwise" if kind == OPERATION else "# join: sum or concatenation"
            cells.append(f'<td><font color="{outline}">○</font> {words}</td>')
        elif kind == FUNCTION:
            cells.append(f'<td><font color="{outline}">●</font> {words}</td>')
        else:
            rounded = ' style="rounded"' if "rounded" in style else ""
            cells.append(f'<td border="1" color="{outline}"{rounded}>{words}</td>')
    if direction == "backward":
        cells.append(f'<td><font color="{GRADIENT}">- - -</font> gradient, flowing back</td>')
        cells.append(f'<td><font color="{NO_GRADIENT}">· · ·</font> no gradient computed</td>')
    if direction == "both":
        cells.append(f'<td><font color="{GRADIENT}">- - -</font> gradient, flowing back</td>')
    if carries:
        cells.append(f'<td><font color="{CARRY_COLORS[0]}">━</font> carried to the next step</td>')
    return (
        '<<font point-size="9"><table border="0" cellborder="0" cellspacing="6" cellpadding="2">'
        f"<tr>{''.join(cells)}</tr></table></font>>"
    )
