"""What an expert writes by hand in numpy for one model at one size: the yardstick for `mg.compile`.

The tricks, none of which `models.by_hand` uses:

- everything that does not depend on the recurrence runs once for all T steps (inputs, read-out, loss, local
  derivatives), everything that does runs in a loop with as few numpy calls as possible;
- the gates are one product with stacked weights `S (4H, H + E + 1)`: the bias is the column for a constant 1;
- one tanh serves all gates, sigmoid(a) = (1 + tanh(a / 2)) / 2, and the 1/2 inside is put on the weights,
  once;
- all buffers are allocated once, every view of a step is bound once, and all calls write in place;
- columns `(features, batch)` inside the loops, where BLAS is fastest on `S @ h`; rows `(batch, features)` for
  what is summed over time, so that a weight's gradient is one product over T * B;
- neighbours in memory: the backward pass multiplies `dc` by five stored factors in one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.problem import Array, Problem, Step

dot, matmul, add, subtract, multiply, tanh = np.dot, np.matmul, np.add, np.subtract, np.multiply, np.tanh


class Readout:
    """Softmax and cross-entropy of all steps at once, on rows `(T * B, features)`."""

    def __init__(self, q: Problem) -> None:
        V, H, B, T = q.size.V, q.size.H, q.size.B, q.size.T
        rows = T * B
        self.T, self.B = T, B
        self.Why, self.by = q.parameters["Why"], q.parameters["by"]
        self.o = np.empty((rows, V), q.dtype)
        self.best = np.empty((rows, 1), q.dtype)
        self.total = np.empty((rows, 1), q.dtype)
        self.wanted = np.empty(rows, q.dtype)
        self.flat = np.empty(rows, np.intp)
        self.start = np.arange(rows) * V
        self.dWhy, self.dby = np.empty_like(self.Why), np.empty_like(self.by)
        self.by_row = self.by.reshape(1, V)
        self.dh = np.empty((T, H, B), q.dtype)
        self.do_columns = self.o.reshape(T, B, V).transpose(0, 2, 1)
        self.ones = np.ones((1, rows), q.dtype)

    def __call__(self, h_rows: Array, targets: Array) -> float:
        """Fill `dh (T, H, B)` and the read-out's gradients; return the loss."""
        o, best, total, wanted = self.o, self.best, self.total, self.wanted
        dot(h_rows, self.Why.T, o)
        add(o, self.by_row, o)
        np.maximum.reduce(o, axis=1, keepdims=True, out=best)
        subtract(o, best, o)
        add(self.start, targets.reshape(-1), self.flat)
        o.reshape(-1).take(self.flat, out=wanted, mode="clip")
        np.exp(o, o)
        add.reduce(o, axis=1, keepdims=True, out=total)
        multiply(o, np.reciprocal(total, best), o)
        loss = float(add.reduce(np.log(total, best), axis=None) - add.reduce(wanted))
        o.reshape(-1)[self.flat] -= 1
        dot(o.T, h_rows, self.dWhy)
        dot(self.ones, o, self.dby.T)
        matmul(self.Why.T, self.do_columns, self.dh)
        return loss


class OneHot:
    """Rows of the identity for a table's gradient, `dWex = dx^T @ onehot`, rewritten in place."""

    def __init__(self, rows: int, V: int, dtype: Any) -> None:
        self.matrix = np.zeros((rows, V), dtype)
        self.flat = np.zeros(rows, np.intp)
        self.start = np.arange(rows) * V

    def __call__(self, classes: Array) -> Array:
        entries = self.matrix.reshape(-1)
        entries[self.flat] = 0
        add(self.start, classes.reshape(-1), self.flat)
        entries[self.flat] = 1
        return self.matrix


