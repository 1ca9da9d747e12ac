"""The two drawings of note 000: what they say, and what has to be changed in them to be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli.model import load
from minigrad.derivation import check
from models import by_hand
from visualize import parse
from visualize.errors import DrawingSyntaxError
from visualize.sizes import random_arrays
from visualize.view import hand

DRAWINGS = Path(__file__).parents[2] / "examples" / "drawings"
ELMAN = (DRAWINGS / "note-000-elman.txt").read_text(encoding="utf-8")
LSTM = (DRAWINGS / "note-000-lstm.txt").read_text(encoding="utf-8")
# As the note has it: an input of the second, cut-off cell ends in the air, and the output is called b.
LSTM_AS_TYPED = LSTM.replace("^", "|").replace("[p]", "[b]")


def _wires(text: str) -> list[str]:
    return sorted(str(parse(text)).splitlines())


def test_the_elman_drawing_reads_as_it_stands():
    assert len(ELMAN.splitlines()) == 17
    step = ["[c] -> {Wex}", "{Wex} -> [x]", "[x] -> {Wxh}", "{Wxh} -> #", "[h] -> {Whh}", "{Whh} -> #",
            "# -> [h_pre]", "[h_pre] -> (tanh+bh)", "(tanh+bh) -> [h]", "[h] -> {Why}",
            "{Why} -> (softmax+by)", "(softmax+by) -> [p]"]  # fmt: skip
    assert _wires(ELMAN) == sorted([*step, *step, "> -> [h]", "[h] -> [h]", "[h] -> >"])


def test_the_elman_drawing_is_the_network_that_the_models_have():
    diagram = parse(ELMAN)
    built = diagram.build(*random_arrays(diagram))
    assert hand([built.loss()]).isomorphic(hand([load("elman", steps=2)]))


def test_the_lstm_drawing_is_refused_as_typed_where_it_ends_in_the_air():
    with pytest.raises(DrawingSyntaxError) as caught:
        parse(LSTM_AS_TYPED)
    assert (caught.value.line, caught.value.column) == (14, 73)
    assert sum(a != b for a, b in zip(LSTM, LSTM_AS_TYPED, strict=True)) == 2  # one of them is only a name


def test_the_lstm_drawing_reads_with_one_sign_changed():
    read = parse(LSTM)
    first = [s for s in read.symbols if s.step in (0, 1) and s.kind != "carry"]
    assert sorted(s.written for s in first) == sorted(
        [
            "[c]",
            "[h]",
            "#",
            "[wes]",
            "{Wex}",
            "[x]",
            "[z]",
            "{Wf}",
            "{Wi}",
            "{Wc}",
            "{Wo}",
            "(sig+bf)",
            "(sig+bi)",
            "(tanh+bc)",
            "(sig+bo)",
            "[fg]",
            "[ig]",
            "[c_hat]",
            "[og]",
            "(*)",
            "(*)",
            "(*)",
            "(+)",
            "(tanh)",
            "[c]",
            "{Why}",
            "(softmax+by)",
            "[p]",
            "[h]",
            "[c]",
        ]
    )
    joined = next(s for s in read.symbols if s.written == "#" and s.step == 1)
    assert [s.text for s in read.inputs(joined)] == ["h", "wes"]  # a concatenation, h above wes


def test_the_elman_drawing_computes_what_the_note_derives():
    diagram = parse(ELMAN)
    parameters, inputs = random_arrays(diagram, seed=3, batch=2)
    built = diagram.build(parameters, inputs)
    loss = built.loss(seed=3)
    loss.backward()
    h = inputs["h"]
    for t, c in enumerate(inputs["c"], 1):
        x = parameters["Wex"] @ c
        h = np.tanh(parameters["Whh"] @ h + parameters["Wxh"] @ x + parameters["bh"])
        np.testing.assert_allclose(built["h", t].value, h, rtol=1e-12)
    for name, node in built.parameters.items():
        np.testing.assert_allclose(node.grad, mg.grad(loss, node), rtol=1e-12)
        numeric = _difference(diagram, parameters, inputs, name)
        np.testing.assert_allclose(node.grad.flat[0], numeric, rtol=1e-6, atol=1e-9)
    assert by_hand is not None


def _difference(diagram, parameters, inputs, name, step=1e-6):
    ends = []
    for sign in (1, -1):
        moved = {k: v.copy() for k, v in parameters.items()}
        moved[name].flat[0] += sign * step
        ends.append(diagram.build(moved, inputs).loss(seed=3).item())
    return (ends[0] - ends[1]) / (2 * step)


def test_the_notes_derivation_is_held_against_the_notes_own_drawing():
    text = (Path(mg.__file__).parents[1] / "models" / "derivations" / "note-000-elman.txt").read_text("utf-8")
    loss = load(str(DRAWINGS / "note-000-elman.txt"))
    report = check(text, loss)
    verdicts = {f.equation: f.verdict for f in report.lines}
    assert verdicts["dh = Why^T * do + dh"] == "right"
    assert verdicts["dWhh += dh_pre * h[t-1]^T"] == "right"
    assert verdicts["dWxh += d_pre * x^T"] == "undefined"  # the slip of the note


@pytest.mark.parametrize("model", ["elman", "lstm"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_drawn_network_is_the_recorded_one_again(model, steps):
    """Draw it, read it, run it on the same numbers: the same values and the same gradients."""
    loss = load(model, steps=steps, columns=2)
    graph = mg.Graph(loss)
    diagram = parse(hand([loss]).draw_text())
    parameters = {name: graph[name].value for name in diagram.parameters}
    inputs: dict[str, object] = {"h": graph["h", 0].value}
    if model == "lstm":
        inputs["c"] = graph["c", 0].value
    fed = "c" if model == "elman" else "x"
    given = [graph[fed, t].value for t in range(1, steps + 1)]
    inputs[fed] = given[0] if steps == 1 else given
    built = diagram.build(parameters, inputs)
    again = mg.accumulate(
        *[mg.cross_entropy(built["p", t].inputs[0], graph["y", t].value) for t in range(1, steps + 1)]
    )
    np.testing.assert_allclose(again.item(), loss.item(), rtol=1e-13)
    for name in parameters:
        np.testing.assert_allclose(
            mg.grad(again, built.parameters[name]), mg.grad(loss, graph[name]), rtol=1e-11, atol=1e-14
        )
    assert hand([again]).isomorphic(hand([loss]))
