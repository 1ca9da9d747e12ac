"""What is true: values, gradients and their parts, read off the recorded graph.

A `World` is one recorded run with its recorded backward pass.  Nodes are known by their place in the order of
recording, which is the same in every run of one program, so that a name bound in one world means the same
node in all of them.  The parts of a gradient (what arrives from which step) are the inputs of its recorded
`accumulate` node: nothing here differentiates on its own account, except for local derivatives, which follow
the recorded operations from one value to another with everything else held fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.node import Node
from minigrad.primitives.base import apply

from .evaluate import Array


class World:
    """One recorded run: its nodes by place and by name, and their gradients part by part."""

    def __init__(self, loss: Node) -> None:
        graph = mg.Graph(loss)
        self.loss = loss
        self.nodes = graph.nodes
        self.place = {node.serial: i for i, node in enumerate(self.nodes)}
        self.names: dict[str, dict[int | None, int]] = {}
        for i, node in enumerate(self.nodes):
            if node.name is not None:
                self.names.setdefault(node.name, {}).setdefault(node.step, i)
        steps = [t for t in graph.steps if t is not None]
        used = {n.step for n in self.nodes if not n.is_leaf and n.step is not None}
        self.first, self.last = (min(used), max(used)) if used else (0, 0)
        self.steps = tuple(t for t in steps if self.first <= t <= self.last)
        self.columns = self._columns()
        self._jacobians: dict[tuple[int, int, str], Array | None] = {}

    def _columns(self) -> int:
        """Return the size of the batch: the second axis of values that belong to a step."""
        sizes = [n.shape[1] for n in self.nodes if n.step is not None and n.ndim == 2 and not n.is_parameter]
        return max(set(sizes), key=sizes.count) if sizes else 1

    @cached_property
    def gradients(self) -> dict[int, Node]:
        """The recorded gradient of every node that has one, by place."""
        floats = [n for n in self.nodes if n.dtype.kind == "f"]
        found = mg.grad(self.loss, floats, create_graph=True, allow_unused=True)
        return {self.place[n.serial]: g for n, g in zip(floats, found, strict=True) if g is not None}

    def value(self, i: int) -> Array:
        """Return the value of node `i`."""
        return self.nodes[i].value

    def column(self, i: int) -> Array | None:
        """Return the one-hot columns of class indices (on paper a class is its column), or None."""
        node = self.nodes[i]
        if not node.is_leaf or node.dtype.kind not in "iu" or node.ndim != 1:
            return None
        for user in self.nodes:
            if user.primitive is None or not any(x is node for x in user.inputs):
                continue
            if user.primitive.name == "take" and user.attributes["axis"] == 1:
                depth = user.inputs[0].shape[1]
            elif user.primitive.name == "cross_entropy" and user.attributes["axis"] == 0:
                depth = user.inputs[0].shape[0]
            else:
                continue
            return np.eye(depth)[:, node.value]
        return None

    def total(self, i: int) -> Array:
        """Return the gradient of node `i`; zero where nothing leads from it to the loss."""
        g = self.gradients.get(i)
        return np.zeros(self.nodes[i].shape) if g is None else g.value

    def addends(self, i: int) -> list[tuple[int | None, Node]]:
        """Return the contributions to the gradient of node `i`, each with the step that it comes from."""
        g = self.gradients.get(i)
        if g is None:
            return []
        if g.primitive is not None and g.primitive.name == "accumulate" and self.nodes[i].name is not None:
            return [(addend.step, addend) for addend in g.inputs]
        return [(g.step, g)]

    def part(self, i: int, wanted: Callable[[int | None], bool]) -> Array:
        """Return the sum of the contributions to the gradient of node `i` from the steps that are wanted."""
        total = np.zeros(self.nodes[i].shape)
        for step, addend in self.addends(i):
            if wanted(step):
                total = total + addend.value
        return total

    def carry(self, i: int) -> Array:
        """Return what arrives at node `i` from later steps."""
        own = self.nodes[i].step
        return self.part(i, lambda t: own is not None and t is not None and t > own)

    def direct(self, i: int) -> Array:
        """Return what arrives at node `i` from its own step."""
        own = self.nodes[i].step
        return self.part(i, lambda t: t is None or own is None or t <= own)

    def from_step(self, i: int, step: int) -> Array:
        """Return what step `step` contributes to the gradient of node `i`."""
        return self.part(i, lambda t: t == step)

    def carries(self, name: str) -> bool:
        """Whether a gradient reaches values of that name from later steps."""
        return any(
            t is not None and (own := self.nodes[i].step) is not None and t > own
            for i in self.names.get(name, {}).values()
            for t, _ in self.addends(i)
        )

    # -- local derivatives -----------------------------------------------------------------------

    def jacobian(self, of: int, wrt: int, mode: str = "immediate") -> Array | None:
        """Return dY/dX as ``(size of Y, *shape of X)``, or None if nothing leads from X to Y.

        ``immediate``: within the step of Y, the states of other steps held fixed; ``direct``: every other
        named value held fixed; ``total``: along all paths.
        """
        key = (of, wrt, mode)
        if key not in self._jacobians:
            self._jacobians[key] = self._jacobian(of, wrt, mode)
        return self._jacobians[key]

    def _jacobian(self, of: int, wrt: int, mode: str) -> Array | None:
        y = self.nodes[of]
        between = {wrt}
        for i in range(wrt + 1, of + 1):
            node = self.nodes[i]
            if not any(self.place[n.serial] in between for n in node.inputs):
                continue
            held = i != of and (
                (mode == "immediate" and y.step is not None and node.step != y.step)
                or (mode == "direct" and node.name is not None)
            )
            if not held:
                between.add(i)
        if of not in between or of == wrt:
            return None
        rows = []
        for k in range(y.size):
            seed = np.zeros(y.size)
            seed[k] = 1.0
            rows.append(self._pulled_back(of, wrt, between, seed.reshape(y.shape)))
        return np.stack(rows)

    def _pulled_back(self, of: int, wrt: int, between: set[int], seed: Array) -> Array:
        arrived: dict[int, Array] = {of: seed}
        for i in range(of, wrt, -1):
            g = arrived.pop(i, None)
            node = self.nodes[i]
            if g is None or node.primitive is None or i not in between:
                continue
            for position, operand in enumerate(node.inputs):
                j = self.place[operand.serial]
                rule = node.primitive.vjp(position)
                if j not in between or rule is None:
                    continue
                part = np.asarray(rule(g, node.value, *[n.value for n in node.inputs], **node.attributes))
                if part.shape != operand.shape:
                    part = mg.primitives.unbroadcast(part, operand.shape)
                arrived[j] = arrived[j] + part if j in arrived else part
        return arrived.get(wrt, np.zeros(self.nodes[wrt].shape))

    def entries(self, jacobian: Array, of: int, wrt: int) -> Array | None:
        """Return the entries of a Jacobian that are not zero by construction, or None if it is dense.

        For an elementwise function the diagonal, as a column; for ``dh/dW`` with ``h_i`` depending on row
        i of W alone, the matrix of ``dh_i/dW_ij``.
        """
        n = jacobian.shape[0]
        x = self.nodes[wrt].shape
        if len(x) != 2 or x[0] != n:
            return None
        eye = np.arange(n)
        kept = jacobian[eye, eye]
        rest = jacobian.copy()
        rest[eye, eye] = 0
        return None if np.any(rest) else np.asarray(kept)


def redrawn(loss: Node, seed: int) -> Node:
    """Record the same program again with other numbers in its leaves, in float64.

    Every leaf keeps its sign, its zeros and its scale; what is a distribution (a target of
    `cross_entropy`) stays one; whole numbers stay.  `seed` 0 keeps all numbers.
    """
    random = np.random.default_rng(seed)
    graph = mg.Graph(loss)
    targets = {
        n.inputs[1].serial
        for n in graph.nodes
        if n.primitive is not None and n.primitive.name == "cross_entropy"
    }
    again: dict[int, Node] = {}
    for node in graph.nodes:
        if node.is_leaf:
            value = node.value
            if value.dtype.kind == "f":
                value = value.astype(np.float64)
                if seed and (node.name is not None or node.is_parameter):
                    value = value * random.uniform(0.6, 1.4, value.shape)
                    if node.serial in targets and node.ndim == 2:
                        sums = value.sum(axis=0, keepdims=True)
                        value = value / np.where(sums == 0, 1, sums) * node.value.sum(axis=0, keepdims=True)
            make = mg.parameter if node.is_parameter else mg.constant
            new = make(value, name=node.name, step=node.step)
        else:
            assert node.primitive is not None
            attributes = dict(node.attributes)
            new = apply(node.primitive, [again[n.serial] for n in node.inputs], **attributes)
            new.name, new.step = node.name, node.step
        again[node.serial] = new
    return again[loss.serial]


def worlds_of(losses: Sequence[Node]) -> list[World]:
    """Make worlds of runs of one program; a run that is not like the first is left out."""
    worlds = [World(loss) for loss in losses]
    first = worlds[0]

    def form(world: World) -> list[Any]:
        return [(n.name, n.step, n.primitive, len(n.inputs)) for n in world.nodes]

    return [first] + [w for w in worlds[1:] if len(w.nodes) == len(first.nodes) and form(w) == form(first)]
