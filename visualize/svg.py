"""What Graphviz leaves open in an SVG: a title, a description, tooltips, light and dark, lighting up.

Everything that comes from names goes through an XML library here, so that a parameter called `<script>` is
a name and nothing else.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from visualize.diagram import Diagram, Symbol, parameter_names
from visualize.dot import Numbers, edge_list, shown_text, symbol_id, tooltips, wire_id

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

# Colours for a dark background; those for a light one stand in the drawing itself.
_DARK_CARRIES = ("#be95ff", "#3ddbd9", "#f1c21b", "#ff7eb6", "#82cfff", "#ffb3b8")


def style() -> str:
    """Return the style sheet of a drawing."""
    dark = [
        "text { fill: #e6e6e6 }",
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


def finish(svg: bytes, diagram: Diagram, numbers: Numbers, title: str, *, direction: str = "forward") -> str:
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
            _set_title(group, label, of_symbols[key])
        elif key in wires:
            group.set("data-source", symbol_id(diagram.symbols[wires[key].source]))
            group.set("data-target", symbol_id(diagram.symbols[wires[key].target]))
            _set_title(group, label, of_wires.get(key, ""))
        elif label is not None:
            group.remove(label)  # Graphviz' own names of graph and clusters tell nobody anything
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
