"""The derivations of both notes in plain numpy, as a person writes them after working through the equations.

Nothing here knows minigrad. These loops are its opponent: in the tests and in `minigrad demo` the recorded
gradients are held against them, in the benchmark they are the program to beat. So every backward line
stands beside the equation it transcribes, named by file and line of the note:

    000    000_6d4a434549656d3e.txt    Elman network and LSTM: embedding, softmax, a loss at every step
    002    002_16545877b82ad9e0.txt    Elman network and LSTM on numbers: one loss, at the last step

Where a note slips, a comment says what it has and what was meant. Vectors are columns `(features, batch)`;
with a batch, `dWhy += do * h^T` sums over the columns by itself and `dby += do` means the sum over the
columns. Steps count from 1, and step 0 is the state before the first. Losses are summed over steps and
columns. dtypes are kept: float32 in, float32 out.

Method: backpropagation through time, Werbos 1990; networks of Elman 1990, Hochreiter & Schmidhuber 1997 and
Gers et al. 2000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class ByHand(NamedTuple):
    """What a derivation yields: the loss, dL/dX by the name of X (`h`, `c`: the initial states), the outputs.

    `contributions` holds dL/dWhh split by time step and `paths` the addends of dL/dh[t-1], for the notes
    that write them out.
    """

    loss: float
    gradients: dict[str, Array]
    outputs: dict[int, Array]
    contributions: dict[int, Array] | None = None
    paths: dict[int, dict[str, Array]] | None = None


class Activation(NamedTuple):
    """A function of the pre-activation and its derivative there (note 002: `act(z)`, `act(z)'`)."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def softmax(o: Array) -> Array:
    """Return exp(o) over its sum in each column, `o (features, batch)`."""
    e = np.exp(o - o.max(axis=0))
    p: Array = e / e.sum(axis=0)
    return p


IDENTITY = Activation(lambda z: z, lambda z: np.ones_like(z))
TANH = Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2)
SIGMOID = Activation(sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)))
ACTIVATIONS = {"identity": IDENTITY, "tanh": TANH, "sigmoid": SIGMOID}


def _column_sum(d: Array) -> Array:
    total: Array = d.sum(axis=1, keepdims=True)
    return total


def elman(parameters: Mapping[str, Array], tokens: Array, targets: Array, h0: Array) -> ByHand:
    """Elman network of note 000, many-to-many: a class in and a class out at every step.

    Shapes: `Wex (E, V)`, `Wxh (H, E)`, `Whh (H, H)`, `bh (H, 1)`, `Why (O, H)`, `by (O, 1)`; `tokens` and
    `targets` `(T, B)` of class indices; `h0 (H, B)`. The one-hot `c` of the note is never multiplied out
    going forward: `Wex c` is a column of Wex.
    """
    Wex, Wxh, Whh, bh, Why, by = (parameters[name] for name in ("Wex", "Wxh", "Whh", "bh", "Why", "by"))
    T, B = tokens.shape
    columns = np.arange(B)
    eye = np.eye(Wex.shape[1], dtype=Wex.dtype)
    x: dict[int, Array] = {}
    h: dict[int, Array] = {0: h0}
    p: dict[int, Array] = {}
    loss = 0.0
    for t in range(1, T + 1):
        x[t] = Wex[:, tokens[t - 1]]
        h_pre = Whh @ h[t - 1] + Wxh @ x[t]
        h[t] = np.tanh(h_pre + bh)
        p[t] = softmax(Why @ h[t] + by)
        loss -= float(np.log(p[t][targets[t - 1], columns]).sum())

    dWex, dWxh, dWhh, dbh, dWhy, dby = (np.zeros_like(W) for W in (Wex, Wxh, Whh, bh, Why, by))
    dh = np.zeros_like(h0)
    for t in range(T, 0, -1):
        do = p[t].copy()
        do[targets[t - 1], columns] -= 1  # 000:21  do = p - y
        dWhy += do @ h[t].T  # 000:22  dWhy += do * h^T
        dby += _column_sum(do)  # 000:23  dby += do
        dh = Why.T @ do + dh  # 000:25  dh = Why^T * do + dh   (the dh on the right arrives from t+1)
        dh_pre = (1 - h[t] ** 2) * dh  # 000:26  dh_pre = (1 - h²) * dh   (the gradient of h_pre + bh)
        dbh += _column_sum(dh_pre)  # 000:27  dbh += dh_pre
        dWhh += dh_pre @ h[t - 1].T  # 000:29  dWhh += dh_pre * h[n-1]^T
        dWxh += dh_pre @ x[t].T  # 000:32  dWxh += d_pre * x^T   slip: `d_pre` is dh_pre of line 26
        dx = Wxh.T @ dh_pre  # 000:33  dx = Wxh^T * d_pre   same slip
        dWex += dx @ eye[tokens[t - 1]]  # 000:34  dWex += dx * c^T
        dh = Whh.T @ dh_pre  # 000:30  dh = Whh^T * dh_pre   (now the carry for t-1)
    gradients = {"Wex": dWex, "Wxh": dWxh, "Whh": dWhh, "bh": dbh, "Why": dWhy, "by": dby, "h": dh}
    return ByHand(loss, gradients, p)


