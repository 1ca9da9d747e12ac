"""What a compiled program looks like, what each rewrite does, and what is refused."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.compiler import PASSES, Executable
from minigrad.compiler.ir import Program, Value
from minigrad.compiler.lower import lower
from minigrad.compiler.passes.once import once_for_all_steps
from minigrad.compiler.passes.products import products_that_share
from minigrad.compiler.passes.simplify import simplify
from minigrad.compiler.passes.sums import sums_over_time
from minigrad.errors import (
    AxisError,
    NameNotFoundError,
    NotScalarError,
    TracingError,
    UnsupportedError,
)
from models import LSTM, ElmanRNN

STEPS = 5


def recorded(net: Any, columns: int = 2) -> Program:
    rng = np.random.default_rng(0)
    run = net(rng.integers(0, 5, (STEPS, columns)), rng.integers(0, 5, (STEPS, columns)))
    gradients = mg.grad(run.loss, net.parameters, create_graph=True)
    program, unrolled = lower([run.loss, *gradients.values()], {})
    assert unrolled is None
    return program


def in_recurrence(program: Program, op: str) -> list[Value]:
    inside = program.recurrences()
    return [v for v in program.values() if id(v) in inside and v.op == op]


def of(program: Program, op: str) -> list[Value]:
    return [v for v in program.values() if v.op == op]


def executable(net: Any, steps: int = STEPS, columns: int = 2, without: Any = ()) -> Executable:
    step = mg.compile(lambda x, y: net(x, y).loss, net.parameters, without=without)
    tokens = np.zeros((steps, columns), int)
    return step.program(tokens, tokens)


# -- the rewrites, one by one ------------------------------------------------------------------------


def test_simplify_takes_what_never_changes_out_of_the_steps() -> None:
    program = recorded(ElmanRNN(5, 4, embedding=3))
    before = [v for v in of(program, "permute_dims") if v.inputs[0].op == "parameter"]
    assert all(v.span is not None for v in before)
    simplify(program)
    after = [v for v in of(program, "permute_dims") if v.inputs[0].op == "parameter"]
    assert after
    assert all(v.span is None for v in after)
    assert not of(program, "accumulate")
    assert not [v for v in of(program, "multiply") if v.inputs[0].op == "constant"]


def test_simplify_finds_common_subexpressions_by_exact_keys() -> None:
    x = mg.parameter(np.ones((3, 3)), name="x")
    a, b = mg.sum(mg.tanh(x), axis=0), mg.sum(mg.tanh(x), axis=1)
    program, _ = lower([mg.sum(a * a * b)], {}, rolled=False)
    simplify(program)
    assert len(of(program, "tanh")) == 1
    assert len(of(program, "sum")) == 3  # another axis is another sum


def test_once_leaves_one_product_for_each_gate_in_the_recurrence() -> None:
    program = recorded(LSTM(5, 4, embedding=3))
    simplify(program)
    forward = [v for v in in_recurrence(program, "matmul") if v.shape[0] == 4 and v.inputs[0].shape == (4, 7)]
    assert len(forward) == 4
    once_for_all_steps(program)
    # The part of z that is the input is multiplied outside: (4, 7) became (4, 4) inside and (4, 3) outside.
    inside = in_recurrence(program, "matmul")
    assert {v.inputs[0].shape for v in inside} == {(4, 4)}
    outside = [v for v in of(program, "matmul") if v.inputs[0].shape == (4, 3) and v not in inside]
    assert len(outside) == 4


def test_products_with_a_shared_operand_become_one() -> None:
    program = recorded(LSTM(5, 4, embedding=3))
    for rewrite in (simplify, once_for_all_steps, products_that_share):
        rewrite(program)
    shapes = sorted(v.inputs[0].shape for v in in_recurrence(program, "matmul"))
    assert shapes == [(4, 16), (16, 4)]  # backward and forward


def test_sums_over_time_become_products_over_time() -> None:
    program = recorded(ElmanRNN(5, 4, embedding=3))
    simplify(program)
    assert len(of(program, "total")) == 7
    sums_over_time(program)
    assert len(of(program, "total")) == 1  # the loss
    products = of(program, "product_over_time")
    assert {v.shape for v in products} == {(3, 5), (4, 8), (5, 5)}  # with a column for each bias


def test_one_tanh_serves_all_gates() -> None:
    with_it, without = (
        executable(LSTM(5, 4, embedding=3)),
        executable(LSTM(5, 4, embedding=3), without=["one_tanh"]),
    )
    count = lambda program: len(in_recurrence(program.plan.program, "sigmoid"))
    assert count(with_it) == 0
    assert count(without) > 0
    assert with_it.calls < without.calls


def test_a_sigmoid_whose_logarithm_is_taken_keeps_its_accuracy() -> None:
    w = mg.parameter(np.array([[1.0]]), name="w")

    def loss(x: mg.Node) -> mg.Node:
        h = mg.constant(np.ones((1, 1)), name="h", step=0)
        losses = []
        for t in (1, 2, 3):
            with mg.step(t):
                h = mg.tanh(w @ h + mg.sigmoid(w @ h + x))
                losses.append(mg.sum(mg.log(mg.sigmoid(w @ h + x))))
        return mg.accumulate(*losses)

    step = mg.compile(loss, [w])
    x = np.array([[-60.0]])
    value, (gradient,) = step(x)
    expected = loss(mg.constant(x))
    np.testing.assert_allclose(value, expected.value, rtol=1e-12)
    np.testing.assert_allclose(gradient, mg.grad(expected, w), rtol=1e-12)


@pytest.mark.parametrize("name", list(PASSES))
def test_no_rewrite_adds_operations(name: str) -> None:
    found = executable(LSTM(5, 4, embedding=3))
    reports = {report.name: report for report in found.reports}
    names = list(reports)
    before = reports[names[names.index(name) - 1]]
    assert reports[name].operations <= before.operations
    assert reports[name].work <= 1.1 * before.work


# -- programs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("topology", ["many-to-many", "many-to-one", "one-to-many"])
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_every_model_is_folded_into_loops(kind: Any, topology: str, layers: int) -> None:
    net = kind(5, 4, embedding=3, topology=topology, layers=layers, initial_state="learned")
    step = mg.compile(lambda x, y: net(x, y).loss, net.parameters)
    many = np.zeros((STEPS, 2), int)
    first, last = (
        (many[0] if topology == "one-to-many" else many),
        (many[0] if topology == "many-to-one" else many),
    )
    program = step.program(first, last)
    assert program.unrolled is None
    directions = [item.direction for item in program.plan.items if item.direction]
    count = 1 if topology == "one-to-many" else layers  # fed back, all layers are one recurrence
    assert directions == [1] * count + [-1] * count


def test_the_number_of_calls_outside_of_loops_does_not_depend_on_time() -> None:
    net = LSTM(5, 4, embedding=3)
    sizes = [len(executable(net, steps).source.splitlines()) for steps in (4, 8, 50)]
    assert sizes[0] == sizes[1] == sizes[2]


def test_weights_of_gates_live_side_by_side() -> None:
    net = LSTM(5, 4, embedding=3)
    executable(net)
    gates = [net.parameters[f"W{gate}"].value for gate in "fico"]
    assert all(W.base is gates[0].base for W in gates)
    assert gates[0].base.shape == (16, 7)


def test_a_run_is_reproducible_to_the_last_bit() -> None:
    net = LSTM(5, 4, embedding=3, seed=0)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 5, (2, 6, 3))
    step = mg.compile(lambda x, y: net(x, y).loss, net.parameters)
    loss, gradients = step(tokens, targets)
    copies = {name: g.copy() for name, g in gradients.items()}
    again, gradients = step(tokens, targets)
    assert loss == again
    for name, g in gradients.items():
        np.testing.assert_array_equal(g, copies[name])


def test_what_a_run_allocates_does_not_grow_with_the_model() -> None:
    peaks = []
    for hidden, steps in ((64, 20), (192, 60)):
        net = LSTM(5, hidden, embedding=3, dtype=np.float32)
        step = mg.compile(lambda x, y, net=net: net(x, y).loss, net.parameters)
        tokens = np.zeros((steps, 8), int)
        step(tokens, tokens)
        tracemalloc.start()
        step(tokens, tokens)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 10_000
    assert peaks[1] < 100_000


def test_gradients_come_in_the_form_of_the_parameters() -> None:
    net = ElmanRNN(5, 4, embedding=3)
    tokens = np.zeros((3, 2), int)
    function = lambda x, y: net(x, y).loss
    _, as_dict = mg.compile(function, net.parameters)(tokens, tokens)
    _, as_list = mg.compile(function, list(net.parameters.values()))(tokens, tokens)
    assert list(as_dict) == list(net.parameters)
    for g, name in zip(as_list, net.parameters, strict=True):
        np.testing.assert_array_equal(g, as_dict[name])


def test_inputs_may_be_lists() -> None:
    w = mg.parameter(np.array([[0.5]]), name="w")

    def loss(xs: list[mg.Node]) -> mg.Node:
        h = mg.constant(np.zeros((1, 1)), name="h", step=0)
        for t, x in enumerate(xs, 1):
            with mg.step(t):
                h = mg.tanh(w @ h + x).named("h")
        return mg.sum(h)

    step = mg.compile(loss, [w])
    for xs in ([np.ones((1, 1))] * 3, [np.full((1, 1), 2.0), np.ones((1, 1)), np.zeros((1, 1))]):
        value, (gradient,) = step(xs)
        expected = loss([mg.constant(x) for x in xs])
        np.testing.assert_allclose(value, expected.value, rtol=1e-12)
        np.testing.assert_allclose(gradient, mg.grad(expected, w), rtol=1e-12)


def test_recurrences_in_both_directions() -> None:
    rng = np.random.default_rng(0)
    V, W = (mg.parameter(rng.standard_normal((3, 3)) / 2, name=name) for name in "VW")

    def loss(x: mg.Node) -> mg.Node:
        h = mg.constant(np.zeros((3, 2)), name="h", step=0)
        forward, backward = {}, {}
        for t in range(1, 6):
            with mg.step(t):
                h = forward[t] = mg.tanh(V @ h + x[t - 1]).named("h")
        g = mg.constant(np.zeros((3, 2)), name="g", step=6)
        for t in range(5, 0, -1):
            with mg.step(t):
                g = backward[t] = mg.tanh(W @ g + x[t - 1]).named("g")
        losses = []
        for t in range(1, 6):
            with mg.step(t):
                losses.append(mg.sum(forward[t] * backward[t]).named("L"))
        return mg.accumulate(*losses)

    step = mg.compile(loss, [V, W])
    x = rng.standard_normal((5, 3, 2))
    value, gradients = step(x)
    expected = loss(mg.constant(x))
    np.testing.assert_allclose(value, expected.value, rtol=1e-12)
    for got, wanted in zip(gradients, mg.grad(expected, [V, W]), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13)


# -- explain -------------------------------------------------------------------------------------------


def test_explain_reads_like_a_program_in_the_graphs_names() -> None:
    net = ElmanRNN(5, 4, embedding=3)
    step = mg.compile(lambda c, y: net(c, y).loss, net.parameters)
    tokens = np.zeros((STEPS, 2), int)
    text = step.explain(tokens, tokens)
    assert "for t in 1..5:" in text
    assert "for t in 5..1:" in text
    assert "    h[t] = tanh(" in text
    assert "= Whh @ h[t-1]" in text
    assert "dh_pre[t] = dh[t] * " in text
    for name in PASSES:
        assert f"\n{name} " in text
    assert "largest buffers:" in text


def test_explain_before_anything_is_compiled() -> None:
    with pytest.raises(UnsupportedError, match="nothing is compiled yet"):
        mg.compile(lambda x: x).explain()


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [float, bool, lambda node: node.item(), lambda node: 1 if node > 0 else 2, int],
    ids=lambda f: "ask",
)
def test_a_function_may_not_depend_on_values(ask: Any) -> None:
    w = mg.parameter(2.0, name="w")
    with pytest.raises(TracingError, match=r"mg\.compile"):
        mg.compile(lambda x: w * x * ask(w * x), [w])(1.0)
    assert float(w) == 2.0  # and afterwards values may be asked for again


def test_errors_say_what_was_expected() -> None:
    w = mg.parameter(np.ones(3), name="w")
    with pytest.raises(NotScalarError, match=r"\(3,\)"):
        mg.compile(lambda x: w * x, [w])(np.ones(3))
    with pytest.raises(UnsupportedError, match="returned float"):
        mg.compile(lambda x: 1.0, [w])(np.ones(3))
    with pytest.raises(UnsupportedError, match="not a parameter"):
        mg.compile(lambda x: mg.sum(x), [mg.constant(1.0)])(np.ones(3))
    with pytest.raises(NameNotFoundError, match="siblings"):
        mg.compile(lambda x: x, without=["sibling"])


def test_classes_that_do_not_exist() -> None:
    net = ElmanRNN(5, 4, embedding=3)
    step = mg.compile(lambda x, y: net(x, y).loss, net.parameters)
    good = np.zeros((3, 2), int)
    step(good, good)
    for bad in (-1, 5):
        wrong = good.copy()
        wrong[1, 1] = bad
        with pytest.raises(AxisError, match=f"a class is {bad}"):
            step(wrong, good)
        with pytest.raises(AxisError, match=f"a class is {bad}"):
            step(good, wrong)
