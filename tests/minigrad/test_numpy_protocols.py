"""numpy's functions on nodes record what they mean, or say that they do not."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])
POSITIVE = np.abs(X) + 0.5
Y = np.array([[1.0, 2.0, 0.5]])


@pytest.mark.parametrize(
    "ufunc",
    [
        np.tanh,
        np.exp,
        np.log,
        np.sqrt,
        np.abs,
        np.fabs,
        np.negative,
        np.positive,
        np.square,
        np.reciprocal,
        np.sign,
    ],
)
def test_functions_of_one_operand(ufunc):
    node = mg.parameter(POSITIVE, name="x")
    y = ufunc(node)
    assert isinstance(y, mg.Node)
    np.testing.assert_allclose(y.value, ufunc(POSITIVE), rtol=1e-15)
    assert y.dtype == np.float64 and ufunc(mg.constant(POSITIVE.astype(np.float32))).dtype == np.float32
    if ufunc is not np.sign:
        mg.gradcheck(ufunc, POSITIVE)


@pytest.mark.parametrize(
    "ufunc",
    [np.add, np.subtract, np.multiply, np.divide, np.power, np.float_power, np.maximum, np.minimum,
     np.greater, np.greater_equal, np.less, np.less_equal, np.equal],
)  # fmt: skip
def test_functions_of_two_operands_with_a_node_on_either_side(ufunc):
    for a, b in ((POSITIVE, Y), (Y, POSITIVE), (POSITIVE, 2.0), (2.0, POSITIVE)):
        expected = ufunc(a, b)
        for ours in (ufunc(_node(a), b), ufunc(a, _node(b)), ufunc(_node(a), _node(b))):
            assert isinstance(ours, mg.Node)
            np.testing.assert_allclose(ours.value, expected, rtol=1e-15)


def _node(x):
    return mg.constant(x)


def test_an_array_times_a_node_is_a_node_and_not_an_array_of_objects():
    node = mg.parameter(X, name="x")
    for y in (X * node, X + node, X - node, X / node, np.float64(2) * node, np.float32(2) * node, X.T @ node):
        assert type(y) is mg.Node and y.value.dtype == np.float64 and y.requires_grad
    array = X.copy()
    with pytest.raises(errors.UnsupportedError, match="out="):
        array += node
    np.testing.assert_array_equal(array, X)


FUNCTIONS = {
    "sum": lambda x: np.sum(x),
    "sum axis": lambda x: np.sum(x, axis=1, keepdims=True),
    "sum positional": lambda x: np.sum(x, 0),
    "add.reduce": lambda x: np.add.reduce(x, axis=1),
    "maximum.reduce": lambda x: np.maximum.reduce(x),
    "mean": lambda x: np.mean(x, axis=(0, 1)),
    "max": lambda x: np.max(x, axis=-1),
    "amax": lambda x: np.amax(x, axis=0),
    "reshape": lambda x: np.reshape(x, (3, -1)),
    "ravel": np.ravel,
    "transpose": np.transpose,
    "transpose axes": lambda x: np.transpose(x, (1, 0)),
    "permute_dims": lambda x: np.permute_dims(x, (1, 0)),
    "matrix_transpose": np.matrix_transpose,
    "swapaxes": lambda x: np.swapaxes(x, 0, -1),
    "moveaxis": lambda x: np.moveaxis(x[None], 0, -1),
    "moveaxis back": lambda x: np.moveaxis(x[None], -1, 1),
    "expand_dims": lambda x: np.expand_dims(x, -1),
    "squeeze": lambda x: np.squeeze(x[None]),
    "squeeze axis": lambda x: np.squeeze(x[None], axis=0),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "broadcast_to one": lambda x: np.broadcast_to(x[0, :1], 4),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "concatenate mixed": lambda x: np.concatenate([X, x]),
    "concatenate flat": lambda x: np.concatenate([x, x], axis=None),
    "concat": lambda x: np.concat([x, x]),
    "stack": lambda x: np.stack([x, x], axis=2),
    "vstack": lambda x: np.vstack([x, x[0]]),
    "hstack": lambda x: np.hstack([x, x]),
    "hstack vectors": lambda x: np.hstack([x[0], x[1]]),
    "split": lambda x: np.split(x, 3, axis=1)[2],
    "split at": lambda x: np.split(x, [1], axis=1)[1],
    "take": lambda x: np.take(x, [2, 0], axis=1),
    "take flat": lambda x: np.take(x, [5, 0]),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[0, 2], [1, 1]]), axis=1),
    "where": lambda x: np.where(X > 0, x, 2.0),
    "where other side": lambda x: np.where(X > 0, 1.0, x),
    "dot": lambda x: np.dot(x, X.T),
    "dot number": lambda x: np.dot(2.0, x),
    "matmul": lambda x: np.matmul(X.T, x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_arrays(name):
    function = FUNCTIONS[name]
    ours, theirs = function(mg.parameter(X, name="x")), function(X)
    assert isinstance(ours, mg.Node) and ours.requires_grad
    np.testing.assert_allclose(ours.value, theirs, rtol=1e-15)
    assert ours.shape == np.shape(theirs)
    mg.gradcheck(function, X, order=2)


def test_questions_about_shape_are_answered_with_numbers():
    x = mg.constant(X)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    for like, fill in ((np.zeros_like, 0), (np.ones_like, 1)):
        made = like(mg.constant(X.astype(np.float32)))
        assert type(made) is np.ndarray and made.dtype == np.float32
        np.testing.assert_array_equal(made, np.full((2, 3), fill))


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda x: np.sin(x), "np.sin"),
        (lambda x: np.cumsum(x), "np.cumsum"),
        (lambda x: np.linalg.norm(x), "norm"),
        (lambda x: np.einsum("ij->ji", x), "np.einsum"),
        (lambda x: np.add.accumulate(x), "np.add.accumulate"),
        (lambda x: np.add.reduce(x, initial=5.0), "np.add.reduce"),
        (lambda x: np.multiply.outer(x, x), "np.multiply.outer"),
        (lambda x: np.tanh(x, out=np.zeros((2, 3))), "out="),
        (lambda x: np.tanh(x, where=np.ones((2, 3), bool)), "where="),
        (lambda x: np.add(x, 1, dtype=np.float32), "dtype"),
        (lambda x: np.mean(x, 0, np.float32), "np.mean"),
        (lambda x: np.sum(x, 0, np.float32), "np.sum"),
        (lambda x: np.max(x, 0, None), "np.max"),
        (lambda x: np.sum(x, dtype=np.float32), "dtype"),
        (lambda x: np.reshape(x, (3, 2), order="F"), "order"),
        (lambda x: np.concatenate([x, x], out=np.zeros((4, 3))), "out"),
        (lambda x: np.where(x), "np.where"),
        (lambda x: np.dot(x[None], x.T), "np.dot"),
        (lambda x: np.clip(x, 0, 1), "np.clip"),
        (lambda x: np.array_equal(x, x), "np.array_equal"),
        (lambda x: np.isnan(x), "np.isnan"),
    ],
)
def test_what_is_not_supported_raises_a_type_error_that_names_it(call, named):
    with pytest.raises(errors.UnsupportedError) as caught:
        call(mg.parameter(X, name="x"))
    assert isinstance(caught.value, TypeError)
    assert named in str(caught.value) and "<lambda>" not in str(caught.value)


def test_the_message_offers_the_nearest_function():
    with pytest.raises(errors.UnsupportedError, match=r"use mg\.log"):
        np.log2(mg.constant(X))
    with pytest.raises(errors.UnsupportedError, match=r"node\.value"):
        np.linalg.svd(mg.constant(X))


@pytest.mark.parametrize("call", [lambda x: np.moveaxis(x, 5, 0), lambda x: np.swapaxes(x, 0, 2)])
def test_axes_that_do_not_exist(call):
    with pytest.raises(errors.AxisError, match="axis"):
        call(mg.constant(X))
