"""ONNX's own test cases for RNN and LSTM, on graphs built from minigrad's primitives.

The operators' definition is written down here as a person would record it: both directions, both layouts,
biases, initial states, peepholes, sequences of several lengths. What the `onnx` package expects must come
out.
"""

import warnings

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("onnx")


def cases():
    """The node test cases of the two operators, as the onnx package defines them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case import node
        from onnx.backend.test.case.node import lstm, rnn  # noqa: F401  (importing them makes the cases)

        return [case for case in node._NodeTestCases if case.model.graph.node[0].op_type in ("RNN", "LSTM")]


def rnn_cell(x, state, W, R, B, P):
    (h,) = state
    Wb, Rb = mg.split(B, 2, axis=0)
    return (mg.tanh(W @ x + R @ h + Wb + Rb),)


def lstm_cell(x, state, W, R, B, P):
    h, c = state
    Wb, Rb = mg.split(B, 2, axis=0)
    i, o, f, g = mg.split(W @ x + R @ h + Wb + Rb, 4, axis=0)
    Pi, Po, Pf = mg.split(P, 3, axis=0)
    i = mg.sigmoid(i + Pi * c)
    f = mg.sigmoid(f + Pf * c)
    c = f * c + i * mg.tanh(g)
    o = mg.sigmoid(o + Po * c)
    return o * mg.tanh(c), c


def run_direction(cell, X, parameters, state, lengths, backwards):
    """Unroll over `X (T, I, B)`; columns whose sequence is over keep their state and put out zero."""
    T, _, batch = X.shape
    outputs = [None] * T
    for t in reversed(range(T)) if backwards else range(T):
        with mg.step(t + 1):
            new = cell(X[t], state, *parameters)
            alive = mg.constant(np.broadcast_to(t < lengths, (1, batch)), name="alive")
            state = tuple(mg.where(alive, after, before) for after, before in zip(new, state, strict=True))
            outputs[t] = mg.where(alive, new[0], mg.constant(0.0))
    return mg.stack(outputs), state


def operator(node, given):
    """Record an ONNX `RNN` or `LSTM` node; returns its outputs by name, and the leaves it began from."""
    import onnx

    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    layout, direction = options.get("layout", 0), options.get("direction", b"forward")
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    by_role = {
        role: given[name].astype(np.float64) for role, name in zip(names, node.input, strict=False) if name
    }
    cell, count, gates = (rnn_cell, 1, 1) if node.op_type == "RNN" else (lstm_cell, 2, 4)
    H = options["hidden_size"]
    directions = by_role["W"].shape[0]
    X = by_role["X"].transpose(1, 0, 2) if layout else by_role["X"]
    T, batch, _ = X.shape
    lengths = by_role.get("sequence_lens", np.full(batch, T))
    leaves = {"X": mg.parameter(X.transpose(0, 2, 1), name="X")}
    answers, finals = [], []
    for d in range(directions):
        arrays = {
            "W": by_role["W"][d],
            "R": by_role["R"][d],
            "B": by_role.get("B", np.zeros((directions, 2 * gates * H)))[d][:, np.newaxis],
            "P": by_role.get("P", np.zeros((directions, 3 * H)))[d][:, np.newaxis],
        }
        parameters = [mg.parameter(array, name=f"{name}{'fb'[d]}") for name, array in arrays.items()]
        leaves |= {node.name: node for node in parameters}
        state = []
        for role in ("initial_h", "initial_c")[:count]:
            start = by_role.get(role, np.zeros((batch, directions, H) if layout else (directions, batch, H)))
            start = start[:, d] if layout else start[d]
            state.append(mg.constant(start.T, name=role, step=0))
        backwards = direction == b"reverse" or d == 1
        Y, final = run_direction(cell, leaves["X"], parameters, tuple(state), lengths, backwards)
        answers.append(mg.permute_dims(Y, (0, 2, 1)))  # (T, batch, H)
        finals.append([mg.permute_dims(s) for s in final])
    Y = mg.stack(answers, axis=1)  # (T, directions, batch, H)
    ends = [mg.stack([final[k] for final in finals]) for k in range(count)]
    if layout:
        Y = mg.permute_dims(Y, (2, 0, 1, 3))
        ends = [mg.permute_dims(end, (1, 0, 2)) for end in ends]
    results = dict(zip(["Y", "Y_h", "Y_c"], [Y, *ends], strict=False))
    return {
        name: results[role] for role, name in zip(["Y", "Y_h", "Y_c"], node.output, strict=False) if name
    }, leaves


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_onnx_expects_the_same(case):
    (node,) = case.model.graph.node
    for inputs, outputs in case.data_sets:
        names = [value.name for value in case.model.graph.input]
        found, leaves = operator(node, dict(zip(names, inputs, strict=True)))
        wanted = [value.name for value in case.model.graph.output]
        assert set(found) == set(wanted)
        for name, expected in zip(wanted, outputs, strict=True):
            assert found[name].shape == expected.shape
            np.testing.assert_allclose(found[name].value, expected, rtol=1e-5, atol=1e-6)
        # And the graph is there to be differentiated: against central differences, in a random direction.
        loss = mg.sum(mg.tanh(found[wanted[-1]]))
        W = leaves["Wf"]
        (gradient,) = mg.grad(loss, [W])
        step = 1e-6
        probe = np.random.default_rng(0).standard_normal(W.shape)
        sides = []
        for sign in (1, -1):
            moved = dict(zip(names, inputs, strict=True))
            weights = moved[node.input[1]].astype(np.float64)
            weights[0] += sign * step * probe
            again, _ = operator(node, moved | {node.input[1]: weights})
            sides.append(float(mg.sum(mg.tanh(again[wanted[-1]])).value))
        assert float((gradient * probe).sum()) == pytest.approx(
            (sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-9
        )


def test_all_cases_are_there():
    """Forward, reverse and both; both layouts; initial states; peepholes (the onnx package may gain more)."""
    names = {case.name for case in cases()}
    assert {
        "test_lstm_defaults",
        "test_lstm_reverse",
        "test_lstm_bidirectional",
        "test_lstm_batchwise",
        "test_lstm_with_initial_bias",
        "test_lstm_with_peepholes",
        "test_simple_rnn_defaults",
        "test_simple_rnn_reverse",
        "test_simple_rnn_bidirectional",
        "test_simple_rnn_batchwise",
        "test_simple_rnn_with_initial_bias",
        "test_rnn_seq_length",
    } <= names
