"""Random recurrent networks, forward and backward: what `roll` returns is true of every node."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from tests.minigrad.rolling import assert_true_of_every_node, cells, unroll, with_gradients
from tests.minigrad.strategies import seeds

NETWORKS = (
    cells(),
    st.integers(2, 5),
    st.sampled_from(["none", "forward", "backward"]),
    st.booleans(),
    seeds,
)


@settings(max_examples=150)
@given(*NETWORKS)
def test_a_random_network_rolls(cell, steps, sliced, many, seed):
    loss = unroll(cell, steps, sliced, many, seed)
    rolled = mg.roll(loss)
    assert_true_of_every_node(rolled, loss)
    assert rolled.last == steps


@settings(max_examples=150)
@given(*NETWORKS)
def test_a_random_network_rolls_with_its_recorded_backward_pass(cell, steps, sliced, many, seed):
    loss = unroll(cell, steps, sliced, many, seed)
    assume(loss.requires_grad)
    outputs = with_gradients(loss)
    rolled = mg.roll(outputs)
    assert_true_of_every_node(rolled, outputs)


@settings(max_examples=40)
@given(*NETWORKS)
def test_there_are_as_many_families_however_long_the_sequence(cell, steps, sliced, many, seed):
    """The rolled view is the network's; beyond a few steps the length of the sequence leaves no trace in it."""
    short, long = (unroll(cell, steps + extra, sliced, many, seed) for extra in (2, 5))
    assume(long.requires_grad)
    few, more = mg.roll(short), mg.roll(long)
    assert len(few.families) == len(more.families)
    assert sorted(map(repr, few.carries)) == sorted(map(repr, more.carries))
    assert np.isfinite(long.value)
