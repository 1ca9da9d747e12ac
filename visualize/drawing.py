"""`draw`: from a recorded graph to a picture, a file, or characters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from minigrad import Node
from visualize.diagram import PRODUCT, VALUE, Diagram
from visualize.dot import Numbers, dot_source
from visualize.errors import DrawingError
from visualize.files import marked, write
from visualize.fold import UNFOLDED
from visualize.fold import fold as folded
from visualize.plate import plate
from visualize.render import render
from visualize.summary import gradients, summarize
from visualize.svg import finish
from visualize.view import view_of

DIRECTIONS = ("forward", "backward", "both")
FORMATS = ("svg", "png", "pdf", "dot", "txt")
# A picture of more symbols than this takes Graphviz minutes and shows a person nothing.
MOST_SYMBOLS = 3000


class Drawing:
    """A drawing of a recorded graph; shows itself in a notebook.

    Attributes
    ----------
    diagram : Diagram
        The symbols and wires of the picture.
    title : str
    """

    def __init__(
        self, outputs: Sequence[Node], view: str, direction: str, fold: str, values: bool, title: str | None
    ) -> None:
        if direction not in DIRECTIONS:
            raise DrawingError(f"direction is 'forward', 'backward' or 'both', not {direction!r}")
        self.outputs = tuple(outputs)
        self.view, self.direction, self.fold, self.values = view, direction, fold, values
        if view == "compact" and (values or direction == "both"):
            raise DrawingError(
                "the compact view shows values or gradients, one at a time and without numbers; "
                "use view='hand' (--view hand) for both"
            )
        self.diagram = _without_far_sums(folded(view_of(self.outputs, view, loss=view != "compact"), fold))
        self.title = title or self._title()

    def _title(self) -> str:
        names = ", ".join(node.label for node in self.outputs[:3])
        what = {"forward": "Graph", "backward": "Gradients", "both": "Graph and gradients"}[self.direction]
        return f"{what} of {names}"

    @cached_property
    def numbers(self) -> Numbers:
        """Ranges and strips of the values and gradients behind the symbols."""
        nodes = [n for s in self.diagram.symbols for n in (s.node, *s.parameters) if n is not None]
        found = gradients(self.outputs, nodes)
        return Numbers({}, {serial: summarize(g) for serial, g in found.items()}, bool(found))

    @cached_property
    def dot(self) -> str:
        """The drawing in the DOT language."""
        return self._dot(rich=True)

    def _dot(self, *, rich: bool) -> str:
        self._check_size()
        numbers = self.numbers if self.values else None
        return dot_source(self.diagram, direction=self.direction, numbers=numbers, rich=rich)

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG."""
        if self.view == "compact":
            compact = plate(self.diagram, self.numbers, self.title, backward=self.direction == "backward")
            if compact is not None:
                return compact
        return finish(
            render(self._dot(rich=False)), self.diagram, self.numbers, self.title,
            direction=self.direction, values=self.values,
        )  # fmt: skip

    @cached_property
    def text(self) -> str:
        """The drawing in characters, which `visualize.parse` reads back.

        It is the drawing that a person makes, and ends at the predictions. Backward, the gradients stand
        in the places of the values (``[dh]`` for ``[h]``) and flow against the wires; both ways, one drawing
        stands below the other.

        Raises
        ------
        DrawingError
            If numbers are asked for.
        """
        from visualize.characters import draw_text

        if self.values:
            raise DrawingError(
                "a drawing in characters has no room for numbers; write an SVG (--values -o numbers.svg)"
            )
        forward = folded(view_of(self.outputs, self.view), self.fold)
        parts = [] if self.direction == "backward" else [forward]
        if self.direction != "forward":
            parts.append(self._backward(forward))
        return "\n\n".join(draw_text(diagram).rstrip("\n") for diagram in parts)

    def _backward(self, diagram: Diagram) -> Diagram:
        """Return a diagram with the gradients' names in the places of the values that have one.

        A name counts as a whole: an initial state that is given takes the name of the states that it begins,
        so that it stays on their line.
        """
        symbols = [s for s in diagram.symbols if s.kind in (VALUE, PRODUCT)]
        arrived = gradients(self.outputs, [s.node for s in symbols if s.node is not None])
        named = {s.text for s in symbols if s.node is not None and s.node.serial in arrived}
        if not named:
            raise DrawingError(
                "no gradient flows back through this graph: it is no scalar, or has no parameters"
            )
        return Diagram(
            [
                replace(s, text="d" + s.text) if s.kind in (VALUE, PRODUCT) and s.text in named else s
                for s in diagram.symbols
            ],
            diagram.wires,
        )

    def _check_size(self) -> None:
        count = len(self.diagram.symbols)
        if count > MOST_SYMBOLS:
            raise DrawingError(
                f"the drawing has {count:,} symbols, more than the {MOST_SYMBOLS:,} of a picture: fold "
                "the steps (fold='auto', --fold auto), draw one (fold='step', --fold step), or draw fewer"
            )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the drawing in the format of the file's ending.

        Raises
        ------
        DrawingError
            If the ending is none of svg, png, pdf, dot, txt.
        WouldOverwriteError
            If the file exists and was not written by this project.
        """
        form = Path(path).suffix.removeprefix(".").lower()
        if form not in FORMATS:
            raise DrawingError(
                f"{path}: a drawing is written as .svg, .png, .pdf, .dot or .txt, "
                + (f"not .{form}" if form else "and the name has no ending")
            )
        if self.view == "compact" and form not in ("svg", "txt"):
            raise DrawingError(
                f"{path}: the compact view is written as .svg or .txt; view='hand' has all formats"
            )
        if form == "svg":
            content = self.svg.encode()
        elif form == "txt":
            content = self.text.encode()
        elif form == "dot":
            content = self.dot.encode()
        else:
            source = self.dot.replace("bgcolor=transparent", "bgcolor=white dpi=144", 1)
            content = render(source, form)
        return write(path, marked(content, form), overwrite=overwrite)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<drawing: {self.title}, {len(self.diagram.symbols)} symbols>"


def _without_far_sums(diagram: Diagram) -> Diagram:
    """Leave out the total of the losses where it would gather wires from more than ten unfolded steps.

    Those wires would run the length of the drawing beside everything else; the losses of the steps stay.
    """
    far = {
        s.id
        for s in diagram.symbols
        if s.kind == VALUE
        and not diagram.outputs(s)
        and len({i.step for i in diagram.inputs(s)} - {None}) > UNFOLDED
    }
    return diagram.subset(s.id for s in diagram.symbols if s.id not in far) if far else diagram


def draw(
    outputs: Node | Sequence[Node],
    path: str | os.PathLike[str] | None = None,
    *,
    view: str = "hand",
    direction: str = "forward",
    fold: str = "auto",
    values: bool = False,
    title: str | None = None,
    overwrite: bool = False,
) -> Drawing:
    """Draw what the outputs are made of.

    Parameters
    ----------
    outputs : Node or sequence of Node
        Usually the loss.
    path : path, optional
        Write the drawing there; svg, png, pdf, dot or txt by the file's ending.
    view : {"hand", "compact", "primitive"}
        As a person draws it; the same in the places of the drawing in characters, which takes a fraction of
        the room (svg and txt); or every primitive with its shape.
    direction : {"forward", "backward", "both"}
        The values, the gradients in the same places, or both.
    fold : {"auto", "never", "step"}
        Fold equal steps where there are more than ten; never; or draw one step with its carries.
    values : bool
        Show each node's range and a heat strip, of its value and of its gradient.
    title : str, optional
        What the drawing shows.
    overwrite : bool
        Replace a file that this project did not write.

    Returns
    -------
    Drawing
        Shows itself in a notebook; `svg`, `text` and `dot` hold it, `save` writes it.

    Raises
    ------
    DrawingError
        If an argument is none of the above, or there is too much to draw.
    RendererError
        If png or pdf is asked for and no system `dot` is there.
    WouldOverwriteError
        If the file exists and was not written by this project.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> from visualize import draw
    >>> W = mg.parameter(np.ones((2, 2)), name="W")
    >>> y = mg.tanh(W @ mg.constant(np.ones((2, 1)), name="x", step=1)).named("y")
    >>> print(draw(y).text)
    [x]-{W}-(tanh)-[y]
    """
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    drawing = Drawing(nodes, view, direction, fold, values, title)
    if path is not None:
        drawing.save(path, overwrite=overwrite)
    return drawing
