"""Networks that the drawing code has never heard of, and random graphs, recorded from primitives."""

from __future__ import annotations

import numpy as np

import minigrad as mg


def _weights(seed: int = 0, **shapes: tuple[int, int]) -> dict[str, mg.Node]:
    random = np.random.default_rng(seed)
    return {name: mg.parameter(random.normal(size=shape), name=name) for name, shape in shapes.items()}


def gru(steps: int, hidden: int = 4, features: int = 3) -> mg.Node:
    """Cho et al. 2014, with a read-out and a loss at every step."""
    both = hidden + features
    w = _weights(
        Wz=(hidden, both), bz=(hidden, 1), Wr=(hidden, both), br=(hidden, 1), Wn=(hidden, both),
        bn=(hidden, 1),
        Wy=(2, hidden), by=(2, 1),
    )  # fmt: skip
    random = np.random.default_rng(1)
    h = mg.constant(random.normal(size=(hidden, 1)), name="h", step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = mg.constant(random.normal(size=(features, 1)), name="x")
            hx = mg.concat([h, x]).named("hx")
            z = mg.sigmoid(w["Wz"] @ hx + w["bz"]).named("z")
            r = mg.sigmoid(w["Wr"] @ hx + w["br"]).named("r")
            n = mg.tanh(w["Wn"] @ mg.concat([r * h, x]) + w["bn"]).named("n")
            h = ((1 - z) * h + z * n).named("h")
            y = (w["Wy"] @ h + w["by"]).named("y")
            losses.append(mg.squared_error(y, np.zeros((2, 1))).named("L"))
    return mg.accumulate(*losses).named("L")


def peephole(steps: int, hidden: int = 4, features: int = 3) -> mg.Node:
    """An LSTM whose gates see the cell (Gers & Schmidhuber 2000)."""
    both = hidden + features
    w = _weights(
        **{f"W{g}": (hidden, both) for g in "fico"}, **{f"b{g}": (hidden, 1) for g in "fico"},
        **{f"p{g}": (hidden, 1) for g in "fio"},
    )  # fmt: skip
    random = np.random.default_rng(2)
    h = mg.constant(random.normal(size=(hidden, 1)), name="h", step=0)
    c = mg.constant(random.normal(size=(hidden, 1)), name="c", step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = mg.constant(random.normal(size=(features, 1)), name="x")
            z = mg.concat([h, x]).named("z")
            fg = mg.sigmoid(w["Wf"] @ z + w["pf"] * c + w["bf"]).named("fg")
            ig = mg.sigmoid(w["Wi"] @ z + w["pi"] * c + w["bi"]).named("ig")
            c_hat = mg.tanh(w["Wc"] @ z + w["bc"]).named("c_hat")
            c = (fg * c + ig * c_hat).named("c")
            og = mg.sigmoid(w["Wo"] @ z + w["po"] * c + w["bo"]).named("og")
            h = (og * mg.tanh(c)).named("h")
            losses.append(mg.squared_error(h, np.zeros((hidden, 1))).named("L"))
    return mg.accumulate(*losses).named("L")


def stacked(steps: int, hidden: int = 4, features: int = 3) -> mg.Node:
    """Two Elman layers, one upon the other."""
    w = _weights(
        Wxh=(hidden, features), Whh=(hidden, hidden), bh=(hidden, 1),
        Whg=(5, hidden), Wgg=(5, 5), bg=(5, 1), Wgy=(2, 5), by=(2, 1),
    )  # fmt: skip
    random = np.random.default_rng(3)
    h = mg.constant(random.normal(size=(hidden, 1)), name="h", step=0)
    g = mg.constant(random.normal(size=(5, 1)), name="g", step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = mg.constant(random.normal(size=(features, 1)), name="x")
            h = mg.tanh(w["Whh"] @ h + w["Wxh"] @ x + w["bh"]).named("h")
            g = mg.tanh(w["Wgg"] @ g + w["Whg"] @ h + w["bg"]).named("g")
            y = (w["Wgy"] @ g + w["by"]).named("y")
            losses.append(mg.squared_error(y, np.zeros((2, 1))).named("L"))
    return mg.accumulate(*losses).named("L")


_UNARY = (mg.tanh, mg.sigmoid, mg.relu, mg.exp, mg.negative)
_BINARY = (mg.add, mg.multiply, mg.subtract, mg.maximum, mg.divide)


def random_graph(seed: int, operations: int) -> mg.Node:
    """A graph of random primitives over vectors of one size; every value is used."""
    random = np.random.default_rng(seed)
    size = 3
    values = [
        mg.constant(random.normal(size=(size, 1)), name=f"x{i}", step=1) for i in range(random.integers(1, 4))
    ]
    unused = list(values)
    with mg.step(1):
        for k in range(operations):

            def pick() -> mg.Node:
                pool = unused if unused and random.random() < 0.7 else values
                node = pool[random.integers(len(pool))]
                if node in unused:
                    unused.remove(node)
                return node

            kind = random.random()
            if kind < 0.3:
                node = mg.parameter(random.normal(size=(size, size)), name=f"W{k}") @ pick()
            elif kind < 0.55:
                node = _UNARY[random.integers(len(_UNARY))](pick())
            elif kind < 0.65:
                node = mg.concat([pick(), pick()])[:size]
            else:
                node = _BINARY[random.integers(len(_BINARY))](pick(), pick())
            if random.random() < 0.5:
                node = node.named(f"v{k}")
            values.append(node)
            unused.append(node)
        while len(unused) > 1:
            node = unused.pop() + unused.pop()
            unused.append(node)
    return unused[0]
