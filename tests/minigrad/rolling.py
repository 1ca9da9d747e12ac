"""What must be true of every rolled graph, and random recurrent networks to roll."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.rolled import Affine, Rolled, Span


def assert_true_of_every_node(rolled: Rolled, outputs: Any) -> None:
    """Every node stands in one place, and every member's inputs and attributes are those its family says."""
    nodes = mg.Graph(outputs).nodes
    placed = [node.serial for family in rolled.families for node in family.members.values()]
    placed += [node.serial for node in rolled.outside]
    assert sorted(placed) == [node.serial for node in nodes]
    for family in rolled.families:
        assert list(family.members) == list(range(family.first, family.last + 1)) == list(family.steps)
        for t, node in family.members.items():
            assert rolled.family_of(node) is family
            assert node.primitive is family.primitive
            assert (node.shape, node.dtype) == (family.shape, family.dtype)
            assert not family.is_named or node.name == family.name
            found = [x for x in (operand.at(t) for operand in family.inputs) if x is not None]
            if node.primitive is not None and node.primitive.name == "accumulate":
                assert sorted(x.serial for x in found) == sorted(x.serial for x in node.inputs)
            else:
                assert [x.serial for x in found] == [x.serial for x in node.inputs]
            assert at(family.attributes, t) == dict(node.attributes)
            for operand in family.inputs:
                for step, initial in operand.initial.items():
                    assert operand.family is not None and step + operand.offset not in operand.family.members
                    assert initial is operand.at(step)
    place = {id(family): i for i, family in enumerate(rolled.families)}
    for family in rolled.families:
        for operand in family.inputs:
            if operand.family is not None and not operand.offset:
                assert place[id(operand.family)] < place[id(family)]
    crossing = {
        (id(o.family), o.offset)
        for f in rolled.families
        for o in f.inputs
        if o.family is not None and o.offset
    }
    assert {(id(carry.family), carry.offset) for carry in rolled.carries} == crossing
    for node in rolled.outside:
        expanded: list[int] = []
        for part in rolled.parts(node):
            if isinstance(part, Span):
                expanded += [part.family.members[t].serial for t in range(part.first, part.last + 1)]
            else:
                expanded.append(part.serial)
        wanted = [x.serial for x in node.inputs]
        if node.primitive is not None and node.primitive.name == "accumulate":
            expanded, wanted = sorted(expanded), sorted(wanted)
        assert expanded == wanted


def at(attributes: Any, t: int) -> dict[str, Any]:
    """Return the attributes of a family at one step."""
    return {
        name: tuple(part.at(t) if isinstance(part, Affine) else part for part in value)
        if name == "index"
        else value
        for name, value in attributes.items()
    }


def with_gradients(loss: mg.Node) -> list[mg.Node]:
    """Return a loss with the recorded gradients of its parameters."""
    graph = mg.Graph(loss)
    return [loss, *mg.grad(loss, list(graph.parameters.values()), create_graph=True)]


# -- random recurrent networks ------------------------------------------------------------------------------

_UNARY = {"tanh": mg.tanh, "sigmoid": mg.sigmoid, "half": lambda x: 0.5 * x, "minus": lambda x: 1.0 - x}
_BINARY = {"add": mg.add, "multiply": mg.multiply, "maximum": mg.maximum, "subtract": mg.subtract}


@st.composite
def cells(draw: Any) -> list[tuple[Any, ...]]:
    """Draw the operations of one step, over values by place: the states before, the input, its own."""
    states = draw(st.integers(1, 3))
    count = states + 1
    operations: list[tuple[Any, ...]] = []
    for i in range(draw(st.integers(states, 8))):
        kind = draw(st.sampled_from(["unary", "binary", "linear", "bias"]))
        name = draw(st.sampled_from([None, f"v{i}"]))
        a, b = draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))
        if kind == "unary":
            operations.append((draw(st.sampled_from(sorted(_UNARY))), (a,), name))
        elif kind == "binary":
            operations.append((draw(st.sampled_from(sorted(_BINARY))), (a, b), name))
        else:
            operations.append((kind, (draw(st.integers(0, 1)), a), name))
        count += 1
    carried = [draw(st.integers(count - len(operations), count - 1)) for _ in range(states)]
    return [*operations, tuple(carried)]


def unroll(cell: list[tuple[Any, ...]], steps: int, sliced: str, many: bool, seed: int) -> mg.Node:
    """Record a random network over `steps` steps; its inputs are constants, or slices of one array."""
    random = np.random.default_rng(seed)
    W = [mg.parameter(random.normal(size=(3, 3)) * 0.4, name=f"W{i}") for i in (0, 1)]
    b = [mg.parameter(random.normal(size=(3, 1)) * 0.4, name=f"b{i}") for i in (0, 1)]
    *operations, carried = cell
    X = random.normal(size=(steps, 3, 2))
    whole = mg.constant(X, name="X")
    states = [mg.constant(random.normal(size=(3, 2)), name=f"s{k}", step=0) for k in range(len(carried))]
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            if sliced == "forward":
                x = whole[t - 1]
            elif sliced == "backward":
                x = whole[steps - t]
            else:
                x = mg.constant(X[t - 1], name="x")
            values = [*states, x]
            for how, operands, name in operations:
                if how == "linear":
                    value = W[operands[0]] @ values[operands[1]]
                elif how == "bias":
                    value = values[operands[1]] + b[operands[0]]
                else:
                    value = {**_UNARY, **_BINARY}[how](*[values[i] for i in operands])
                values.append(value if name is None else value.named(name))
            states = [mg.tanh(values[k]).named(f"s{n}") for n, k in enumerate(carried)]
            if many or t == steps:
                losses.append(mg.sum(mg.accumulate(*states) ** 2).named("L"))
    return mg.accumulate(*losses).named("L")
