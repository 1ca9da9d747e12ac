"""Weights that come from PyTorch and go back to it: the same outputs to float precision."""

import numpy as np
import pytest
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from models import LSTM, ElmanRNN
from models.errors import WeightsError
from models.torch_weights import from_torch, to_torch
from tests.models.oracles import random_network

torch = pytest.importorskip("torch")


def module(kind, layers, embedding, nonlinearity="tanh", dtype=torch.float32, bias=True):
    """A PyTorch module as people write it: an embedding or numbers, a recurrent layer, a read-out."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            options = {"nonlinearity": nonlinearity} if kind is torch.nn.RNN else {}
            if embedding:
                self.embed = torch.nn.Embedding(7, 3)
            self.rnn = kind(3, 4, layers, bias=bias, **options)
            self.head = torch.nn.Linear(4, 5)

        def forward(self, x, hidden):
            x = self.embed(x) if embedding else x
            h, _ = self.rnn(x, hidden)
            return self.head(h)

    torch.manual_seed(0)
    return Network().to(dtype)


def outputs(net, inputs, hidden):
    names = [f"{s}{'' if k == 0 else '_ii'}" for s in net.state_names for k in range(net.layers)]
    arrays = [part[k].T for part in hidden for k in range(net.layers)]
    run = net(inputs, state=dict(zip(names, arrays, strict=True)))
    return np.stack([run.outputs[t].value for t in sorted(run.outputs)])


def example(module, net, T=6, B=2):
    """The same random input, to both."""
    random = np.random.default_rng(0)
    x = random.integers(7, size=(T, B)) if net.embedding else random.standard_normal((T, 3, B))
    hidden = [random.standard_normal((net.layers, B, 4)) * 0.5 for _ in net.state_names]
    dtype = next(module.parameters()).dtype
    fed = torch.tensor(x) if net.embedding else torch.tensor(x.transpose(0, 2, 1)).to(dtype)
    parts = [torch.tensor(part).to(dtype) for part in hidden]
    with torch.no_grad():
        expected = module(fed, parts[0] if len(parts) == 1 else tuple(parts))
    return outputs(net, x, hidden), expected.numpy().transpose(0, 2, 1)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("embedding", [True, False])
@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.LSTM])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_from_pytorch_through_safetensors(kind, embedding, layers, dtype, bound):
    peer = module(kind, layers, embedding, dtype=dtype)
    stored = from_bytes(to_bytes({n: t.numpy() for n, t in peer.state_dict().items()}))
    net = from_torch(stored, fy="identity")
    assert isinstance(net, LSTM if kind is torch.nn.LSTM else ElmanRNN)
    assert (net.embedding, net.layers, net.dtype) == (3 if embedding else None, layers, str(dtype)[6:])
    found, expected = example(peer, net)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_to_pytorch(kind, layers):
    net = random_network(
        kind(inputs=7, hidden=4, outputs=5, embedding=3, layers=layers, fy="identity", dtype=np.float64)
    )
    peer = module(torch.nn.LSTM if kind is LSTM else torch.nn.RNN, layers, True, dtype=torch.float64)
    state = to_torch(net, embedding="embed.", linear="head.")
    peer.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    found, expected = example(peer, net)
    assert np.abs(found - expected).max() <= 1e-14
    again = from_torch(state, fy="identity")
    for name, node in net.parameters.items():
        assert np.array_equal(node.value, again.parameters[name].value)


def test_relu_and_no_biases():
    peer = module(torch.nn.RNN, 1, False, nonlinearity="relu", dtype=torch.float64, bias=False)
    net = from_torch(peer.state_dict(), fy="identity", nonlinearity="relu")
    found, expected = example(peer, net)
    assert np.abs(found - expected).max() <= 1e-14


def test_both_gate_orders():
    net = random_network(LSTM(inputs=3, hidden=4, outputs=4, fy="identity"))
    state = to_torch(net)
    onnx = dict(state)
    for name, array in state.items():
        if name.startswith("rnn."):
            i, f, g, o = np.split(array, 4)
            onnx[name] = np.concatenate([i, o, f, g])
    again = from_torch(onnx, fy="identity", gates="iofc")
    for name, node in net.parameters.items():
        assert np.array_equal(node.value, again.parameters[name].value)


def good():
    return to_torch(random_network(LSTM(inputs=5, hidden=4, outputs=6, embedding=3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("rnn.weight_ih_l0"), ["no recurrent layer", "weight_ih_l0"]),
        (lambda s: s.pop("rnn.weight_hh_l0"), ["rnn.weight_hh_l0 is missing"]),
        (lambda s: s.pop("rnn.bias_hh_l0"), ["rnn.bias_hh_l0 is missing"]),
        (
            lambda s: s.update({"rnn.weight_ih_l0": s["rnn.weight_ih_l0"][:8]}),
            ["weight_ih_l0", "(8, 3)", "(16, 3)"],
        ),
        (lambda s: s.update({"rnn.weight_hh_l0": np.zeros((12, 4))}), ["GRU"]),
        (lambda s: s.update({"rnn.weight_ih_l0_reverse": np.zeros((16, 3))}), ["bidirectional"]),
        (lambda s: s.update({"rnn.weight_hr_l0": np.zeros((2, 4))}), ["projections"]),
        (lambda s: s.update({"rnn.weight_ih_l2": np.zeros((16, 4))}), ["layer 1 is missing"]),
        (lambda s: s.update({"norm.weight": np.zeros(4)}), ["norm.weight", "(4,)"]),
        (lambda s: s.update({"other.weight_ih_l0": np.zeros((16, 3))}), ["more than one"]),
    ],
)
def test_state_dicts_that_do_not_fit(change, words):
    state = good()
    change(state)
    with pytest.raises(WeightsError) as error:
        from_torch(state)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_networks_that_pytorch_does_not_have():
    with pytest.raises(WeightsError, match="sigmoid"):
        to_torch(ElmanRNN(inputs=3, hidden=4, fh="sigmoid"))
    with pytest.raises(WeightsError, match="initial state"):
        to_torch(LSTM(inputs=3, hidden=4, initial_state="learned"))
