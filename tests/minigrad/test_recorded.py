"""The recorded backward pass: named and stepped, one sum where gradients meet, derivatives of any order."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from tests.minigrad.networks import elman, lstm


def nodes_behind(*outputs):
    return mg.Graph(outputs).nodes


def derivatives(function, x, count):
    """Return f(x) and its derivatives as numbers, each the recorded gradient of the one before."""
    leaf = mg.parameter(x, name="x")
    y = function(leaf)
    values = [y.item()]
    for _ in range(count):
        y = mg.grad(y, leaf, create_graph=True)
        values.append(y.item())
    return values


def test_derivatives_to_the_third_order_and_beyond():
    x = 0.7
    s, t = 1 / (1 + np.exp(-x)), np.tanh(x)
    e, c = np.exp(x), 1 - t * t
    np.testing.assert_allclose(derivatives(mg.exp, x, 4), [e] * 5)
    np.testing.assert_allclose(derivatives(lambda x: x**4, x, 4), [x**4, 4 * x**3, 12 * x**2, 24 * x, 24])
    np.testing.assert_allclose(derivatives(mg.log, x, 3), [np.log(x), 1 / x, -1 / x**2, 2 / x**3])
    np.testing.assert_allclose(derivatives(mg.tanh, x, 3), [t, c, -2 * t * c, c * (6 * t * t - 2)])
    q = s * (1 - s)
    np.testing.assert_allclose(derivatives(mg.sigmoid, x, 3), [s, q, q * (1 - 2 * s), q * (1 - 6 * q)])
    np.testing.assert_allclose(derivatives(lambda x: 1 / x, x, 3), [1 / x, -1 / x**2, 2 / x**3, -6 / x**4])


def test_third_order_through_time_agrees_with_differences():
    net = elman(steps=2)
    names = ["Whh", "by"]
    values = [net.parameters[name].value for name in names]
    mg.gradcheck(lambda *p: elman(steps=2, replaced=dict(zip(names, p, strict=True))).loss, values, order=2)
    small = [np.array([[0.3]]), np.array([[-0.2]])]
    mg.gradcheck(lambda w, b: mg.sum(mg.tanh(w @ mg.tanh(w @ b) + b)), small, order=3, rtol=1e-4)


def test_the_gradient_of_a_named_node_is_named_and_stepped_after_it():
    net = elman(steps=3)
    states = [net.graph["h", t] for t in (1, 2, 3)]
    recorded = mg.grad(net.loss, [*states, net.parameters["Whh"], net.graph["h", 0]], create_graph=True)
    assert [node.label for node in recorded] == ["dh[1]", "dh[2]", "dh[3]", "dWhh", "dh[0]"]
    behind = mg.Graph(recorded)
    for t in (1, 2, 3):
        assert behind["do", t].step == t
        assert behind["dh_pre", t].name == "dh_pre"
    # The 1 with which the pass begins is left out of the gradients of the losses.
    assert not any(node.attributes.get("seed") for node in behind)


def test_the_pass_begins_with_a_constant_one_named_after_the_output():
    x = mg.parameter(3.0, name="x")
    for output, name in ((mg.exp(x), "dL"), (mg.exp(x).named("E"), "dE")):
        (seed,) = (n for n in mg.Graph(mg.grad(output, x, create_graph=True)) if n.attributes.get("seed"))
        assert seed.label == name and seed.is_leaf and not seed.requires_grad and seed.item() == 1


def test_gradients_of_named_nodes_are_sums_and_of_unnamed_ones_with_one_use_nothing_extra():
    with mg.step(1):
        x = mg.parameter(0.5, name="x")
        unnamed = mg.tanh(x)
        y = mg.exp(unnamed).named("y")
        loss = mg.multiply(y, 2.0)
    dx, d_unnamed, dy = mg.grad(loss, [x, unnamed, y], create_graph=True)
    assert dy.primitive.name == dx.primitive.name == "accumulate"
    assert d_unnamed.primitive.name == "multiply" and d_unnamed.name is None


@pytest.mark.parametrize("model", [elman, lstm])
def test_where_gradients_meet_there_is_one_sum_with_the_steps_of_the_uses(model):
    T = 4
    net = model(steps=T)
    graph = mg.Graph(mg.grad(net.loss, [*net.parameters.values(), net.graph["h", 0]], create_graph=True))
    for t in range(1, T + 1):
        dh = graph["dh", t]
        assert dh.primitive.name == "accumulate"
        steps = [addend.step for addend in dh.inputs]
        assert set(steps) == ({t, t + 1} if t < T else {t})
        assert steps == sorted(steps)
        assert not any(addend.primitive.name == "accumulate" for addend in dh.inputs)
    shared = "Whh" if model is elman else "Wf"
    total = graph[f"d{shared}"]
    assert total.primitive.name == "accumulate" and total.step is None
    assert [addend.step for addend in total.inputs] == list(range(1, T + 1))
    assert {addend.step for addend in graph["dh", 0].inputs} == {1}


def test_the_gradient_of_the_logits_is_p_minus_y_with_the_very_node_p():
    o = mg.parameter(np.array([[1.0, 0.0], [2.0, 1.0], [0.5, -1.0]]), name="o")
    for y in (mg.constant([2, 0], name="y"), mg.constant(np.eye(3)[:, [2, 0]], name="y")):
        p = mg.softmax(o).named("p")
        loss = mg.cross_entropy(o, y).named("L")
        assert loss.inputs == (o, y, p)
        do = mg.grad(loss, o, create_graph=True)
        (difference,) = do.inputs
        assert difference.primitive.name == "subtract" and difference.inputs[0] is p
        target = difference.inputs[1]
        if y.ndim == 2:
            assert target is y
        else:
            assert target.primitive.name == "one_hot" and target.inputs == (y,)
        np.testing.assert_allclose(do.value, p.value - np.eye(3)[:, [2, 0]], rtol=1e-15)


def test_the_softmax_is_the_same_node_whichever_is_asked_for_first():
    o = mg.parameter(np.zeros((3, 1)), name="o") * 1.0
    loss = mg.cross_entropy(o, [0])
    assert mg.softmax(o) is loss.inputs[2] is mg.softmax(o, axis=0)
    assert mg.softmax(o, axis=1) is not loss.inputs[2]
    with mg.no_grad():
        assert mg.softmax(o).is_leaf


def test_the_gradient_of_squared_error_is_the_difference():
    y, t = mg.parameter([[1.0], [2.0]], name="y"), mg.constant([[0.5], [0.0]], name="t")
    dy = mg.grad(mg.squared_error(y, t), y, create_graph=True)
    assert dy.inputs[0].primitive.name == "subtract" and dy.inputs[0].inputs == (y, t)
    np.testing.assert_array_equal(dy.value, [[0.5], [2.0]])


def test_a_loss_that_is_scaled_scales_the_gradient():
    o = mg.parameter(np.zeros((2, 1)), name="o")
    for create_graph in (False, True):
        half = mg.grad(mg.cross_entropy(o, [0]) / 2, o, create_graph=create_graph)
        np.testing.assert_allclose(getattr(half, "value", half), [[-0.25], [0.25]])
        twice = mg.grad([mg.cross_entropy(o, [0])] * 2, o, create_graph=create_graph)
        np.testing.assert_allclose(getattr(twice, "value", twice), [[-1], [1]])
        given = mg.grad(mg.cross_entropy(o, [0]), o, 3.0, create_graph=create_graph)
        np.testing.assert_allclose(getattr(given, "value", given), [[-1.5], [1.5]])


def test_broadcasting_is_undone_by_a_sum_over_the_columns():
    b, x = mg.parameter(np.ones((3, 1)), name="b"), mg.constant(np.ones((3, 5)), name="x")
    db = mg.grad(mg.sum(x * b), b, create_graph=True)
    (addend,) = db.inputs
    assert addend.primitive.name == "sum" and addend.attributes["axis"] == (1,)
    assert addend.attributes["keepdims"]


@pytest.mark.parametrize("model", [elman, lstm])
def test_recorded_gradients_are_the_numbers(model):
    net = model(steps=5, columns=3)
    inputs = list(net.parameters.values())
    numbers = mg.grad(net.loss, inputs)
    recorded = mg.grad(net.loss, inputs, create_graph=True)
    for number, node in zip(numbers, recorded, strict=True):
        np.testing.assert_allclose(node.value, number, rtol=1e-12)
    net.loss.backward()
    for number, leaf in zip(numbers, inputs, strict=True):
        np.testing.assert_allclose(leaf.grad, number, rtol=1e-13)


def test_gradients_of_several_forms_of_inputs():
    x, y = mg.parameter(2.0, name="x"), mg.parameter(3.0, name="y")
    loss = x * x * y
    assert mg.grad(loss, x) == 12
    assert mg.grad(loss, [y, x, y]) == [4, 12, 4]
    assert mg.grad(loss, {"a": x, "b": y}) == {"a": 12, "b": 4}
    assert mg.grad(loss, []) == []
    assert mg.grad(loss, loss) == 1
    z = mg.parameter(1.0)
    assert mg.grad(loss, [x, z], allow_unused=True) == [12, None]
    assert mg.grad([loss, x], x) == 13


def test_the_gradient_of_a_constant_and_of_an_intermediate_value():
    x = mg.constant(2.0, name="x")
    y = mg.exp(x)
    assert mg.grad(y * y, x) == pytest.approx(2 * np.exp(4))
    assert mg.grad(y * y, y) == pytest.approx(2 * np.exp(2))
    both = mg.grad(y * y, [x, y])
    np.testing.assert_allclose(both, [2 * np.exp(4), 2 * np.exp(2)])


def test_a_gradient_that_arrives_may_itself_be_a_node_to_differentiate():
    x, g = mg.parameter([1.0, 2.0], name="x"), mg.parameter([3.0, 4.0], name="g")
    dx = mg.grad(x**2, x, g, create_graph=True)
    np.testing.assert_array_equal(mg.grad(mg.sum(dx), g), [2, 4])
    np.testing.assert_array_equal(mg.grad(mg.sum(dx), x), [6, 8])


def test_no_grad_records_nothing_and_ends_where_it_ends():
    w = mg.parameter(2.0, name="w")
    with mg.no_grad():
        y = w * 3
        with pytest.raises(ZeroDivisionError), mg.no_grad():
            raise ZeroDivisionError
        assert (w * 1).is_leaf
    assert y.is_leaf and not y.requires_grad and y.inputs == ()
    assert (w * 3).primitive.name == "multiply"
    with pytest.raises(errors.NotConnectedError):
        y.backward()


def test_jacobians_row_by_row_and_a_hessian_are_what_mathematics_says():
    random = np.random.default_rng(0)
    A, x = random.normal(size=(3, 3)), mg.parameter(random.normal(size=(3, 1)), name="x")
    form = 0.5 * mg.sum(x * (A @ x))
    gradient = mg.grad(form, x, create_graph=True)
    np.testing.assert_allclose(gradient.value, (A + A.T) / 2 @ x.value)
    hessian = np.hstack([mg.grad(gradient, x, np.eye(3)[:, [i]]) for i in range(3)])
    np.testing.assert_allclose(hessian, (A + A.T) / 2, atol=1e-15)
