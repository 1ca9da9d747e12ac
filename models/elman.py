"""The Elman network: a state that is a function of the input and of the state before (Elman 1990)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import minigrad as mg
from models.checks import one_of
from models.errors import ModelError
from models.recurrent import FUNCTIONS, Cell, Function, Recurrent


class ElmanRNN(Recurrent):
    """Elman network as note 000 draws it (lines 1-34); without an embedding, that of note 002 (lines 10-102).

    At step t, with `c` the one-hot columns that come in::

        x     = Wex c                       (E, B)
        h_pre = Whh h[t-1] + Wxh x          (H, B)
        h     = fh(h_pre + bh)              (H, B)
        p     = softmax(Why h + by)         (O, B)      or y = fy(Why h + by)

    Parameters
    ----------
    fh : str or callable
        The activation: "tanh", "relu", "sigmoid", "identity", or any function of a node.
    **others
        As for `Recurrent`: ``inputs, hidden, outputs, embedding, layers, topology, fy, initial_state, seed,
        dtype``.

    Examples
    --------
    >>> import numpy as np
    >>> net = ElmanRNN(inputs=5, hidden=4, embedding=3, seed=0)
    >>> net.parameters["Wxh"]
    Wxh = parameter f64[4,3]
    >>> run = net(np.array([[0], [3]]), targets=np.array([[3], [1]]))
    >>> run.states["h"][2]
    h[2] = tanh f64[4,1]
    """

    kind = "ElmanRNN"
    state_names = ("h",)

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int | None = None,
        *,
        fh: str | Function = "tanh",
        **others: Any,
    ) -> None:
        if not callable(fh):
            one_of(self.kind, "fh", fh, tuple(FUNCTIONS))
        self.fh = fh
        super().__init__(inputs, hidden, outputs, **others)

    def _cell_shapes(self, size: int) -> Iterator[tuple[str, tuple[int, int]]]:
        yield "Wxh", (self.hidden, size)
        yield "Whh", (self.hidden, self.hidden)
        yield "bh", (self.hidden, 1)

    @property
    def input_name(self) -> str:
        """`c` before an embedding, `x` without one."""
        return "x" if self.embedding is None else "c"

    def _embed(self, inputs: mg.Node) -> mg.Node:
        Wex = self.parameters["Wex"]
        return (Wex @ inputs if inputs.ndim == 2 else mg.take(Wex, inputs, axis=1)).named("x")

    def _cell(self, suffix: str) -> Cell:
        Wxh, Whh, bh = (self.parameters[name + suffix] for name in ("Wxh", "Whh", "bh"))
        h_pre_name, h_name = "h_pre" + suffix, "h" + suffix
        fh = self.fh if callable(self.fh) else FUNCTIONS[self.fh]

        def cell(x: mg.Node, h: mg.Node) -> tuple[mg.Node]:
            h_pre = (Whh @ h + Wxh @ x).named(h_pre_name)
            return (fh(h_pre + bh).named(h_name),)

        return cell

    @property
    def description(self) -> dict[str, Any]:
        """All that is needed to build the network again, but for its weights."""
        if callable(self.fh):
            raise ModelError(f"{self.kind}: fh is a Python function, which cannot be written to a file")
        return super().description | {"fh": self.fh}
