"""The two networks of the notes, from primitives alone, for the tests that look at their graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import minigrad as mg

V, E, H = 5, 3, 4  # all sizes distinct, so that no transposed shape fits by accident


@dataclass
class Net:
    loss: mg.Node
    parameters: dict[str, mg.Node]

    @property
    def graph(self) -> mg.Graph:
        return mg.Graph(self.loss)


def _parameters(sizes, seed, replaced):
    random = np.random.default_rng(seed)
    made = {}
    for name, shape in sizes.items():
        value = random.normal(size=shape) * 0.5
        given = (replaced or {}).get(name)
        made[name] = given.named(name) if given is not None else mg.parameter(value, name=name)
    return made


def _data(steps, columns, seed):
    random = np.random.default_rng(seed + 1)
    return random.integers(V, size=(steps, columns)), random.integers(V, size=(steps, columns))


def elman(steps=3, columns=1, seed=0, learned=False, many_to_one=False, replaced=None) -> Net:
    """The Elman network of file 000 (Elman 1990), with the notes' letters."""
    sizes = {"Wex": (E, V), "Whh": (H, H), "Wxh": (H, E), "bh": (H, 1), "Why": (V, H), "by": (V, 1)}
    p = _parameters(sizes, seed, replaced)
    inputs, targets = _data(steps, columns, seed)
    h0 = np.random.default_rng(seed + 2).normal(size=(H, columns))
    h = (mg.parameter if learned else mg.constant)(h0, name="h", step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = mg.take(p["Wex"], inputs[t - 1], axis=1).named("x")
            h_pre = (p["Whh"] @ h + p["Wxh"] @ x).named("h_pre")
            h = mg.tanh(h_pre + p["bh"]).named("h")
            if many_to_one and t < steps:
                continue
            o = (p["Why"] @ h + p["by"]).named("o")
            mg.softmax(o).named("p")
            losses.append(mg.cross_entropy(o, mg.constant(targets[t - 1], name="y")).named("L"))
    return Net(mg.accumulate(*losses).named("L"), p)


def lstm(steps=3, columns=1, seed=0, learned=False, layers=1, replaced=None) -> Net:
    """The LSTM of file 000 (Hochreiter & Schmidhuber 1997, Gers et al. 2000), in one layer or several."""
    sizes = {"Wex": (E, V), "Why": (V, H), "by": (V, 1)}
    for k in range(layers):
        below = E if k == 0 else H
        for gate in "fico":
            sizes[f"W{gate}{k or ''}"] = (H, H + below)
            sizes[f"b{gate}{k or ''}"] = (H, 1)
    p = _parameters(sizes, seed, replaced)
    inputs, targets = _data(steps, columns, seed)
    random = np.random.default_rng(seed + 2)
    leaf = mg.parameter if learned else mg.constant
    states = []
    for k in range(layers):
        h0, c0 = random.normal(size=(2, H, columns))
        states.append((leaf(h0, name=f"h{k or ''}", step=0), leaf(c0, name=f"c{k or ''}", step=0)))
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            below = mg.take(p["Wex"], inputs[t - 1], axis=1).named("wes")
            for k, (h, c) in enumerate(states):
                n = k or ""
                z = mg.concat([h, below]).named(f"z{n}")
                fg = mg.sigmoid((p[f"Wf{n}"] @ z + p[f"bf{n}"]).named(f"fg_pre{n}")).named(f"fg{n}")
                ig = mg.sigmoid((p[f"Wi{n}"] @ z + p[f"bi{n}"]).named(f"ig_pre{n}")).named(f"ig{n}")
                c_hat = mg.tanh((p[f"Wc{n}"] @ z + p[f"bc{n}"]).named(f"c_hat_pre{n}")).named(f"c_hat{n}")
                og = mg.sigmoid((p[f"Wo{n}"] @ z + p[f"bo{n}"]).named(f"og_pre{n}")).named(f"og{n}")
                c = (fg * c + ig * c_hat).named(f"c{n}")
                h = (og * mg.tanh(c)).named(f"h{n}")
                states[k] = (h, c)
                below = h
            o = (p["Why"] @ below + p["by"]).named("o")
            losses.append(mg.cross_entropy(o, mg.constant(targets[t - 1], name="y")).named("L"))
    return Net(mg.accumulate(*losses).named("L"), p)
