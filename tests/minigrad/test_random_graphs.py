"""Random programs of all primitives: gradients against HIPS autograd, finite differences, and themselves."""

import autograd
import autograd.numpy as anp
import numpy as np
from hypothesis import given, settings

import minigrad as mg
from tests.minigrad.programs import LEAVES, OURS, THEIRS, leaves_at, programs, scalar
from tests.minigrad.strategies import seeds


def parameters(seed):
    return [mg.parameter(x, name=name) for name, x in zip(LEAVES, leaves_at(seed), strict=True)]


@settings(max_examples=300)
@given(programs(), seeds)
def test_values_and_gradients_are_those_of_hips_autograd(program, seed):
    leaves = parameters(seed)
    loss = scalar(OURS, program, leaves)
    value, theirs = autograd.value_and_grad(lambda xs: scalar(THEIRS, program, xs))(leaves_at(seed))
    np.testing.assert_allclose(loss.value, value, rtol=1e-12)
    for ours, other in zip(mg.grad(loss, leaves), theirs, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-11)


@settings(max_examples=40)
@given(programs(length=6), seeds)
def test_second_derivatives_are_those_of_hips_autograd(program, seed):
    directions = leaves_at(seed + 1)

    def along(gradients, np_):
        return sum(np_.sum(g * v) for g, v in zip(gradients, directions, strict=True))

    leaves = parameters(seed)
    first = mg.grad(scalar(OURS, program, leaves), leaves, create_graph=True)
    ours = mg.grad(along(first, np), leaves)
    their_gradient = autograd.grad(lambda xs: scalar(THEIRS, program, xs))
    theirs = autograd.grad(lambda xs: along(their_gradient(xs), anp))(leaves_at(seed))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


@settings(max_examples=25)
@given(programs(length=8), seeds)
def test_gradients_agree_with_finite_differences(program, seed):
    assert mg.gradcheck(lambda *xs: scalar(OURS, program, list(xs)), leaves_at(seed), atol=1e-6)


@settings(max_examples=60)
@given(programs(), seeds)
def test_all_ways_to_a_gradient_give_the_same_numbers(program, seed):
    leaves = parameters(seed)
    loss = scalar(OURS, program, leaves)
    numbers = mg.grad(loss, leaves)
    recorded = mg.grad(loss, leaves, create_graph=True)
    loss.backward()
    with mg.detect_anomaly():
        watched = mg.grad(loss, leaves)
    for leaf, g, node, w in zip(leaves, numbers, recorded, watched, strict=True):
        np.testing.assert_allclose(node.value, g, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(leaf.grad, g, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(w, g, rtol=1e-10, atol=1e-13)
        whole = sum(mg.contributions(loss, leaf).values())
        np.testing.assert_allclose(whole, g, rtol=1e-10, atol=1e-13)


@settings(max_examples=40)
@given(programs(length=5), seeds)
def test_the_paths_to_a_leaf_sum_to_its_gradient(program, seed):
    leaves = parameters(seed)
    loss = scalar(OURS, program, leaves)
    for leaf in leaves:
        count = mg.count_paths(loss, leaf)
        if count > 500:
            continue
        found = mg.paths(loss, leaf, limit=500)
        assert len(found) == count
        np.testing.assert_allclose(
            sum(path.value for path in found), mg.grad(loss, leaf), rtol=1e-9, atol=1e-12
        )


@settings(max_examples=30)
@given(programs(), programs(), seeds)
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients(first, second, seed):
    leaves = parameters(seed)
    a, b = (scalar(OURS, program, leaves) for program in (first, second))
    together = mg.grad(a + b, leaves)
    outputs = mg.grad([a, b], leaves)
    for whole, several, x, y in zip(together, outputs, mg.grad(a, leaves), mg.grad(b, leaves), strict=True):
        np.testing.assert_allclose(whole, x + y, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(several, x + y, rtol=1e-10, atol=1e-12)


@settings(max_examples=30)
@given(programs(), seeds)
def test_gradients_chain_through_any_intermediate_value(program, seed):
    """dL/dx along a cut is the vjp of the values at the cut with their gradients."""
    leaves = parameters(seed)
    middle = [mg.tanh(leaf) for leaf in leaves]
    loss = scalar(OURS, program, middle)
    arrived = mg.grad(loss, middle)
    np.testing.assert_equal(len(arrived), len(leaves))
    through = mg.grad(middle, leaves, arrived)
    for g, whole in zip(through, mg.grad(loss, leaves), strict=True):
        np.testing.assert_allclose(g, whole, rtol=1e-12, atol=1e-14)
