"""The two notes: each line gets the verdict that a careful mathematician would give."""

from __future__ import annotations

import pytest

from minigrad.derivation.reader import read

from .common import checked, source


def test_the_elman_derivation_of_note_000():
    report = checked(source("note-000-elman"), "elman")
    verdicts = [(f.equation, f.verdict) for f in report.lines]
    assert [v for _, v in verdicts] == ["right"] * 8 + ["undefined"] * 2 + ["right"]
    assert not report.ok
    for finding in report.lines[8:10]:
        assert finding.kind == "d_pre"
        assert finding.text[slice(*finding.span)] == "d_pre"
        assert finding.suggestions[0].text == finding.equation.replace("d_pre", "dh_pre")
    assert {g.name: g.right for g in report.gradients} == {
        "Whh": True, "Why": True, "bh": True, "by": True, "Wex": False, "Wxh": False,
    }  # fmt: skip
    assert report.repaired and all(g.right for g in report.repaired)
    meanings = {f.equation: f.meaning for f in report.lines}
    assert meanings["dh = Why^T * do + dh"] == "total"
    assert meanings["dh = Whh^T * dh_pre"] == "carry"
    assert meanings["dWhy += do * h^T"] == "contribution"


def test_the_lstm_derivation_of_note_000():
    report = checked(source("note-000-lstm"), "lstm")
    rules, rest = report.lines[:2], report.lines[2:]
    assert {f.verdict for f in rules} == {"not-tested"}  # about any f, a and b
    assert [f.verdict for f in rest] == ["right"] * 24 + ["right-as", "right-as", "undefined"]
    assert [f.exact for f in rest[-3:-1]] == ["dh = dz[:H]", "dwes = dz[H:]"]
    assert rest[-1].suggestions[0].text == "dWex += dwes * x^T"
    assert report.repaired and all(g.right for g in report.repaired)
    assert len(report.repaired) == 11


def test_the_two_steps_of_note_002():
    report = checked(source("note-002-two-steps"), "rnn-many-to-one", 2)
    found = {f.equation: f for f in report.lines}

    chain = found["dL/dWhh (t = 2) = dL/dh2 ⋅ dh2/dWhh"]
    assert (chain.verdict, chain.meaning) == ("right", "contribution")
    assert any("as a total derivative the line would be wrong" in note for note in chain.notes)

    rows = found["dL/dh2 = dL/dy ⋅ Why"]
    assert (rows.verdict, rows.reading, rows.layout) == ("right-as", "gradients as rows", "rows")
    assert any("fy is the identity" in note for note in rows.notes)

    loose = found["dh2/dWhh = 1 - squared(h2) ⋅ transpose(h1)"]
    assert (loose.verdict, loose.reading) == ("right-as", "loose precedence")
    assert loose.exact == "dh2/dWhh = (1 - squared(h2)) ⋅ transpose(h1)"

    both = found["dL/dh1 = dL/dh2 ⋅ 1 - squared(h2) ⋅ Whh"]
    assert both.verdict == "right-as" and "loose precedence" in both.reading and "rows" in both.reading

    for t in (1, 2):
        restated = found[f"dL/dWhh = dL/dh{t} ⋅ 1 - squared(h{t}) ⋅ transpose(h{t - 1})"]
        assert restated.verdict == "right-as"
        assert f"right as the contribution of t = {t}, not as the total gradient" in restated.notes
        assert restated.layout == "columns"

    slip = found["dL/dWhh (t = 1) = dL/dh1 ⋅ h1 / dWhh"]
    assert slip.verdict == "shape"
    assert slip.suggestions[0].text == "dL/dWhh (t = 1) = dL/dh1 ⋅ dh1/dWhh"

    assert found["dL/dWhh = sum t from 1 to 2 dL/dht ⋅ dht/dWhh"].verdict == "right"
    assert (
        found["dL/dWhh = sum t from 1 to 2 dL/dht ⋅ 1 - squared(ht) ⋅ transpose(h[t-1])"].reading
        == "loose precedence"
    )
    assert any("layout changes" in warning for warning in report.warnings)
    assert [g.name for g in report.gradients if g.right] == ["Whh"]


