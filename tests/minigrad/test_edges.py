"""Where derivatives are most often wrong: ties, zeros, mixed dtypes, aliases, values changed in place."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


def gradient(function, *values):
    leaves = [mg.parameter(np.asarray(v, dtype=float), name=f"x{i}") for i, v in enumerate(values)]
    found = mg.grad(mg.sum(function(*leaves)), leaves)
    return found[0] if len(values) == 1 else found


# -- points at which a formula could divide by zero or choose ----------------------------------------------


@pytest.mark.parametrize("exponent, expected", [(0, 0.0), (1, 1.0), (2, 0.0), (3, 0.0)])
def test_whole_powers_have_a_derivative_at_zero(exponent, expected):
    assert gradient(lambda x: x**exponent, 0.0) == expected
    assert gradient(lambda x: x ** mg.constant(float(exponent)), 0.0) == expected


def test_the_zeroth_power_is_constant_everywhere():
    np.testing.assert_array_equal(gradient(lambda x: x**0, [-2.0, 0.0, 3.0]), np.zeros(3))
    np.testing.assert_array_equal(gradient(lambda x: x**0.0, [-2.0, 0.0, 3.0]), np.zeros(3))


def test_a_negative_base_has_whole_powers_given_as_a_node():
    np.testing.assert_allclose(gradient(lambda x: x ** mg.constant(3.0), [-2.0, -1.0]), [12.0, 3.0])


def test_the_mixed_second_derivative_of_a_power_at_exponent_zero():
    # d²(a^b)/(da db) = a^(b-1) (1 + b log a), which is 1/a at b = 0.
    a, b = mg.parameter(4.0, name="a"), mg.parameter(0.0, name="b")
    da = mg.grad(a**b, a, create_graph=True)
    assert mg.grad(da, b) == pytest.approx(1 / 4)
    db = mg.grad(a**b, b, create_graph=True)
    assert mg.grad(db, a) == pytest.approx(1 / 4)


@pytest.mark.parametrize("choose", [mg.maximum, mg.minimum])
def test_equal_operands_share_the_gradient(choose):
    x = [1.0, 2.0, 3.0]
    a, b = gradient(choose, x, x)
    np.testing.assert_array_equal(a, [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(a + b, np.ones(3))


def test_equal_largest_entries_share_the_gradient():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    np.testing.assert_allclose(gradient(mg.max, x), [[0, 0.5, 0.5], [0, 0, 0]])
    by_row = gradient(lambda x: mg.max(x, axis=1), x)
    np.testing.assert_allclose(by_row, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])


def test_at_a_kink_the_derivative_is_zero_by_convention():
    assert gradient(mg.relu, 0.0) == 0
    assert gradient(mg.abs, 0.0) == 0
    assert gradient(mg.relu, -0.0) == 0


def test_where_sends_nothing_to_the_side_that_was_not_taken_even_if_it_is_not_finite():
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = gradient(lambda a, b: mg.where(np.array([True, False]), a, b), [1.0, np.inf], [np.nan, 2.0])
    np.testing.assert_array_equal(a, [1, 0])
    np.testing.assert_array_equal(b, [0, 1])


def test_sigmoid_tanh_and_softmax_far_out_neither_overflow_nor_lose_their_limits():
    far = np.array([-1e4, -800.0, 0.0, 800.0, 1e4])
    for dtype in (np.float32, np.float64):
        x = mg.parameter(far.astype(dtype), name="x")
        s = mg.sigmoid(x)
        np.testing.assert_allclose(s.value, [0, 0, 0.5, 1, 1], atol=1e-30)
        assert np.isfinite(mg.grad(mg.sum(s), x)).all()
        p = mg.softmax(x)
        assert p.value.sum() == pytest.approx(1)
        assert np.isfinite(mg.grad(p[0], x)).all()


def test_sigmoid_agrees_with_its_definition_to_the_last_digits():
    x = np.linspace(-30, 30, 601)
    np.testing.assert_allclose(mg.sigmoid(x), 1 / (1 + np.exp(-x)), rtol=4e-16)
    np.testing.assert_allclose(mg.sigmoid(mg.constant(x)).value, 1 / (1 + np.exp(-x)), rtol=4e-16)


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-6), (np.float64, 1e-15)])
def test_cross_entropy_of_a_hopeless_class_is_the_distance_of_the_logits(dtype, rtol):
    for columns in (1, 12):
        o = mg.parameter(np.repeat(np.array([[1e4], [0.0]], dtype), columns, axis=1), name="o")
        for target in ([1] * columns, np.repeat([[0.0], [1.0]], columns, axis=1).astype(dtype)):
            loss = mg.cross_entropy(o, target)
            np.testing.assert_allclose(loss.value, columns * 1e4, rtol=rtol)
            np.testing.assert_array_equal(mg.grad(loss, o), np.repeat([[1.0], [-1.0]], columns, axis=1))


def test_a_masked_class_gets_no_probability_and_no_gradient():
    o = mg.parameter(np.array([[0.0], [-np.inf], [1.0]]), name="o")
    for target in ([2], np.array([[0.0], [0.0], [1.0]])):
        loss = mg.cross_entropy(o, target)
        assert loss.item() == pytest.approx(np.log1p(np.exp(-1.0)))
        assert mg.grad(loss, o)[1, 0] == 0


def test_nan_is_passed_on_and_not_hidden():
    x = np.array([np.nan, 1.0])
    for function in (mg.relu, mg.tanh, mg.sigmoid, mg.abs, mg.max, mg.sum, mg.softmax, mg.log_softmax):
        assert np.isnan(function(mg.constant(x)).value).any(), function
    assert np.isnan(mg.maximum(mg.constant(x), 0.0).value[0])
    assert np.isnan(mg.cross_entropy(mg.constant(x[:, None]), [1]).value)


# -- one node in several places ----------------------------------------------------------------------------


def test_the_same_node_as_both_operands():
    assert gradient(lambda x: x * x, 3.0) == 6
    assert gradient(lambda x: x - x, 3.0) == 0
    assert gradient(lambda x: x / x, 3.0) == 0
    assert gradient(lambda x: x**x, 2.0) == pytest.approx(4 * (1 + np.log(2)))
    assert gradient(lambda x: mg.maximum(x, x), 3.0) == 1
    np.testing.assert_allclose(gradient(lambda x: x @ x, [1.0, 2.0]), [2, 4])
    np.testing.assert_allclose(gradient(lambda x: mg.concat([x, x, x]), [1.0, 2.0]), [3, 3])
    assert gradient(lambda x: mg.accumulate(x, x, x), 5.0) == 3


def test_one_matrix_meets_operands_with_different_numbers_of_axes():
    random = np.random.default_rng(0)
    W = mg.parameter(random.normal(size=(4, 4)), name="W")
    for shapes in ([(4, 1), (2, 4, 1), (4, 1)], [(2, 4, 1), (4, 1), (4, 1)], [(4, 1), (4, 3), (4,)]):
        operands = [random.normal(size=shape) for shape in shapes]
        together = mg.grad(mg.accumulate(*[mg.sum(W @ x) for x in operands]), W)
        apart = sum(mg.grad(mg.sum(W @ x), W) for x in operands)
        np.testing.assert_allclose(together, apart, rtol=1e-13)


def test_one_table_is_looked_up_along_both_axes():
    E = mg.parameter(np.arange(9.0).reshape(3, 3), name="E")
    found = mg.grad(mg.sum(mg.take(E, [0, 0], 0)) + mg.sum(mg.take(E, [1], 1)) + mg.sum(mg.take(E, 2, 0)), E)
    np.testing.assert_array_equal(found, [[2, 3, 2], [0, 1, 0], [1, 2, 1]])


# -- arrays that are unusual -------------------------------------------------------------------------------


def test_views_transposes_and_read_only_arrays_are_values_like_others():
    base = np.arange(24.0).reshape(4, 6) / 10
    frozen = base.copy()
    frozen.setflags(write=False)
    for array in (
        base[::2, ::-1],
        base.T,
        frozen,
        np.broadcast_to(base[:1], (3, 6)),
        np.asfortranarray(base),
    ):
        x = mg.parameter(array, name="x")
        loss = mg.sum(mg.tanh(x) * mg.constant(array))
        plain = mg.parameter(np.array(array, order="C"), name="x")
        loss.backward()
        expected = mg.grad(mg.sum(mg.tanh(plain) * np.array(array)), plain)
        np.testing.assert_allclose(x.grad, expected, rtol=1e-15)
        x.grad += 1  # it is the user's own array


def test_gradients_are_arrays_that_nobody_else_holds():
    a, b = mg.parameter(np.ones(3), name="a"), mg.parameter(np.ones(3), name="b")
    given = np.ones(3)
    (a + b).backward(given)
    assert not np.shares_memory(a.grad, b.grad) and not np.shares_memory(a.grad, given)
    a.grad *= 7
    np.testing.assert_array_equal(b.grad, np.ones(3))
    da, db = mg.grad(mg.sum(a + b), [a, b])
    da += 1
    np.testing.assert_array_equal(db, np.ones(3))
    for part in mg.contributions(mg.sum(a + b), a).values():
        part += 1  # writable


def test_backward_twice_adds_up_and_none_clears():
    for value in (2.0, [1.0, 2.0]):
        w = mg.parameter(value, name="w")
        loss = mg.sum(w * w)
        loss.backward()
        first = w.grad.copy()
        loss.backward()
        assert type(w.grad) is np.ndarray
        np.testing.assert_array_equal(w.grad, 2 * first)
        w.grad = None
        loss.backward()
        np.testing.assert_array_equal(w.grad, first)


def test_the_softmax_of_a_parameter_follows_values_changed_in_place():
    o = mg.parameter(np.zeros((3, 1)), name="o")
    loss = mg.cross_entropy(o, [0])
    o.value[0] += 5  # as an optimizer does, while the last loss is still alive
    again = mg.cross_entropy(o, [0])
    assert again.item() == pytest.approx(np.log1p(2 * np.exp(-5.0)))
    assert loss.item() == pytest.approx(np.log(3))


def test_a_parameter_is_a_copy_and_a_constant_is_not():
    array = np.zeros(3)
    w, x = mg.parameter(array), mg.constant(array)
    assert not np.shares_memory(w.value, array) and x.value is array


def test_arrays_without_axes_and_without_entries():
    assert gradient(lambda x: x * 3, 2.0).shape == ()
    assert gradient(lambda x: mg.sum(x * 3), np.zeros((0, 4))).shape == (0, 4)
    W, x = mg.parameter(np.ones((3, 0)), name="W"), mg.parameter(np.ones((0, 2)), name="x")
    y = W @ x
    np.testing.assert_array_equal(y.value, np.zeros((3, 2)))
    assert [g.shape for g in mg.grad(mg.sum(y), [W, x])] == [(3, 0), (0, 2)]


# -- integers and booleans in a floating point graph ---------------------------------------------------------


def test_integer_and_boolean_constants_take_part_in_formulas():
    x = mg.parameter(np.array([1.0, 2.0, 3.0]), name="x")
    counts, mask = np.array([1, 2, 3]), np.array([True, False, True])
    np.testing.assert_array_equal(mg.grad(mg.sum(x * counts), x), [1, 2, 3])
    np.testing.assert_array_equal(mg.grad(mg.sum(x * mask), x), [1, 0, 1])
    np.testing.assert_array_equal(mg.grad(mg.sum(x**counts), x), [1, 4, 27])
    np.testing.assert_array_equal(mg.grad(mg.sum(counts * x + True), x), [1, 2, 3])


def test_no_gradient_passes_through_rounding_to_integers():
    w = mg.parameter(2.5, name="w")
    rounded = mg.astype(mg.astype(w, int), float)
    assert rounded.item() == 2.0
    with pytest.raises(errors.NotConnectedError):
        mg.grad(rounded * 2.7, w)
    with pytest.raises(errors.NotConnectedError):
        (rounded * 2.7).backward()
    assert mg.grad(rounded * w, w) == 2.0


def test_behind_what_has_no_derivative_nothing_requires_a_gradient():
    w = mg.parameter(np.ones(3), name="w")
    for node in (w > 0, mg.sign(w), mg.stop_gradient(w), mg.sum(w > 0), mg.stop_gradient(w) * 2):
        assert not node.requires_grad
        with pytest.raises(errors.NotConnectedError):
            mg.sum(node * 1.0).backward()
    with pytest.raises(errors.NotConnectedError):
        mg.sum(mg.where(w, 1.0, 2.0)).backward()


def test_complex_numbers_have_no_gradients():
    w = mg.parameter(np.array(1 + 2j), name="w")
    with pytest.raises(errors.IntegerGradientError, match="w"):
        mg.abs(w).backward()
    with pytest.raises(errors.IntegerGradientError, match="w"):
        mg.grad(mg.abs(w), w)


# -- size and threads ----------------------------------------------------------------------------------------


def test_a_sum_or_a_stack_of_many_values_takes_time_in_proportion():
    # With one step for each pair of addends this test would take minutes.
    many = [mg.parameter(float(i)) for i in range(20_000)]
    mg.accumulate(*many).backward()
    mg.sum(mg.stack(many)).backward()
    assert all(x.grad == 2 for x in many)


def test_threads_that_share_parameters_lose_no_gradient():
    w = mg.parameter(np.ones((64, 64)), name="w")

    def work():
        for _ in range(20):
            mg.sum(w * 1.0).backward()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(w.grad, np.full((64, 64), 160.0))
