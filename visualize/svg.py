"""What Graphviz leaves open in an SVG: a title, a description, tooltips, light and dark, lighting up.

Everything that comes from names goes through an XML library here, so that a parameter called `<script>` is
a name and nothing else.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from visualize.diagram import (
    FOLD,
    FUNCTION,
    JOIN,
    OPERATION,
    PRODUCT,
    VALUE,
    Diagram,
    Symbol,
    parameter_names,
)
from visualize.dot import (
    CARRY_COLORS,
    GRADIENT,
    LOOKS,
    NO_GRADIENT,
    Line,
    Numbers,
    has_gradient,
    is_carry,
    label_lines,
    look,
    shown_text,
    symbol_id,
    wire_id,
)
from visualize.tooltips import edge_list, tooltips

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

# Colours for a dark background; those for a light one stand in the drawing itself.
_DARK_CARRIES = ("#be95ff", "#3ddbd9", "#f1c21b", "#ff7eb6", "#82cfff", "#ffb3b8")


def style() -> str:
    """Return the style sheet of a drawing."""
    dark = [
        "text { fill: #e6e6e6 }",
        "text.gradient-name { fill: #ff8a75 }",
        ".step > path, .step > polygon { stroke: #666 }",
        ".value > path, .value > polygon { fill: #17304d; stroke: #7fb0e6 }",
        ".product > polygon, .product > path { fill: #40300f; stroke: #e0a94a }",
        ".function > ellipse { fill: #163b22; stroke: #77c88f }",
        ".operation > ellipse, .join > ellipse { fill: #2a2a2a; stroke: #bbb }",
        ".fold > path { fill: none; stroke: #aaa }",
        ".wire > path { stroke: #aaa } .wire > polygon { stroke: #aaa; fill: #aaa }",
        ".wire.gradient > path { stroke: #ff8a75 }",
        ".wire.gradient > polygon { stroke: #ff8a75; fill: #ff8a75 } .wire.gradient > text { fill: #ff8a75 }",
        ".uncomputed text { fill: #8a8a8a } .uncomputed > path, .uncomputed > polygon { stroke: #777 }",
    ]
    for number, color in enumerate(_DARK_CARRIES):
        dark.append(f".carry{number} > path {{ stroke: {color} }}")
        dark.append(f".carry{number} > polygon {{ stroke: {color}; fill: {color} }}")
    dark.append(".wire.both > path:nth-of-type(2) { stroke: #ff8a75 }")
    dark.append(".wire.both > polygon:nth-of-type(2) { stroke: #ff8a75; fill: #ff8a75 }")
    scoped = _scoped(dark)
    light = _scoped(
        [
            "text { font-family: Helvetica, Arial, 'Liberation Sans', sans-serif }",
            ".symbol:hover > path, .symbol:hover > polygon, .symbol:hover > ellipse { stroke-width: 2.5 }",
            ".wire:hover > path { stroke-width: 3 }",
            ".wire.both > path:nth-of-type(2) { stroke-dasharray: 4 2 }",
        ]
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{scoped}\n}}"


def _scoped(rules: list[str]) -> str:
    """Keep the rules to our own drawings: inside of a page a style sheet would reach everything."""
    lines = []
    for line in rules:
        for rule in line.split("}"):
            selectors, brace, body = rule.partition("{")
            if brace:
                scoped = ", ".join(f".minigrad-drawing {s.strip()}" for s in selectors.split(","))
                lines.append(f"{scoped} {{{body}}}")
    return "\n".join(lines)


def finish(
    svg: bytes,
    diagram: Diagram,
    numbers: Numbers,
    title: str,
    *,
    direction: str = "forward",
    values: bool = False,
) -> str:
    """Return the SVG that Graphviz made with everything that makes it readable for all.

    Parameters
    ----------
    svg : bytes
        From Graphviz, with the ids of `visualize.dot`.
    title : str
        What the drawing shows, in one line.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(svg)
    root.set("role", "img")
    root.set("class", "minigrad-drawing")
    root.set("aria-labelledby", "drawing-title drawing-desc")
    of_symbols, of_wires = tooltips(diagram, numbers)
    by_id = {symbol_id(s): s for s in diagram.symbols}
    wires = {wire_id(n): wire for n, wire in enumerate(diagram.wires)}
    for group in root.iter(f"{{{_SVG}}}g"):
        key = group.get("id", "")
        label = group.find(f"{{{_SVG}}}title")
        if key in by_id:
            mark_symbol(group, by_id[key])
            _dress(group, label_lines(by_id[key], direction, numbers if values else None))
            _set_title(group, label, of_symbols[key])
        elif key in wires:
            group.set("data-source", symbol_id(diagram.symbols[wires[key].source]))
            group.set("data-target", symbol_id(diagram.symbols[wires[key].target]))
            _set_title(group, label, of_wires.get(key, ""))
        elif label is not None:
            group.remove(label)  # Graphviz' own names of graph and clusters tell nobody anything
    _add_legend(root, diagram, direction)
    heads = []
    for tag, key, text in (
        ("title", "drawing-title", shown_text(title, 200)),
        ("desc", "drawing-desc", f"{_counted(diagram, direction)} Wires: {edge_list(diagram)}."),
        ("style", "", style() + _together(diagram)),
    ):
        element = ET.Element(f"{{{_SVG}}}{tag}")
        if key:
            element.set("id", key)
        element.text = text
        heads.append(element)
    for position, element in enumerate(heads):
        root.insert(position, element)
    out = io.BytesIO()
    ET.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)
    return out.getvalue().decode() + "\n<!-- drawn by minigrad -->\n"


