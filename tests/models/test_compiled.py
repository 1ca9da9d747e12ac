"""Every network here compiles to a program that gives the recorded loss and gradients."""

import numpy as np
import pytest

import minigrad as mg
from models import LSTM, ElmanRNN
from tests.models.oracles import random_network, random_state, relative_difference
from tests.models.test_networks import data


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("fy", "embedding"), [("softmax", 3), ("softmax", None), ("tanh", None)])
@pytest.mark.parametrize("topology", ["many-to-many", "many-to-one", "one-to-many"])
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_compiled_and_recorded(kind, topology, fy, embedding, layers):
    outputs = 5 if topology == "one-to-many" else 6
    net = random_network(
        kind(
            inputs=5, hidden=4, outputs=outputs, embedding=embedding, layers=layers, topology=topology, fy=fy
        )
    )
    names = list(net.state_shapes(2))

    def loss(inputs, targets, states):
        return net(inputs, targets, dict(zip(names, states, strict=True))).loss

    step = mg.compile(loss, net.parameters)
    for seed in (0, 1):  # the same program twice: what the first run leaves behind must not matter
        inputs, targets = data(net, 6, 2, seed, classes=topology != "one-to-many")
        states = list(random_state(net, 2, seed).values())
        value, gradients = step(inputs, targets, states)
        expected = loss(inputs, targets, states)
        assert value == pytest.approx(float(expected.value), rel=1e-13)
        recorded = mg.grad(expected, list(net.parameters.values()))
        for name, gradient in zip(net.parameters, recorded, strict=True):
            assert relative_difference(gradients[name], np.asarray(gradient)) <= 1e-12, name


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_a_learned_initial_state_compiles(kind):
    net = random_network(kind(inputs=5, hidden=4, embedding=3, initial_state="learned"))
    step = mg.compile(lambda x, y: net(x, y).loss, net.parameters)
    inputs, targets = data(net, 5, 3)
    value, gradients = step(inputs, targets)
    expected = net(inputs, targets).loss
    assert value == pytest.approx(float(expected.value), rel=1e-13)
    recorded = mg.grad(expected, list(net.parameters.values()))
    for name, gradient in zip(net.parameters, recorded, strict=True):
        assert relative_difference(gradients[name], np.asarray(gradient)) <= 1e-12, name
