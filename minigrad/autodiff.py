"""The backward pass: nodes are visited against the order of recording, and each collects its gradient.

One sweep serves numbers and recorded gradients alike.  When a node is reached, all of its users have been
visited, since they were recorded later, and each of its *uses* has sent the vjp of the gradient there; the
sum is the node's gradient (reverse accumulation: Werbos 1990 for networks in time, Griewank & Walther 2008,
ch. 3).  What differs is how that sum is formed:

- on numbers, a sum of products over time ``sum_t g_t x_t^T`` is one product;
- recorded, it is one `accumulate` node whose inputs are the contributions, each with the step of its use.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike

from minigrad import primitives as fn
from minigrad.errors import (
    AnomalyError,
    IntegerGradientError,
    NotConnectedError,
    NotScalarError,
    ShapeError,
    TooManyPathsError,
)
from minigrad.node import Array, Node, constant, state
from minigrad.primitives.base import PRIMITIVES, shown

# Threads that differentiate apart may share parameters; adding to a gradient reads it and writes it.
_one_at_a_time = threading.Lock()


class Use(NamedTuple):
    """One place where a node is used: input `position` of `user`, at which the gradient `g` arrived."""

    g: Any
    user: Node
    position: int


Gradient: TypeAlias = Any  # an Array, or a Node of the recorded backward pass
Send: TypeAlias = Callable[[Any, Node, int, Node], Any]
Total: TypeAlias = Callable[[Node, list[Any]], Gradient]


def _sweep(
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


def _vjp(g: Any, user: Node, position: int, operand: Node) -> Array:
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


def _send(g: Any, user: Node, position: int, operand: Node) -> Any:
    """Return a contribution as numbers, or the use itself where many uses may be cheaper together."""
    primitive = user.primitive
    if primitive is not None and position in primitive.merged:
        return Use(g, user, position)
    return _vjp(g, user, position, operand)


def _total(node: Node, addends: list[Any]) -> Array:
    """Return the gradient of a node as numbers."""
    if len(addends) == 1:
        g = addends[0]
        if type(g) is Use:
            g = _vjp(*g, node)
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
            numbers.extend(_vjp(*use, node) for use in uses)
    return numbers


def _observed_total(node: Node, addends: list[Any]) -> Array:
    """As `_total`, and tell the observer (anomaly detection) of the gradient."""
    users = [addend.user for addend in addends if type(addend) is Use]
    g = _total(node, addends)
    assert state.observer is not None
    state.observer.gradient(node, users, g)
    return g


def _sweep_numbers(
    seeds: Sequence[tuple[Node, Any]], needed: set[int] | None
) -> Iterator[tuple[Node, Array]]:
    """Sweep on numbers; under an observer every use is kept apart, so that it can be named."""
    if state.observer is None:
        return _sweep(seeds, needed, _send, _total)
    return _sweep(seeds, needed, lambda g, user, position, operand: Use(g, user, position), _observed_total)


# -- recorded ----------------------------------------------------------------------------------------


def _recorded_vjp(g: Any, user: Node, position: int, operand: Node) -> Node:
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


def _recorded_total(node: Node, addends: list[Node]) -> Node:
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


# -- what users call ---------------------------------------------------------------------------------


def backward(output: Node, gradient: ArrayLike | None = None) -> None:
    """Add the gradient of `output` to ``.grad`` of every parameter behind it; see `Node.backward`."""
    if not output.requires_grad:
        raise NotConnectedError(
            f"backward: no parameter stands behind {shown(output)}; make one with mg.parameter(array), "
            "and mind that mg.no_grad() and mg.stop_gradient cut the graph"
        )
    seed = _seed(output, gradient)
    arrived = [(node, g) for node, g in _sweep_numbers([(output, seed)], None) if node.primitive is None]
    if not arrived:
        raise NotConnectedError(
            f"backward: no gradient reaches a parameter from {shown(output)}: it depends on them only "
            "through indices, conditions or comparisons"
        )
    for node, _ in arrived:
        if node.dtype.kind != "f":
            raise IntegerGradientError(
                f"backward: {shown(node)} is {node.dtype}; complex numbers are for the complex step of "
                "gradcheck alone: make it real, np.asarray(value.real)"
            )
    with _one_at_a_time:
        for node, g in arrived:
            node.grad = _owned(g) if node.grad is None else np.asarray(node.grad + g)


@overload
def grad(
    outputs: Node | Sequence[Node],
    inputs: Node,
    grad_outputs: ArrayLike | Node | Sequence[Any] | None = None,
    create_graph: Literal[False] = False,
    allow_unused: Literal[False] = False,
) -> Array: ...
@overload
def grad(
    outputs: Node | Sequence[Node],
    inputs: Node,
    grad_outputs: ArrayLike | Node | Sequence[Any] | None = None,
    *,
    create_graph: Literal[True],
    allow_unused: Literal[False] = False,
) -> Node: ...
@overload
def grad(
    outputs: Node | Sequence[Node],
    inputs: Sequence[Node] | Mapping[str, Node],
    grad_outputs: ArrayLike | Node | Sequence[Any] | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any: ...
@overload
def grad(
    outputs: Node | Sequence[Node],
    inputs: Node,
    grad_outputs: ArrayLike | Node | Sequence[Any] | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any: ...
def grad(
    outputs: Node | Sequence[Node],
    inputs: Node | Sequence[Node] | Mapping[str, Node],
    grad_outputs: ArrayLike | Node | Sequence[Any] | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """Return the gradient of the outputs with respect to the inputs.

    Parameters
    ----------
    outputs : Node or sequence of Node
        What to differentiate; several are taken together, as the sum of their vjps.
    inputs : Node, sequence of Node, or mapping of names to Node
        With respect to what: leaves or intermediate nodes, also constants.
    grad_outputs : array_like, Node or sequence, optional
        The gradient that arrives at each output, of its shape; 1 for a scalar.
    create_graph : bool
        Record the backward pass: the gradients are nodes, named and stepped (``dh[3]``), which can be read,
        drawn and differentiated again.
    allow_unused : bool
        Give None, and no error, for an input from which nothing leads to the outputs.

    Returns
    -------
    ndarray or Node, or a list or dict of them
        In the form of `inputs`, each of the shape and dtype of its input.

    Raises
    ------
    NotScalarError
        If an output is not a scalar and `grad_outputs` is not given.
    NotConnectedError
        If no gradient path leads from an input to the outputs.
    IntegerGradientError
        If an input or an output is not floating point.

    Examples
    --------
    >>> import minigrad as mg
    >>> x = mg.parameter(3.0, name="x")
    >>> dx = mg.grad(x**3, x, create_graph=True)
    >>> dx
    dx = accumulate f64[]
    >>> mg.grad(dx, x)
    array(18.)
    """
    ends = [outputs] if isinstance(outputs, Node) else list(outputs)
    if isinstance(inputs, Mapping):
        values = grad(ends, list(inputs.values()), grad_outputs, create_graph, allow_unused)
        return dict(zip(inputs, values, strict=True))
    starts = [inputs] if isinstance(inputs, Node) else list(inputs)
    for start in starts:
        if start.dtype.kind != "f":
            raise IntegerGradientError(
                f"grad: {shown(start)} is {start.dtype}, and only floating point numbers have gradients; "
                f"make it of np.asarray(..., dtype=np.float64)"
            )
    if grad_outputs is None or isinstance(outputs, Node):
        arriving: list[Any] = [grad_outputs] * len(ends)
    else:
        arriving = list(grad_outputs)  # type: ignore[arg-type]
    if len(arriving) != len(ends):
        raise ShapeError(f"grad: {len(ends)} outputs need as many grad_outputs, found {len(arriving)}")
    needed = descendants(starts, ends)
    seeds = [
        (end, _recorded_seed(end, g) if create_graph else _seed(end, g))
        for end, g in zip(ends, arriving, strict=True)
    ]
    wanted = {start.serial for start in starts}
    found: dict[int, Gradient] = {}
    reached = [(end, seed) for end, seed in seeds if end.serial in needed]
    if create_graph:
        sweep = _sweep(reached, needed, _recorded_vjp, _recorded_total)
    else:
        sweep = _sweep_numbers(reached, needed)
    for node, g in sweep:
        if node.serial in wanted:
            found[node.serial] = g
    results: list[Any] = []
    for start in starts:
        g = found.get(start.serial)
        if g is None and not allow_unused:
            raise NotConnectedError(_why_unconnected(start, ends))
        results.append(g if g is None or create_graph else _owned(g))
    return results[0] if isinstance(inputs, Node) else results


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
        raise NotConnectedError(_why_unconnected(node, [output]))
    parts: dict[int | None, Array] = {}

    def send(g: Any, user: Node, position: int, operand: Node) -> Any:
        if operand is not node:
            return _send(g, user, position, operand)
        addend = _vjp(g, user, position, operand)
        known = parts.get(user.step)
        parts[user.step] = _owned(addend) if known is None else np.asarray(known + addend)
        return addend

    for visited, g in _sweep([(output, _seed(output, None))], needed, send, _total):
        if visited is node:
            if node is output:
                parts[node.step] = _owned(g)
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
        raise NotConnectedError(_why_unconnected(node, [output]))
    count = count_paths(output, node)
    if count > limit:
        raise TooManyPathsError(
            f"paths: {count:,} paths lead from {output.label} to {node.label}, more than limit={limit:,}; "
            "take a nearer pair of nodes, or give a higher limit"
        )
    found: list[Path] = []
    # Depth first; each entry is a node, the gradient that arrives over the way to it, and that way
    # (a linked list, since copying a way at each of its n nodes would take n² steps).
    open_ends: list[tuple[Node, Array, Any]] = [(output, _seed(output, None), (output, None))]
    while open_ends:
        at, g, way = open_ends.pop()
        if at is node:
            found.append(Path(_unlinked(way), _owned(g)))
            continue
        branches = [
            (operand, _vjp(g, at, position, operand), (operand, way))
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


# -- helpers -----------------------------------------------------------------------------------------


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


def _seed(output: Node, gradient: Any) -> Array:
    """Return the gradient with which the sweep begins at an output."""
    dtype = output.dtype
    if dtype.kind != "f":
        raise IntegerGradientError(
            f"grad: {shown(output)} is {dtype}, and only floating point numbers have gradients"
        )
    if gradient is None:
        if output.shape != ():
            raise NotScalarError(
                f"grad: {shown(output)} is not a scalar: sum it, or give the gradient that arrives there, "
                f"an array of shape {output.shape}"
            )
        return fn.SEED[dtype.char]
    g = np.asarray(gradient.value if isinstance(gradient, Node) else gradient, dtype=dtype)
    if g.shape != output.shape:
        raise ShapeError(f"grad: {shown(output)} needs a gradient of its shape, found {g.shape}")
    return g


def _recorded_seed(output: Node, gradient: Any) -> Node:
    name = "d" + (output.name or "L")
    if isinstance(gradient, Node):
        _seed(output, gradient)
        return gradient
    seed = constant(_seed(output, gradient), name=name, step=output.step)
    seed.step = output.step
    if gradient is None:
        seed.attributes = {"seed": True}
    return seed


def _owned(g: Any) -> Array:
    """Return a gradient that nobody else holds: some vjps hand on what they were given, or a view."""
    return np.array(g)


def _why_unconnected(start: Node, ends: Sequence[Node]) -> str:
    names = ", ".join(end.label for end in ends)
    text = f"grad: no gradient path leads from {shown(start)} to {names}"
    behind = {node.serial for node in ancestors(ends)}
    if start.serial not in behind:
        if start.name is not None:
            twins = [n for n in ancestors(ends) if n.name == start.name and n.step == start.step]
            if twins:
                return f"{text}: another node of that name is used there; ask for the one that was used"
        return f"{text}: it was not used in computing it; pass allow_unused=True to get None"
    return (
        f"{text}: it is used only where no gradient flows (indices, conditions, comparisons, "
        "stop_gradient, or the probabilities that cross_entropy reports beside its logits)"
    )