def lstm(q: Problem) -> Step:
    V, E, H, B, T = q.size.V, q.size.E, q.size.H, q.size.B, q.size.T
    f32 = q.dtype
    K = H + E + 1
    # gates in the order o i f g, so that i f stand before g c[t-1] and all sigmoids are neighbours
    stacked = np.empty((4 * H, K), f32)
    for k, gate in enumerate("oifc"):
        stacked[k * H : (k + 1) * H, : H + E] = q.parameters[f"W{gate}"]
        stacked[k * H : (k + 1) * H, H + E :] = q.parameters[f"b{gate}"]
    Wex = q.parameters["Wex"]
    scale = np.full((4 * H, 1), 0.5, f32)
    scale[3 * H :] = 1
    half, one = f32(0.5), f32(1)
    Sh, Sx, ShT = np.empty((4 * H, H), f32), np.empty((4 * H, E + 1), f32), np.empty((H, 4 * H), f32)
    z = np.ones((T + 1, B, K), f32)  # rows h[t-1], x[t], 1
    x_rows = z[:T, :, H : H + E]
    taken = np.empty((T, B, E), f32)
    ax = np.empty((T, 4 * H, B), f32)
    gates = np.zeros((T + 1, 5, H, B), f32)  # o i f g c[t-1]
    tanh_c = np.empty((T, H, B), f32)
    h = np.empty((H, B), f32) if B > 1 else None
    flat_gates = gates.reshape(T + 1, 5 * H, B)
    pre = np.empty((4 * H, B), f32)
    pair = np.empty((2, H, B), f32)
    forward = []
    for t in range(T):
        A = flat_gates[t, : 4 * H]
        h_in = z[t, :, :H].T if B == 1 else h
        h_out = z[t + 1, :, :H].T if B == 1 else h
        forward.append((
            h_in, ax[t], A, A[: 3 * H], gates[t, 1:3], gates[t, 3:5], gates[t + 1, 4], tanh_c[t],
            gates[t, 0], h_out, z[t + 1, :, :H].T,
        ))  # fmt: skip
    # factors of dh: og (1 - tanh(c)^2), tanh(c) og (1 - og); of dc: those of dig, dfg, dc_hat, and fg itself
    factors = np.empty((T, 6, H, B), f32)
    D = np.zeros((6, H, B), f32)
    dh_next = np.empty((H, B), f32)
    dh = np.empty((H, B), f32)
    dA = np.empty((T, B, 4 * H), f32)
    dA_columns = D[1:5].reshape(4 * H, B)
    readout, onehot = Readout(q), OneHot(T * B, V, f32)
    h_rows = np.empty((T * B, H), f32)
    backward = [(factors[t, :2], factors[t, 2:], dA[t].T, readout.dh[t - 1]) for t in range(T - 1, 0, -1)]
    last = (factors[0, :2], factors[0, 2:], dA[0].T, None)
    gradient = np.empty((4 * H, K), f32)
    dx, dWex = np.empty((T * B, E), f32), np.empty((E, V), f32)
    a1, a2 = np.empty((H, B), f32), np.empty((H, B), f32)
    local = [
        (gates[t, 0], gates[t, 1], gates[t, 2], gates[t, 3], gates[t, 4], tanh_c[t], *factors[t])
        for t in range(T)
    ]
    gate_local = [(gates[t, :3], factors[t, 1:4]) for t in range(T)]

    def step() -> tuple[float, Mapping[str, Array]]:
        multiply(stacked[:, :H], scale, Sh)
        multiply(stacked[:, H:], scale, Sx)
        Wex.T.take(q.tokens, axis=0, out=taken, mode="clip")
        x_rows[...] = taken
        matmul(Sx, z[:T, :, H:].transpose(0, 2, 1), ax)
        gates[0, 4] = q.c0
        z[0, :, :H] = q.h0.T
        if B > 1:
            h[...] = q.h0
        for h_in, a_x, A, sig, i_f, g_c, c, tc, og, h_out, h_row in forward:
            dot(Sh, h_in, pre)
            add(pre, a_x, A)
            tanh(A, A)
            add(sig, one, sig)
            multiply(sig, half, sig)
            multiply(i_f, g_c, pair)
            add(pair[0], pair[1], c)
            tanh(c, tc)
            multiply(og, tc, h_out)
            if B > 1:
                h_row[...] = h_out
        h_rows.reshape(T, B, H)[...] = z[1:, :, :H]
        loss = readout(h_rows, q.targets)
        # local derivatives of all steps, in blocks of one step, which stay in the cache
        for (og, ig, f, c_hat, before, tc, f0, f1, f2, f3, f4, f5), (sig, f123) in zip(
            local, gate_local, strict=True
        ):
            subtract(one, sig, f123)
            multiply(f123, sig, f123)
            multiply(tc, f1, f1)
            multiply(c_hat, f2, f2)
            multiply(before, f3, f3)
            multiply(tc, tc, a1)
            subtract(one, a1, a1)
            multiply(og, a1, f0)
            multiply(c_hat, c_hat, a2)
            subtract(one, a2, a2)
            multiply(ig, a2, f4)
            f5[...] = f
        ShT[...] = stacked[:, :H].T
        D[5] = 0
        dh[...] = readout.dh[T - 1]
        dc, carry, D01, D2345 = D[0], D[5], D[:2], D[2:]
        for f01, f2345, row, from_output in backward:
            multiply(dh, f01, D01)
            add(dc, carry, dc)
            multiply(dc, f2345, D2345)
            row[...] = dA_columns
            dot(ShT, dA_columns, dh_next)
            add(dh_next, from_output, dh)
        f01, f2345, row, _ = last
        multiply(dh, f01, D01)
        add(dc, carry, dc)
        multiply(dc, f2345, D2345)
        row[...] = dA_columns
        dA_rows = dA.reshape(T * B, 4 * H)
        dot(dA_rows.T, z[:T].reshape(T * B, K), gradient)
        matmul(dA_rows, stacked[:, H : H + E], dx)
        dot(dx.T, onehot(q.tokens), dWex)
        gradients = {"Wex": dWex, "Why": readout.dWhy, "by": readout.dby}
        for k, gate in enumerate("oifc"):
            gradients[f"W{gate}"] = gradient[k * H : (k + 1) * H, : H + E]
            gradients[f"b{gate}"] = gradient[k * H : (k + 1) * H, H + E :]
        return loss, gradients

    return step


