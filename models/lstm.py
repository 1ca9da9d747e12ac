"""The LSTM with a forget gate: a cell state that gates write to and read from.

Hochreiter & Schmidhuber 1997; the forget gate is of Gers, Schmidhuber & Cummins 2000.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import minigrad as mg
from models.recurrent import Cell, Recurrent

# What note 000 names in one step.
_NAMES = ["z", "fg_pre", "fg", "ig_pre", "ig", "c_hat_pre", "c_hat", "og_pre", "og", "c", "tanc", "h"]


class LSTM(Recurrent):
    """LSTM as note 000 draws it (lines 36-94); without an embedding, that of note 002 (lines 104-148).

    At step t, with `x` the one-hot columns that come in::

        wes    = Wex x                              (E, B)
        z      = [h[t-1]; wes]                      (H + E, B)
        fg     = sigmoid(Wf z + bf)                 (H, B)      likewise ig and og
        c_hat  = tanh(Wc z + bc)                    (H, B)
        c      = fg * c[t-1] + ig * c_hat           (H, B)
        h      = og * tanh(c)                       (H, B)
        p      = softmax(Why h + by)                (O, B)      or y = fy(Why h + by)

    The pre-activations are named `fg_pre`, `ig_pre`, `c_hat_pre`, `og_pre`, and tanh(c) is `tanc`, as their
    gradients are in the note. Without an embedding, z is `[h[t-1]; x]`. Parameters are those of
    `Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> net = LSTM(inputs=5, hidden=4, embedding=3, seed=0)
    >>> net.parameters["Wf"]
    Wf = parameter f64[4,7]
    >>> run = net(np.array([[0], [3]]), targets=np.array([[3], [1]]))
    >>> run.states["c"][2]
    c[2] = add f64[4,1]
    """

    kind = "LSTM"
    state_names = ("h", "c")

    def _cell_shapes(self, size: int) -> Iterator[tuple[str, tuple[int, int]]]:
        for gate in "fico":  # the order of note 000
            yield "W" + gate, (self.hidden, self.hidden + size)
            yield "b" + gate, (self.hidden, 1)

    @property
    def input_name(self) -> str:
        """Always `x`."""
        return "x"

    def _embed(self, inputs: mg.Node) -> mg.Node:
        Wex = self.parameters["Wex"]
        return (Wex @ inputs if inputs.ndim == 2 else mg.take(Wex, inputs, axis=1)).named("wes")

    def _cell(self, suffix: str) -> Cell:
        Wf, bf, Wi, bi, Wc, bc, Wo, bo = (self.parameters[name + suffix] for name, _ in self._cell_shapes(0))
        n = SimpleNamespace(**{name: name + suffix for name in _NAMES})

        def cell(x: mg.Node, h: mg.Node, c: mg.Node) -> tuple[mg.Node, mg.Node]:
            z = mg.concat([h, x]).named(n.z)
            fg = mg.sigmoid((Wf @ z + bf).named(n.fg_pre)).named(n.fg)
            ig = mg.sigmoid((Wi @ z + bi).named(n.ig_pre)).named(n.ig)
            c_hat = mg.tanh((Wc @ z + bc).named(n.c_hat_pre)).named(n.c_hat)
            og = mg.sigmoid((Wo @ z + bo).named(n.og_pre)).named(n.og)
            c = (fg * c + ig * c_hat).named(n.c)
            tanc = mg.tanh(c).named(n.tanc)
            return (og * tanc).named(n.h), c

        return cell
