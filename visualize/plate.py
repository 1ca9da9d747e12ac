"""The drawing in characters as SVG: the same places, the same wires, in boxes and lines.

It is as compact as a drawing by hand, so that three steps of an LSTM can be read on one screen, and it
needs no Graphviz. The page shows it; each symbol carries two labels, of its value and of its gradient, and
each wire an arrow at either end, of which the page shows those of the chosen direction.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from visualize.characters import lay_out
from visualize.diagram import CARRY, FOLD, FUNCTION, JOIN, OPERATION, PRODUCT, VALUE, Diagram, Symbol
from visualize.dot import (
    CARRY_COLORS,
    GRADIENT,
    LOOKS,
    Numbers,
    has_gradient,
    look,
    shown_text,
    symbol_id,
)
from visualize.layout import Box, Layout
from visualize.router import Router, _Route
from visualize.signs import DOWN, LEFT, RIGHT, UP, decode, encode
from visualize.svg import _SVG, mark_symbol, style
from visualize.tooltips import edge_list, tooltips

# Size of a character's cell, and of a box within its row.
WIDE, HIGH, BOX = 8.0, 25.0, 20.0
MOST_SYMBOLS = 400
_OUTWARD = {"left": LEFT, "right": RIGHT, "top": UP, "bottom": DOWN}


def plate(diagram: Diagram, numbers: Numbers, title: str, *, backward: bool = False) -> str | None:
    """Return the drawing as SVG, or None if it is too large or its wires find no way.

    Parameters
    ----------
    diagram : Diagram
    numbers : Numbers
        Of its nodes, for the tooltips.
    title : str
        What the drawing shows.
    backward : bool
        Show the gradients first; a page may change that.
    """
    if len(diagram.symbols) > MOST_SYMBOLS:
        return None
    # The layout goes by the names as characters show them.
    encoded = Diagram([replace(s, text=decode(encode(s.text))) for s in diagram.symbols], diagram.wires)
    drawn = lay_out(encoded)
    if drawn is None:
        return None
    _, layout, router = drawn
    return _Plate(diagram, layout, router, backward).svg(numbers, title)


class _Plate:
    def __init__(self, diagram: Diagram, layout: Layout, router: Router, backward: bool) -> None:
        self.diagram, self.layout, self.router = diagram, layout, router
        self.classes = "minigrad-drawing plate" + (" gradients" if backward else "")
        cells = [*router.wire, *[(b.row, b.first) for b in layout.boxes.values()]]
        cells += [(b.row, b.last) for b in layout.boxes.values()]
        self.top = min(row for row, _ in cells)
        self.left = min(column for _, column in cells) - 1
        self.rows = max(row for row, _ in cells) - self.top + 1
        self.columns = max(column for _, column in cells) - self.left + 2
        self.colors: dict[str, int] = {}

    def _x(self, column: float) -> float:
        return (column - self.left) * WIDE

    def _y(self, row: float) -> float:
        """Return the middle of a row; above the first there is room for the steps' labels."""
        return (row - self.top) * HIGH + HIGH / 2 + 24

    def svg(self, numbers: Numbers, title: str) -> str:
        ET.register_namespace("", _SVG)
        width, height = self.columns * WIDE, self.rows * HIGH + 34
        root = ET.Element(
            f"{{{_SVG}}}svg",
            {
                "viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}", "height": f"{height:g}",
                "class": self.classes, "role": "img", "aria-labelledby": "drawing-title drawing-desc",
            },
        )  # fmt: skip
        self._add(root, "title", {"id": "drawing-title"}, shown_text(title, 200))
        wires = f"{len(self.diagram.symbols)} symbols. Wires: {edge_list(self.diagram)}."
        self._add(root, "desc", {"id": "drawing-desc"}, wires)
        self._add(root, "style", {}, style() + _STYLE)
        self._frames(root)
        of_symbols, _ = tooltips(self.diagram, numbers)
        for net in self.router.routes:
            self._net(root, net)
        for symbol in self.diagram.symbols:
            self._symbol(root, symbol, of_symbols[symbol_id(symbol)])
        return ET.tostring(root, encoding="unicode")

    def _add(self, parent: ET.Element, tag: str, attributes: dict[str, str], text: str = "") -> ET.Element:
        element = ET.SubElement(parent, f"{{{_SVG}}}{tag}", attributes)
        if text:
            element.text = text
        return element

    # -- steps ---------------------------------------------------------------------------------------

    def _frames(self, root: ET.Element) -> None:
        """Draw a light frame around each time step."""
        spans: dict[int, list[Box]] = {}
        for symbol in self.diagram.symbols:
            if symbol.step is not None and (self.diagram.inputs(symbol) or not self._before(symbol)):
                spans.setdefault(symbol.step, []).append(self.layout.boxes[symbol.id])
        bottom = self._y(self.top + self.rows - 1) + HIGH / 2 + 4
        for step, boxes in sorted(spans.items()):
            x0 = self._x(min(b.first for b in boxes)) - 5
            x1 = self._x(max(b.last for b in boxes) + 1) + 5
            group = self._add(root, "g", {"class": "step", "id": f"step{step}"})
            self._add(
                group, "rect",
                {"x": f"{x0:g}", "y": "4", "width": f"{x1 - x0:g}", "height": f"{bottom - 4:g}", "rx": "7"},
            )  # fmt: skip
            self._add(group, "text", {"x": f"{x0 + 7:g}", "y": "18"}, f"t = {step}")

    def _before(self, symbol: Symbol) -> bool:
        """Whether a leaf is a state from before the first step."""
        return all(s.step != symbol.step for s in self.diagram.outputs(symbol))

    # -- wires ---------------------------------------------------------------------------------------

    def _net(self, root: ET.Element, net: _Route) -> None:
        source = self.diagram.symbols[net.source]
        targets = dict.fromkeys(t for t, _ in net.sinks)
        steps = [self.diagram.symbols[t].step for t in targets]
        carries = any(
            self.diagram.symbols[t].kind in (CARRY, FOLD)
            or (source.step is not None and step is not None and step > source.step)
            for t, step in zip(targets, steps, strict=True)
        )
        classes = ["wire"]
        if carries or source.kind == FOLD:
            name = source.text if source.kind != FOLD else self.diagram.inputs(source)[0].text
            number = self.colors.setdefault(name, len(self.colors)) % len(CARRY_COLORS)
            classes += ["carry", f"carry{number}"]
        if not has_gradient(source):
            classes.append("uncomputed")
        group = self._add(
            root, "g",
            {
                "id": f"w{net.source}", "class": " ".join(classes), "data-source": symbol_id(source),
                "data-target": " ".join(f"n{t}" for t in targets),
            },
        )  # fmt: skip
        path = "".join(self._cell(cell, net) for cell in sorted(net.ways))
        path += "".join(
            self._across(cell, net) for cell, other in self.router.crossed.items() if other is net
        )
        path += "".join(
            self._touch(net.source, t) for t in targets if (net.source, t) in self.layout.touching
        )
        label = f"{shown_text(source.label, 200)} → " + ", ".join(
            shown_text(self.diagram.symbols[t].label, 200) for t in targets
        )
        self._add(group, "title", {}, label)
        self._add(group, "path", {"d": path, "fill": "none"})
        for cell, ways in net.ways.items():
            if len(ways) > 2:
                dot = {"cx": f"{self._x(cell[1] + 0.5):g}", "cy": f"{self._y(cell[0]):g}", "r": "2.6"}
                self._add(group, "circle", dot)
        self._arrows(group, net)

    def _cell(self, cell: tuple[int, int], net: _Route) -> str:
        """Return the piece of a wire in one cell; a corner is round."""
        x, y = self._x(cell[1] + 0.5), self._y(cell[0])
        ends = []
        for way in sorted(net.ways[cell]):
            beside = cell[0] + way[0], cell[1] + way[1]
            # A wire goes up to the box, which is lower than its row.
            reach = HIGH - BOX / 2 if beside in self.router.solid and way[0] else HIGH / 2
            ends.append((x + way[1] * WIDE / 2, y + way[0] * reach))
        if len(ends) == 2 and cell not in self.router.crossed:
            (x0, y0), (x1, y1) = ends
            if x0 != x1 and y0 != y1:
                return f"M{x0:g},{y0:g}Q{x:g},{y:g} {x1:g},{y1:g}"
            return f"M{x0:g},{y0:g}L{x1:g},{y1:g}"
        return "".join(f"M{x:g},{y:g}L{a:g},{b:g}" for a, b in ends)

    def _across(self, cell: tuple[int, int], net: _Route) -> str:
        x, y = self._x(cell[1] + 0.5), self._y(cell[0])
        if UP in self.router.wire[cell].ways[cell]:
            return f"M{x - WIDE / 2:g},{y:g}h{WIDE:g}"
        return f"M{x:g},{y - HIGH / 2:g}v{HIGH:g}"

    def _touch(self, source: int, target: int) -> str:
        a, b = self.layout.boxes[source], self.layout.boxes[target]
        first, last = max(a.first, b.first), min(a.last, b.last)
        middle = self._x((first + last + 1) / 2)
        low, high = sorted((self._y(a.row), self._y(b.row)))
        return f"M{middle:g},{low + BOX / 2:g}L{middle:g},{high - BOX / 2:g}"

    def _arrows(self, group: ET.Element, net: _Route) -> None:
        """Draw a head at each end that takes the value, and one for the gradient at the end that gives it."""
        for target, position in net.sinks:
            side = self.router.inputs[target, position]
            box = self.layout.boxes[target]
            touching = (net.source, target) in self.layout.touching
            port = next((p for p in self.router._ports(target, side) if self.router.wire.get(p) is net), None)
            if touching or port is None:
                continue
            way = _OUTWARD[side]
            x = self._x(box.first) if side == "left" else self._x(port[1] + 0.5)
            y = self._y(box.row) + way[0] * BOX / 2
            self._head(group, x, y, (-way[0], -way[1]), "head")
        for side, way in _OUTWARD.items():
            port = next(
                (p for p in self.router._ports(net.source, side) if self.router.wire.get(p) is net), None
            )
            if side == "left" or port is None or (-way[0], -way[1]) not in net.ways[port]:
                continue
            box = self.layout.boxes[net.source]
            x = self._x(box.last + 1) if side == "right" else self._x(port[1] + 0.5)
            self._head(group, x, self._y(box.row) + way[0] * BOX / 2, (-way[0], -way[1]), "back-head")

    def _head(self, group: ET.Element, x: float, y: float, way: tuple[int, int], kind: str) -> None:
        dy, dx = way
        bx, by = x - 5 * dx, y - 5 * dy  # the middle of the base
        corners = ((x, y), (bx - 3 * dy, by - 3 * dx), (bx + 3 * dy, by + 3 * dx))
        points = " ".join(f"{px:g},{py:g}" for px, py in corners)
        self._add(group, "polygon", {"points": points, "class": kind})

    # -- symbols -------------------------------------------------------------------------------------

    def _symbol(self, root: ET.Element, symbol: Symbol, tooltip: str) -> None:
        box = self.layout.boxes[symbol.id]
        kind = look(symbol)
        shape, _, outline, fill = LOOKS[kind]
        classes = ["symbol", kind] + ([] if has_gradient(symbol) or symbol.parameters else ["uncomputed"])
        group = self._add(root, "g", {"id": symbol_id(symbol), "class": " ".join(classes)})
        mark_symbol(group, symbol)
        self._add(group, "title", {}, tooltip)
        x0, x1 = self._x(box.first), self._x(box.last + 1)
        y, middle = self._y(box.row), (x0 + x1) / 2
        drawn = {"stroke": outline, "fill": fill}
        if symbol.kind == CARRY:
            self._add(group, "text", {"x": f"{middle:g}", "y": f"{y + 4:g}"}, "→")
            return
        if symbol.kind in (OPERATION, JOIN) and len(symbol.text) == 1:
            across = f"{max((x1 - x0) / 2, 10):g}"
            self._add(
                group, "ellipse", drawn | {"cx": f"{middle:g}", "cy": f"{y:g}", "rx": across, "ry": "10"}
            )
        elif shape == "ellipse" or kind == FUNCTION:
            self._add(
                group, "ellipse",
                drawn
                | {"cx": f"{middle:g}", "cy": f"{y:g}", "rx": f"{(x1 - x0) / 2:g}", "ry": f"{BOX / 2:g}"},
            )  # fmt: skip
        else:
            radius = "6" if kind in (VALUE, FOLD) else "0"
            self._add(
                group, "rect",
                drawn | {"x": f"{x0:g}", "y": f"{y - BOX / 2:g}", "rx": radius}
                | {"width": f"{x1 - x0:g}", "height": f"{BOX:g}"},
            )  # fmt: skip
        self._label(group, symbol, middle, y, x1 - x0)

    def _label(self, group: ET.Element, symbol: Symbol, x: float, y: float, room: float) -> None:
        text = shown_text(symbol.text, 40)
        gradient = f"d{text}" if symbol.kind in (VALUE, PRODUCT) else text
        step = f"{symbol.step}" if symbol.kind == VALUE and symbol.step is not None else ""
        for kind, written in (("forward", text), ("backward", gradient)):
            length = 6.2 * len(written) + 4.5 * len(step)
            attributes = {"class": kind, "x": f"{x:g}", "y": f"{y + 4:g}"}
            if length > room - 3 and len(written) > 1:
                # Longer than its box: it is set closer, never across the outline.
                attributes |= {"textLength": f"{room - 5:g}", "lengthAdjust": "spacingAndGlyphs"}
            element = self._add(group, "text", attributes, written)
            if step:
                index = self._add(element, "tspan", {"class": "index", "dy": "3"}, step)
                index.tail = None


