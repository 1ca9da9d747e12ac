"""The examples run, and show what they say they show (briefly here, in full by hand)."""

import runpy
import sys
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_adding_problem(tmp_path, monkeypatch, capsys):
    figure = tmp_path / "figure.svg"
    options = ["--steps", "12", "--updates", "100", "--hidden", "8", "--out", str(figure)]
    monkeypatch.setattr(sys, "argv", ["adding_problem.py", *options])
    runpy.run_path(str(EXAMPLES / "adding_problem.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "0.1667" in out and "ElmanRNN" in out and "LSTM" in out
    assert figure.read_text().lstrip().startswith("<?xml")


def test_its_problems_are_what_they_are_said_to_be():
    module = runpy.run_path(str(EXAMPLES / "adding_problem.py"))
    inputs, sums = module["problem"](np.random.default_rng(0), 20, 1000)
    numbers, marks = inputs[:, 0], inputs[:, 1]
    assert (marks[:10].sum(axis=0) == 1).all() and (marks[10:].sum(axis=0) == 1).all()
    assert np.allclose((numbers * marks).sum(axis=0), sums[0])
    assert abs(np.mean((sums - 1) ** 2) - 1 / 6) < 0.02


def test_the_reach_is_the_gradient_split_over_time():
    """Over two steps from a zero state only the second contributes: its share is the whole gradient."""
    import minigrad as mg
    from models import ElmanRNN

    module = runpy.run_path(str(EXAMPLES / "adding_problem.py"))
    net = ElmanRNN(2, 4, 1, topology="many-to-one", fy="identity", seed=0)
    inputs, sums = module["problem"](np.random.default_rng(0), 2, 5)
    norms = module["reach"](net, inputs, sums)
    (gradient,) = mg.grad(net(inputs, sums).loss, [net.parameters["Whh"]])
    assert norms[0] == 0  # h[0] is zero
    assert np.isclose(norms[1], np.linalg.norm(gradient), rtol=1e-12)
