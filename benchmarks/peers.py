"""The peers, each as its users would write it; the import fails where one is not installed.

All of them take the problem's arrays and give the loss and the gradients under its names, in its shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.problem import Array, Problem, Step

# -- one model in the words of any library -----------------------------------------------------------


def unrolled(q: Problem, lib: Any, p: Mapping[str, Any], cross_entropy: Callable[[Any, Array], Any]) -> Any:
    """Record the loss from the primitives of a library, as its users would."""
    h, c = lib.constant(q.h0), lib.constant(q.c0)
    loss = None
    for t in range(q.size.T):
        if q.model == "forecaster":
            h = lib.tanh(lib.matmul(p["Wxh"], lib.constant(q.tokens[t])) + lib.matmul(p["Whh"], h) + p["bh"])
            continue
        x = lib.columns(p["Wex"], q.tokens[t])
        if q.model == "elman":
            h = lib.tanh(lib.matmul(p["Whh"], h) + lib.matmul(p["Wxh"], x) + p["bh"])
        else:
            z = lib.concatenate([h, x])
            f = lib.sigmoid(lib.matmul(p["Wf"], z) + p["bf"])
            i = lib.sigmoid(lib.matmul(p["Wi"], z) + p["bi"])
            g = lib.tanh(lib.matmul(p["Wc"], z) + p["bc"])
            o = lib.sigmoid(lib.matmul(p["Wo"], z) + p["bo"])
            c = f * c + i * g
            h = o * lib.tanh(c)
        addend = cross_entropy(lib.matmul(p["Why"], h) + p["by"], q.targets[t])
        loss = addend if loss is None else loss + addend
    if q.model == "forecaster":
        difference = lib.matmul(p["Why"], h) + p["by"] - lib.constant(q.targets)
        return 0.5 * (difference * difference).sum() if hasattr(difference, "sum") else lib.half(difference)
    return loss


# -- HIPS autograd -------------------------------------------------------------------------------------


def hips_autograd(q: Problem) -> Step:
    import autograd
    import autograd.numpy as anp

    class Lib:
        tanh, matmul, concatenate = anp.tanh, anp.dot, staticmethod(lambda xs: anp.concatenate(xs, axis=0))
        sigmoid = staticmethod(lambda x: 0.5 * (anp.tanh(0.5 * x) + 1))
        columns = staticmethod(lambda W, classes: W[:, classes])
        constant = staticmethod(lambda x: x)
        half = staticmethod(lambda d: 0.5 * anp.sum(d * d))

    columns = np.arange(q.size.B)

    def cross_entropy(o: Any, y: Array) -> Any:
        shifted = o - anp.max(o, axis=0, keepdims=True)
        return anp.sum(anp.log(anp.sum(anp.exp(shifted), axis=0)) - shifted[y, columns])

    both = autograd.value_and_grad(lambda p: unrolled(q, Lib, p, cross_entropy))
    return lambda: both(q.parameters)


# -- MyGrad --------------------------------------------------------------------------------------------


def mygrad(q: Problem) -> Step:
    import mygrad as mygrad_
    from mygrad.nnet.losses import softmax_crossentropy

    class Lib:
        tanh, matmul = mygrad_.tanh, mygrad_.matmul
        concatenate = staticmethod(lambda xs: mygrad_.concatenate(xs, axis=0))
        sigmoid = staticmethod(lambda x: 1 / (1 + mygrad_.exp(-x)))
        columns = staticmethod(lambda W, classes: W[:, classes])
        constant = staticmethod(lambda x: x)

    parameters = {name: mygrad_.tensor(W) for name, W in q.parameters.items()}

    def cross_entropy(o: Any, y: Array) -> Any:
        return softmax_crossentropy(o.T, y) * q.size.B

    def step() -> tuple[Any, Mapping[str, Array]]:
        loss = unrolled(q, Lib, parameters, cross_entropy)
        loss.backward()
        gradients = {name: W.grad for name, W in parameters.items()}
        value = loss.item()
        for W in parameters.values():
            W.null_grad()
        return value, gradients

    return step


# -- torch ---------------------------------------------------------------------------------------------


def torch_from_primitives(q: Problem) -> Step:
    import torch
    from torch.nn.functional import cross_entropy

    class Lib:
        tanh, matmul, sigmoid = torch.tanh, torch.matmul, torch.sigmoid
        concatenate = staticmethod(lambda xs: torch.cat(xs, dim=0))
        columns = staticmethod(lambda W, classes: W[:, torch.from_numpy(classes)])
        constant = staticmethod(torch.from_numpy)

    parameters = {name: torch.from_numpy(W.copy()).requires_grad_() for name, W in q.parameters.items()}

    def step() -> tuple[Any, Mapping[str, Array]]:
        for W in parameters.values():
            W.grad = None
        loss = unrolled(
            q, Lib, parameters, lambda o, y: cross_entropy(o.T, torch.from_numpy(y), reduction="sum")
        )
        loss.backward()
        return loss.item(), {name: W.grad.numpy() for name, W in parameters.items()}

    return step


def torch_nn(q: Problem) -> Step:
    """torch's own layers: `nn.LSTM` and `nn.RNN` run oneDNN or their own kernels on all steps at once."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    V, E, H = q.size.V, q.size.E, q.size.H
    p = {name: torch.from_numpy(W.copy()) for name, W in q.parameters.items()}
    if q.model == "lstm":
        layer: Any = nn.LSTM(E, H)
        whole = [p[f"W{gate}"] for gate in "ifco"]
        hh, ih = torch.cat([W[:, :H] for W in whole]), torch.cat([W[:, H:] for W in whole])
        bias = torch.cat([p[f"b{gate}"][:, 0] for gate in "ifco"])
    else:
        layer = nn.RNN(E, H)
        hh, ih, bias = p["Whh"], p["Wxh"], p["bh"][:, 0]
    read_out = nn.Linear(H, p["Why"].shape[0])
    with torch.no_grad():
        layer.weight_hh_l0.copy_(hh)
        layer.weight_ih_l0.copy_(ih)
        layer.bias_ih_l0.copy_(bias)
        layer.bias_hh_l0.zero_()
        read_out.weight.copy_(p["Why"])
        read_out.bias.copy_(p["by"][:, 0])
    modules = [layer, read_out]
    if q.model != "forecaster":
        table = nn.Embedding(V, E)
        with torch.no_grad():
            table.weight.copy_(p["Wex"].T)
        modules.append(table)
        tokens, targets = torch.from_numpy(q.tokens), torch.from_numpy(q.targets)
    else:
        tokens = torch.from_numpy(np.ascontiguousarray(q.tokens.transpose(0, 2, 1)))
        targets = torch.from_numpy(q.targets)
    everything = [W for module in modules for W in module.parameters()]

    def step() -> tuple[Any, Mapping[str, Array]]:
        for W in everything:
            W.grad = None
        if q.model == "forecaster":
            out, _ = layer(tokens)
            difference = read_out(out[-1])[:, 0] - targets[0]
            loss = 0.5 * (difference * difference).sum()
        else:
            out, _ = layer(table(tokens))
            loss = cross_entropy(read_out(out).reshape(-1, V), targets.reshape(-1), reduction="sum")
        loss.backward()
        gradients = {"Why": read_out.weight.grad, "by": read_out.bias.grad}
        dhh, dih, db = layer.weight_hh_l0.grad, layer.weight_ih_l0.grad, layer.bias_ih_l0.grad
        if q.model == "lstm":
            for k, gate in enumerate("ifco"):
                rows = slice(k * H, (k + 1) * H)
                gradients[f"W{gate}"] = torch.cat([dhh[rows], dih[rows]], dim=1)
                gradients[f"b{gate}"] = db[rows]
        else:
            gradients |= {"Whh": dhh, "Wxh": dih, "bh": db}
        if q.model != "forecaster":
            gradients["Wex"] = table.weight.grad.T
        return loss.item(), {name: g.numpy() for name, g in gradients.items()}

    return step


