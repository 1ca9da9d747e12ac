"""minigrad's two ways to run a step, and what the matrix products in the compiled one cost alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import minigrad as mg
from benchmarks.problem import Problem, Step
from models import LSTM, ElmanRNN


def network(q: Problem) -> tuple[Any, Callable[..., mg.Node]]:
    """Return the textbook network with the problem's weights, and its loss as a function of nodes."""
    size = q.size
    if q.model == "forecaster":
        net = ElmanRNN(1, size.H, 1, topology="many-to-one", fy="identity", dtype=q.dtype)
    else:
        net = {"lstm": LSTM, "elman": ElmanRNN}[q.model](size.V, size.H, embedding=size.E, dtype=q.dtype)
    net.set_parameters(q.parameters)

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    return net, loss


def eager(q: Problem) -> Step:
    net, _ = network(q)
    nodes = list(net.parameters.values())

    def step() -> tuple[Any, Mapping[str, Any]]:
        for node in nodes:
            node.grad = None
        loss = net(q.tokens, q.targets).loss
        loss.backward()
        return loss.value, {name: node.grad for name, node in net.parameters.items()}

    return step


def compiled(q: Problem) -> Step:
    net, loss = network(q)
    program = mg.compile(loss, net.parameters)
    program.program(q.tokens, q.targets)
    step: Any = lambda: program(q.tokens, q.targets)
    step.program = program
    return step


def products_alone(q: Problem) -> Callable[[], None]:
    """Return nothing but the matrix products of the compiled program, in its order, on its buffers."""
    program = compiled(q).program.program(q.tokens, q.targets)  # type: ignore[attr-defined]
    program((q.tokens, q.targets))
    lines = []
    for line in program.source.splitlines():
        called = line.strip().split("(")[0]
        if line.startswith(("def", "    for")) or called in ("dot", "matmul"):
            lines.append(line)
    kept: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("    for") and not following.startswith("        "):
            continue
        kept.append(line)
    names = dict(program.names)
    exec("\n".join(kept), names)
    run: Callable[[], None] = names["run"]
    return run
