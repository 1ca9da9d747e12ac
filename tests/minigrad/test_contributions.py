"""A gradient taken apart: by time step, and by path."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import errors
from tests.minigrad.networks import elman, lstm


@pytest.mark.parametrize("model, weight", [(elman, "Whh"), (lstm, "Wf")])
@pytest.mark.parametrize("T", [1, 2, 4])
def test_the_contributions_of_a_shared_weight_are_its_gradient_by_step(model, weight, T):
    net = model(steps=T, columns=2)
    W = net.parameters[weight]
    parts = mg.contributions(net.loss, W)
    assert list(parts) == list(range(1, T + 1))
    np.testing.assert_allclose(sum(parts.values()), mg.grad(net.loss, W), rtol=1e-12, atol=1e-15)
    # They are the addends of the recorded gradient, too.
    dW = mg.grad(net.loss, W, create_graph=True)
    for addend in dW.inputs:
        np.testing.assert_allclose(addend.value, parts[addend.step], rtol=1e-12, atol=1e-15)


def test_one_contribution_is_what_a_weight_of_that_step_alone_would_get():
    """dL/dWhh (t = k) is the derivative when only the k-th use of Whh is varied."""
    net = elman(steps=3)
    parts = mg.contributions(net.loss, net.parameters["Whh"])
    graph = net.graph
    for t, part in parts.items():
        expected = graph["h", t - 1].value
        dh_pre = mg.grad(net.loss, graph["h_pre", t])
        np.testing.assert_allclose(part, dh_pre @ expected.T, rtol=1e-12)


def test_uses_outside_of_all_steps_come_first_and_several_uses_in_one_step_are_added():
    w = mg.parameter(2.0, name="w")
    with mg.step(2):
        a = w * 3.0 + w * 4.0
    with mg.step(1):
        b = w * w
    loss = a + b + w * 5.0
    assert {t: float(g) for t, g in mg.contributions(loss, w).items()} == {None: 5.0, 1: 4.0, 2: 7.0}
    assert list(mg.contributions(loss, w)) == [None, 1, 2]
    assert all(type(part) is np.ndarray for part in mg.contributions(loss, w).values())


def test_what_arrives_at_a_state_comes_from_its_own_step_and_from_the_next():
    net = elman(steps=3)
    h = net.graph["h", 2]
    parts = mg.contributions(net.loss, h)
    assert list(parts) == [2, 3]
    np.testing.assert_allclose(parts[2] + parts[3], mg.grad(net.loss, h), rtol=1e-12)
    Why, do = net.parameters["Why"].value, mg.grad(net.loss, net.graph["o", 2])
    np.testing.assert_allclose(parts[2], Why.T @ do, rtol=1e-12)


def test_the_contribution_to_the_output_itself():
    with mg.step(4):
        y = mg.exp(mg.parameter(0.0)).named("y")
    assert mg.contributions(y, y) == {4: 1.0}


# -- paths -------------------------------------------------------------------------------------------------


def test_the_four_paths_of_file_002_from_the_loss_to_the_state_before():
    net = lstm(steps=3)
    loss = next(node for node in net.graph.named("L").values() if node.step == 2)
    h = net.graph["h", 1]
    found = mg.paths(loss, h)
    assert [path.labels for path in found] == [
        ("L[2]", "o[2]", "h[2]", "og[2]", "og_pre[2]", "z[2]", "h[1]"),
        ("L[2]", "o[2]", "h[2]", "c[2]", "fg[2]", "fg_pre[2]", "z[2]", "h[1]"),
        ("L[2]", "o[2]", "h[2]", "c[2]", "ig[2]", "ig_pre[2]", "z[2]", "h[1]"),
        ("L[2]", "o[2]", "h[2]", "c[2]", "c_hat[2]", "c_hat_pre[2]", "z[2]", "h[1]"),
    ]
    np.testing.assert_allclose(sum(path.value for path in found), mg.grad(loss, h), rtol=1e-12)


def test_a_path_starts_at_the_output_ends_at_the_node_and_follows_the_edges():
    net = lstm(steps=2)
    h0 = net.graph["h", 0]
    for path in mg.paths(net.loss, h0):
        assert path.nodes[0] is net.loss and path.nodes[-1] is h0 and path.value.shape == h0.shape
        for user, operand in zip(path.nodes, path.nodes[1:], strict=False):
            assert operand in user.inputs
        assert repr(path).startswith("Path(L <- ") and repr(path).endswith("<- h[0])")


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(0, 100))
def test_paths_through_time_sum_to_the_gradient(T, seed):
    net = elman(steps=T, seed=seed, columns=2)
    for node in (net.graph["h", 0], net.graph["h", 1], net.parameters["Whh"], net.parameters["by"]):
        found = mg.paths(net.loss, node)
        assert len(found) == mg.count_paths(net.loss, node)
        np.testing.assert_allclose(
            sum(p.value for p in found), mg.grad(net.loss, node), rtol=1e-10, atol=1e-14
        )


def test_paths_are_counted_before_any_is_listed_and_too_many_say_how_many():
    x = mg.parameter(1.0, name="x")
    y = x
    for _ in range(100):
        y = y + y
    y = y.named("y")
    assert mg.count_paths(y, x) == 2**100
    with pytest.raises(errors.TooManyPathsError, match=f"{2**100:,} paths lead from y to x") as caught:
        mg.paths(y, x)
    assert isinstance(caught.value, ValueError)
    few = x * x + x
    assert len(mg.paths(few, x, limit=3)) == 3
    with pytest.raises(errors.TooManyPathsError, match=r"3 paths.*limit=2"):
        mg.paths(few, x, limit=2)


def test_a_node_has_one_path_to_itself_and_none_to_what_it_does_not_depend_on():
    x, other = mg.parameter(1.0, name="x"), mg.parameter(1.0, name="other")
    y = mg.exp(x).named("y")
    (path,) = mg.paths(y, y)
    assert path.nodes == (y,) and path.value == 1
    assert mg.count_paths(y, other) == mg.count_paths(x, y) == 0


def test_a_long_path_is_found_in_time_in_proportion_to_its_length():
    x = mg.parameter(1.0, name="x")
    y = x
    for _ in range(50_000):
        y = y + 0.0
    (path,) = mg.paths(y, x)
    assert len(path.nodes) == 50_001 and path.value == 1


def test_no_path_leads_through_what_has_no_derivative():
    x = mg.parameter(np.ones((3, 1)), name="x")
    loss = mg.cross_entropy(x, [0])  # p stands beside the logits, without a gradient
    assert [path.labels for path in mg.paths(loss, x)] == [("cross_entropy", "x")]
    gated = mg.sum(mg.where(x > 0, x, 0.0))
    assert mg.count_paths(gated, x) == 1
