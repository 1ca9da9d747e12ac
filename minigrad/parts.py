"""A gradient taken apart: by the time steps that contribute to it, and by the paths that it comes along."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.autodiff import owned, seed, why_unconnected
from minigrad.errors import NotConnectedError, TooManyPathsError
from minigrad.node import Array, Node
from minigrad.sweep import descendants, number_vjp, send_number, sum_numbers, sweep


def contributions(output: Node, node: Node) -> dict[int | None, Array]:
    """Return the addends of a node's gradient by the time step of the use that they come from.

    For a parameter shared over time these are the ``dL/dWhh (t = k)`` of a hand derivation, and their sum is
    the gradient; for a state ``h[t]`` they are what arrives from its own step and from the next.

    Parameters
    ----------
    output : Node
        A scalar.
    node : Node
        A parameter or any other node behind it.

    Returns
    -------
    dict
        From the step (None for uses outside of all steps) to an array of the shape of `node`, in the order
        of time.

    Examples
    --------
    >>> import minigrad as mg
    >>> w = mg.parameter(2.0, name="w")
    >>> h = mg.constant(1.0)
    >>> for t in (1, 2):
    ...     with mg.step(t):
    ...         h = w * h
    >>> {t: float(g) for t, g in mg.contributions(h, w).items()}
    {1: 2.0, 2: 2.0}
    """
    needed = descendants([node], [output])
    if node.serial not in needed or output.serial not in needed:
        raise NotConnectedError(why_unconnected(node, [output]))
    parts: dict[int | None, Array] = {}

    def send_apart(g: Any, user: Node, position: int, operand: Node) -> Any:
        if operand is not node:
            return send_number(g, user, position, operand)
        addend = number_vjp(g, user, position, operand)
        known = parts.get(user.step)
        parts[user.step] = owned(addend) if known is None else np.asarray(known + addend)
        return addend

    for visited, g in sweep([(output, seed(output, None))], needed, send_apart, sum_numbers):
        if visited is node:
            if node is output:
                parts[node.step] = owned(g)
            break
    ordered = sorted(parts, key=lambda t: (t is not None, t or 0))
    return {t: parts[t] for t in ordered}


@dataclass(frozen=True)
class Path:
    """One way from an output back to a node, and what it contributes to the node's gradient.

    Attributes
    ----------
    nodes : tuple of Node
        All nodes on the way, the output first, the node last.
    value : ndarray
        The product of the derivatives along the way, of the shape of the last node.
    """

    nodes: tuple[Node, ...]
    value: Array

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the named nodes on the way, and of both ends."""
        last = len(self.nodes) - 1
        return tuple(x.label for i, x in enumerate(self.nodes) if x.name is not None or i in (0, last))

    def __repr__(self) -> str:
        return f"Path({' <- '.join(self.labels)})"


def paths(output: Node, node: Node, limit: int = 1000) -> list[Path]:
    """Split the gradient of a node over the paths that lead from it to the output.

    Parameters
    ----------
    output : Node
        A scalar.
    node : Node
        Any node behind it, also a parameter.
    limit : int
        The most paths to list; they are counted before anything is listed.

    Returns
    -------
    list of Path
        Their values sum to the gradient (Bauer's formula; Griewank & Walther 2008, sec. 3.2).

    Raises
    ------
    TooManyPathsError
        If there are more than `limit`; the message says how many.
    NotConnectedError
        If there is none.

    Examples
    --------
    >>> import minigrad as mg
    >>> x = mg.parameter(3.0, name="x")
    >>> y = mg.multiply(x, x).named("y")
    >>> [(path.labels, float(path.value)) for path in mg.paths(y, x)]
    [(('y', 'x'), 3.0), (('y', 'x'), 3.0)]
    """
    needed = descendants([node], [output])
    if node.serial not in needed or output.serial not in needed:
        raise NotConnectedError(why_unconnected(node, [output]))
    count = count_paths(output, node)
    if count > limit:
        raise TooManyPathsError(
            f"paths: {count:,} paths lead from {output.label} to {node.label}, more than limit={limit:,}; "
            "take a nearer pair of nodes, or give a higher limit"
        )
    found: list[Path] = []
    # Depth first; each entry is a node, the gradient that arrives over the way to it, and that way
    # (a linked list, since copying a way at each of its n nodes would take n² steps).
    open_ends: list[tuple[Node, Array, Any]] = [(output, seed(output, None), (output, None))]
    while open_ends:
        at, g, way = open_ends.pop()
        if at is node:
            found.append(Path(_unlinked(way), owned(g)))
            continue
        branches = [
            (operand, number_vjp(g, at, position, operand), (operand, way))
            for position, operand in enumerate(at.inputs)
            if operand.serial in needed and at.primitive is not None and at.primitive.vjp(position)
        ]
        open_ends.extend(reversed(branches))
    return found


def _unlinked(way: Any) -> tuple[Node, ...]:
    nodes = []
    while way is not None:
        node, way = way
        nodes.append(node)
    return tuple(reversed(nodes))


def count_paths(output: Node, node: Node) -> int:
    """Return how many paths lead from an output to a node behind it, without listing them."""
    needed = descendants([node], [output])
    if output.serial not in needed or node.serial not in needed:
        return 0
    counts: dict[int, int] = {output.serial: 1}
    visited: dict[int, Node] = {output.serial: output}
    heap = [-output.serial]
    while heap:
        serial = -heapq.heappop(heap)
        at = visited.pop(serial)
        if at is node:
            return counts[serial]
        count = counts.pop(serial)
        for position, operand in enumerate(at.inputs):
            if operand.serial in needed and at.primitive is not None and at.primitive.vjp(position):
                if operand.serial not in visited:
                    visited[operand.serial] = operand
                    heapq.heappush(heap, -operand.serial)
                counts[operand.serial] = counts.get(operand.serial, 0) + count
    return 0
