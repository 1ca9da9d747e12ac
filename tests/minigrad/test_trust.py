"""gradcheck finds wrong derivatives and says where; detect_anomaly names the first infinity or NaN."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.primitives.base import ATOM, Primitive, unary
from tests.minigrad.networks import elman


def wrong(value, *vjps):
    """Return a function made of a primitive with the given derivatives, right or wrong."""
    primitive = Primitive("wrong", value, vjps, precedence=ATOM)
    return lambda x: unary(primitive, x)


X = np.array([[0.5, -1.0], [2.0, 0.25]])


@pytest.mark.parametrize(
    "vjp",
    [
        lambda g, y, x: g * y,  # not the derivative
        lambda g, y, x: -g * (1 - y**2),  # the sign
        lambda g, y, x: 2 * g * (1 - y**2),  # a factor
        lambda g, y, x: g * (1 - y**2) + 1e-3,  # a small term
        lambda g, y, x: (g * (1 - y**2)).T,  # a transpose that fits
        lambda g, y, x: 1 - y**2,  # what arrives is forgotten
        lambda g, y, x: g * (1 - y**2) * np.array([[1, 1], [1, 1.001]]),  # one entry
        lambda g, y, x: g * np.nan,
        None,  # no derivative at all
    ],
)
def test_a_wrong_derivative_is_found(vjp):
    with pytest.raises(errors.GradcheckError) as caught:
        mg.gradcheck(wrong(np.tanh, vjp), X)
    assert isinstance(caught.value, AssertionError)


def test_the_right_derivative_passes():
    assert mg.gradcheck(wrong(np.tanh, lambda g, y, x: g * (1 - y**2)), X, order=2) is True


def test_a_derivative_right_in_value_but_wrong_to_differentiate_is_found_at_order_two():
    frozen = wrong(
        np.tanh,
        lambda g, y, x: g * (1 - mg.stop_gradient(y * y)) if isinstance(y, mg.Node) else g * (1 - y * y),
    )
    assert mg.gradcheck(frozen, X)
    with pytest.raises(errors.GradcheckError, match="in the gradient of w"):
        mg.gradcheck(frozen, mg.parameter(X, name="w"), order=2)


def test_the_message_names_the_input_the_index_both_values_and_the_ratio():
    doubled = wrong(lambda x: 3.0 * x, lambda g, y, x: g * 3.0 * np.where(x == 2.0, 2.0, 1.0))
    with pytest.raises(errors.GradcheckError) as caught:
        mg.gradcheck(lambda a, w: a * mg.sum(doubled(w)), [1.0, mg.parameter(X, name="Whh")])
    message = str(caught.value)
    assert "Whh[1, 0]" in message and "ratio 2" in message and "1 of 4 entries" in message
    assert "recorded" in message and "numerical" in message
    with pytest.raises(errors.GradcheckError, match=r"input 0\[1, 0\]"):
        mg.gradcheck(doubled, X)


def test_both_ways_to_a_numerical_derivative():
    assert mg.gradcheck(mg.tanh, X, complex_step=True)
    assert mg.gradcheck(mg.tanh, X, complex_step=False)
    assert mg.gradcheck(mg.abs, X)  # not analytic: the differences decide
    # The complex step sees what differences cannot: an error of 1e-9.
    nearly = wrong(np.tanh, lambda g, y, x: g * (1 - y**2) * (1 + 1e-9))
    assert mg.gradcheck(nearly, X, complex_step=False)
    with pytest.raises(errors.GradcheckError):
        mg.gradcheck(nearly, X, complex_step=True, rtol=1e-12, atol=0)


def test_gradcheck_asks_for_float64_and_for_a_node():
    with pytest.raises(errors.IntegerGradientError, match="float32"):
        mg.gradcheck(mg.tanh, X.astype(np.float32))
    with pytest.raises(errors.IntegerGradientError, match="int64"):
        mg.gradcheck(mg.tanh, np.arange(3))
    for scalar in (3, np.float32(3)):
        with pytest.raises(errors.IntegerGradientError):
            mg.gradcheck(mg.tanh, scalar)
    assert mg.gradcheck(mg.tanh, 3.0) and mg.gradcheck(mg.tanh, np.float64(3.0))
    with pytest.raises(errors.GradcheckError, match="must return a node"):
        mg.gradcheck(lambda x: x.value, X)


def test_gradcheck_takes_one_input_or_several_by_their_names():
    assert mg.gradcheck(lambda a, b: a @ b, [X, X])
    assert mg.gradcheck(lambda a, b: a * 2.0, [X, X])  # an input without influence has the gradient 0
    assert mg.gradcheck(lambda x: mg.constant(1.0), X)
    assert mg.gradcheck(mg.tanh, np.zeros((0, 3))) and mg.gradcheck(mg.tanh, np.array(0.5))


def test_gradcheck_changes_nothing_of_the_users():
    w = mg.parameter(X, name="w")
    mg.gradcheck(mg.tanh, w)
    assert w.grad is None
    np.testing.assert_array_equal(w.value, X)


# -- anomalies ---------------------------------------------------------------------------------------------


def test_the_first_value_that_is_not_finite_is_named_with_its_step_and_the_ranges_of_its_inputs():
    with pytest.raises(errors.AnomalyError) as caught, mg.detect_anomaly(), np.errstate(all="ignore"):
        for t in (1, 2, 3):
            with mg.step(t):
                x = mg.constant([4.0, 3.0 - t, 1.0], name="x")
                mg.log(mg.sqrt(x - 1.0).named("root")).named("L")
    message = str(caught.value)
    assert isinstance(caught.value, ArithmeticError)
    assert message.startswith("forward: log[1] holds -inf at [2] (1 of 3 entries")
    assert "root[1] in [0, 1.73205]" in message


@pytest.mark.parametrize(
    "value, what", [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf"), (np.float32(np.nan), "NaN")]
)
def test_any_value_that_is_not_finite_is_an_anomaly(value, what):
    with pytest.raises(errors.AnomalyError, match=f"is {what}"), mg.detect_anomaly():
        mg.constant(value, name="x") * 1


def test_an_anomaly_of_the_backward_pass_names_the_node_whose_gradient_it_is():
    x = mg.parameter([0.0, 1.0], name="x")
    with mg.step(3):
        loss = mg.sum(mg.sqrt(x).named("root"))
    with pytest.raises(errors.AnomalyError) as caught, mg.detect_anomaly(), np.errstate(all="ignore"):
        loss.backward()
    message = str(caught.value)
    assert message.startswith("backward: the gradient of x holds inf at [0]")
    assert "root[3]" in message and "x in [0, 1]" in message
    assert x.grad is None  # nothing half done


def test_an_anomaly_of_the_recorded_backward_pass_says_that_it_is_one():
    x = mg.parameter(0.0, name="x")
    with mg.step(3):
        root = mg.sqrt(x).named("root")
    with (
        pytest.raises(
            errors.AnomalyError, match=r"backward: in the gradient of x that arrives from root\[3\]"
        ),
        mg.detect_anomaly(),
        np.errstate(all="ignore"),
    ):
        mg.grad(root, x, create_graph=True)
    with mg.step(7):
        assert mg.constant(1.0).step == 7
    assert mg.constant(1.0).step is None


def test_a_sound_network_passes_and_its_gradients_are_the_same():
    with mg.detect_anomaly():
        net = elman(steps=3)
        watched = mg.grad(net.loss, list(net.parameters.values()))
        net.loss.backward()
    plain = elman(steps=3)
    for a, b in zip(watched, mg.grad(plain.loss, list(plain.parameters.values())), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_node_used_twice_in_the_same_place_is_watched_too():
    x = mg.parameter(np.ones(3), name="x")
    with mg.detect_anomaly():
        mg.sum(x * 2 + x * 3).backward()
    np.testing.assert_array_equal(x.grad, [5, 5, 5])


def test_watching_ends_with_its_block_and_takes_integers_and_empty_values():
    with mg.detect_anomaly():
        mg.constant([1, 2]) * 3
        mg.constant(np.zeros((0, 2))) * 1.0
        mg.constant([True]) * 1.0
    with np.errstate(all="ignore"):
        mg.log(mg.constant(0.0))


def test_the_ranges_of_inputs_of_any_kind_are_shown():
    with pytest.raises(errors.AnomalyError) as caught, mg.detect_anomaly(), np.errstate(all="ignore"):
        mg.divide(mg.constant([1, 2], name="count"), mg.constant([True, False], name="mask"))
    assert "count in [1, 2]" in str(caught.value) and "mask in [0, 1]" in str(caught.value)