def lstm(parameters: Mapping[str, Array], tokens: Array, targets: Array, h0: Array, c0: Array) -> ByHand:
    """LSTM of note 000, many-to-many: a class in and a class out at every step.

    Shapes: `Wex (E, V)`; `Wf Wi Wc Wo (H, H + E)` and `bf bi bc bo (H, 1)`; `Why (O, H)`, `by (O, 1)`;
    `tokens` and `targets` `(T, B)` of class indices; `h0` and `c0` `(H, B)`. The note draws the output as
    `[b]` (line 53) where the softmax `[p]` is meant.
    """
    Wex, Why, by = (parameters[name] for name in ("Wex", "Why", "by"))
    Wf, Wi, Wc, Wo = (parameters[name] for name in ("Wf", "Wi", "Wc", "Wo"))
    bf, bi, bc, bo = (parameters[name] for name in ("bf", "bi", "bc", "bo"))
    T, B = tokens.shape
    H = h0.shape[0]
    columns = np.arange(B)
    eye = np.eye(Wex.shape[1], dtype=Wex.dtype)
    z: dict[int, Array] = {}
    fg: dict[int, Array] = {}
    ig: dict[int, Array] = {}
    og: dict[int, Array] = {}
    c_hat: dict[int, Array] = {}
    c: dict[int, Array] = {0: c0}
    tanh_c: dict[int, Array] = {}
    h: dict[int, Array] = {0: h0}
    p: dict[int, Array] = {}
    loss = 0.0
    for t in range(1, T + 1):
        wes = Wex[:, tokens[t - 1]]
        z[t] = np.concatenate([h[t - 1], wes])
        fg[t] = sigmoid(Wf @ z[t] + bf)
        ig[t] = sigmoid(Wi @ z[t] + bi)
        c_hat[t] = np.tanh(Wc @ z[t] + bc)
        og[t] = sigmoid(Wo @ z[t] + bo)
        c[t] = fg[t] * c[t - 1] + ig[t] * c_hat[t]
        tanh_c[t] = np.tanh(c[t])
        h[t] = og[t] * tanh_c[t]
        p[t] = softmax(Why @ h[t] + by)
        loss -= float(np.log(p[t][targets[t - 1], columns]).sum())

    dWex, dWhy, dby = (np.zeros_like(W) for W in (Wex, Why, by))
    dWf, dWi, dWc, dWo = (np.zeros_like(W) for W in (Wf, Wi, Wc, Wo))
    dbf, dbi, dbc, dbo = (np.zeros_like(b) for b in (bf, bi, bc, bo))
    dh, dc = np.zeros_like(h0), np.zeros_like(c0)
    for t in range(T, 0, -1):
        do = p[t].copy()
        do[targets[t - 1], columns] -= 1  # 000:59  do = p - y
        dWhy += do @ h[t].T  # 000:60  dWhy += do * h^T
        dby += _column_sum(do)  # 000:61  dby += do
        dh = Why.T @ do + dh  # 000:63  dh = Why^T * do + dh
        dog = dh * tanh_c[t]  # 000:65  dog = dh * tanh(c)
        dog_pre = dog * og[t] * (1 - og[t])  # 000:66  dog_pre = dog * og * (1 - og)
        dWo += dog_pre @ z[t].T  # 000:67  dWo += dog_pre * z^T
        dbo += _column_sum(dog_pre)  # 000:68  dbo += dog_pre
        dtanc = dh * og[t]  # 000:70  dtanc = dh * og
        dc = dtanc * (1 - tanh_c[t] ** 2) + dc  # 000:71  dc = dtanc * (1 - tanh(c)²) + dc
        dc_hat = dc * ig[t]  # 000:73  dc_hat = dc * ig
        dc_hat_pre = dc_hat * (1 - c_hat[t] ** 2)  # 000:74  dc_hat_pre = dc_hat * (1 - c_hat²)
        dWc += dc_hat_pre @ z[t].T  # 000:75  dWc += dc_hat_pre * z^T
        dbc += _column_sum(dc_hat_pre)  # 000:76  dbc += dc_hat_pre
        dig = dc * c_hat[t]  # 000:78  dig = dc * c_hat
        dig_pre = dig * ig[t] * (1 - ig[t])  # 000:79  dig_pre = dig * ig * (1 - ig)
        dWi += dig_pre @ z[t].T  # 000:80  dWi += dig_pre * z^T
        dbi += _column_sum(dig_pre)  # 000:81  dbi += dig_pre
        dfg = dc * c[t - 1]  # 000:83  dfg = dc * c[t-1]
        dfg_pre = dfg * fg[t] * (1 - fg[t])  # 000:84  dfg_pre = dfg * fg * (1 - fg)
        dWf += dfg_pre @ z[t].T  # 000:85  dWf += dfg_pre * z^T
        dbf += _column_sum(dfg_pre)  # 000:86  dbf += dfg_pre
        dc = dc * fg[t]  # 000:88  dc = dc * fg   (now the carry for t-1)
        dz = Wf.T @ dfg_pre + Wi.T @ dig_pre + Wc.T @ dc_hat_pre + Wo.T @ dog_pre  # 000:90
        dh = dz[:H]  # 000:92  dh = dz[:?]   the bound is the size of h; the carry for t-1
        dwes = dz[H:]  # 000:93  dwes = dz[?:]
        dWex += dwes @ eye[tokens[t - 1]]  # 000:94  dWex += adwes * x^T   slip: `adwes` is dwes of line 93
    gradients = {
        "Wex": dWex,
        "Wf": dWf, "bf": dbf, "Wi": dWi, "bi": dbi, "Wc": dWc, "bc": dbc, "Wo": dWo, "bo": dbo,
        "Why": dWhy, "by": dby, "h": dh, "c": dc,
    }  # fmt: skip
    return ByHand(loss, gradients, p)


