"""What onnxruntime computes from an exported network is what the network computes here."""

import json

import numpy as np
import pytest

from models import LSTM, ElmanRNN
from models.errors import WeightsError
from models.onnx_export import to_onnx
from tests.models.oracles import random_network, random_state

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def both(net, T=6, B=3):
    """Outputs and final states, by onnxruntime and here, of a random input."""
    random = np.random.default_rng(0)
    state = {}
    if net.initial_state != "learned":
        state = {name: array.astype(np.float32) for name, array in random_state(net, B).items()}
    if net.embedding:
        inputs = random.integers(net.inputs, size=(T, B))
        fed = {"inputs": inputs}
    else:
        inputs = random.standard_normal((T, net.inputs, B)).astype(np.float32)
        fed = {"inputs": inputs.transpose(0, 2, 1)}
    names = {s: [n for n in net.state_shapes(B) if n.partition("_")[0] == s] for s in net.state_names}
    if state:
        fed |= {f"{s}0": np.stack([state[n].T for n in names[s]]) for s in names}
    session = onnxruntime.InferenceSession(
        to_onnx(net).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, fed), strict=True))
    run = net(inputs, state=state)
    outputs = np.stack([run.outputs[t].value.T for t in sorted(run.outputs)])
    expected = {"outputs": outputs[0] if net.topology == "many-to-one" else outputs}
    expected |= {s: np.stack([run.final[n].value.T for n in names[s]]) for s in names}
    return found, expected


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("embedding", [3, None])
@pytest.mark.parametrize("initial_state", ["zero", "learned"])
@pytest.mark.parametrize(("topology", "fy"), [("many-to-many", "softmax"), ("many-to-one", "identity")])
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_the_same_outputs(kind, topology, fy, initial_state, embedding, layers):
    net = random_network(
        kind(
            inputs=5,
            hidden=4,
            outputs=6,
            embedding=embedding,
            layers=layers,
            topology=topology,
            fy=fy,
            initial_state=initial_state,
            dtype=np.float32,
        )
    )
    found, expected = both(net)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert np.abs(found[name] - array).max() <= 2e-6, name


@pytest.mark.parametrize("fh", ["relu", "sigmoid", "identity"])
@pytest.mark.parametrize("fy", ["tanh", "sigmoid", "relu", "exp"])
def test_activations(fh, fy):
    net = random_network(ElmanRNN(inputs=3, hidden=4, outputs=2, fh=fh, fy=fy, dtype=np.float32))
    found, expected = both(net)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 2e-6 * max(1, np.abs(array).max()), name


def test_the_description_goes_along():
    net = LSTM(inputs=5, hidden=4, embedding=3)
    stored = {p.key: p.value for p in to_onnx(net, {"vocabulary": "abcde"}).metadata_props}
    assert json.loads(stored["model"]) == net.description
    assert stored["vocabulary"] == "abcde"


def test_what_onnx_does_not_have():
    with pytest.raises(WeightsError, match="one-to-many"):
        to_onnx(LSTM(inputs=3, hidden=4, topology="one-to-many"))
    with pytest.raises(WeightsError, match="exp"):
        to_onnx(ElmanRNN(inputs=3, hidden=4, fh="exp"))
