"""A compiled program computes what the eager engine does: every model, and graphs that nobody wrote."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.compiler import PASSES, Compiled
from models import LSTM, ElmanRNN

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def eager(function: Any, parameters: dict[str, mg.Node], *inputs: Any) -> tuple[Any, dict[str, Any]]:
    loss = function(*(mg.constant(x) for x in inputs))
    return loss.value, mg.grad(loss, parameters)


def assert_equal(
    step: Compiled, function: Any, parameters: dict[str, mg.Node], *inputs: Any, tolerance: float
) -> None:
    loss, gradients = step(*inputs)
    expected_loss, expected = eager(function, parameters, *inputs)
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance, atol=tolerance)
    for name, wanted in expected.items():
        scale = max(np.abs(wanted).max(initial=0.0), 1e-3)
        difference = np.abs(gradients[name] - wanted).max(initial=0.0) / scale
        assert difference <= tolerance, f"d{name} differs by {difference:.2g}"
        assert gradients[name].shape == wanted.shape
        assert gradients[name].dtype == wanted.dtype


def network(kind: str, **options: Any) -> Any:
    options = {"inputs": 5, "hidden": 4, "seed": 1, **options}
    net = {"elman": ElmanRNN, "lstm": LSTM}[kind](**options)
    rng = np.random.default_rng(7)
    for node in net.parameters.values():
        node.value[...] += 0.3 * rng.standard_normal(node.shape)
    return net


@pytest.mark.parametrize("kind", ["elman", "lstm"])
@pytest.mark.parametrize("steps", [1, 2, 3, 12])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_many_to_many(kind: str, steps: int, columns: int, dtype: Any) -> None:
    net = network(kind, embedding=3, dtype=dtype)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, steps, columns))

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    step = mg.compile(loss, net.parameters)
    assert_equal(step, loss, net.parameters, tokens, targets, tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", ["elman", "lstm"])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_many_to_one_on_numbers_with_squared_error(kind: str, steps: int) -> None:
    net = network(kind, inputs=2, outputs=1, topology="many-to-one", fy="identity")
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((steps, 2, 3)), rng.standard_normal((1, 3))

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    step = mg.compile(loss, net.parameters)
    assert_equal(step, loss, net.parameters, inputs, targets, tolerance=1e-12)


@pytest.mark.parametrize("kind", ["elman", "lstm"])
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_one_to_many_feeds_outputs_back(kind: str, steps: int) -> None:
    net = network(kind, embedding=3, topology="one-to-many")
    rng = np.random.default_rng(0)
    first, targets = rng.integers(0, 5, 2), rng.integers(0, 5, (steps, 2))

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    step = mg.compile(loss, net.parameters)
    assert_equal(step, loss, net.parameters, first, targets, tolerance=1e-12)


@pytest.mark.parametrize("kind", ["elman", "lstm"])
def test_stacked_layers_and_a_learned_initial_state(kind: str) -> None:
    net = network(kind, embedding=3, layers=3, initial_state="learned")
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, 6, 2))

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    step = mg.compile(loss, net.parameters)
    assert_equal(step, loss, net.parameters, tokens, targets, tolerance=1e-12)


@pytest.mark.parametrize("kind", ["elman", "lstm"])
def test_the_initial_state_is_an_input(kind: str) -> None:
    net = network(kind, embedding=3)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, 5, 2))
    states = rng.standard_normal((2, 4, 2))

    def loss(x: mg.Node, y: mg.Node, h: mg.Node, c: mg.Node) -> mg.Node:
        state = {"h": h} if kind == "elman" else {"h": h, "c": c}
        return net(x, y, state).loss

    step = mg.compile(loss, net.parameters)
    for _ in range(2):
        assert_equal(step, loss, net.parameters, tokens, targets, *states, tolerance=1e-12)
        assert step.program(tokens, targets, *states).unrolled is None
        states = rng.standard_normal((2, 4, 2))


@pytest.mark.parametrize("left_out", [*PASSES, "fold", "everything"])
@pytest.mark.parametrize("columns", [1, 2])
def test_every_rewrite_can_be_left_out(left_out: str, columns: int) -> None:
    without = [*PASSES, "fold"] if left_out == "everything" else [left_out]
    net = network("lstm", embedding=3)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, 6, columns))

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    step = mg.compile(loss, net.parameters, without=without)
    assert_equal(step, loss, net.parameters, tokens, targets, tolerance=1e-12)


def test_changed_parameters_and_inputs_and_several_programs_at_once() -> None:
    net = network("lstm", embedding=3)
    other = network("elman", embedding=3)
    rng = np.random.default_rng(0)

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    def loss_of_other(x: mg.Node, y: mg.Node) -> mg.Node:
        return other(x, y).loss

    step, again = mg.compile(loss, net.parameters), mg.compile(loss, net.parameters)
    step_of_other = mg.compile(loss_of_other, other.parameters)
    for steps in (4, 6, 4, 1, 6):
        tokens, targets = rng.integers(0, 5, (2, steps, 2))
        assert_equal(step, loss, net.parameters, tokens, targets, tolerance=1e-12)
        assert_equal(again, loss, net.parameters, tokens, targets, tolerance=1e-12)
        assert_equal(step_of_other, loss_of_other, other.parameters, tokens, targets, tolerance=1e-12)
        for node in net.parameters.values():
            node.value[...] += 0.1 * rng.standard_normal(node.shape)
        # A parameter may also be given a new array.
        net.parameters["Wf"].value = rng.standard_normal(net.parameters["Wf"].shape)
        net.parameters["by"].value = net.parameters["by"].value * 0.5
    assert len(step.programs) == 3


def test_two_programs_in_two_threads() -> None:
    failures: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        net = network("lstm" if seed % 2 else "elman", embedding=3, seed=seed)

        def loss(x: mg.Node, y: mg.Node) -> mg.Node:
            return net(x, y).loss

        try:
            step = mg.compile(loss, net.parameters)
            for _ in range(25):
                tokens, targets = rng.integers(0, 5, (2, 5, 2))
                assert_equal(step, loss, net.parameters, tokens, targets, tolerance=1e-12)
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_many_steps_of_training_stay_together() -> None:
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, 7, 3))
    nets = [network("lstm", embedding=3), network("lstm", embedding=3)]
    step = mg.compile(lambda x, y: nets[0](x, y).loss, nets[0].parameters)
    for _ in range(60):
        _, gradients = step(tokens, targets)
        expected = mg.grad(nets[1](tokens, targets).loss, nets[1].parameters)
        for name, node in nets[0].parameters.items():
            node.value[...] -= 0.02 * gradients[name]
            nets[1].parameters[name].value[...] -= 0.02 * expected[name]
    for name, node in nets[0].parameters.items():
        np.testing.assert_allclose(node.value, nets[1].parameters[name].value, rtol=1e-9, atol=1e-9)


def test_forward_only_gives_what_the_function_returns() -> None:
    net = network("lstm", embedding=3)
    tokens = np.random.default_rng(0).integers(0, 5, (6, 2))

    def outputs(x: mg.Node) -> list[mg.Node]:
        return list(net(x).outputs.values())

    program = mg.compile(outputs)
    for got, node in zip(program(tokens), outputs(mg.constant(tokens)), strict=True):
        np.testing.assert_allclose(got, node.value, rtol=1e-12)
    one = mg.compile(lambda x: net(x).outputs[6])
    np.testing.assert_allclose(one(tokens), net(tokens).outputs[6].value, rtol=1e-12)


# -- random recurrent graphs -------------------------------------------------------------------------

UNARY = {
    "tanh": mg.tanh,
    "sigmoid": mg.sigmoid,
    "exp": lambda x: mg.exp(mg.tanh(x)),
    "square": lambda x: 0.1 * x**2,
    "negative": mg.negative,
    "relu": mg.relu,
    "log": lambda x: mg.log(mg.sigmoid(x)),
    "sqrt": lambda x: mg.sqrt(1 + x * x),
    "softmax": lambda x: mg.softmax(x, axis=0),
    "log_softmax": lambda x: mg.log_softmax(x, axis=0),
    "max": lambda x: x - mg.max(x, axis=0, keepdims=True),
    "mean": lambda x: x * mg.mean(x, axis=1, keepdims=True),
    "halves": lambda x: mg.concat([x[2:], x[:2]]),
    "transposed": lambda x: (x.T * 0.5).T,
    "reshaped": lambda x: mg.reshape(mg.reshape(x, (-1,)) * 0.9, x.shape),
    "where": lambda x: mg.where(mg.greater(x, 0), x, 0.3 * x),
    "normed": lambda x: x / (1 + mg.abs(x)),
}
BINARY = {
    "add": mg.add,
    "subtract": mg.subtract,
    "multiply": mg.multiply,
    "maximum": mg.maximum,
    "concat": lambda a, b: mg.concat([a[:2], b[2:]]),
    "gate": lambda a, b: mg.sigmoid(a) * b,
}


@st.composite
def recurrences(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 3))
    operations = []
    for k in range(draw(st.integers(2, 9))):
        kind = draw(st.sampled_from(["product", "product", "unary", "binary", "binary", "bias"]))
        name = draw(st.sampled_from(sorted(UNARY if kind == "unary" else BINARY)))
        a, b = draw(st.integers(0, count + k)), draw(st.integers(0, count + k))
        operations.append((kind, name, a, b, draw(st.integers(0, 2)), draw(st.booleans())))
    return {
        "states": count,
        "operations": operations,
        "steps": draw(st.integers(1, 6)),
        "columns": draw(st.sampled_from([1, 1, 3])),
        "losses": draw(st.sampled_from(["all", "last", "some"])),
        "lag": draw(st.integers(1, 2)),
        "seed": draw(st.integers(0, 5)),
    }


def build(plan: dict[str, Any], parameters: dict[str, mg.Node], x: mg.Node, h0: mg.Node) -> mg.Node:
    """Unroll a random cell: its states come from `lag` steps before, its operations read what is there."""
    states: list[list[mg.Node]] = [[h0 * (k + 1) for _ in range(plan["lag"])] for k in range(plan["states"])]
    losses = []
    for t in range(1, plan["steps"] + 1):
        with mg.step(t):
            values = [history[-plan["lag"]] for history in states] + [x[t - 1]]
            for k, (kind, name, a, b, weight, named) in enumerate(plan["operations"]):
                if kind == "product":
                    value = parameters[f"W{weight}"] @ values[a]
                elif kind == "bias":
                    value = values[a] + parameters[f"b{weight}"]
                elif kind == "unary":
                    value = UNARY[name](values[a])
                else:
                    value = BINARY[name](values[a], values[b])
                values.append(value.named(f"v_{k}") if named else value)
            for k, history in enumerate(states):
                history.append(mg.tanh(values[-1 - k % len(plan["operations"])]))
            if plan["losses"] == "all" or t == plan["steps"] or (plan["losses"] == "some" and t % 2):
                losses.append(mg.sum(states[0][-1] * states[-1][-1]))
    touched = [0.0 * mg.sum(node) for node in parameters.values()]  # every parameter has a gradient
    return mg.accumulate(*losses, *touched)


def check_random(plan: dict[str, Any], without: tuple[str, ...] = ()) -> None:
    rng = np.random.default_rng(plan["seed"])
    n, columns = 4, plan["columns"]
    parameters = {f"W{k}": mg.parameter(0.6 * rng.standard_normal((n, n)), name=f"W{k}") for k in range(3)}
    parameters |= {f"b{k}": mg.parameter(0.3 * rng.standard_normal((n, 1)), name=f"b{k}") for k in range(3)}
    x = rng.standard_normal((plan["steps"], n, columns))
    h0 = rng.standard_normal((n, columns))

    def loss(x: mg.Node, h0: mg.Node) -> mg.Node:
        return build(plan, parameters, x, h0)

    step = mg.compile(loss, parameters, without=without)
    assert_equal(step, loss, parameters, x, h0, tolerance=1e-12)
    assert_equal(step, loss, parameters, 0.5 * x, -h0, tolerance=1e-12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recurrences())
def test_random_recurrent_graphs(plan: dict[str, Any]) -> None:
    check_random(plan)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recurrences(), st.sets(st.sampled_from([*PASSES, "fold"])))
def test_random_graphs_without_some_of_the_rewrites(plan: dict[str, Any], without: set[str]) -> None:
    check_random(plan, tuple(without))


@pytest.fixture(scope="module")
def everything_is_large() -> Any:
    """Treat every value as one that is computed in the loop that reads it, and laid out there."""
    schedule: Any = importlib.import_module("minigrad.compiler.schedule")
    thin: Any = importlib.import_module("minigrad.compiler.passes.thin")
    before = schedule._LARGE, schedule._COPY_AT_ONCE, thin._LARGE
    schedule._LARGE = schedule._COPY_AT_ONCE = thin._LARGE = 1
    yield
    schedule._LARGE, schedule._COPY_AT_ONCE, thin._LARGE = before


@pytest.mark.usefixtures("everything_is_large")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recurrences())
def test_random_graphs_with_large_values(plan: dict[str, Any]) -> None:
    check_random(plan)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("kind", ["elman", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_models_with_large_values(kind: str, layers: int) -> None:
    net = network(kind, embedding=3, layers=layers)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, 7, 3))

    def loss(x: mg.Node, y: mg.Node) -> mg.Node:
        return net(x, y).loss

    step = mg.compile(loss, net.parameters)
    for _ in range(2):
        assert_equal(step, loss, net.parameters, tokens, targets, tolerance=1e-12)