def elman_many_to_one(
    parameters: Mapping[str, Array],
    inputs: Array,
    y_true: Array,
    h0: Array,
    act: Activation = TANH,
    fy: Activation = IDENTITY,
) -> ByHand:
    """Elman network of note 002 (lines 12-40 with T = 2, 49-102 with T = 4): numbers in, one loss at the end.

    The note leaves L open; here it is half the squared error, so that dL/dy = y - y_true. Shapes: `Wxh (H,
    F)`, `Whh (H, H)`, `bh (H, 1)`, `Why (O, H)`, `by (O, 1)`; `inputs (T, F, B)`, `y_true (O, B)`, `h0 (H,
    B)`.

    The note writes gradients as rows (`dL/dy ⋅ Why`), here they are columns (`Why^T dL/dy`). Its `1 -
    squared(h2) ⋅ ...` means `(1 - squared(h2)) ⋅ ...`, elementwise (lines 23-40), and holds for act = tanh
    only; `act(z)'` is the general form.
    """
    Wxh, Whh, bh, Why, by = (parameters[name] for name in ("Wxh", "Whh", "bh", "Why", "by"))
    T = len(inputs)
    z: dict[int, Array] = {}
    h: dict[int, Array] = {0: h0}
    for t in range(1, T + 1):
        z[t] = (
            Wxh @ inputs[t - 1] + Whh @ h[t - 1] + bh
        )  # 002:51  z1 = matmul(Wxh, x1) + matmul(Whh, h0) + bh
        h[t] = act.value(z[t])  # 002:52  h1 = act(z1)
    o = Why @ h[T] + by
    y = fy.value(o)  # 002:16  y = fy(matmul(Why, h2) + by)
    loss = float(0.5 * np.sum((y - y_true) ** 2))

    dWxh, dbh = np.zeros_like(Wxh), np.zeros_like(bh)
    # 002:21 says dy/dh2 = Why, which forgets fy': it holds for the identity only.
    do = (y - y_true) * fy.slope(o)
    dh = Why.T @ do  # 002:22  dL/dh2 = dL/dy ⋅ Why
    contributions: dict[int, Array] = {}
    for t in range(T, 0, -1):
        dz = dh * act.slope(z[t])
        # 002:23-24  dL/dWhh (t = 2) = dL/dh2 ⋅ dh2/dWhh = dL/dh2 ⋅ 1 - squared(h2) ⋅ transpose(h1)
        contributions[t] = dz @ h[t - 1].T
        dWxh += dz @ inputs[t - 1].T
        dbh += _column_sum(dz)
        # 002:28  dL/dh1 = dL/dh2 ⋅ 1 - squared(h2) ⋅ Whh for t > 1; for t = 1 the gradient of h0
        dh = Whh.T @ dz  # (line 29 has `h1/dWhh` where dh1/dWhh is meant)
    dWhh = np.zeros_like(Whh)
    for t in range(1, T + 1):
        dWhh += contributions[t]  # 002:34  dL/dWhh (t = 2) + dL/dWhh (t = 1), likewise 101
    gradients = {"Wxh": dWxh, "Whh": dWhh, "bh": dbh, "Why": do @ h[T].T, "by": _column_sum(do), "h": dh}
    return ByHand(loss, gradients, {T: y}, contributions)


