"""Nodes: leaves, names, steps, how they are shown, operators, and numbers out."""

import itertools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import errors


def test_a_leaf_is_a_parameter_or_a_constant():
    w, x = mg.parameter([1.0, 2.0], name="w"), mg.constant([1, 2], name="x")
    assert w.is_leaf and w.is_parameter and w.requires_grad and w.grad is None and w.primitive is None
    assert x.is_leaf and not x.is_parameter and not x.requires_grad
    assert (w.inputs, dict(w.attributes)) == ((), {})
    y = w * x
    assert not y.is_leaf and not y.is_parameter and y.requires_grad
    assert y.primitive is mg.primitives.PRIMITIVES["multiply"] and y.inputs == (w, x)
    assert not (x * 2).requires_grad


def test_shape_size_and_dtype_are_those_of_the_value():
    x = mg.constant(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float32, 2)
    assert x.T.shape == (3, 2)
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == (3, 2) and x.reshape(-1).shape == (6,)
    assert x.transpose(1, 0).shape == x.transpose().shape == (3, 2)
    assert x.sum().shape == () and x.sum(0).shape == (3,) and x.mean(1, keepdims=True).shape == (2, 1)
    assert x.max(axis=-1).shape == (2,)


@given(st.lists(st.sampled_from(["add", "leaf", "constant"]), min_size=1, max_size=20))
def test_the_order_of_recording_is_a_topological_order(kinds):
    nodes = [mg.parameter(1.0)]
    for kind in kinds:
        nodes.append(
            nodes[-1] + nodes[0] if kind == "add" else getattr(mg, {"leaf": "parameter"}.get(kind, kind))(2.0)
        )
    assert all(a.serial < b.serial for a, b in itertools.pairwise(nodes))
    for node in mg.Graph(nodes).nodes:
        assert all(operand.serial < node.serial for operand in node.inputs)


def test_a_name_is_given_where_the_value_is_made_and_the_node_is_returned():
    x = mg.constant(0.5)
    assert x.named("x") is x and x.name == x.label == "x"
    for name in ("", None, 3):
        with pytest.raises(errors.UnsupportedError, match="name"):
            x.named(name)


def test_labels():
    with mg.step(3):
        h = mg.tanh(mg.constant(0.0))
        assert h.label == "tanh[3]" and h.named("h").label == "h[3]"
    assert mg.parameter(0.0).label == "parameter" and mg.constant(0.0).label == "constant"
    assert mg.parameter(0.0, name="h", step=0).label == "h[0]"


def test_a_step_labels_what_is_recorded_inside_but_no_parameter():
    with mg.step(2):
        w, x = mg.parameter(1.0, name="w"), mg.constant(1.0, name="x")
        y = w * x
        with mg.step(5):
            inner = y + 1
        h0 = mg.constant(0.0, name="h", step=0)
        with mg.step(None):
            nowhere = y + 1
        after = y + 1
    outside = y + 1
    assert (w.step, x.step, y.step, inner.step, h0.step, after.step) == (None, 2, 2, 5, 0, 2)
    assert nowhere.step is None and outside.step is None


def test_a_step_ends_with_its_block_even_by_an_error():
    with pytest.raises(ZeroDivisionError), mg.step(1):
        raise ZeroDivisionError
    assert mg.constant(1.0).step is None


@pytest.mark.parametrize("t", [1.5, "1", True, [1]])
def test_a_step_is_an_integer(t):
    with pytest.raises(errors.UnsupportedError, match="integer"), mg.step(t):
        pass
    with pytest.raises(errors.UnsupportedError, match="integer"):
        mg.constant(1.0, step=t)
    with pytest.raises(errors.UnsupportedError, match="integer"):
        mg.parameter(1.0, step=t)


def test_numpy_integers_are_steps():
    with mg.step(np.int64(4)):
        x = mg.constant(1.0)
    assert type(x.step) is int and x.step == 4
    assert type(mg.constant(1.0, step=np.int32(3)).step) is int


def test_repr_is_compact():
    with mg.step(3):
        h = mg.tanh(mg.constant(np.ones((16, 1)))).named("h")
        unnamed = mg.exp(h)
    assert repr(h) == "h[3] = tanh f64[16,1]"
    assert repr(unnamed) == "exp f64[16,1] (step 3)"
    assert repr(mg.parameter(np.zeros((4, 3), np.float32), name="Wxh")) == "Wxh = parameter f32[4,3]"
    assert repr(mg.constant([True, False])) == "constant bool[2]"
    assert repr(mg.constant(3)) == "constant i64[]"


# -- operators ---------------------------------------------------------------------------------------------

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
VALUES = [np.array([[0.5, 2.0], [1.5, 1.0]]), 3, 2.0, np.float64(1.5), [1.0, 2.0], np.array([1, 2]), True]


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("other", VALUES, ids=repr)
def test_operators_are_those_of_numpy_on_either_side(op, other):
    x = np.array([[1.0, 2.0], [3.0, 0.5]])
    node = mg.constant(x)
    as_array = other if not isinstance(other, list) else np.asarray(other)
    for ours, theirs in ((op(node, other), op(x, as_array)), (op(other, node), op(as_array, x))):
        assert isinstance(ours, mg.Node) and ours.primitive is not None
        np.testing.assert_allclose(ours.value, theirs, rtol=1e-15)
        assert ours.dtype == theirs.dtype
    both = op(node, mg.constant(np.asarray(other, float)))
    np.testing.assert_allclose(both.value, op(x, np.asarray(other, float)), rtol=1e-15)


