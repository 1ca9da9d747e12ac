"""Every primitive: its derivatives of first and second order, its dtypes, its linearity, its shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.primitives import PRIMITIVES
from tests.minigrad.strategies import USES

NAMES = sorted(PRIMITIVES)
few = settings(max_examples=30)


def test_every_primitive_is_put_to_the_test():
    assert set(USES) == set(PRIMITIVES)


@pytest.mark.parametrize("name", NAMES)
def test_the_use_of_a_primitive_records_it(name):
    @settings(few, max_examples=3)
    @given(USES[name])
    def check(use):
        leaves = [mg.parameter(x) for x in use.arrays]
        recorded = {node.primitive for node in mg.Graph(use.function(*leaves))}
        assert PRIMITIVES[name] in recorded

    check()


@pytest.mark.parametrize("name", NAMES)
def test_first_derivatives_agree_with_numerical_ones(name):
    @few
    @given(USES[name])
    def check(use):
        assert mg.gradcheck(use.function, use.arrays)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_agree_with_numerical_ones(name):
    @settings(few, max_examples=10)
    @given(USES[name])
    def check(use):
        assert mg.gradcheck(use.function, use.arrays, order=2)

    check()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients_keep_the_dtype(name, dtype):
    @settings(few, max_examples=8)
    @given(USES[name])
    def check(use):
        leaves = [mg.parameter(x.astype(dtype)) for x in use.arrays]
        y = use.function(*leaves)
        if name not in ("astype", "one_hot"):  # these say themselves what comes out
            assert y.dtype == dtype
        gradients = mg.grad(mg.sum(y * y), leaves)
        recorded = mg.grad(mg.sum(y * y), leaves, create_graph=True)
        for leaf, g, node in zip(leaves, gradients, recorded, strict=True):
            assert g.dtype == node.dtype == dtype
            assert g.shape == node.shape == leaf.shape

    check()


@pytest.mark.parametrize("name", NAMES)
def test_recorded_gradients_are_the_numbers_of_the_unrecorded(name):
    @settings(few, max_examples=8)
    @given(USES[name], st.integers(0, 2**16))
    def check(use, seed):
        leaves = [mg.parameter(x) for x in use.arrays]
        y = use.function(*leaves)
        g = np.random.default_rng(seed).normal(size=y.shape)
        numbers = mg.grad(y, leaves, g)
        recorded = mg.grad(y, leaves, g, create_graph=True)
        for a, b in zip(numbers, recorded, strict=True):
            np.testing.assert_allclose(a, b.value, rtol=1e-12, atol=1e-14)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_a_vjp_is_linear_in_what_arrives(name):
    @settings(few, max_examples=6)
    @given(USES[name], st.integers(0, 2**16))
    def check(use, seed):
        leaves = [mg.parameter(x) for x in use.arrays]
        y = use.function(*leaves)
        random = np.random.default_rng(seed)
        g, h = random.normal(size=(2, *y.shape))
        a, b = random.normal(size=2)
        together = mg.grad(y, leaves, a * g + b * h)
        parts = zip(mg.grad(y, leaves, g), mg.grad(y, leaves, h), strict=True)
        for whole, (left, right) in zip(together, parts, strict=True):
            np.testing.assert_allclose(whole, a * left + b * right, rtol=1e-9, atol=1e-12)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_on_arrays_a_function_is_plain_numpy_of_the_same_value(name):
    if name in ("scatter", "put", "put_along_axis", "stop_gradient"):
        pytest.skip("the use differentiates or compares, which takes a node")

    @settings(few, max_examples=8)
    @given(USES[name])
    def check(use):
        plain = use.function(*use.arrays)
        recorded = use.function(*[mg.constant(x) for x in use.arrays])
        if isinstance(plain, mg.Node):
            raise AssertionError("arrays went in, and a node came out")
        np.testing.assert_array_equal(plain, recorded.value)
        assert np.shape(plain) == recorded.shape

    check()


@settings(max_examples=60)
@given(st.sampled_from(NAMES).flatmap(USES.get))
def test_the_operands_of_a_primitive_are_left_as_they_were(use):
    before = [x.copy() for x in use.arrays]
    frozen = [mg.constant(x) for x in use.arrays]
    for x in frozen:
        x.value.setflags(write=False)
    y = use.function(*frozen)
    mg.grad(y, frozen, np.ones(y.shape), allow_unused=True)
    for x, node in zip(before, frozen, strict=True):
        np.testing.assert_array_equal(x, node.value)
