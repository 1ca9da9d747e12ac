"""A part of the study that `python -m minigrad.derivation.study` runs in full."""

from __future__ import annotations

import pytest

from minigrad.derivation.study import Study

from . import graphs
from .common import draws, source


@pytest.mark.parametrize(
    ("name", "model", "steps", "part"),
    [("elman", "elman", 3, 0.1), ("lstm", "lstm", 3, 0.02), ("many-to-one-2", "rnn-many-to-one", 2, 0.04)],
)
def test_slips_are_caught_and_mended_and_rewritings_pass(name, model, steps, part):
    count = Study(source(name), draws(model, steps)).run(part, seed=5)
    assert count.slips > 6
    assert count.accepted == []
    assert count.rejected == []
    assert count.repaired >= 0.9 * count.caught, count.unrepaired
    assert count.first >= 0.7 * count.caught, count.other


def test_a_gru():
    from minigrad.derivation import write

    loss = graphs.gru()
    count = Study(write(loss).text, [loss]).run(0.02, seed=1)
    assert count.accepted == [] and count.rejected == [] and count.caught > 3