@pytest.mark.parametrize("op", [operator.gt, operator.ge, operator.lt, operator.le])
def test_comparisons_are_those_of_numpy(op):
    x = np.array([1.0, 2.0, 3.0])
    for other in (2.0, 2, np.array([3.0, 2.0, 1.0]), mg.constant(2.0)):
        theirs = other.value if isinstance(other, mg.Node) else other
        np.testing.assert_array_equal(op(mg.constant(x), other).value, op(x, theirs))
        np.testing.assert_array_equal(op(other, mg.constant(x)).value, op(theirs, x))


def test_matrix_products_with_arrays_on_either_side():
    A, x = np.arange(6.0).reshape(2, 3), mg.constant(np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal((A @ x).value, A @ x.value)
    np.testing.assert_array_equal((x @ A.T.repeat(2, 0)[:4, :1]).value, x.value @ A.T.repeat(2, 0)[:4, :1])
    np.testing.assert_array_equal((x @ [1.0, 0, 0, 0]).value, x.value[:, 0])


def test_unary_operators():
    x = mg.constant([-1.0, 2.0])
    np.testing.assert_array_equal((-x).value, [1, -2])
    np.testing.assert_array_equal(abs(x).value, [1, 2])
    assert +x is x


def test_python_numbers_take_the_dtype_of_what_they_meet():
    x = mg.parameter(np.ones(2, np.float32))
    for y in (
        x * 2,
        2 * x,
        x + 0.5,
        x**2,
        x**0.5,
        2**x,
        1 - x,
        x / 3,
        mg.maximum(x, 0),
        mg.where(x > 0, x, 0.0),
    ):
        assert y.dtype == np.float32
        assert mg.grad(mg.sum(y), x).dtype == np.float32


def test_arrays_promote_as_in_numpy_and_the_gradient_comes_back_in_the_dtype_of_the_parameter():
    x = mg.parameter(np.ones(2, np.float32))
    for other in (np.ones(2), np.array([1, 2])):
        y = x * other
        assert y.dtype == np.float64  # numpy's promotion
        assert mg.grad(mg.sum(y), x).dtype == np.float32
        assert mg.grad(mg.sum(y), x, create_graph=True).dtype == np.float32


def test_a_power_keeps_its_exponent_as_attribute_or_operand():
    x = mg.constant(3.0)
    assert (x**2).primitive.name == "scalar_power" and (x**2).attributes["exponent"] == 2
    assert (x ** mg.constant(2.0)).primitive.name == (2.0**x).primitive.name == "power"


# -- numbers out -------------------------------------------------------------------------------------------


def test_one_number_comes_out_of_a_node_of_one_entry():
    x = mg.constant([[2.5]])
    assert x.item() == float(x) == 2.5 and int(x) == 2 and bool(x)
    assert not mg.constant(0.0)
    for function in (float, int, bool, mg.Node.item):
        for value in ([1.0, 2.0], []):
            with pytest.raises(errors.NotScalarError, match=r"v\b.*\(\d,\)"):
                function(mg.constant(value, name="v"))


def test_iteration_gives_the_entries_along_the_first_axis():
    a, b = mg.constant([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(a.value, [1, 2])
    np.testing.assert_array_equal(b.value, [3, 4])
    with pytest.raises(errors.UnsupportedError, match="no axes"):
        len(mg.constant(1.0))


def test_nodes_are_compared_by_identity_so_that_they_can_be_keys():
    a, b = mg.constant(1.0), mg.constant(1.0)
    assert a == a and a != b and len({a, b}) == 2
    assert mg.equal(a, b).value


@pytest.mark.parametrize(
    "misuse",
    [
        lambda x: mg.Node(),
        lambda x: np.array(x),
        lambda x: np.asarray(x, dtype=float),
        lambda x: np.array([x, x]),
        lambda x: np.array([[1.0, x]]),
        lambda x: mg.constant(x),
        lambda x: mg.parameter(x),
        lambda x: mg.constant("text"),
        lambda x: mg.constant(np.array([object()])),
        lambda x: mg.constant([1.0, None]),
        lambda x: x * [x, x],
        lambda x: 1.0 in x,
        lambda x: operator.setitem(x, 0, 1.0),
        lambda x: x[x],
        lambda x: x[mg.constant(0) :],
        lambda x: mg.constant([True]) - mg.constant([True]),
        lambda x: -mg.constant([True]),
        lambda x: mg.constant([1, 2]) ** -1,
        lambda x: mg.softmax(mg.constant([1, 2])),
    ],
)
def test_misuse_is_a_type_error_with_a_message(misuse):
    with pytest.raises(errors.UnsupportedError) as caught:
        misuse(mg.parameter([1.0, 2.0], name="x"))
    assert isinstance(caught.value, TypeError) and len(str(caught.value)) > 20
