"""Gradients: `backward` fills ``.grad`` with numbers, `grad` gives them or records them as nodes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from minigrad import primitives as fn
from minigrad.errors import IntegerGradientError, NotConnectedError, NotScalarError, ShapeError
from minigrad.node import Array, Node, constant
from minigrad.primitives.base import shown
from minigrad.sweep import (
    Gradient,
    ancestors,
    descendants,
    nodes_of,
    recorded_sum,
    recorded_vjp,
    sweep,
    sweep_numbers,
)

# Threads that differentiate apart may share parameters; adding to a gradient reads it and writes it.
_one_at_a_time = threading.Lock()


def backward(output: Node, gradient: ArrayLike | None = None) -> None:
    """Add the gradient of `output` to ``.grad`` of every parameter behind it; see `Node.backward`."""
    if not output.requires_grad:
        raise NotConnectedError(
            f"backward: no parameter stands behind {shown(output)}; make one with mg.parameter(array), "
            "and mind that mg.no_grad() and mg.stop_gradient cut the graph"
        )
    g = seed(output, gradient)
    arrived = [(node, g) for node, g in sweep_numbers([(output, g)], None) if node.primitive is None]
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
            node.grad = owned(g) if node.grad is None else np.asarray(node.grad + g)


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
    ends = nodes_of(outputs, "grad: the outputs")
    if isinstance(inputs, Mapping):
        values = grad(ends, list(inputs.values()), grad_outputs, create_graph, allow_unused)
        return dict(zip(inputs, values, strict=True))
    starts = nodes_of(inputs, "grad: the inputs")
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
        (end, _recorded_seed(end, g) if create_graph else seed(end, g))
        for end, g in zip(ends, arriving, strict=True)
    ]
    wanted = {start.serial for start in starts}
    found: dict[int, Gradient] = {}
    reached = [(end, g) for end, g in seeds if end.serial in needed]
    if create_graph:
        visits = sweep(reached, needed, recorded_vjp, recorded_sum)
    else:
        visits = sweep_numbers(reached, needed)
    for node, g in visits:
        if node.serial in wanted:
            found[node.serial] = g
    results: list[Any] = []
    for start in starts:
        g = found.get(start.serial)
        if g is None and not allow_unused:
            raise NotConnectedError(why_unconnected(start, ends))
        results.append(g if g is None or create_graph else owned(g))
    return results[0] if isinstance(inputs, Node) else results


# -- where a sweep begins and ends ---------------------------------------------------------------------


def seed(output: Node, gradient: Any) -> Array:
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
        seed(output, gradient)
        return gradient
    node = constant(seed(output, gradient), name=name, step=output.step)
    node.step = output.step
    if gradient is None:
        node.attributes = {"seed": True}
    return node


def owned(g: Any) -> Array:
    """Return a gradient that nobody else holds: some vjps hand on what they were given, or a view."""
    return np.array(g)


def why_unconnected(start: Node, ends: Sequence[Node]) -> str:
    """Return the message for a node from which no gradient path leads to the outputs."""
    names = ", ".join(end.label for end in ends)
    text = f"grad: no gradient path leads from {shown(start)} to {names}"
    behind = ancestors(ends)
    if all(node is not start for node in behind):
        if start.name is not None and any(n.name == start.name and n.step == start.step for n in behind):
            return f"{text}: another node of that name is used there; ask for the one that was used"
        return f"{text}: it was not used in computing it; pass allow_unused=True to get None"
    return (
        f"{text}: it is used only where no gradient flows (indices, conditions, comparisons, "
        "stop_gradient, or the probabilities that cross_entropy reports beside its logits)"
    )