def _dress(group: ET.Element, lines: list[Line]) -> None:
    """Set the lines of a label apart, and put heat strips where Graphviz kept room for them."""
    texts = list(group.iter(f"{{{_SVG}}}text"))
    if len(texts) != len(lines):
        return
    for text, line in zip(texts, lines, strict=True):
        if line.kind == "gradient":
            text.set("class", "gradient-name")
            text.set("fill", GRADIENT)
        elif line.kind in ("range", "note"):
            text.set("font-size", "8")
        elif line.kind == "strip" and line.summary is not None:
            x, y = float(text.get("x", 0)), float(text.get("y", 0))
            text.tag, text.text = f"{{{_SVG}}}g", None
            text.attrib.clear()
            text.set("class", "strip")
            size = 6.5
            left = x - size * len(line.summary.colors) / 2
            for n, color in enumerate(line.summary.colors):
                cell = {"x": f"{left + n * size:.2f}", "y": f"{y - 9:.2f}", "fill": color}
                size_of = {"width": f"{size:g}", "height": "8", "stroke": "#888", "stroke-width": "0.3"}
                ET.SubElement(text, f"{{{_SVG}}}rect", cell | size_of)


# What the legend says of each kind, in its order.
_EXPLAINED = {
    VALUE: "value",
    PRODUCT: "parameter",
    FUNCTION: "activation or function",
    OPERATION: "operation",
    JOIN: "join: sum of products, or concatenation",
    FOLD: "steps folded",
}


def _add_legend(root: ET.Element, diagram: Diagram, direction: str) -> None:
    """Explain shapes and lines below the drawing, in the very shapes."""
    box = [float(x) for x in root.get("viewBox", "0 0 0 0").split()]
    kinds = {look(s) for s in diagram.symbols}
    x, y = box[0] + 12.0, box[1] + box[3] + 12
    legend = ET.SubElement(root, f"{{{_SVG}}}g", {"class": "legend", "aria-label": "Legend"})

    def entry(sample: ET.Element, words: str) -> None:
        nonlocal x
        legend.append(sample)
        text = ET.SubElement(
            legend, f"{{{_SVG}}}text", {"x": f"{x + 30:g}", "y": f"{y + 3.5:g}", "font-size": "10"}
        )
        text.text = words
        x += 44 + 5.2 * len(words)

    for kind, words in _EXPLAINED.items():
        if kind in kinds:
            entry(_sample(kind, x, y), words)
    lines = []
    if any(is_carry(diagram, wire) for wire in diagram.wires):
        lines.append(("wire carry carry0", CARRY_COLORS[0], "", "carried to the next step"))
    if direction != "forward":
        lines.append(("wire gradient", GRADIENT, "4 2", "gradient, flowing back"))
    if direction == "backward" and any(not has_gradient(s) for s in diagram.symbols):
        lines.append(("wire uncomputed", NO_GRADIENT, "1 3", "no gradient computed"))
    for classes, color, dashes, words in lines:
        sample = ET.Element(f"{{{_SVG}}}g", {"class": classes})
        attributes = {"d": f"M{x:g},{y:g}h24", "stroke": color, "stroke-width": "2", "fill": "none"}
        ET.SubElement(
            sample, f"{{{_SVG}}}path", attributes | ({"stroke-dasharray": dashes} if dashes else {})
        )
        entry(sample, words)
    width, height = max(box[2], x - box[0]), box[3] + 28
    root.set("viewBox", f"{box[0]:g} {box[1]:g} {width:g} {height:g}")
    root.set("width", f"{width:g}pt")
    root.set("height", f"{height:g}pt")


