"""Drawings that run: what is missing or does not fit is said by name."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from tests.visualize.networks import gru, peephole, stacked
from visualize import parse
from visualize.errors import DrawingError
from visualize.sizes import random_arrays
from visualize.view import hand


@pytest.mark.parametrize("network", [gru, peephole, stacked])
def test_networks_run_from_their_drawings(network):
    loss = network(3)
    diagram = parse(hand([loss]).draw_text())
    parameters, inputs = random_arrays(diagram, batch=2)
    built = diagram.build(parameters, inputs)
    assert hand([built.loss()]).isomorphic(hand([loss]))
    built.loss().backward()
    assert all(node.grad is not None for node in built.parameters.values())


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("[x]-(1-)-[y]", lambda x: 1 - x),
        ("[x]-(*2)-[y]", lambda x: x * 2),
        ("[x]-(2/)-[y]", lambda x: 2 / x),
        ("[x]-(/2)-[y]", lambda x: x / 2),
        ("[x]-(^2)-[y]", lambda x: x**2),
        ("[x]-(sig)-[y]", lambda x: 1 / (1 + np.exp(-x))),
        ("[x]-(neg)-[y]", lambda x: -x),
        ("[x]-(tanh+1)-[y]", lambda x: np.tanh(x + 1)),
        ("[x]-(at 0:2)-[y]", lambda x: x[0:2]),
        ("[x]-(at ::2)-[y]", lambda x: x[::2]),
        ("[x]-(sum axis=0 keepdims=True)-[y]", lambda x: x.sum(0, keepdims=True)),
        ("[x]-+-(*)-[y]\n    `-'", lambda x: x * x),
    ],
)
def test_every_sign_means_what_it_says(drawing, expected):
    x = np.array([[0.5], [1.5], [-2.0]])
    built = parse(drawing).build({}, {"x": x})
    np.testing.assert_allclose(built["y"].value, expected(x), rtol=1e-14)


def test_the_order_of_inputs_is_from_above_by_the_left_to_below():
    a, b = np.array([[5.0]]), np.array([[3.0]])
    built = parse("[a].\n   (-)-[y]\n[b]'").build({}, {"a": a, "b": b})
    assert built["y"].item() == 2
    built = parse("[a]-(-)-[y]\n     |\n    [b]").build({}, {"a": a, "b": b})
    assert built["y"].item() == 2
    built = parse("    [b]\n     |\n[a]-(-)-[y]").build({}, {"a": a, "b": b})
    assert built["y"].item() == -2


def test_products_that_meet_are_added_and_vectors_concatenated():
    x = np.ones((2, 1))
    added = parse("[x]-{V}.\n       #-[y]\n[w]-{W}'").build(
        {"V": np.eye(2), "W": np.eye(2)}, {"x": x, "w": x}
    )
    assert added["y"].value.tolist() == [[2.0], [2.0]]
    joined = parse("[x].\n   #-[y]\n[w]'").build({}, {"x": x, "w": 2 * x})
    assert joined["y"].value.tolist() == [[1.0], [1.0], [2.0], [2.0]]


@pytest.mark.parametrize(
    ("drawing", "parameters", "inputs", "message"),
    [
        ("[x]-{W}-[y]", {}, {"x": np.ones((2, 1))}, "parameter W"),
        ("[x]-{W}-[y]", {"W": np.eye(2)}, {}, "input x"),
        ("[x]-{Whh}-[y]", {"Whh": np.eye(2), "Wh": np.eye(2)}, {"x": np.ones((2, 1))}, "did you mean Whh"),
        ("[x]-(tanj)-[y]", {}, {"x": np.ones((2, 1))}, "line 1, column 5.*did you mean tanh"),
        ("[x]-(sum axis)-[y]", {}, {"x": np.ones((2, 1))}, "name=value"),
        ("[x]-(at 1;2)-[y]", {}, {"x": np.ones((2, 1))}, "index"),
        ("[x]-(… ×3)-[y]", {}, {"x": np.ones((2, 1))}, "folded"),
        ("[x]-{W}-[y]", {"W": np.eye(3)}, {"x": np.ones((2, 1))}, "inner sizes 3 and 2"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(drawing, parameters, inputs, message):
    with pytest.raises(mg.errors.MinigradError, match=message):
        parse(drawing).build(parameters, inputs)


def test_inputs_of_several_steps_come_by_time_or_by_step():
    drawing = "[h]-{W}-#-[h]-{W}-#-[h]\n        |         |\n       {U}       {U}\n       [x]       [x]"
    arrays = {"W": np.eye(2), "U": np.eye(2)}
    xs = [np.full((2, 1), 1.0), np.full((2, 1), 10.0)]
    listed = parse(drawing).build(arrays, {"h": np.zeros((2, 1)), "x": xs})
    stepped = parse(drawing).build(arrays, {"h": np.zeros((2, 1)), "x": {1: xs[0], 2: xs[1]}})
    assert listed["h", 2].value.tolist() == stepped["h", 2].value.tolist() == [[11.0], [11.0]]
    with pytest.raises(DrawingError, match="comes 2 times"):
        parse(drawing).build(arrays, {"h": np.zeros((2, 1)), "x": xs[:1]})
    with pytest.raises(DrawingError, match="no value for step 2"):
        parse(drawing).build(arrays, {"h": np.zeros((2, 1)), "x": {1: xs[0]}})


def test_sizes_that_cannot_fit_are_refused():
    with pytest.raises(DrawingError, match="sizes do not fit"):
        random_arrays(parse("[x]-+--#---(+)-[y]\n    |  |    |\n    +--'    |\n    `-------'"))
    with pytest.raises(DrawingError, match="does not tell the sizes"):
        random_arrays(parse("[x]-(sum axis=0)-[y]"))
