"""A derivation held against a network that it is not about is judged, and never ends in an accident."""

from __future__ import annotations

import pytest

from .common import checked, source

MODELS = ("elman", "lstm", "rnn-many-to-one")
TEXTS = ("elman", "lstm", "many-to-many", "many-to-one-2", "note-002-four-steps", "note-002-lstm")

# The Elman network's with slips, so that repairs are looked for among names that are not there.
SLIPS = """
do = p - y
dh = Why^T * do + dh
dh_pre = (1 - h) * dh
dbh += d_pre
dWhh += dh_pre * h^T
dh = Whh^T * dh_pre
dWxh += dh_pre * x^T
dx = Wxh^T * dh_pre
dWex += dx * c^T
"""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", TEXTS)
def test_any_derivation_against_any_network(text, model):
    report = checked(source(text), model)
    assert report.lines
    if text in MODELS and text != model:
        assert not report.ok


@pytest.mark.parametrize("model", MODELS)
def test_slips_against_any_network(model):
    report = checked(SLIPS, model)
    assert len(report.lines) == 9 and not report.ok
