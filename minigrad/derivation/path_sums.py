"""A gradient as the sum over all paths between named values, as note 002 writes it for the LSTM."""

from __future__ import annotations

import itertools

from minigrad.node import Node

from .rows import Gradients, Row, total_of
from .syntax import (
    Derivative,
    Equation,
    Expression,
    Name,
    Product,
)
from .truth import World
from .writer import Derivation, stepped


def paths(loss: Node, node: Node, limit: int = 1000) -> Derivation:
    """Write the gradient of a node as the sum over all paths between named values.

    Note 002 does so for the LSTM.

    Raises
    ------
    TooManyPathsError
        If there are more than `limit` paths; those through states double with every step.

    Examples
    --------
    >>> import minigrad as mg
    >>> from minigrad.derivation import paths
    >>> a = mg.parameter(2.0, name="a")
    >>> b = (a * a).named("b")
    >>> print(paths((b * 3.0).named("L"), a))
    dL/da = dL/db * db/da
    <BLANKLINE>
    """
    from minigrad.errors import NotConnectedError, TooManyPathsError

    world = World(loss)
    common = Gradients(world, relative=False)
    start = world.place.get(node.serial)
    if start is None or start not in world.gradients:
        raise NotConnectedError(f"paths: nothing leads from {node.label} to the loss {loss.label}")
    edges = _named_edges(world, common.writer.canonical | {start, world.place[loss.serial]})
    end = world.place[loss.serial]
    found: list[list[int]] = []
    todo: list[list[int]] = [[start]]
    useful = _reaching(edges, end)
    while todo:
        path = todo.pop()
        if path[-1] == end:
            found.append(path[::-1])
            if len(found) > limit:
                raise TooManyPathsError(
                    f"paths: more than {limit:,} paths lead from {loss.label} to {node.label}; "
                    "ask for a later node, or raise the limit"
                )
            continue
        todo += [[*path, j] for j in edges.get(path[-1], []) if j in useful]
    terms = [_chain(path, common) for path in sorted(found)]
    left = Derivative(Name("L"), common.writer.name(start, None))
    operators = ("=",)
    return Derivation(
        [Row(Equation((left, total_of(terms)), operators), "", (f"d{node.label}",), "total", str(node.name))],
        False, world.steps, "", loss, stepped(world),
    )  # fmt: skip


def _named_edges(world: World, named: set[int]) -> dict[int, list[int]]:
    """Return, for each named node, the named nodes that take it in without another named one between."""
    reach: dict[int, set[int]] = {}
    edges: dict[int, list[int]] = {}
    for i, node in enumerate(world.nodes):
        sources: set[int] = set()
        for position, operand in enumerate(node.inputs):
            if node.primitive is None or node.primitive.vjp(position) is None:
                continue
            j = world.place[operand.serial]
            sources |= {j} if j in named else reach.get(j, set())
        if i in named:
            for j in sorted(sources):
                edges.setdefault(j, []).append(i)
        reach[i] = sources
    return edges


def _reaching(edges: dict[int, list[int]], end: int) -> set[int]:
    back: dict[int, list[int]] = {}
    for i, users in edges.items():
        for j in users:
            back.setdefault(j, []).append(i)
    found, todo = {end}, [end]
    while todo:
        for i in back.get(todo.pop(), []):
            if i not in found:
                found.add(i)
                todo.append(i)
    return found


def _chain(path: list[int], common: Gradients) -> Expression:
    world = common.world
    while len(path) > 2 and path[1] in world.gradients and common.is_loss(path[1]):
        path = path[1:]  # dL/dL[2] is 1
    whole = Name("L")
    factors: list[Expression] = []
    for above, below in itertools.pairwise(path):
        top = whole if world.nodes[above] is world.loss else common.writer.name(above, None)
        factors.append(Derivative(top, common.writer.name(below, None)))
    if len(factors) == 1:
        return factors[0]
    return Product(tuple(factors), ("⋅",) * (len(factors) - 1))
