"""Recording a function once, so that what it does can be done again without it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import autodiff
from minigrad.errors import NotScalarError, UnsupportedError
from minigrad.node import Array, Node, constant, state, step, tracing

# Values of at most so many entries are not worth forgetting.
_KEPT = 16


class Trace:
    """What a call of the function recorded.

    Attributes
    ----------
    outputs : list of Node
        The loss, or what the function returned, and then the gradients.
    inputs : dict of int to int
        The positions of the inputs by the serial of their nodes.
    arrays : list of ndarray
        The inputs' values, to keep them alive.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Sequence[Any], parameters: Sequence[Node] | None
    ) -> None:
        self.inputs: dict[int, int] = {}
        self.arrays: list[Array] = []
        called = getattr(function, "__name__", type(function).__name__)
        who = f"mg.compile({called})"
        with _shapes_only(who):
            names = _argument_names(function, len(arguments))
            nodes = [self._node(x, name) for x, name in zip(arguments, names, strict=True)]
            result = function(*nodes)
        self.single = isinstance(result, Node)
        found = (
            [result]
            if isinstance(result, Node)
            else list(result)
            if isinstance(result, (list, tuple))
            else []
        )
        if not found or not all(isinstance(x, Node) for x in found):
            raise UnsupportedError(
                f"{who}: the function returned {type(result).__name__}; expected a node "
                "(the loss), or without parameters a node or a list of nodes"
            )
        self.outputs: list[Node] = found
        if parameters is not None:
            if len(found) != 1 or found[0].shape != ():
                shape = found[0].shape if len(found) == 1 else f"{len(found)} nodes"
                raise NotScalarError(
                    f"{who}: gradients are those of a scalar loss, and the function returned {shape}; "
                    "sum it with mg.sum or mg.accumulate"
                )
            with _shapes_only(who):
                gradients = autodiff.grad(found[0], list(parameters), create_graph=True)
            self.outputs = [found[0], *gradients]

    def _node(self, argument: Any, name: str) -> Any:
        if isinstance(argument, (list, tuple)):
            return type(argument)(self._node(x, f"{name}_{i}") for i, x in enumerate(argument, 1))
        node = constant(np.array(argument.value if isinstance(argument, Node) else argument), name=name)
        self.inputs[node.serial] = len(self.arrays)
        self.arrays.append(node.value)
        return node


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return what the function calls its arguments: so they are called in the program, too."""
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # some callables have no signature
        names = []
    return (names + [f"input_{i}" for i in range(len(names) + 1, count + 1)])[:count]


@contextmanager
def _shapes_only(who: str) -> Iterator[None]:
    """Record shapes and no values: nobody may ask for them, products are not carried out, and none is kept.

    So recording takes little memory however large the model is; what is computed meanwhile means nothing.
    """
    before = state.observer
    state.observer = _Forgetful()
    try:
        with tracing(who), step(None), np.errstate(all="ignore"):
            yield
    finally:
        state.observer = before


class _Forgetful:
    """An observer that leaves of each value its shape and dtype."""

    def __call__(self, node: Node) -> None:
        if node.value.size > _KEPT:
            node.value = np.broadcast_to(np.ones((), node.value.dtype), node.value.shape)

    def gradient(self, node: Node, users: Sequence[Node], g: Array) -> None:
        """Gradients are looked at as the nodes that they are recorded as."""


def flattened(arguments: Sequence[Any]) -> list[Array]:
    """Return the arrays in arguments, which may be nested in lists and tuples."""
    found: list[Array] = []
    for x in arguments:
        if type(x) is np.ndarray:
            found.append(x)
        elif isinstance(x, (list, tuple)):
            found.extend(flattened(x))
        elif isinstance(x, Node):
            found.append(x.value)
        else:
            found.append(np.asarray(x))
    return found


def signature(arguments: Sequence[Any]) -> Any:
    """Return the shapes and dtypes of arguments: what a program is made for."""
    return tuple(
        [
            (x.shape, x.dtype)
            if type(x) is np.ndarray or type(x) is Node
            else signature(x)
            if isinstance(x, (list, tuple))
            else (np.shape(x), np.asarray(x).dtype)
            for x in arguments
        ]
    )
