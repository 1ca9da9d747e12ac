"""One training step of a network as a function of arrays: loss, gradients, and the state to go on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

import minigrad as mg
from models.recurrent import Recurrent

Array = NDArray[Any]
Arrays = dict[str, Array]
Step = Callable[[Array, Array, Mapping[str, Array]], tuple[float, Arrays, Arrays]]


def eager_step(net: Recurrent) -> Step:
    """Return the training step that records the graph anew each time: loss, gradients, final state."""
    names, nodes = list(net.parameters), list(net.parameters.values())

    def step(inputs: Array, targets: Array, state: Mapping[str, Array]) -> tuple[float, Arrays, Arrays]:
        run = net(inputs, targets, state)
        gradients = mg.grad(run.loss, nodes)
        final = {name: node.value for name, node in run.final.items()}
        return float(run.loss.value), dict(zip(names, gradients, strict=True)), final

    return step


def make_step(net: Recurrent, compiled: bool) -> Step:
    """Return the training step of a network, compiled or recorded anew each time."""
    return compiled_step(net) if compiled else eager_step(net)


def compiled_step(net: Recurrent) -> Step:
    """Return the training step as a program: recorded at its first call, then run as it was.

    What it returns is overwritten by its next run.
    """
    nodes, count = list(net.parameters.values()), len(net.parameters)

    def whole(inputs: mg.Node, targets: mg.Node, states: list[mg.Node]) -> list[mg.Node]:
        run = net(inputs, targets, dict(zip(net.state_shapes(1), states, strict=True)))
        # The final state is wanted too, to carry on with, so the gradients are recorded here.
        return [run.loss, *mg.grad(run.loss, nodes, create_graph=True), *run.final.values()]

    program = mg.compile(whole)

    def step(inputs: Array, targets: Array, state: Mapping[str, Array]) -> tuple[float, Arrays, Arrays]:
        loss, *rest = program(inputs, targets, [state[name] for name in net.state_shapes(1)])
        gradients = dict(zip(net.parameters, rest[:count], strict=True))
        return float(loss), gradients, dict(zip(net.state_shapes(1), rest[count:], strict=True))

    return step
