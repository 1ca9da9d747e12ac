"""Diagrams of a recorded graph: as SVG, as characters and back, and the page beside a derivation.

>>> from visualize import parse
>>> diagram = parse("[x]-{W}-(tanh+b)-[y]")
>>> diagram.parameters
('W', 'b')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visualize.diagram import Diagram as Diagram
    from visualize.drawing import Drawing as Drawing
    from visualize.drawing import draw as draw
    from visualize.page import Report as Report
    from visualize.page import report as report
    from visualize.reader import parse as parse

_WHERE = {
    "Diagram": "diagram",
    "Drawing": "drawing",
    "draw": "drawing",
    "Report": "page",
    "report": "page",
    "parse": "reader",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    # What a drawing needs is loaded when it is first used.
    if name not in _WHERE:
        raise AttributeError(f"module 'visualize' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"visualize.{_WHERE[name]}"), name)