def elman(q: Problem) -> Step:
    V, E, H, B, T = q.size.V, q.size.E, q.size.H, q.size.B, q.size.T
    f32 = q.dtype
    K = H + E + 1
    stacked = np.concatenate([q.parameters["Whh"], q.parameters["Wxh"], q.parameters["bh"]], axis=1)
    Wex = q.parameters["Wex"]
    one = f32(1)
    Sh, ShT, Sx = np.empty((H, H), f32), np.empty((H, H), f32), np.empty((H, E + 1), f32)
    z = np.ones((T + 1, B, K), f32)
    taken = np.empty((T, B, E), f32)
    h = np.empty((T + 1, H, B), f32)
    ax = np.empty((T, H, B), f32)
    pre = np.empty((H, B), f32)
    forward = [(h[t], ax[t], h[t + 1], z[t + 1, :, :H].T) for t in range(T)]
    local = np.empty((T, H, B), f32)
    dA = np.empty((T, B, H), f32)
    d, dh = np.empty((H, B), f32), np.empty((H, B), f32)
    readout, onehot = Readout(q), OneHot(T * B, V, f32)
    h_rows = np.empty((T * B, H), f32)
    # with one column, columns and rows are the same memory and the copies fall away
    backward = [(local[t], dA[t].T, dA[t].T if B == 1 else d, readout.dh[t - 1]) for t in range(T - 1, 0, -1)]
    gradient = np.empty((H, K), f32)
    dx, dWex = np.empty((T * B, E), f32), np.empty((E, V), f32)

    def step() -> tuple[float, Mapping[str, Array]]:
        Sh[...] = stacked[:, :H]
        Sx[...] = stacked[:, H:]
        Wex.T.take(q.tokens, axis=0, out=taken, mode="clip")
        z[:T, :, H : H + E] = taken
        matmul(Sx, z[:T, :, H:].transpose(0, 2, 1), ax)
        h[0] = q.h0
        z[0, :, :H] = q.h0.T
        for h_in, a_x, h_out, h_row in forward:
            dot(Sh, h_in, pre)
            add(pre, a_x, h_out)
            tanh(h_out, h_out)
            if B > 1:
                h_row[...] = h_out
        if B == 1:
            z[1:, 0, :H] = h[1:, :, 0]
        h_rows.reshape(T, B, H)[...] = z[1:, :, :H]
        loss = readout(h_rows, q.targets)
        multiply(h[1:], h[1:], local)
        subtract(one, local, local)
        ShT[...] = stacked[:, :H].T
        dh[...] = readout.dh[T - 1]
        for slope, row, out, from_output in backward:
            multiply(dh, slope, out)
            if B > 1:
                row[...] = out
            dot(ShT, out, dh)
            add(dh, from_output, dh)
        multiply(dh, local[0], dA[0].T)
        dA_rows = dA.reshape(T * B, H)
        dot(dA_rows.T, z[:T].reshape(T * B, K), gradient)
        matmul(dA_rows, stacked[:, H : H + E], dx)
        dot(dx.T, onehot(q.tokens), dWex)
        return loss, {
            "Whh": gradient[:, :H], "Wxh": gradient[:, H : H + E], "bh": gradient[:, H + E :],
            "Wex": dWex, "Why": readout.dWhy, "by": readout.dby,
        }  # fmt: skip

    return step


