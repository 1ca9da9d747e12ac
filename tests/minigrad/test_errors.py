"""Errors are part of the product: a class for each mistake, the matching builtin, the thing by its name."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from tests.minigrad.networks import elman


def named(shape, name, step=None, parameter=True):
    make = mg.parameter if parameter else mg.constant
    return make(np.ones(shape), name=name, step=step)


BUILTINS = {
    "ShapeError": ValueError,
    "AxisError": IndexError,
    "NotScalarError": ValueError,
    "NotConnectedError": ValueError,
    "IntegerGradientError": TypeError,
    "NameNotFoundError": KeyError,
    "TooManyPathsError": ValueError,
    "NotRollableError": ValueError,
    "UnsupportedError": TypeError,
    "TracingError": TypeError,
    "GradcheckError": AssertionError,
    "AnomalyError": ArithmeticError,
}


def test_every_error_is_a_minigrad_error_and_the_matching_builtin():
    for name, builtin in BUILTINS.items():
        assert issubclass(getattr(errors, name), errors.MinigradError)
        assert issubclass(getattr(errors, name), builtin)
    own = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == "minigrad.errors"]
    for error in own:
        assert issubclass(error, errors.MinigradError) and error.__doc__


CASES = {
    "matmul": (
        lambda: named((16, 16), "Whh") @ named((8, 1), "x", 3),
        "matmul: Whh (16, 16) @ x[3] (8, 1): inner sizes 16 and 8 differ",
    ),
    "matmul vector": (
        lambda: named((3, 4), "W") @ named((5,), "x"),
        "matmul: W (3, 4) @ x (5,): inner sizes 4 and 5 differ",
    ),
    "matmul array": (
        lambda: named((3, 4), "W") @ np.ones((5, 1)),
        "matmul: W (3, 4) @ constant (5, 1): inner sizes 4 and 5 differ",
    ),
    "matmul batch": (
        lambda: named((2, 3, 3), "A") @ named((4, 3, 3), "B"),
        "matmul: A (2, 3, 3) @ B (4, 3, 3): the leading axes (2,) and (4,) cannot be broadcast",
    ),
    "add": (
        lambda: named((4, 3), "a") + named((4, 2), "b", 2),
        "add: a (4, 3) + b[2] (4, 2): sizes 3 and 2 on axis 1 differ and neither is 1",
    ),
    "concat": (
        lambda: mg.concat([named((4, 1), "h"), named((3, 2), "x")]),
        "concat: h (4, 1), x (3, 2): all sizes but those on axis 0 must agree",
    ),
    "concat axes": (
        lambda: mg.concat([named((4, 1), "h"), named((3,), "x")]),
        "concat: h (4, 1), x (3,): the numbers of axes differ",
    ),
    "stack": (
        lambda: mg.stack([named((4, 1), "h"), named((3, 1), "x")]),
        "stack: h (4, 1), x (3, 1): all shapes must be the same",
    ),
    "reshape": (
        lambda: named((4, 3), "h").reshape(5, -1),
        "reshape: h (4, 3) has 12 entries, which do not fit (5, -1)",
    ),
    "broadcast_to": (
        lambda: mg.broadcast_to(named((4, 3), "h"), (4, 4)),
        "broadcast_to: h (4, 3) cannot be broadcast to (4, 4)",
    ),
    "accumulate": (
        lambda: mg.accumulate(named((4, 3), "a"), named((3, 3), "b")),
        "accumulate: all addends must have one shape, found (3, 3) and (4, 3)",
    ),
    "squared_error": (
        lambda: mg.squared_error(named((4, 1), "y", 2), named((1, 4), "t", 2)),
        "squared_error: prediction y[2] (4, 1) and target t[2] (1, 4) must have one shape",
    ),
    "cross_entropy": (
        lambda: mg.cross_entropy(named((4, 2), "o", 1), [0, 1, 2]),
        "cross_entropy: o[1] (4, 2) needs classes (2,), found constant (3,)",
    ),
    "probabilities": (
        lambda: mg.cross_entropy(named((2, 2), "o"), mg.constant([[0.5, 0.5], [0.5, 0.3]], name="y")),
        "cross_entropy: the probabilities y must sum to 1 along axis 0; column [1] sums to 0.8",
    ),
    "split": (
        lambda: mg.split(named((7, 1), "z"), 2),
        "split: z (7, 1): size 7 on axis 0 has no 2 equal parts",
    ),
    "squeeze": (
        lambda: mg.squeeze(named((7, 1), "z"), 0),
        "squeeze: z (7, 1): axis 0 has size 7, not 1",
    ),
    "max": (
        lambda: mg.max(named((0, 2), "z"), 0),
        "max: z (0, 2) has no entries, and so no largest one",
    ),
    "mean": (lambda: mg.mean(named((0, 2), "z")), "mean: z (0, 2) has no entries to average"),
    "softmax": (lambda: mg.softmax(named((0, 2), "o")), "softmax: o (0, 2) has no classes along axis 0"),
    "matmul number": (
        lambda: named((2, 2), "W") @ 3.0,
        "matmul: 3.0 is a number and not a matrix; use multiply (*)",
    ),
    "arriving": (
        lambda: mg.grad(named((2, 2), "h", 1) * 1.0, [], np.ones(3)),
        "grad: multiply (2, 2) needs a gradient of its shape, found (3,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_shape_error_names_the_nodes_their_shapes_and_the_reason(case):
    make, message = CASES[case]
    with pytest.raises(errors.ShapeError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "make",
    [
        lambda: mg.sum(named((2, 3), "h", 1), axis=2),
        lambda: mg.max(named((2, 3), "h", 1), axis=(0, -3)),
        lambda: mg.sum(named((2, 3), "h", 1), axis=(0, 0)),
        lambda: mg.permute_dims(named((2, 3), "h", 1), (0, 0)),
        lambda: mg.permute_dims(named((2, 3), "h", 1), (0, 2)),
        lambda: mg.expand_dims(named((2, 3), "h", 1), 4),
        lambda: mg.softmax(named((2, 3), "h", 1), axis=2),
        lambda: mg.concat([named((2, 3), "h", 1)], axis=2),
        lambda: mg.stack([named((2, 3), "h", 1)], axis=3),
        lambda: mg.split(named((2, 3), "h", 1), 1, axis=2),
    ],
)
def test_an_axis_that_does_not_exist_is_an_axis_error(make):
    with pytest.raises(errors.AxisError) as caught:
        make()
    assert isinstance(caught.value, IndexError) and isinstance(caught.value, ValueError)
    assert "ax" in str(caught.value)


@pytest.mark.parametrize("axis", [1.0, "0", None])
def test_an_axis_is_an_integer(axis):
    with pytest.raises(errors.UnsupportedError, match="axis is an integer"):
        mg.softmax(named((2, 3), "h"), axis=axis)


def test_an_error_leaves_the_graph_and_the_step_as_they_were():
    x = named((2, 3), "x")
    with pytest.raises(errors.ShapeError), mg.step(5):
        _ = x @ x
    assert mg.constant(1.0).step is None
    assert mg.grad(mg.sum(x), x).shape == (2, 3)


# -- asking for gradients that do not exist ----------------------------------------------------------------


def test_a_vector_has_no_gradient_without_one_that_arrives():
    h = (named((4, 1), "W") * 2).named("h")
    for ask in (h.backward, lambda: mg.grad(h, mg.Graph(h).parameters["W"]), lambda: mg.contributions(h, h)):
        with pytest.raises(errors.NotScalarError, match=r"h \(4, 1\) is not a scalar.*sum.*\(4, 1\)"):
            ask()


def test_an_unconnected_leaf_is_named_with_the_reason():
    w, other = named((), "w"), named((), "other")
    loss = mg.multiply(w, 2.0).named("L")
    with pytest.raises(errors.NotConnectedError, match=r"other \(\) to L: it was not used.*allow_unused"):
        mg.grad(loss, other)
    twin = named((), "w")
    with pytest.raises(errors.NotConnectedError, match="another node of that name"):
        mg.grad(loss, twin)
    with pytest.raises(errors.NotConnectedError, match="only where no gradient flows"):
        mg.grad(loss * mg.stop_gradient(other), other)
    with pytest.raises(errors.NotConnectedError, match="other"):
        mg.contributions(loss, other)
    with pytest.raises(errors.NotConnectedError, match="other"):
        mg.paths(loss, other)
    with pytest.raises(errors.NotConnectedError, match="no parameter stands behind"):
        mg.constant(1.0, name="x").backward()


def test_integers_have_no_gradients():
    with pytest.raises(errors.IntegerGradientError, match=r"steps is int64.*float64"):
        mg.parameter([1, 2], name="steps")
    x = mg.constant([1, 2], name="x")
    w = mg.parameter(1.0, name="w")
    with pytest.raises(errors.IntegerGradientError, match=r"x \(2,\) is int64"):
        mg.grad(mg.sum(w * x), x)
    with pytest.raises(errors.IntegerGradientError, match="int64"):
        mg.grad(mg.sum(x), w)
    with pytest.raises(errors.IntegerGradientError, match="bool"):
        mg.grad(w > 0, w)


def test_as_many_gradients_arrive_as_there_are_outputs():
    w = named((), "w")
    with pytest.raises(errors.ShapeError, match=r"2 outputs.*found 1"):
        mg.grad([w * 1, w * 2], w, [1.0])


def test_a_slip_in_a_whole_network_is_told_with_the_step():
    wrong = {"Whh": mg.parameter(np.ones((4, 7)))}
    with pytest.raises(errors.ShapeError, match=r"matmul: Whh \(4, 7\) @ h\[0\] \(4, 1\)"):
        elman(replaced=wrong)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda w: mg.grad(3.0, w),
        lambda w: mg.grad(w * 2, 3.0),
        lambda w: mg.grad(w * 2, [w, "w"]),
        lambda w: mg.grad(w * 2, {"w": 1.0}),
        lambda w: mg.Graph(3.0),
        lambda w: mg.Graph([w, None]),
        lambda w: mg.roll(np.ones(3)),
        lambda w: mg.reshape(w, (1.0,)),
        lambda w: mg.broadcast_to(w, "ab"),
        lambda w: mg.gradcheck(mg.tanh, 0.5, order=0),
    ],
)
def test_what_is_no_node_and_no_shape_is_refused_by_name(misuse):
    with pytest.raises(errors.UnsupportedError, match="not "):
        misuse(named((), "w"))


def test_shapes_are_integers_of_any_kind():
    x = named((4,), "x")
    for shape in ((2, 2), [2, 2], np.array([2, 2]), (np.int64(2), -1)):
        assert mg.reshape(x, shape).shape == (2, 2)
    assert mg.reshape(x, 4).shape == mg.broadcast_to(named((), "s"), 4).shape == (4,)
    assert mg.take(x, [], axis=0).shape == (0,)