def lstm_many_to_one(
    parameters: Mapping[str, Array],
    inputs: Array,
    y_true: Array,
    h0: Array,
    c0: Array,
    fy: Activation = IDENTITY,
) -> ByHand:
    """LSTM of note 002 (lines 106-148, with T = 2): numbers in, stacked under the state, one loss at the end.

    The note's `w_f`, `b_f`, `w_y` are here `Wf`, `bf`, `Why`, the model's names. Shapes: `Wf Wi Wc Wo (H, H
    + F)`, `bf bi bc bo (H, 1)`, `Why (O, H)`, `by (O, 1)`; `inputs (T, F, B)`, `y_true (O, B)`, `h0` and
    `c0` `(H, B)`. L is half the squared error.

    `paths[t]` holds the four addends of dL/dh[t-1] that lines 144-147 write out (by way of o, f, i and
    c_tilde).
    """
    Wf, Wi, Wc, Wo, Why = (parameters[name] for name in ("Wf", "Wi", "Wc", "Wo", "Why"))
    bf, bi, bc, bo, by = (parameters[name] for name in ("bf", "bi", "bc", "bo", "by"))
    T = len(inputs)
    H = h0.shape[0]
    concat: dict[int, Array] = {}
    f: dict[int, Array] = {}
    i: dict[int, Array] = {}
    c_tilde: dict[int, Array] = {}
    o: dict[int, Array] = {}
    c: dict[int, Array] = {0: c0}
    h: dict[int, Array] = {0: h0}
    for t in range(1, T + 1):
        concat[t] = np.vstack([h[t - 1], inputs[t - 1]])  # 002:106  concat1 = vstack({h_0, transpose(x_1)})
        f[t] = sigmoid(Wf @ concat[t] + bf)  # 002:108-109
        i[t] = sigmoid(Wi @ concat[t] + bi)  # 002:111-112
        c_tilde[t] = np.tanh(Wc @ concat[t] + bc)  # 002:114-115
        c[t] = f[t] * c[t - 1] + i[t] * c_tilde[t]  # 002:117  c_1 = f_1 * c_0 + i_1 * c_tilde_1
        o[t] = sigmoid(Wo @ concat[t] + bo)  # 002:119-120
        h[t] = o[t] * np.tanh(c[t])  # 002:122  h_1 = o_1 * hyperbolic_tangent(c_1)
    z_y = Why @ h[T] + by
    y = fy.value(z_y)  # 002:142  y_2 = matmul(w_y, h_2) + b_y
    loss = float(0.5 * np.sum((y - y_true) ** 2))

    gradients = {
        name: np.zeros_like(parameters[name]) for name in ("Wf", "bf", "Wi", "bi", "Wc", "bc", "Wo", "bo")
    }
    dz_y = (y - y_true) * fy.slope(z_y)
    gradients["Why"] = dz_y @ h[T].T
    gradients["by"] = _column_sum(dz_y)
    dh = Why.T @ dz_y  # 002:144  dL/dy_2 * dy_2/dh_2
    dc = np.zeros_like(c0)
    paths: dict[int, dict[str, Array]] = {}
    for t in range(T, 0, -1):
        tanh_c = np.tanh(c[t])
        dc = dh * o[t] * (1 - tanh_c**2) + dc  # 002:145  ... dh_2/dc_2; the carry matters from three steps on
        dz_o = dh * tanh_c * o[t] * (1 - o[t])  # 002:144  ... dh_2/do_2 * do_2/dconcat2
        dz_f = dc * c[t - 1] * f[t] * (1 - f[t])  # 002:145  ... dc_2/df_2 * df_2/dconcat2
        dz_i = dc * c_tilde[t] * i[t] * (1 - i[t])  # 002:146  ... dc_2/di_2 * di_2/dconcat2
        dz_c = dc * i[t] * (1 - c_tilde[t] ** 2)  # 002:147  ... dc_2/dc_tilde_2 * dc_tilde_2/dconcat2
        for name, dz in (("f", dz_f), ("i", dz_i), ("c", dz_c), ("o", dz_o)):
            gradients["W" + name] += dz @ concat[t].T
            gradients["b" + name] += _column_sum(dz)
        # dconcat2/dh_1 takes the first H rows.
        paths[t] = {
            "o": Wo.T[:H] @ dz_o,  # 002:144
            "f": Wf.T[:H] @ dz_f,  # 002:145
            "i": Wi.T[:H] @ dz_i,  # 002:146
            "c_tilde": Wc.T[:H] @ dz_c,  # 002:147
        }
        dh = paths[t]["o"] + paths[t]["f"] + paths[t]["i"] + paths[t]["c_tilde"]  # 002:148  = dL/dh_1
        dc = dc * f[t]
    gradients["h"], gradients["c"] = dh, dc
    return ByHand(loss, gradients, {T: y}, paths=paths)
