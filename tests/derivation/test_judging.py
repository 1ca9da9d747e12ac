"""Judging: meanings, readings, reasons, end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.derivation import check
from minigrad.derivation.checker import CheckError
from minigrad.errors import MinigradError

from . import graphs
from .common import checked, in_place, one, source


def test_one_slip_is_one_finding():
    """Names on the right take their true values, so the lines that build on a wrong line stay right."""
    report, finding = in_place("lstm", "do = p - y", "do = y - p")
    assert [f.number for f in report.lines if f.is_bad] == [finding.number]
    assert finding.reason == "the sign is wrong"
    # End to end, everything is wrong.
    assert not any(g.right for g in report.gradients)


def test_a_missing_carry_is_named():
    report, finding = in_place("lstm", "dc = dtanc * (1 - tanh(c)²) + dc", "dc = dtanc * (1 - tanh(c)²)")
    assert finding.verdict == "wrong"
    assert "right at t = 3, off by" in finding.reason and "t = 2 and t = 1" in finding.reason
    assert finding.reason.endswith("the carry from t+1 is missing")
    assert finding.suggestions[0].text == "dc = dtanc * (1 - tanh(c)²) + dc"
    assert report.repaired and all(g.right for g in report.repaired)


def test_a_carry_that_is_never_assigned_shows_end_to_end():
    text = source("elman").replace("dh = Whh^T * dh_pre\n", "")
    report = checked(text)
    assert {f.verdict for f in report.lines} == {"right"}
    assert not report.ok and not {g.name: g for g in report.gradients}["Whh"].right


def test_a_direct_part_that_is_completed_later_is_right():
    text = source("elman").replace("dh = Why^T * do + dh\n", "dh_out = Why^T * do\ndh += dh_out\n")
    assert checked(text).ok
    text = (
        source("elman")
        .replace("dh = Why^T * do + dh\n", "dh = Why^T * do + dh_next\n")
        .replace("dh = Whh^T", "dh_next = Whh^T")
    )
    assert checked(text).ok  # the way of Karpathy's min-char-rnn


def test_overwriting_a_parameter_is_wrong():
    _, finding = in_place("elman", "dWhy += do * h^T", "dWhy = do * h^T")
    assert finding.verdict == "wrong" and "overwrites" in finding.reason
    assert finding.suggestions[0].text == "dWhy += do * h^T"


def test_an_assignment_that_claims_nothing_is_not_the_carry():
    _, finding = in_place("lstm", "dc = dc * fg", "dc = dc")
    assert finding.verdict == "wrong" and "what goes to t-1 is expected" in finding.reason
    assert finding.suggestions[0].text == "dc = dc * fg"


@pytest.mark.parametrize(
    ("old", "new", "verdict", "reading"),
    [
        ("dh_pre = (1 - h²) * dh", "dh_pre = dh * 1 - h²", "right-as", "loose precedence"),
        ("dh_pre = (1 - h²) * dh", "dh_pre = (1 - squared(h)) ⊙ dh", "right", ""),
        ("dh_pre = (1 - h²) * dh", "dh_pre = dh - h*h*dh", "right", ""),
        ("dWhh += dh_pre * h[t-1]^T", "dWhh += (h[t-1] * dh_pre^T)^T", "right", ""),
        ("dWhh += dh_pre * h[t-1]^T", "dWhh += dh_pre @ h_{t-1}ᵀ", "right", ""),
        ("dWhh += dh_pre * h[t-1]^T", "dWhh += h[t-1] * dh_pre^T", "wrong", ""),
        ("dWhh += dh_pre * h[t-1]^T", "dWhh += dh_pre^T * h[t-1]^T", "shape", ""),
        ("dh = Whh^T * dh_pre", "dh = Whh * dh_pre", "wrong", ""),
        ("dh = Whh^T * dh_pre", "dh = Whh^T * ((1 - h²) * dh)", "right", ""),
        ("dh = Whh^T * dh_pre", "dh = Whh^T * (1 - h²) * dh", "right-as", "products from the right"),
        ("dx = Wxh^T * dh_pre", "dx = Wxh * dh_pre", "shape", ""),
        ("dx = Wxh^T * dh_pre", "dx = dh_pre * dh_pre", "shape", ""),
        ("do = p - y", "do = p - 1", "wrong", ""),
        ("do = p - y", "do = softmax(Why * h + by) - y", "right", ""),
        ("dWex += dx * c^T", "dWex -= -dx * c^T", "right", ""),
    ],
)
def test_verdicts_on_one_line(old, new, verdict, reading):
    _, finding = in_place("elman", old, new)
    assert (finding.verdict, finding.reading) == (verdict, reading), finding.reason


def test_a_program_in_rows_is_told_so():
    rows = "do = p - y\ndh = do * Why + dh\ndh_pre = dh * (1 - h²)\ndx = dh_pre * Wxh\ndh = dh_pre * Whh"
    report = checked(rows)
    assert {f.equation: f.verdict for f in report.lines}["dx = dh_pre * Wxh"] == "right-as"
    assert not any(f.is_bad for f in report.lines)


def test_a_single_line_in_rows_among_columns_is_not_let_through():
    _, finding = in_place("lstm", "dWc += dc_hat_pre * z^T", "dWc += dc_hat_pre^T * z^T")
    assert finding.is_bad


def test_total_and_immediate_derivatives():
    finding = one("dL/dWhh = dL/dh2 ⋅ dh2/dWhh", "rnn-many-to-one", 2)
    assert finding.verdict == "wrong" and "contribution of t = 2" in finding.reason
    finding = one("dL/dh1 = dL/dh2 ⋅ dh2/dh1", "rnn-many-to-many", 2)
    assert finding.verdict == "wrong" and "direct part is missing" in finding.reason
    assert one("dL/dh1 = dL1/dh1 + dL/dh2 ⋅ dh2/dh1", "rnn-many-to-many", 2).verdict == "right"


def test_models_differ_in_what_a_text_leaves_unsaid():
    def network(scale):
        random = np.random.default_rng(1)
        W, U = (mg.parameter(random.normal(size=s), name=n) for n, s in (("W", (4, 3)), ("U", (4, 4))))
        h = mg.constant(random.normal(size=(4, 1)), name="h", step=0)
        losses = []
        for t in (1, 2, 3):
            with mg.step(t):
                h = mg.tanh(W @ mg.constant(random.normal(size=(3, 1)), name="x") + U @ h).named("h")
                y = mg.constant(random.normal(size=(4, 1)), name="y_true")
                losses.append(mg.squared_error(h, y) * scale)
        return mg.accumulate(*losses).named("L")

    line = "dL/dh3 = 1/3 * (h3 - y_true3)"
    assert check(line, network(1 / 3)).lines[0].verdict == "right"
    assert "averaged over the 3 steps" in check(line, network(1)).lines[0].reason
    assert "without the half" in check("dL/dh3 = 2 * (h3 - y_true3)", network(1)).lines[0].reason


def test_unknown_names_are_reported_where_they_stand():
    finding = one("dWxh += dh_prr * x^T")
    assert (finding.verdict, finding.kind) == ("undefined", "dh_prr")
    assert finding.suggestions[0].change == "`dh_pre`"
    assert one("dWxh += banana(dh_pre) * x^T").verdict == "undefined"


def test_a_new_name_is_tested_where_it_is_used():
    right = source("elman").replace("dh_pre = (1 - h²) * dh\n", "slope = 1 - h²\ndh_pre = slope * dh\n")
    assert checked(right).ok
    wrong = source("elman").replace("dh_pre = (1 - h²) * dh\n", "slope = 1 + h²\ndh_pre = slope * dh\n")
    report = checked(wrong)
    assert not report.ok and [f.equation for f in report.lines if f.is_bad] == ["dh_pre = slope * dh"]


def test_intermediates_may_have_other_names():
    report = checked(source("elman").replace("dh_pre", "draw"))
    assert report.ok
    named = next(f for f in report.lines if f.equation == "draw = (1 - h²) * dh")
    assert named.matched == "the same as dh_pre"


def test_the_loss_may_be_given_alone():
    loss = graphs.gru()
    report = check("dy = y - y_true\ndV += dy * h^T", loss)
    assert [f.verdict for f in report.lines] == ["right", "right"] and report.ok


def test_several_columns():
    """Sums over the columns of a batch are understood for a parameter of one column, and nowhere else."""
    loss = graphs.gru(columns=3)
    assert check("dbz += dz * z * (1 - z)", loss).lines[0].verdict == "right"
    assert check("dz = dh * (h[t-1] - n)", loss).lines[0].verdict == "right"
    assert check("dz = bz", loss).lines[0].verdict == "shape"


def test_float32_is_judged_in_float64():
    from minigrad.cli.model import load

    report = check(source("elman"), load("elman", dtype=np.float32))
    assert report.ok and all(g.error < 1e-12 for g in report.gradients)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(CheckError, match="single number"):
        check("do = p - y", mg.parameter(np.ones((2, 2))))
    with pytest.raises(CheckError, match="no parameter"):
        check("do = p - y", mg.constant(1.0))
    with pytest.raises(CheckError, match="no graph"):
        check("do = p - y", [])
    assert issubclass(CheckError, MinigradError) and issubclass(CheckError, ValueError)


def test_a_report_is_plain_data():
    report = checked(source("note-000-elman"))
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert list(data)[:2] == ["model", "lines"] and data["ok"] is False
    assert {"number", "text", "verdict", "matched", "reading", "error", "reason", "suggestions"} <= set(
        data["lines"][0]
    )
    assert data["lines"][8]["suggestions"][0] == {
        "text": "dWxh += dh_pre * x^T",
        "change": "`dh_pre`",
        "checked": True,
    }
    assert data["gradients"]["Whh"]["right"] is True and data["gradients"]["Wxh"] == {
        "error": None,
        "right": False,
    }


def test_the_message_as_a_student_sees_it():
    text = str(checked(source("note-000-elman")))
    assert max(map(len, text.split("\n"))) <= 80
    assert (
        "UNDEFINED  line 15\n"
        "    15 | dWxh += d_pre * x^T\n"
        "                 ^^^^^ no such name; did you mean `dh_pre` (line 9)?" in text
    )
    loose = str(checked(source("note-002-two-steps"), "rnn-many-to-one", 2))
    assert "as written: dL/dh1 = dL/dh2 ⋅ 1 - squared(h2) ⋅ Whh" in loose
    assert "right as:   dL/dh1 = dL/dh2 ⋅ (1 - squared(h2)) ⋅ Whh, gradients as" in loose
    assert max(map(len, loose.split("\n"))) <= 100


def test_the_rule_for_a_loss_at_every_step_as_the_note_has_it():
    """Note 002, line 44: dL/dh1 on the right is what h1 contributes to its own loss."""
    finding = one("dL/dh1 = dL/dh1 + dL/dh2 ⋅ dh2/dh1", "rnn-many-to-many", 3)
    assert finding.verdict == "right-as" and finding.reading == "dL/dh1 on the right as its direct part"
    assert one("dL/dh1 = dL/dh1 + dL/dh3 ⋅ dh2/dh1", "rnn-many-to-many", 3).verdict == "wrong"


def test_what_is_given_is_not_tested():
    finding = one("h0 = 0", "rnn-many-to-one", 2)
    assert finding.verdict == "not-tested" and "drawn at random" in finding.reason


def test_long_sequences():
    from minigrad.cli.model import load

    report = check(source("elman"), load("elman", steps=60))
    assert report.ok and len(report.lines[0].errors) == 24