def _sample(kind: str, x: float, y: float) -> ET.Element:
    shape, style_of, outline, fill = LOOKS[kind]
    group = ET.Element(f"{{{_SVG}}}g", {"class": kind})
    drawn = {"stroke": outline, "fill": fill if "filled" in style_of else "none"}
    if shape in ("ellipse", "circle"):
        across = "7" if shape == "circle" else "12"
        place = {"cx": f"{x + 12:g}", "cy": f"{y:g}", "rx": across, "ry": "7"}
        ET.SubElement(group, f"{{{_SVG}}}ellipse", drawn | place)
        return group
    # A path, as Graphviz draws boxes, so that the colours for a dark background reach it.
    d = f"M{x + 4:g},{y - 7:g}h16q4,0 4,4v6q0,4 -4,4h-16q-4,0 -4,-4v-6q0,-4 4,-4z"
    if "rounded" not in style_of:
        d = f"M{x:g},{y - 7:g}h24v14h-24z"
    dashes = {"stroke-dasharray": "3 2"} if "dashed" in style_of else {}
    ET.SubElement(group, f"{{{_SVG}}}path", drawn | dashes | {"d": d})
    return group


def mark_symbol(group: ET.Element, symbol: Symbol) -> None:
    """Say on the element of a symbol what it stands for."""
    names = parameter_names(symbol)
    classes = group.get("class", "").split()
    classes = [c for c in classes if c != "node"]
    group.set("class", " ".join(["node", *classes]))
    if names:
        group.set("data-parameters", " ".join(shown_text(name, 200).replace(" ", "_") for name in names))
    nodes = [node for node in symbol.nodes if node.name]
    if nodes:
        group.set("data-name", shown_text(nodes[-1].name or "", 200))
    if symbol.step is not None:
        group.set("data-step", str(symbol.step))


def _set_title(group: ET.Element, label: ET.Element | None, text: str) -> None:
    if label is None:
        label = ET.Element(f"{{{_SVG}}}title")
        group.insert(0, label)
    label.text = text


def _counted(diagram: Diagram, direction: str) -> str:
    steps = [s for s in diagram.steps if any(diagram.inputs(x) for x in diagram.symbols if x.step == s)]
    flow = {"forward": "values flow forward", "backward": "gradients flow backward", "both": "both ways"}
    over = f", time steps {steps[0]} to {steps[-1]}" if steps else ""
    return f"{len(diagram.symbols)} symbols, {len(diagram.wires)} wires{over}; {flow[direction]}."


def _together(diagram: Diagram) -> str:
    """Make all uses of a parameter light up together, without a script."""
    uses: dict[str, list[str]] = {}
    for symbol in diagram.symbols:
        for name in parameter_names(symbol):
            uses.setdefault(name, []).append(symbol_id(symbol))
    rules = []
    for ids in uses.values():
        if 1 < len(ids) <= 60:
            pointed = ", ".join(f"#{i}:hover" for i in ids)
            lit = ", ".join(
                f".minigrad-drawing:has({pointed}) #{i} > {shape}"
                for i in ids
                for shape in ("polygon", "ellipse", "path")
            )
            rules.append(f"{lit} {{ stroke-width: 2.5 }}")
    return "\n" + "\n".join(rules) if rules else ""


__all__ = ["finish", "mark_symbol", "style"]
