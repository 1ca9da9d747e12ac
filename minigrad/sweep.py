"""The backward sweep: nodes are visited against the order of recording, and each collects its gradient.

One sweep serves numbers and recorded gradients alike.  When a node is reached, all of its users have been
visited, since they were recorded later, and each of its *uses* has sent the vjp of the gradient there; the
sum is the node's gradient (reverse accumulation: Werbos 1990 for networks in time, Griewank & Walther 2008,
ch. 3).  What differs is how that sum is formed:

- on numbers, a sum of products over time ``sum_t g_t x_t^T`` is one product;
- recorded, it is one `accumulate` node whose inputs are the contributions, each with the step of its use.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import AnomalyError, UnsupportedError
from minigrad.node import Array, Node, state
from minigrad.primitives.base import PRIMITIVES


class Use(NamedTuple):
    """One place where a node is used: input `position` of `user`, at which the gradient `g` arrived."""

    g: Any
    user: Node
    position: int


Gradient: TypeAlias = Any  # an Array, or a Node of the recorded backward pass
Send: TypeAlias = Callable[[Any, Node, int, Node], Any]
Total: TypeAlias = Callable[[Node, list[Any]], Gradient]


def sweep(
    seeds: Sequence[tuple[Node, Gradient]], needed: set[int] | None, send: Send, total: Total
) -> Iterator[tuple[Node, Gradient]]:
    """Yield each node behind the seeds with its gradient, users before what they use.

    Parameters
    ----------
    seeds : sequence of (Node, gradient)
        Where to begin, and the gradient that arrives there.
    needed : set of int or None
        The serials of the nodes that take part; None stands for all with a parameter behind them.
    send : callable
        ``send(g, user, position, operand)`` is what a use adds to the gradient of its operand.
    total : callable
        ``total(node, addends)`` is the gradient of a node, formed of all that was sent to it.
    """
    pending: dict[int, tuple[Node, list[Any]]] = {}
    heap: list[int] = []  # serials, negated: the latest comes first
    push, pop = heapq.heappush, heapq.heappop
    for node, g in seeds:
        if node.serial not in pending:
            pending[node.serial] = (node, [])
            push(heap, -node.serial)
        pending[node.serial][1].append(g)
    while heap:
        node, addends = pending.pop(-pop(heap))
        g = total(node, addends)
        yield node, g
        primitive = node.primitive
        if primitive is None or not primitive.is_differentiable:
            continue
        rules = primitive.vjps
        variadic = primitive.variadic
        position = -1
        for operand in node.inputs:
            position += 1
            if (operand.requires_grad if needed is None else operand.serial in needed) and (
                variadic or rules[position] is not None
            ):
                addend = send(g, node, position, operand)
                serial = operand.serial
                if serial in pending:
                    pending[serial][1].append(addend)
                else:
                    pending[serial] = (operand, [addend])
                    push(heap, -serial)


# -- on numbers --------------------------------------------------------------------------------------


def number_vjp(g: Any, user: Node, position: int, operand: Node) -> Array:
    """Return what one use contributes to the gradient of its operand, on numbers."""
    primitive = user.primitive
    assert primitive is not None
    rule = primitive.vjps[0 if primitive.variadic else position]
    assert rule is not None
    inputs = user.inputs
    if primitive.variadic:
        result = rule(g, user.value, inputs, position=position, **user.attributes)
    elif user.attributes:
        result = rule(g, user.value, *[x.value for x in inputs], **user.attributes)
    elif len(inputs) == 2:
        result = rule(g, user.value, inputs[0].value, inputs[1].value)
    else:
        result = rule(g, user.value, *[x.value for x in inputs])
    value = operand.value
    if primitive.broadcasts and result.shape != value.shape:
        result = fn.unbroadcast(result, value.shape)
    if result.dtype is not value.dtype and result.dtype != value.dtype:
        result = result.astype(value.dtype)
    return result  # type: ignore[no-any-return]


def send_number(g: Any, user: Node, position: int, operand: Node) -> Any:
    """Return a contribution as numbers, or the use itself where many uses may be cheaper together."""
    primitive = user.primitive
    if primitive is not None and position in primitive.merged:
        return Use(g, user, position)
    return number_vjp(g, user, position, operand)


def sum_numbers(node: Node, addends: list[Any]) -> Array:
    """Return the gradient of a node as numbers."""
    if len(addends) == 1:
        g = addends[0]
        if type(g) is Use:
            g = number_vjp(*g, node)
    else:
        addends = _evaluated(node, addends)
        g = addends[0]
        if len(addends) > 1:
            g = g + addends[1]
            for addend in addends[2:]:
                g = np.add(g, addend, out=g) if type(g) is np.ndarray else g + addend
    return g  # type: ignore[no-any-return]


def _evaluated(node: Node, addends: list[Any]) -> list[Any]:
    """Return the addends as numbers; uses that one operation can serve come as their sum."""
    numbers = []
    groups: dict[tuple[int, int], list[Use]] = {}
    for addend in addends:
        if type(addend) is Use:
            groups.setdefault((id(addend.user.primitive), addend.position), []).append(addend)
        else:
            numbers.append(addend)
    for (_, position), uses in groups.items():
        merged = None
        if len(uses) > 1:
            primitive = uses[0].user.primitive
            assert primitive is not None
            rule = primitive.merged.get(position)
            merged = rule([(use.g, use.user) for use in uses]) if rule is not None else None
        if merged is not None and merged.shape == node.shape:
            numbers.append(merged.astype(node.dtype, copy=False))
        else:
            numbers.extend(number_vjp(*use, node) for use in uses)
    return numbers


def _observed_sum(node: Node, addends: list[Any]) -> Array:
    """As `sum_numbers`, and tell the observer (anomaly detection) of the gradient."""
    users = [addend.user for addend in addends if type(addend) is Use]
    g = sum_numbers(node, addends)
    assert state.observer is not None
    state.observer.gradient(node, users, g)
    return g


def sweep_numbers(seeds: Sequence[tuple[Node, Any]], needed: set[int] | None) -> Iterator[tuple[Node, Array]]:
    """Sweep on numbers; under an observer every use is kept apart, so that it can be named."""
    if state.observer is None:
        return sweep(seeds, needed, send_number, sum_numbers)
    return sweep(seeds, needed, lambda g, user, position, operand: Use(g, user, position), _observed_sum)


# -- recorded ----------------------------------------------------------------------------------------


def recorded_vjp(g: Any, user: Node, position: int, operand: Node) -> Node:
    """Return what one use contributes, recorded with the step of that use."""
    primitive = user.primitive
    assert primitive is not None
    rule = primitive.vjps[0 if primitive.variadic else position]
    assert rule is not None
    before, state.step = state.step, user.step
    try:
        if primitive.variadic:
            result: Node = rule(g, user, user.inputs, position=position, **user.attributes)
        else:
            result = rule(g, user, *user.inputs, **user.attributes)
        if primitive.broadcasts and result.shape != operand.shape:
            result = fn.unbroadcast(result, operand.shape)
        if result.dtype != operand.dtype:
            result = fn.astype(result, operand.dtype)
    except AnomalyError as error:
        what = str(error).removeprefix("forward: ").removeprefix("backward: ")
        raise AnomalyError(
            f"backward: in the gradient of {operand.label} that arrives from {user.label}: {what}"
        ) from None
    finally:
        state.step = before
    return result


def recorded_sum(node: Node, addends: list[Node]) -> Node:
    """Return the gradient of a node as a recorded node, named after it: ``dh[3]`` for ``h[3]``."""
    if len(addends) == 1 and (node.name is None or addends[0].attributes.get("seed")):
        return addends[0]
    before, state.step = state.step, node.step
    try:
        # Contributions in the order of time; a carry from the next step comes after those of its own.
        addends.sort(key=lambda addend: -1 if addend.step is None else addend.step)
        total: Node = fn.apply(PRIMITIVES["accumulate"], addends)
    finally:
        state.step = before
    if node.name is not None:
        total.name = "d" + node.name
    return total


# -- walking -----------------------------------------------------------------------------------------


def nodes_of(given: object, what: str) -> list[Node]:
    """Return one node or several as a list, or raise an error that says `what` was something else."""
    nodes: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, Node) else [given]
    for node in nodes:
        if not isinstance(node, Node):
            raise UnsupportedError(f"{what} are a node or a list of nodes, not {type(node).__name__}")
    return nodes


def ancestors(outputs: Sequence[Node]) -> list[Node]:
    """Return all nodes behind the outputs, and these, in the order of recording."""
    seen: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.serial not in seen:
            seen[node.serial] = node
            stack.extend(node.inputs)
    return [seen[serial] for serial in sorted(seen)]


def descendants(starts: Sequence[Node], outputs: Sequence[Node]) -> set[int]:
    """Return the serials of all nodes behind the outputs through which a gradient reaches the starts."""
    first = min((start.serial for start in starts), default=0)
    reached = {start.serial for start in starts}
    stack = list(outputs)
    between: dict[int, Node] = {}
    while stack:
        node = stack.pop()
        if node.serial >= first and node.serial not in between:
            between[node.serial] = node
            stack.extend(node.inputs)
    for serial in sorted(between):
        node = between[serial]
        primitive = node.primitive
        if primitive is not None and serial not in reached:
            for position, operand in enumerate(node.inputs):
                if operand.serial in reached and (primitive.variadic or primitive.vjps[position] is not None):
                    reached.add(serial)
                    break
    return {serial for serial in reached if serial in between}
