"""Taking entries out: whatever numpy's indices mean, and the gradient goes back where it came from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import errors
from minigrad.primitives import thaw_index
from tests.minigrad.strategies import seeds, shapes


@st.composite
def indexed(draw, kind):
    shape = draw(shapes(min_dims=1, min_side=1, max_side=4))
    if kind == "basic":
        index = draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    elif kind == "integers":
        index = draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(min_side=0, max_dims=2)))
    elif kind == "mask":
        index = draw(hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))]))
    else:  # lists, slices and numbers side by side
        length = draw(st.integers(0, 3))
        index = tuple(
            draw(
                st.lists(st.integers(-size, size - 1), min_size=length, max_size=length)
                | st.integers(-size, size - 1)
                | st.slices(size)
            )
            for size in shape[: draw(st.integers(1, len(shape)))]
        )
    return np.random.default_rng(draw(seeds)).normal(size=shape), index


@pytest.mark.parametrize("kind", ["basic", "integers", "mask", "mixed"])
def test_any_index_of_numpy_takes_the_same_entries_and_sends_their_gradients_back(kind):
    @settings(max_examples=60)
    @given(indexed(kind))
    def check(case):
        array, index = case
        x = mg.parameter(array, name="x")
        y = x[index]
        expected = array[index]
        np.testing.assert_array_equal(y.value, expected)
        assert y.shape == np.shape(expected)
        g = np.random.default_rng(0).normal(size=y.shape)
        back = np.zeros_like(array)
        np.add.at(back, index, g)
        for create_graph in (False, True):
            found = mg.grad(y, x, g, create_graph=create_graph)
            np.testing.assert_allclose(getattr(found, "value", found), back, atol=1e-12)

    check()


@settings(max_examples=40)
@given(indexed("basic"))
def test_a_basic_index_is_kept_in_a_hashable_form_from_which_numpy_s_is_made(case):
    array, index = case
    attributes = mg.constant(array)[index].attributes
    hash(tuple(attributes.items()))
    np.testing.assert_array_equal(array[thaw_index(attributes["index"])], array[index])


def test_numpy_integers_and_python_ones_make_the_same_attribute():
    x = mg.constant(np.zeros((3, 4)))
    assert x[np.int64(1), :2].attributes == x[1, :2].attributes == {"index": (1, (None, 2, None))}


def test_many_slices_of_one_value_meet_in_one_gradient():
    x = mg.parameter(np.arange(12.0).reshape(4, 3), name="x")
    loss = mg.accumulate(*[mg.sum(x[i] * (i + 1.0)) for i in range(4)], mg.sum(x[1:, 0]), x[-1, -1])
    expected = np.repeat([[1.0], [2], [3], [4]], 3, axis=1)
    expected[1:, 0] += 1
    expected[-1, -1] += 1
    np.testing.assert_array_equal(mg.grad(loss, x), expected)


def test_repeated_indices_add_up():
    E = mg.parameter(np.ones((3, 2)), name="E")
    np.testing.assert_array_equal(mg.grad(mg.sum(mg.take(E, [1, 1, 1, 0])), E), [[1, 1], [3, 3], [0, 0]])
    np.testing.assert_array_equal(mg.grad(mg.sum(E[[1, 1, 1, 0]]), E), [[1, 1], [3, 3], [0, 0]])
    picked = mg.take_along_axis(E, np.array([[0, 0], [0, 2]]), 0)
    np.testing.assert_array_equal(mg.grad(mg.sum(picked), E), [[2, 1], [0, 0], [0, 1]])


def test_an_embedding_gives_the_columns_of_its_indices():
    Wex = mg.parameter(np.arange(6.0).reshape(2, 3), name="Wex")
    for indices in ([2, 0], np.array([2, 0], np.uint8), mg.constant([2, 0], name="c")):
        np.testing.assert_array_equal(mg.take(Wex, indices, axis=1).value, [[2, 0], [5, 3]])
    assert mg.take(Wex, np.zeros((4, 5), int), axis=-1).shape == (2, 4, 5)
    assert mg.take(Wex, np.zeros(0, int), axis=1).shape == (2, 0)
    assert mg.take(Wex, 1, axis=0).shape == (3,)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_one_hot_puts_the_one_where_the_class_is(axis):
    indices = np.array([[2, 0, 1], [1, 1, 2]])
    hot = mg.one_hot(mg.constant(indices), 4, axis=axis)
    np.testing.assert_array_equal(hot.value.argmax(axis=axis), indices)
    np.testing.assert_array_equal(hot.value.sum(axis=axis), np.ones((2, 3)))
    assert hot.dtype == np.float64 and mg.one_hot([1], 2, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: x[3], "3 x[4] (3, 2)"),
        (lambda x: x[0, 5], "5 x[4] (3, 2)"),
        (lambda x: x[0, 0, 0], "x[4] (3, 2)"),
        (lambda x: x[[0, 7]], "7 x[4] (3, 2)"),
        (lambda x: x[np.ones((2, 2), bool)], "x[4] (3, 2)"),
        (lambda x: x[1.5], "1.5 x[4]"),
        (lambda x: x["a"], "'a' x[4]"),
        (lambda x: mg.take(x, [0, 9]), "[1] 9 x[4] (3, 2) 0 to 2"),
        (lambda x: mg.take(x, [-1]), "-1 x[4] 0 to 2"),
        (lambda x: mg.take(x, [0], axis=2), "axis 2"),
        (lambda x: mg.take_along_axis(x, np.array([[3, 0]]), 0), "3 x[4] 0 to 2"),
        (lambda x: mg.one_hot(mg.constant([5], name="y"), 3), "y[0] 5 0 to 2"),
        (lambda x: mg.cross_entropy(x, [0, 3]), "[1] 3 x[4] (3, 2) 0 to 2"),
    ],
)
def test_an_index_outside_is_named(call, words):
    with mg.step(4):
        x = mg.constant(np.zeros((3, 2)), name="x")
    with pytest.raises(errors.AxisError) as caught:
        call(x)
    assert isinstance(caught.value, IndexError) and isinstance(caught.value, ValueError)
    for word in words.split(" "):
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("indices", [[0.0, 1.0], [True, False], ["a"]])
def test_indices_are_integers(indices):
    with pytest.raises(errors.UnsupportedError, match="integers"):
        mg.take(mg.constant(np.zeros((3, 2)), name="x"), indices)


def test_indices_of_another_shape_than_the_lines_are_refused():
    with pytest.raises(errors.ShapeError, match=r"\(2, 2\).*\(3, 2\)"):
        mg.take_along_axis(mg.constant(np.zeros((3, 2))), np.zeros((2, 2), int), 1)