def forecaster(q: Problem) -> Step:
    """File 002's network: one linear read-out, squared error; few features, thousands of columns."""
    H, B, T = q.size.H, q.size.B, q.size.T
    f32 = q.dtype
    Wxh, Whh, bh, Why, by = (q.parameters[name] for name in ("Wxh", "Whh", "bh", "Why", "by"))
    one = f32(1)
    W = np.concatenate([Whh, Wxh, bh], axis=1)  # (H, H + 2)
    z = np.ones((T + 1, H + 2, B), f32)  # columns h[t-1], x[t], 1: nothing to add up, one product a step
    z[0, :H] = q.h0
    d, slope, dh = np.empty((H, B), f32), np.empty((H, B), f32), np.empty((H, B), f32)
    dW, addend = np.empty_like(W), np.empty_like(W)
    y, dWhy, dby = np.empty((1, B), f32), np.empty_like(Why), np.empty_like(by)
    forward = [(z[t], z[t + 1, :H]) for t in range(T)]
    backward = [(z[t + 1, :H], z[t].T) for t in range(T - 1, -1, -1)]

    def step() -> tuple[float, Mapping[str, Array]]:
        W[:, :H], W[:, H : H + 1], W[:, H + 1 :] = Whh, Wxh, bh
        z[:T, H] = q.tokens[:, 0]
        for z_in, h in forward:
            dot(W, z_in, h)
            tanh(h, h)
        h = z[T, :H]
        dot(Why, h, y)
        add(y, by, y)
        subtract(y, q.targets, y)
        loss = 0.5 * float(dot(y[0], y[0]))
        dot(y, h.T, dWhy)
        add.reduce(y, axis=1, keepdims=True, out=dby)
        multiply(Why.T, y, dh)
        dW.fill(0)
        for h, z_in in backward:
            multiply(h, h, slope)
            subtract(one, slope, slope)
            multiply(slope, dh, d)
            dot(d, z_in, addend)
            add(dW, addend, dW)
            if z_in is not backward[-1][1]:
                dot(Whh.T, d, dh)
        return loss, {"Whh": dW[:, :H], "Wxh": dW[:, H : H + 1], "bh": dW[:, H + 1 :], "Why": dWhy, "by": dby}

    return step


def expert(q: Problem) -> Step:
    """Return the expert's program for the problem."""
    return {"lstm": lstm, "elman": elman, "forecaster": forecaster}[q.model](q)
