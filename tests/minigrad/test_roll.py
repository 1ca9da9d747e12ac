"""The rolled view: steps folded into families, carries, and a plain answer where the steps differ."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.rolled import Affine, Span
from tests.minigrad.networks import elman, lstm
from tests.minigrad.rolling import assert_true_of_every_node, with_gradients

NETWORKS = {
    "elman": elman,
    "elman many-to-one": lambda **options: elman(many_to_one=True, **options),
    "elman learned state": lambda **options: elman(learned=True, **options),
    "lstm": lstm,
    "lstm learned state": lambda **options: lstm(learned=True, **options),
    "lstm of two layers": lambda **options: lstm(layers=2, **options),
    "lstm of three layers": lambda **options: lstm(layers=3, learned=True, **options),
}


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("T", [1, 2, 3, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_roll_forward_and_backward(name, T, columns):
    net = NETWORKS[name](steps=T, columns=columns)
    rolled = mg.roll(net.loss)
    assert_true_of_every_node(rolled, net.loss)
    assert (rolled.first, rolled.last) == (1, T)
    outputs = with_gradients(net.loss)
    both = mg.roll(outputs)
    assert_true_of_every_node(both, outputs)
    assert (both.first, both.last) == (1, T)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_number_of_families_does_not_depend_on_the_length(name):
    counts = set()
    for T in (4, 9):
        rolled = mg.roll(with_gradients(NETWORKS[name](steps=T).loss))
        counts.add((len(rolled.families), len(rolled.carries), len(rolled.outside)))
    assert len(counts) == 1


def test_the_elman_network_carries_its_state_forward_and_its_gradient_back():
    forward = mg.roll(elman(steps=4).loss)
    assert [repr(carry) for carry in forward.carries] == ["h[t-1]"]
    both = mg.roll(with_gradients(elman(steps=4).loss))
    back, forth = sorted(both.carries, key=lambda carry: carry.offset)[::-1]
    assert repr(forth) == "h[t-1]" and repr(back) == "matmul[t+1]"
    transposed, dh_pre = back.family.inputs  # Whh^T @ dh_pre of the next step
    assert transposed.family.inputs[0].node.label == "Whh" and dh_pre.family is both["dh_pre"]


def test_the_lstm_carries_its_state_and_its_cell():
    rolled = mg.roll(lstm(steps=4).loss)
    assert sorted(map(repr, rolled.carries)) == ["c[t-1]", "h[t-1]"]


def test_a_family_is_one_operation_of_the_step():
    net = elman(steps=5)
    rolled = mg.roll(net.loss)
    h = rolled["h"]
    assert h.primitive.name == "tanh" and h.shape == (4, 1) and h.steps == (1, 2, 3, 4, 5) and h.is_named
    assert (h.first, h.last) == (1, 5) and not h.is_leaf and h.requires_grad
    assert repr(h) == "h[t] = tanh(add[t]) for t = 1..5"
    assert rolled["y"].is_leaf and not rolled["y"].requires_grad
    assert all(rolled.family_of(node) is h for node in h.members.values())
    assert rolled.family_of(net.loss) is None and rolled.family_of(net.parameters["Whh"]) is None
    recurrent = rolled.family_of(rolled["h_pre"].members[3].inputs[0])
    weight, state = recurrent.inputs
    assert weight.node is net.parameters["Whh"] and weight.family is None and not weight.is_carry
    assert state.family is h and state.offset == -1 and state.is_carry
    assert state.initial == {1: net.graph["h", 0]}
    assert state.at(1) is net.graph["h", 0] and state.at(3) is net.graph["h", 2] and state.at(9) is None
    assert repr(state) == "h[t-1]" and repr(weight) == "Whh"


def test_what_belongs_to_no_step_stays_outside_and_tells_what_it_gathers():
    net = elman(steps=4)
    rolled = mg.roll(with_gradients(net.loss))
    assert set(net.parameters.values()) <= set(rolled.outside)
    (losses,) = rolled.parts(net.loss)
    assert losses == Span(rolled["L"], 1, 4)
    dWhh = next(node for node in rolled.outside if node.label == "dWhh")
    (span,) = rolled.parts(dWhh)
    assert (span.first, span.last) == (1, 4)


def test_the_gradient_of_a_learned_initial_state_is_found():
    net = elman(steps=3, learned=True)
    rolled = mg.roll(with_gradients(net.loss))
    assert 0 in rolled["dh"].members and rolled["dh"].members[0].label == "dh[0]"
    assert rolled.first == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_an_index_that_moves_with_time_is_affine(backwards):
    T = 5
    X = mg.constant(np.random.default_rng(0).normal(size=(T, 3, 2)), name="X")
    W = mg.parameter(np.eye(3) * 0.5, name="W")
    h = mg.constant(np.zeros((3, 2)), name="h", step=0)
    for t in range(1, T + 1):
        with mg.step(t):
            x = X[T - t if backwards else t - 1].named("x")
            h = mg.tanh(W @ h + x).named("h")
    loss = mg.sum(h).named("L")
    rolled = mg.roll(loss)
    assert_true_of_every_node(rolled, loss)
    index = rolled["x"].attributes["index"]
    assert index == ((Affine(-1, T) if backwards else Affine(1, -1)),)
    assert repr(index[0]) == ("-t+5" if backwards else "t-1")
    outputs = [loss, *mg.grad(loss, [W, X], create_graph=True)]
    assert_true_of_every_node(mg.roll(outputs), outputs)


def one_to_many(T, feed):
    random = np.random.default_rng(0)
    W, U = (mg.parameter(random.normal(size=(3, 3)) * 0.5, name=name) for name in "WU")
    h = mg.constant(random.normal(size=(3, 1)), name="h", step=0)
    x, losses = mg.constant(random.normal(size=(3, 1)), name="x", step=1), []
    for t in range(1, T + 1):
        with mg.step(t):
            h = mg.tanh(W @ h + U @ x).named("h")
            y = mg.negative(h).named("y")
            losses.append(
                mg.squared_error(y, mg.constant(np.full((3, 1), 0.1 * t), name="target")).named("L")
            )
            x = feed(y)
    return mg.accumulate(*losses).named("L")


@pytest.mark.parametrize("feed", [lambda y: y, mg.stop_gradient])
@pytest.mark.parametrize("T", [2, 3, 6])
def test_an_output_that_is_fed_back_is_a_carry(T, feed):
    loss = one_to_many(T, feed)
    rolled = mg.roll(loss)
    assert_true_of_every_node(rolled, loss)
    outputs = with_gradients(loss)
    assert_true_of_every_node(mg.roll(outputs), outputs)


def test_an_initial_state_that_is_computed():
    h0, W = mg.parameter(np.ones((3, 1)), name="h0"), mg.parameter(np.eye(3), name="W")
    with mg.step(0):
        h = mg.broadcast_to(h0, (3, 4)).named("h")
    for t in range(1, 5):
        with mg.step(t):
            h = mg.tanh(W @ h).named("h")
    loss = mg.sum(h).named("L")
    for outputs in (loss, with_gradients(loss)):
        assert_true_of_every_node(mg.roll(outputs), outputs)


def test_a_read_out_of_the_last_step_alone_leaves_the_numbers_of_the_others_in_place():
    """The 1 of each 1 - h² belongs to its own formula, whichever other formulas the step holds."""
    W = mg.parameter(np.eye(3) * 0.5, name="W")
    h = mg.constant(np.ones((3, 1)), name="h", step=0)
    for t in range(1, 5):
        with mg.step(t):
            h = mg.tanh(W @ h).named("h")
            if t == 4:
                y = mg.tanh(W @ mg.sigmoid(h)).named("y")
                loss = mg.sum(y).named("L")
    for outputs in (loss, with_gradients(loss)):
        assert_true_of_every_node(mg.roll(outputs), outputs)


def test_inputs_of_one_number_may_be_unnamed():
    w, h = mg.parameter([[0.5]], name="w"), mg.constant([[0.0]], name="h", step=0)
    for t in range(1, 5):
        with mg.step(t):
            h = mg.tanh(w * h + mg.constant([[0.1 * t]])).named("h")
    rolled = mg.roll(h)
    assert_true_of_every_node(rolled, h)
    assert rolled.last == 4


# -- where the steps differ ------------------------------------------------------------------------


def spoiled(how, odd, T=5):
    """Return the loss of a network in which one step differs from the others."""
    random = np.random.default_rng(0)
    W, U = (mg.parameter(random.normal(size=(3, 3)) * 0.5, name=name) for name in "WU")
    h, losses = mg.constant(random.normal(size=(3, 1)), name="h", step=0), []
    for t in range(1, T + 1):
        with mg.step(t):
            x = mg.constant(random.normal(size=(3, 1)), name="x")
            a, b = W @ h, U @ x
            if t == odd and how == "another weight":
                a = U @ h
            if t == odd and how == "exchanged":
                a, b = U @ h, W @ x
            if t == odd and how == "one operation more":
                a = a * 2.0
            total = b + a if t == odd and how == "another order" else a + b
            function = mg.sigmoid if t == odd and how == "another function" else mg.tanh
            h = function(total).named("h")
            if t == odd and how == "another number":
                h = (h * 3.0).named("g")
            else:
                h = (h * 2.0).named("g")
            losses.append(mg.sum(h * h).named("L"))
    return mg.accumulate(*losses).named("L")


WAYS = [
    "another weight",
    "exchanged",
    "one operation more",
    "another order",
    "another function",
    "another number",
]


@pytest.mark.parametrize("odd", [1, 2, 3, 5])
@pytest.mark.parametrize("how", WAYS)
def test_a_step_that_is_computed_differently_is_named(how, odd):
    loss = spoiled(how, odd)
    for outputs in (loss, with_gradients(loss)):
        with pytest.raises(errors.NotRollableError) as caught:
            mg.roll(outputs)
        message = str(caught.value)
        assert isinstance(caught.value, ValueError) and message.startswith("roll: ")
        near = {f"[{t}]" for t in (odd - 1, odd, odd + 1)} | {f"step {odd}", f"steps {odd - 1} and {odd + 1}"}
        assert any(words in message for words in near), message


def test_the_same_network_unspoiled_rolls():
    loss = spoiled("nothing", 3)
    assert_true_of_every_node(mg.roll(loss), loss)


def test_a_gap_in_the_steps_and_no_steps_at_all():
    x = mg.parameter(np.ones(2), name="x")
    with pytest.raises(errors.NotRollableError, match="inside of a step"):
        mg.roll(mg.sum(x))
    for t in (1, 2, 4):
        with mg.step(t):
            x = mg.tanh(x)
    with pytest.raises(errors.NotRollableError, match="gap: 4 follows 2"):
        mg.roll(x)


def test_a_shape_that_changes_over_time_is_named():
    h = mg.parameter(np.ones((2, 1)), name="W")
    for t in (1, 2, 3):
        with mg.step(t):
            h = mg.concat([h, h]).named("h")
    with pytest.raises(errors.NotRollableError, match=r"h\[\d\].*shape"):
        mg.roll(h)


def test_a_family_that_is_not_there_is_answered_with_what_is_near():
    with pytest.raises(errors.NameNotFoundError, match="h_pre"):
        mg.roll(elman(steps=2).loss)["h_pred"]


def test_repr_lists_the_carries_and_the_operations():
    shown = repr(mg.roll(elman(steps=3).loss))
    assert shown.startswith("rolled over steps 1 to 3, carrying h[t-1]\n")
    assert "  h[t] = tanh(add[t]) for t = 1..3" in shown
