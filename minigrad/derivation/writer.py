"""`write`: the backward pass of any graph, printed as a person would derive it.

The recorded backward pass holds one `accumulate` node for the gradient of each named value, with its
addends and the step that each comes from.  An addend is a term of the equation; an addend from the step
after is the carry; the addends of a parameter are its contributions by step.  Each is written as seen from
its own step, and where all steps read alike, the equation is printed once, for a general t.  What does not
read alike in all steps is printed step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minigrad.errors import NotScalarError
from minigrad.node import Node

from .express import TooLong
from .general import General
from .rows import DerivationError, Differs, Row
from .syntax import (
    Equation,
)
from .truth import World
from .unrolled import Unrolled

__all__ = ["Derivation", "DerivationError", "Row", "write"]


@dataclass
class Derivation:
    """A written derivation; shows itself in a terminal and in a notebook.

    Attributes
    ----------
    rows : list of Row
    general : bool
        Written for a general step t, or step by step.
    steps : tuple of int
    loss : Node
        What was differentiated.
    stepped : frozenset of str
        The names that have a value at every step.
    """

    rows: list[Row]
    general: bool
    steps: tuple[int, ...]
    title: str = ""
    loss: Node | None = field(default=None, repr=False)
    stepped: frozenset[str] = frozenset()

    @property
    def equations(self) -> list[Equation]:
        """The equations alone."""
        return [row.equation for row in self.rows if row.equation is not None]

    @property
    def text(self) -> str:
        """In the notation, as `check` reads it."""
        return "\n".join(row.text for row in self.rows) + "\n"

    @property
    def leibniz(self) -> str:
        """In the notation, with dL/dh for dh and the carries written as what arrives from t + 1."""
        from .forms import leibniz

        return leibniz(self)

    @property
    def latex(self) -> str:
        """As an `align*` environment."""
        from .forms import latex_document

        return latex_document(self)

    @property
    def markdown(self) -> str:
        """As Markdown with LaTeX."""
        from .forms import markdown

        return markdown(self)

    @property
    def html(self) -> str:
        """As a self-contained page with MathML."""
        from .forms import html

        return html(self)

    def _repr_latex_(self) -> str:
        from .forms import latex_body

        return f"$\\begin{{aligned}}\n{latex_body(self)}\n\\end{{aligned}}$"

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str:
        from .forms import table

        return table(self)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def write(loss: Node, *, per_step: bool = False) -> Derivation:
    """Write the backward pass of a graph as a person would derive it.

    Parameters
    ----------
    loss : Node
        A scalar.
    per_step : bool
        Every step on its own, with ``dL/dWhh = dL/dWhh (t = 1) + dL/dWhh (t = 2) + ...`` at the end.

    Raises
    ------
    NotScalarError
        If `loss` is not a single number.
    DerivationError
        If no parameter stands behind it.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> from minigrad.derivation import write
    >>> W = mg.parameter(np.ones((2, 3)), name="W")
    >>> x = mg.constant(np.ones((3, 1)), name="x")
    >>> y = mg.tanh((W @ x).named("z")).named("y")
    >>> print(write(mg.squared_error(y, mg.constant(np.ones((2, 1)), name="y_true"))))
    dy = y - y_true
    dz = dy * (1 - y²)
    dW = dz * x^T
    <BLANKLINE>
    """
    if loss.size != 1:
        raise NotScalarError(f"write: {loss.label} has shape {loss.shape}; a loss is a single number")
    if not loss.requires_grad:
        raise DerivationError(f"write: no parameter stands behind {loss.label}; make one with mg.parameter")
    world = World(loss)
    if not per_step and world.steps:
        try:
            rows = General(world).rows()
        except (Differs, TooLong):
            rows = None
        if rows is not None:
            return Derivation(rows, True, world.steps, "", loss, stepped(world))
    return Derivation(Unrolled(world).rows(), False, world.steps, "", loss, stepped(world))


def stepped(world: World) -> frozenset[str]:
    return frozenset(name for name, places in world.names.items() if None not in places)
