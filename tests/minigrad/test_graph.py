"""What stands behind a node, and looking it up by name and step."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from tests.minigrad.networks import elman, lstm


def test_a_graph_holds_each_node_behind_its_outputs_once_in_the_order_of_recording():
    x = mg.parameter(1.0, name="x")
    a, b = x * 2.0, mg.exp(x)
    c = a + b
    unrelated = x * 3.0
    graph = mg.Graph([c, a])
    assert graph.nodes == tuple(sorted({x, *a.inputs, a, b, c}, key=lambda node: node.serial))
    assert unrelated not in graph and x in graph and len(graph) == 5 and list(graph) == list(graph.nodes)
    assert graph.outputs == (c, a)


def test_parameters_inputs_and_steps():
    net = elman(steps=3)
    graph = net.graph
    assert list(graph.parameters) == list(net.parameters)
    assert all(graph.parameters[name] is node for name, node in net.parameters.items())
    assert graph.steps == (0, 1, 2, 3)
    assert all(node.is_leaf and not node.requires_grad for node in graph.inputs)
    assert graph["h", 0] in graph.inputs


def test_two_parameters_of_one_name_and_those_without_are_kept_apart():
    nodes = [mg.parameter(1.0, name="w"), mg.parameter(2.0, name="w"), mg.parameter(3.0), mg.parameter(4.0)]
    found = mg.Graph(mg.accumulate(*nodes)).parameters
    assert list(found.values()) == nodes and len(found) == 4
    assert next(iter(found)) == "w"


def test_looking_up_by_name_and_step():
    net = lstm(steps=3)
    graph = net.graph
    for t in (1, 2, 3):
        assert graph["h", t].label == f"h[{t}]" and graph["h", t].step == t
    assert graph["Wf"] is net.parameters["Wf"] and graph["L"] is net.loss
    assert ("h", 2) in graph and "Wf" in graph and "h" not in graph and ("h", 9) not in graph
    assert list(graph.named("h")) == [0, 1, 2, 3] and graph.named("nothing") == {}
    assert graph.named("L")[None] is net.loss
    assert graph.names[0] == "Wex"


def test_recorded_gradients_are_looked_up_in_the_same_way():
    net = elman(steps=2)
    dW = mg.grad(net.loss, net.parameters["Whh"], create_graph=True)
    graph = mg.Graph(dW)
    assert graph["dh", 2].name == "dh" and graph["dWhh"] is dW


@pytest.mark.parametrize(
    "key, words",
    [
        (("hh", 2), ["no hh[2]", "did you mean", "h"]),
        ("Whx", ["no Whx", "Whh", "Wxh"]),
        (("h", 9), ["no h[9]", "steps 0 to 3"]),
        ("h", ["steps 0 to 3", "graph['h', 3]"]),
        (("Whh", 1), ["Whh belongs to no step", "graph['Whh']"]),
        (("zzz", 1), ["no zzz[1]"]),
    ],
)
def test_what_is_not_there_is_answered_with_what_is_near(key, words):
    with pytest.raises(errors.NameNotFoundError) as caught:
        elman(steps=3).graph[key]
    assert isinstance(caught.value, KeyError)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert not str(caught.value).startswith(("'", '"'))  # a KeyError would quote it


def test_a_graph_in_which_nothing_has_a_name_says_so():
    with pytest.raises(errors.NameNotFoundError, match="nothing here has a name"):
        mg.Graph(mg.parameter(1.0) * 2.0)["h"]


def test_repr_counts_what_there_is():
    assert repr(mg.Graph(mg.parameter(1.0, name="w") * 2.0)) == "Graph of multiply: 3 nodes, 1 parameter (w)"
    shown = repr(elman(steps=3).graph)
    assert shown.startswith("Graph of L: ") and shown.endswith("steps 0 to 3") and "Whh" in shown


def test_a_node_named_twice_in_a_step_is_found_at_its_latest():
    with mg.step(1):
        first = mg.constant(np.ones(2), name="h")
        second = mg.tanh(first).named("h")
    assert mg.Graph(second)["h", 1] is second
