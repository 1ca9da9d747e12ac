"""Independent peers: the same networks in PyTorch, and the relative difference that all tests speak of."""

import numpy as np


def relative_difference(found, expected):
    """Largest absolute difference over the largest absolute expected entry."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    scale = np.abs(expected).max()
    difference = np.abs(found - expected).max()
    return difference / scale if scale else difference


def random_network(net, seed=0):
    """Give every parameter, biases too, a nonzero random value: a zero could hide a missing term."""
    random = np.random.default_rng(seed)
    net.set_parameters({name: 0.5 * random.standard_normal(W.shape) for name, W in net.parameters.items()})
    return net


def random_state(net, batch, seed=0):
    random = np.random.default_rng(seed + 1)
    return {name: random.uniform(-0.9, 0.9, shape) for name, shape in net.state_shapes(batch).items()}


def torch_gradients(net, inputs, targets, state, T):
    """Loss and gradients (by this project's names) of nn.RNN or nn.LSTM with the same weights, by PyTorch."""
    import torch
    from torch.nn import functional

    from models import LSTM
    from models.unrolled import layer_suffix

    kind = torch.nn.LSTM if isinstance(net, LSTM) else torch.nn.RNN
    size = net.embedding or net.inputs
    rnn = kind(size, net.hidden, net.layers).double()
    W = {
        name: torch.tensor(np.array(array, np.float64), requires_grad=True)
        for name, array in net.values().items()
    }
    start = {name: torch.tensor(array, requires_grad=True) for name, array in state.items()}

    weights = {}
    for layer in range(1, net.layers + 1):
        s, place = layer_suffix(layer), f"l{layer - 1}"
        if kind is torch.nn.LSTM:
            both = torch.cat([W[f"W{g}{s}"] for g in "ifco"])
            hh, ih = both[:, : net.hidden], both[:, net.hidden :]
            bias = torch.cat([W[f"b{g}{s}"] for g in "ifco"])[:, 0]
        else:
            ih, hh, bias = W["Wxh" + s], W["Whh" + s], W["bh" + s][:, 0]
        weights |= {
            f"weight_ih_{place}": ih,
            f"weight_hh_{place}": hh,
            f"bias_ih_{place}": bias,
            f"bias_hh_{place}": torch.zeros_like(bias),
        }

    def states(name):
        names = [name + layer_suffix(k) for k in range(1, net.layers + 1)]
        return torch.stack([start[n].T for n in names])

    def run(x, hidden):
        return torch.func.functional_call(rnn, weights, (x, hidden))

    def read_out(h):
        return h @ W["Why"].T + W["by"][:, 0]

    def loss_of(o, target):
        if net.fy != "softmax":
            y = {"identity": lambda o: o, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[net.fy](o)
            return 0.5 * ((y - torch.tensor(target.T)) ** 2).sum()
        if target.ndim == 1:
            return functional.cross_entropy(o, torch.tensor(target), reduction="sum")
        return -(torch.tensor(target.T) * torch.log_softmax(o, 1)).sum()

    def embedded(x):
        return x @ W["Wex"].T if net.embedding else x

    hidden = states("h") if kind is torch.nn.RNN else (states("h"), states("c"))
    loss = 0
    if net.topology == "one-to-many":
        x = torch.tensor(np.asarray(inputs, np.float64).T)
        for t in range(T):
            h, hidden = run(embedded(x)[None], hidden)
            o = read_out(h[0])
            loss = loss + loss_of(o, targets[t])
            x = torch.softmax(o, 1) if net.fy == "softmax" else o
    else:
        if inputs.ndim == 2:
            x = functional.embedding(torch.tensor(inputs), W["Wex"].T)
        else:
            x = embedded(torch.tensor(np.ascontiguousarray(inputs.transpose(0, 2, 1))))
        h, _ = run(x, hidden)
        if net.topology == "many-to-one":
            loss = loss_of(read_out(h[-1]), targets)
        else:
            loss = sum(loss_of(read_out(h[t]), targets[t]) for t in range(T))
    loss.backward()
    gradients = {name: tensor.grad.numpy() for name, tensor in W.items() if tensor.grad is not None}
    return float(loss.detach()), gradients, {name: tensor.grad.numpy() for name, tensor in start.items()}