# -- JAX -----------------------------------------------------------------------------------------------


def jax_scan(q: Problem) -> Step:
    import jax
    import jax.numpy as jnp

    def cell(p: Any, state: Any, x: Any) -> Any:
        h, c = state
        if q.model == "lstm":
            z = jnp.concatenate([h, x])
            f = jax.nn.sigmoid(p["Wf"] @ z + p["bf"])
            i = jax.nn.sigmoid(p["Wi"] @ z + p["bi"])
            o = jax.nn.sigmoid(p["Wo"] @ z + p["bo"])
            c = f * c + i * jnp.tanh(p["Wc"] @ z + p["bc"])
            h = o * jnp.tanh(c)
        else:
            h = jnp.tanh(p["Whh"] @ h + p["Wxh"] @ x + p["bh"])
        return (h, c), h

    def loss(p: Any, tokens: Any, targets: Any) -> Any:
        start = (jnp.asarray(q.h0), jnp.asarray(q.c0))
        if q.model == "forecaster":
            (h, _), _ = jax.lax.scan(lambda s, x: cell(p, s, x), start, tokens)
            difference = p["Why"] @ h + p["by"] - targets
            return 0.5 * (difference * difference).sum()
        x = jnp.moveaxis(p["Wex"][:, tokens], 0, 1)
        _, h = jax.lax.scan(lambda s, x: cell(p, s, x), start, x)
        o = p["Why"] @ h + p["by"]
        log_p = jax.nn.log_softmax(o, axis=1)
        return -jnp.take_along_axis(log_p, targets[:, None, :], axis=1).sum()

    parameters = {name: jnp.asarray(W) for name, W in q.parameters.items()}
    tokens, targets = jnp.asarray(q.tokens), jnp.asarray(q.targets)
    both = jax.jit(jax.value_and_grad(loss))

    def step() -> tuple[Any, Mapping[str, Array]]:
        value, gradients = both(parameters, tokens, targets)
        jax.block_until_ready(gradients)
        return value, gradients

    return step