def test_the_four_steps_of_note_002():
    report = checked(source("note-002-four-steps"), "rnn-many-to-one", 4)
    assert report.ok
    found = {f.equation: f for f in report.lines}
    assert found["f(x) = x²"].verdict == "not-tested"
    assert found["f(2)' = 2(2) = 4"].verdict == "right"
    assert found["dh4/dh3 = act(z4)' ⋅ Whh"].reading == "elementwise factor as a diagonal"
    assert found["dL/dWhh (t = 4) = dL/dh4 ⋅ act(z4)' ⋅ transpose(h3)"].verdict == "right"
    bare = next(f for f in report.lines if f.equation.startswith("dL/dWhh (t = 1) + "))
    assert (bare.verdict, bare.matched) == ("right", "equals dL/dWhh")


def test_the_lstm_of_note_002_and_its_path_sum():
    report = checked(source("note-002-lstm"), "lstm-many-to-one", 2)
    assert report.ok
    assert report.lines[-1].verdict == "right"
    assert report.lines[-1].nodes == ["dh[1]"]
    data = [f for f in report.lines if f.equation.startswith("concat")]
    assert {f.reading for f in data} == {"data as rows"}


@pytest.mark.parametrize(
    ("name", "model", "steps"),
    [
        ("elman", "elman", 3),
        ("lstm", "lstm", 3),
        ("many-to-one-2", "rnn-many-to-one", 2),
        ("many-to-one-4", "rnn-many-to-one", 4),
        ("many-to-many", "rnn-many-to-many", 3),
        ("lstm-paths", "lstm-many-to-one", 2),
    ],
)
def test_the_shipped_derivations_are_right_in_every_line(name, model, steps):
    report = checked(source(name), model, steps)
    assert report.ok
    assert {f.verdict for f in report.lines} == {"right"}


def test_a_zero_initial_state_tests_nothing_and_says_so():
    import numpy as np

    import minigrad as mg
    from minigrad.derivation import check

    random = np.random.default_rng(0)
    Wxh, Whh = (mg.parameter(random.normal(size=s), name=n) for n, s in (("Wxh", (4, 3)), ("Whh", (4, 4))))
    h = mg.constant(np.zeros((4, 1)), name="h", step=0)
    for t in (1, 2):
        with mg.step(t):
            h = mg.tanh(Wxh @ mg.constant(random.normal(size=(3, 1)), name="x") + Whh @ h).named("h")
    loss = mg.squared_error(h, mg.constant(random.normal(size=(4, 1)), name="y_true"))
    right = "dL/dWhh (t = 1) = dL/dh1 ⋅ (1 - squared(h1)) ⋅ transpose(h0)"
    finding = check(right, loss).lines[0]
    assert finding.verdict == "not-tested" and "h[0] is zero" in finding.reason
    # A formula that gives something where nothing is due is still wrong.
    assert check(right.replace("h0", "h1"), loss).lines[0].verdict == "wrong"


def test_prose_and_drawings_are_passed_over_and_listed():
    text = read(
        "\n".join(
            [
                "Elman-RNN", "=========", ">---------+-[h].      ,[h]-'---+-->",
                "            {Wxh}", "             [x]",
                "BPTT process for an RNN. This shows how to calculate gradients respect to Whh.",
                "loss function at time step T = 2: L = L(y, y_true)",
                "- I set batch_size = 8317 since data size is (8327, 1) so batch size is 8327 - seq_length",
                "50 1, 1 8316 = 50 8316 -> 50 50, 50 8316 = 50 8316", "do = p - y", "T = 2", "", "dby += do",
            ]
        )
    )  # fmt: skip
    assert [line.number for line in text.equations] == [10, 13]
    assert len(text.lines) == 12
