"""Random recurrent networks, forward and backward: what `roll` returns is true of every node."""

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import errors
from tests.minigrad.rolling import assert_true_of_every_node, cells, unroll, with_gradients
from tests.minigrad.strategies import seeds

SLICED = st.sampled_from(["none", "forward", "backward"])
NETWORKS = (cells(), st.integers(2, 5), SLICED, st.booleans(), seeds)


@pytest.mark.parametrize("record", [lambda loss: [loss], with_gradients], ids=["forward", "backward"])
def test_random_networks_roll(record):
    """Nearly all do; of what is left, `roll` must not claim what is not so.

    What is left computes one thing twice in a step, of which an end of time needs only one.
    """
    count = Counter()

    @settings(max_examples=150)
    @given(*NETWORKS)
    def check(cell, steps, sliced, many, seed):
        loss = unroll(cell, steps, sliced, many, seed)
        assume(loss.requires_grad)
        outputs = record(loss)
        try:
            rolled = mg.roll(outputs)
        except errors.NotRollableError as error:
            assert str(error).startswith("roll: ")
            count["refused"] += 1
        else:
            assert_true_of_every_node(rolled, outputs)
            assert rolled.last == steps
            count["rolled"] += 1

    check()
    assert count["rolled"] > 10 * count["refused"]


@settings(max_examples=50)
@given(cells(), SLICED, st.booleans(), seeds)
def test_there_are_as_many_families_however_long_the_sequence(cell, sliced, many, seed):
    """Beyond a few steps the length of a sequence leaves no trace in the rolled view."""
    losses = [unroll(cell, steps, sliced, many, seed) for steps in (6, 9)]
    try:
        few, more = map(mg.roll, losses)
    except errors.NotRollableError:
        for loss in losses:  # if one does not roll, the other does not either
            with pytest.raises(errors.NotRollableError):
                mg.roll(loss)
        return
    assert len(few.families) == len(more.families)
    assert sorted(map(repr, few.carries)) == sorted(map(repr, more.carries))
    assert len(few.outside) == len(more.outside)
