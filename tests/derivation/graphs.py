"""Recurrent graphs that are not shipped: a GRU, a peephole LSTM, skip connections, an odd one."""

from __future__ import annotations

import numpy as np

import minigrad as mg

RANDOM = np.random.default_rng(7)


def weight(name: str, *shape: int) -> mg.Node:
    return mg.parameter(0.6 * RANDOM.normal(size=shape), name=name)


def data(name: str, *shape: int, step: int | None = None) -> mg.Node:
    return mg.constant(RANDOM.normal(size=shape), name=name, step=step)


def total(losses: list[mg.Node]) -> mg.Node:
    return mg.accumulate(*losses).named("L")


def gru(steps: int = 3, columns: int = 1) -> mg.Node:
    Wz, Uz, bz = weight("Wz", 4, 3), weight("Uz", 4, 4), weight("bz", 4, 1)
    Wr, Ur, br = weight("Wr", 4, 3), weight("Ur", 4, 4), weight("br", 4, 1)
    Wn, Un, bn = weight("Wn", 4, 3), weight("Un", 4, 4), weight("bn", 4, 1)
    V = weight("V", 5, 4)
    h = data("h", 4, columns, step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = data("x", 3, columns)
            z = mg.sigmoid(Wz @ x + Uz @ h + bz).named("z")
            r = mg.sigmoid(Wr @ x + Ur @ h + br).named("r")
            n = mg.tanh(Wn @ x + Un @ (r * h) + bn).named("n")
            h = ((1 - z) * n + z * h).named("h")
            losses.append(mg.squared_error((V @ h).named("y"), data("y_true", 5, columns)).named("L"))
    return total(losses)


def peephole(steps: int = 3, columns: int = 1) -> mg.Node:
    W = {g: weight(f"W{g}", 4, 7) for g in "fico"}
    b = {g: weight(f"b{g}", 4, 1) for g in "fico"}
    p = {g: weight(f"p{g}", 4, 1) for g in "fio"}
    V = weight("V", 5, 4)
    h, c = data("h", 4, columns, step=0), data("c", 4, columns, step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            z = mg.concat([h, data("x", 3, columns)]).named("z")
            fg = mg.sigmoid(W["f"] @ z + p["f"] * c + b["f"]).named("fg")
            ig = mg.sigmoid(W["i"] @ z + p["i"] * c + b["i"]).named("ig")
            g = mg.tanh(W["c"] @ z + b["c"]).named("g")
            c = (fg * c + ig * g).named("c")
            og = mg.sigmoid(W["o"] @ z + p["o"] * c + b["o"]).named("og")
            h = (og * mg.tanh(c)).named("h")
            losses.append(mg.squared_error((V @ h).named("y"), data("y_true", 5, columns)).named("L"))
    return total(losses)


def stacked(steps: int = 3) -> mg.Node:
    layers = [
        (weight("W1", 4, 3), weight("U1", 4, 4), data("h1", 4, 1, step=0)),
        (weight("W2", 5, 4), weight("U2", 5, 5), data("h2", 5, 1, step=0)),
    ]
    states = [h for _, _, h in layers]
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            below = data("x", 3, 1)
            for k, (W, U, _) in enumerate(layers):
                below = mg.tanh(W @ below + U @ states[k]).named(f"h{k + 1}")
                states[k] = below
            losses.append(mg.squared_error(below, data("y_true", 5, 1)).named("L"))
    return total(losses)


def skip(steps: int = 4) -> mg.Node:
    W, V = weight("W", 4, 4), weight("V", 4, 4)
    h = [data("h", 4, 1, step=-1), data("h", 4, 1, step=0)]
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            h.append(mg.tanh(W @ h[-1] + V @ h[-2] + data("x", 4, 1)).named("h"))
            losses.append(mg.squared_error(h[-1], data("y", 4, 1)).named("L"))
    return total(losses)


def crossed(steps: int = 3) -> mg.Node:
    """Two states that feed each other: neither carry can be assigned without disturbing the other."""
    A, B = weight("A", 4, 4), weight("B", 4, 4)
    a, b = data("a", 4, 1, step=0), data("b", 4, 1, step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            a, b = mg.tanh(A @ b + data("x", 4, 1)).named("a"), mg.tanh(B @ a).named("b")
            half = 0.5 * mg.squared_error(b, data("v", 4, 1))
            losses.append((mg.squared_error(a, data("u", 4, 1)) + half).named("L"))
    return total(losses)


def outside(steps: int = 3) -> mg.Node:
    """A read-out after the loop, in no step."""
    W, U, V = weight("W", 4, 3), weight("U", 4, 4), weight("V", 2, 4)
    h = data("h", 4, 1, step=0)
    for t in range(1, steps + 1):
        with mg.step(t):
            h = mg.tanh(W @ data("x", 3, 1) + U @ h).named("h")
    return mg.squared_error((V @ h).named("y"), data("y_true", 2, 1)).named("L")


def learned(steps: int = 3) -> mg.Node:
    """An initial state that is a parameter."""
    h, W = weight("h_init", 4, 1), weight("W", 4, 4)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            h = mg.tanh(W @ h + data("x", 4, 1)).named("h")
            losses.append(mg.squared_error(h, data("y", 4, 1)).named("L"))
    return total(losses)


def classes(steps: int = 3) -> mg.Node:
    """Class indices in and out."""
    Wex, W, U, V = weight("Wex", 3, 7), weight("W", 4, 3), weight("U", 4, 4), weight("V", 6, 4)
    h = data("h", 4, 2, step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            c = mg.constant(RANDOM.integers(7, size=2), name="c")
            y = mg.constant(RANDOM.integers(6, size=2), name="y")
            h = mg.tanh(W @ mg.take(Wex, c, axis=1).named("x") + U @ h).named("h")
            losses.append(mg.cross_entropy((V @ h).named("o"), y).named("L"))
    return total(losses)


def odd() -> mg.Node:
    """Names that are words of the notation, a name that is a gradient's, operations of every kind."""
    W, x = mg.parameter(RANDOM.normal(size=(4, 3)), name="my W"), data("x", 3, 1)
    h = mg.exp(0.1 * (W @ x)).named("where")
    d = (mg.log(h) + mg.sqrt(h)).named("dx")
    q = (mg.maximum(d, h) * mg.abs(d) / h).named("q1")
    r = (q**3 + 2 ** q.sum() * 0.001).named("T")
    s = mg.mean(r * r, axis=0).named("<b>`")
    return (s.sum() + mg.softmax(q).named("p")[1:3].sum() + mg.max(r)).named("L")


def deep(depth: int = 60) -> mg.Node:
    """Unnamed from top to bottom, and every part used twice."""
    w = weight("w", 3, 1)
    a = w
    for _ in range(depth):
        a = mg.tanh(a * 1.1 + w)
    return (a * a).sum()


ALL = (gru, peephole, stacked, skip, crossed, outside, learned, classes, odd, deep)
