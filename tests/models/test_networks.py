"""Recorded gradients are those of the hand derivations and of PyTorch, for all lengths and topologies."""

import numpy as np
import pytest

import minigrad as mg
from models import LSTM, ElmanRNN, by_hand
from tests.models.oracles import random_network, random_state, relative_difference, torch_gradients

BOUND = 1e-12
LENGTHS = (1, 2, 3, 25)
BATCHES = (1, 7)


def data(net, T, B, seed=0, classes=True):
    """Random inputs and targets that fit a network: class indices or numbers."""
    random = np.random.default_rng(seed)
    many = net.topology != "many-to-one"
    if net.embedding and classes:
        inputs = random.integers(net.inputs, size=(T, B))
    elif net.embedding:
        inputs = np.eye(net.inputs)[random.integers(net.inputs, size=(T, B))].transpose(0, 2, 1)
    else:
        inputs = random.standard_normal((T, net.inputs, B))
    if net.fy == "softmax" and classes:
        targets = random.integers(net.outputs, size=(T, B))
    elif net.fy == "softmax":
        targets = random.dirichlet(np.ones(net.outputs), size=(T, B)).transpose(0, 2, 1)
    else:
        targets = random.standard_normal((T, net.outputs, B))
    if net.topology == "one-to-many":
        inputs = inputs[0]
    return inputs, targets if many else targets[-1]


def recorded(net, inputs, targets, state):
    """Loss, gradients by name, and gradients of the initial states, from the recorded graph."""
    nodes = {name: mg.constant(array, name=name, step=0) for name, array in state.items()}
    run = net(inputs, targets, nodes)
    wanted = [*net.parameters.values(), *nodes.values()]
    gradients = [np.asarray(g) for g in mg.grad(run.loss, wanted, allow_unused=True)]
    named = dict(zip([*net.parameters, *(f"{name}[0]" for name in nodes)], gradients, strict=True))
    return run, float(run.loss.value), named


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("B", BATCHES)
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_note_000_by_hand(kind, T, B):
    net = random_network(kind(inputs=5, hidden=4, outputs=6, embedding=3))
    tokens, targets = data(net, T, B)
    state = random_state(net, B)
    _, loss, gradients = recorded(net, tokens, targets, state)
    hand = by_hand.elman if kind is ElmanRNN else by_hand.lstm
    expected = hand(net.values(), tokens, targets, *state.values())
    assert loss == pytest.approx(expected.loss, rel=1e-13)
    for name, gradient in expected.gradients.items():
        name = f"{name}[0]" if name in state else name
        assert relative_difference(gradients[name], gradient) <= BOUND, name


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("B", BATCHES)
@pytest.mark.parametrize("fy", ["identity", "tanh", "sigmoid"])
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_note_002_by_hand(kind, T, B, fy):
    net = random_network(kind(inputs=3, hidden=4, outputs=2, topology="many-to-one", fy=fy))
    inputs, targets = data(net, T, B)
    state = random_state(net, B)
    _, loss, gradients = recorded(net, inputs, targets, state)
    hand = by_hand.elman_many_to_one if kind is ElmanRNN else by_hand.lstm_many_to_one
    expected = hand(net.values(), inputs, targets, *state.values(), fy=by_hand.ACTIVATIONS[fy])
    assert loss == pytest.approx(expected.loss, rel=1e-13)
    for name, gradient in expected.gradients.items():
        name = f"{name}[0]" if name in state else name
        assert relative_difference(gradients[name], gradient) <= BOUND, name


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("B", BATCHES)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("embedding", [None, 3])
@pytest.mark.parametrize("fy", ["softmax", "identity"])
@pytest.mark.parametrize("topology", ["many-to-many", "many-to-one", "one-to-many"])
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_against_pytorch(kind, topology, fy, embedding, layers, B, T):
    pytest.importorskip("torch")
    outputs = 5 if topology == "one-to-many" else 6
    net = random_network(
        kind(
            inputs=5, hidden=4, outputs=outputs, embedding=embedding, layers=layers, topology=topology, fy=fy
        )
    )
    inputs, targets = data(net, T, B, classes=T % 2 == 1 and topology != "one-to-many")
    state = random_state(net, B)
    _, loss, gradients = recorded(net, inputs, targets, state)
    expected_loss, expected, expected_states = torch_gradients(net, inputs, targets, state, T)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for name, gradient in expected.items():
        assert relative_difference(gradients[name], gradient) <= BOUND, name
    for name, gradient in expected_states.items():
        assert relative_difference(gradients[f"{name}[0]"], gradient) <= BOUND, name