_CARRIES = "\n".join(
    f".plate .carry{n} {{ stroke: {color} }} .plate .wire.carry{n} polygon {{ fill: {color} }}"
    for n, color in enumerate(CARRY_COLORS)
)
_STYLE = f"""
.plate text {{ font: 11.5px Helvetica, Arial, 'Liberation Sans', sans-serif;
  text-anchor: middle; fill: #1c1c1c }}
.plate .step text {{ text-anchor: start; font-size: 11px; fill: #777 }}
.plate .step rect {{ fill: none; stroke: #c4c4c4; stroke-dasharray: 2 3 }}
.plate .index {{ font-size: 8px }}
.plate .wire {{ stroke: #555; stroke-width: 1.2 }}
.plate .wire.carry {{ stroke-width: 2.4 }}
{_CARRIES}
.plate .wire polygon, .plate .wire circle {{ stroke: none; fill: #555 }}
.plate .back-head, .plate text.backward {{ display: none }}
.plate.gradients .back-head {{ display: inline; fill: {GRADIENT} !important }}
.plate.gradients .head, .plate.gradients text.forward {{ display: none }}
.plate.gradients .uncomputed .back-head {{ display: none }}
.plate.gradients text.backward {{ display: inline }}
.plate.gradients .wire > path {{ stroke-dasharray: 4 2 }}
.plate.gradients .wire:not(.carry) > path {{ stroke: {GRADIENT} }}
.plate.gradients .wire.uncomputed > path {{ stroke: #9a9a9a; stroke-dasharray: 1 3 }}
.plate.gradients .symbol.uncomputed > :is(rect, ellipse, text) {{ opacity: 0.45 }}
@media (prefers-color-scheme: dark) {{
.plate text, .plate:not(.gradients) .uncomputed text {{ fill: #e8e8e8 }}
.plate .step text {{ fill: #999 }} .plate .step rect {{ stroke: #555 }}
.plate .wire:not(.carry) {{ stroke: #aaa }} .plate .wire polygon, .plate .wire circle {{ fill: #bbb }}
.plate .value > rect {{ fill: #17304d; stroke: #7fb0e6 }}
.plate .product > rect {{ fill: #40300f; stroke: #e0a94a }}
.plate .fold > rect {{ fill: #222; stroke: #aaa }}
.plate.gradients .wire:not(.carry) > path {{ stroke: #ff8a75 }}
.plate.gradients .back-head {{ fill: #ff8a75 !important }}
}}
"""
