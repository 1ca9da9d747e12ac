"""What the two ways of writing share: the printed line, and the gradients of a graph with their addends."""

from __future__ import annotations

from dataclasses import dataclass

from minigrad.errors import MinigradError
from minigrad.node import Node

from .express import Writer, plain
from .syntax import (
    Equation,
    Expression,
    Sum,
    render,
    summed,
)
from .truth import World


class DerivationError(MinigradError, ValueError):
    """A graph of which no derivation can be written."""


@dataclass(frozen=True)
class Row:
    """One printed line: an equation, a heading, or an empty line.

    Attributes
    ----------
    exact : Equation or None
        With every product marked as elementwise (``⊙``) or a matrix product (``⋅``, ``@``), for typesetting.
    heading : str
    nodes : tuple of str
        Labels of the nodes that it is about, such as ``dh[2]``.
    kind : str
        ``total``, ``carry`` (to t - 1), ``contribution`` (to a parameter, of each step), ``outside``.
    name : str
        Of what it is the gradient.
    """

    exact: Equation | None = None
    heading: str = ""
    nodes: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""

    @property
    def equation(self) -> Equation | None:
        """The equation in the notation."""
        if self.exact is None:
            return None
        return Equation(tuple(plain(side) for side in self.exact.sides), self.exact.operators)

    @property
    def text(self) -> str:
        """The line in the notation."""
        equation = self.equation
        if equation is None:
            return self.heading
        text = render(equation)
        side = equation.sides[-1]
        if len(text) > 110 and isinstance(side, Sum) and set(side.signs) == {1}:
            parts = [render(term) for term in side.terms]
            lines = [f"{render(equation.sides[0])} {equation.operators[0]} {parts[0]}"]
            for part in parts[1:]:
                if len(lines[-1]) + len(part) > 110:
                    lines[-1] += " +"
                    lines.append(f"    {part}")
                else:
                    lines[-1] += f" + {part}"
            text = "\n".join(lines)
        return text


@dataclass
class Term:
    """An addend of a gradient: the recorded node, the step it is seen from, its target."""

    place: int
    step: int | None
    node: Node


@dataclass
class TermLine:
    """A line for one step: kind, base name, tree, and the order of recording."""

    kind: str  # "total", "carry", "contribution", "outside"
    name: str
    tree: Expression
    order: int
    step: int | None
    label: str


class Differs(Exception):
    """The steps do not read alike."""


class Gradients:
    """The gradients of a graph that are written, and the writer for their addends."""

    def __init__(self, world: World, relative: bool) -> None:
        self.world = world
        self.writer = Writer(world, relative)
        self.wanted = [
            i for i in sorted(world.gradients)
            if i in self.writer.canonical and world.nodes[i].requires_grad and not self.is_loss(i)
        ]  # fmt: skip

    def is_loss(self, i: int) -> bool:
        """Whether a node is the loss or one of the losses it is the sum of: its gradient is 1."""
        g = self.world.gradients[i]
        node = self.world.nodes[i]
        return (
            node is self.world.loss or (g.primitive is None and g.size == 1) or bool(g.attributes.get("seed"))
        )

    def terms(self, i: int) -> list[Term]:
        """Return the addends of the gradient of a node."""
        return [Term(i, t, node) for t, node in self.world.addends(i)]

    def goal(self, i: int) -> tuple[int, ...]:
        """Return the shape that the gradient of a node has."""
        return self.world.nodes[i].shape

    def is_parameter(self, i: int) -> bool:
        """Whether a node belongs to no step."""
        return self.world.nodes[i].step is None


def total_of(trees: list[Expression]) -> Expression:
    """Return the sum of some trees."""
    return summed(trees, [1] * len(trees))