@pytest.mark.parametrize("T", [2, 4])
def test_contributions_of_the_steps_sum_to_the_gradient(T):
    """Note 002: dL/dWhh (t = 1) + dL/dWhh (t = 2) (+ ...) is dL/dWhh, each addend as derived by hand."""
    net = random_network(ElmanRNN(inputs=3, hidden=4, outputs=2, topology="many-to-one", fy="identity"))
    inputs, targets = data(net, T, 1)
    state = random_state(net, 1)
    loss = net(inputs, targets, state).loss
    contributions = mg.contributions(loss, net.parameters["Whh"])
    hand = by_hand.elman_many_to_one(net.values(), inputs, targets, state["h"])
    assert sorted(contributions) == list(range(1, T + 1))
    for t, addend in contributions.items():
        assert relative_difference(addend, hand.contributions[t]) <= BOUND
    assert relative_difference(sum(contributions.values()), hand.gradients["Whh"]) <= BOUND


def test_the_four_paths_of_the_lstm_section():
    """Note 002, lines 144-148: dL/dh_1 by way of o_2, f_2, i_2 and c_tilde_2."""
    net = random_network(LSTM(inputs=3, hidden=4, outputs=2, topology="many-to-one", fy="identity"))
    inputs, targets = data(net, 2, 1)
    state = random_state(net, 1)
    run = net(inputs, targets, state)
    h1 = run.states["h"][1]
    paths = mg.paths(run.loss, h1)
    hand = by_hand.lstm_many_to_one(net.values(), inputs, targets, state["h"], state["c"])
    assert len(paths) == 4
    for gate, name in (("og", "o"), ("fg", "f"), ("ig", "i"), ("c_hat", "c_tilde")):
        (path,) = (path for path in paths if f"{gate}[2]" in path.labels)
        assert relative_difference(path.value, hand.paths[2][name]) <= BOUND
    (total,) = mg.grad(run.loss, [h1])
    assert relative_difference(sum(path.value for path in paths), total) <= BOUND
    assert relative_difference(total, sum(hand.paths[2].values())) <= BOUND


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_class_indices_and_one_hot_columns_are_the_same(kind):
    net = random_network(kind(inputs=5, hidden=4, outputs=6, embedding=3))
    tokens, targets = data(net, 3, 2)
    state = random_state(net, 2)
    one_hot = np.eye(5)[tokens].transpose(0, 2, 1), np.eye(6)[targets].transpose(0, 2, 1)
    _, loss, gradients = recorded(net, tokens, targets, state)
    _, same_loss, same = recorded(net, *one_hot, state)
    assert loss == pytest.approx(same_loss, rel=1e-14)
    for name, gradient in gradients.items():
        assert relative_difference(gradient, same[name]) <= BOUND


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
@pytest.mark.parametrize("topology", ["many-to-many", "many-to-one", "one-to-many"])
def test_whole_sequence_nodes_record_the_same_network(kind, topology):
    """What the compiler traces: inputs that are nodes, indexed by recorded operations."""
    net = random_network(kind(inputs=5, hidden=4, outputs=5, topology=topology))
    inputs, targets = data(net, 4, 2)
    state = random_state(net, 2)
    _, loss, gradients = recorded(net, inputs, targets, state)
    nodes = mg.constant(inputs, name="inputs"), mg.constant(targets, name="targets")
    _, same_loss, same = recorded(net, *nodes, state)
    assert loss == same_loss
    for name, gradient in gradients.items():
        assert np.array_equal(gradient, same[name])


def test_class_indices_in_a_node():
    net = random_network(LSTM(inputs=5, hidden=4, embedding=3))
    inputs, targets = data(net, 4, 2)
    plain = net(inputs, targets)
    nodes = net(mg.constant(inputs, name="inputs"), mg.constant(targets, name="targets"))
    assert plain.loss.value == nodes.loss.value
    assert nodes.losses[3].label == "L[3]"


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_a_learned_initial_state(kind):
    """Its gradient is that of the state before the first step, summed over the batch."""
    net = random_network(
        kind(inputs=5, hidden=4, outputs=6, embedding=3, layers=2, initial_state="learned", seed=1)
    )
    tokens, targets = data(net, 3, 7)
    net(tokens, targets).loss.backward()
    spread = {
        name: np.repeat(net.parameters[name[:1] + "_init" + name[1:]].value, 7, axis=1)
        for name in net.state_shapes(7)
    }
    _, _, gradients = recorded(net, tokens, targets, spread)
    for name in spread:
        learned = net.parameters[name[:1] + "_init" + name[1:]]
        assert relative_difference(learned.grad, gradients[f"{name}[0]"].sum(axis=1, keepdims=True)) <= BOUND


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_a_sequence_in_two_halves_is_the_same_sequence(kind):
    net = random_network(kind(inputs=5, hidden=4, outputs=6, embedding=3, layers=2))
    tokens, targets = data(net, 6, 2)
    whole = net(tokens, targets)
    first = net(tokens[:4], targets[:4])
    second = net(tokens[4:], targets[4:], {name: node.value for name, node in first.final.items()})
    assert float(first.loss.value + second.loss.value) == pytest.approx(float(whole.loss.value), rel=1e-14)
    for name, node in whole.final.items():
        assert np.array_equal(node.value, second.final[name].value)


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_step_by_step_on_numbers_is_the_unrolled_network(kind, dtype):
    net = kind(inputs=5, hidden=4, embedding=3, layers=2, seed=3, dtype=dtype)
    tokens, _ = data(net, 4, 2)
    run = net(tokens)
    state = None
    for t, row in enumerate(tokens, start=1):
        answer, state = net.step(row, state)
        assert answer.dtype == dtype
        assert np.array_equal(answer, run.outputs[t].value)
    assert all(np.array_equal(run.final[name].value, state[name]) for name in state)


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_float32_stays_float32(kind):
    net = kind(inputs=5, hidden=4, embedding=3, seed=3, dtype=np.float32)
    tokens, targets = data(net, 4, 2)
    loss = net(tokens, targets).loss
    loss.backward()
    assert loss.dtype == np.float32
    assert {node.grad.dtype for node in net.parameters.values()} == {np.dtype(np.float32)}
    hand = by_hand.elman if kind is ElmanRNN else by_hand.lstm
    zero = [np.zeros((4, 2), np.float32) for _ in net.state_names]
    result = hand(net.values(), tokens, targets, *zero)
    assert {gradient.dtype for gradient in result.gradients.values()} == {np.dtype(np.float32)}


def test_every_value_of_note_000_has_its_name():
    net = LSTM(inputs=5, hidden=4, outputs=6, embedding=3, layers=2, seed=0)
    inputs, targets = data(net, 2, 1, classes=False)
    graph = mg.Graph(net(inputs, targets).loss)
    names = {node.name for node in graph.nodes if node.step == 2}
    first = {
        "x",
        "wes",
        "z",
        "fg_pre",
        "fg",
        "ig_pre",
        "ig",
        "og_pre",
        "og",
        "c_hat_pre",
        "c_hat",
        "c",
        "tanc",
    }
    assert first | {"h", "o", "p", "y", "L"} <= names
    assert {name + "_ii" for name in first - {"x", "wes"}} | {"h_ii"} <= names
    assert graph["h", 0].is_leaf
    elman = ElmanRNN(inputs=5, hidden=4, embedding=3, seed=0)
    inputs, targets = data(elman, 2, 1, classes=False)
    names = {node.name for node in mg.Graph(elman(inputs, targets).loss).nodes if node.step == 2}
    assert {"c", "x", "h_pre", "h", "o", "p", "y", "L"} <= names


def test_the_same_seed_gives_the_same_weights():
    one, two = (LSTM(inputs=5, hidden=4, embedding=3, seed=7) for _ in range(2))
    single = LSTM(inputs=5, hidden=4, embedding=3, seed=7, dtype=np.float32)
    other = LSTM(inputs=5, hidden=4, embedding=3, seed=8)
    for name, node in one.parameters.items():
        assert np.array_equal(node.value, two.parameters[name].value)
        assert np.array_equal(node.value.astype(np.float32), single.parameters[name].value)
    assert not np.array_equal(one.parameters["Wf"].value, other.parameters["Wf"].value)
