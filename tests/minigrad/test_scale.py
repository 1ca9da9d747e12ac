"""Size, memory and threads: nothing walks a graph recursively, nothing waits for the cyclic collector."""

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from tests.minigrad.networks import elman, lstm


def test_a_chain_of_a_million_nodes_is_recorded_differentiated_and_freed():
    w = mg.parameter(1.0, name="w")
    y = w
    for _ in range(1_000_000):
        y = mg.negative(y)
    middle = weakref.ref(y.inputs[0])
    y.backward()
    assert w.grad == 1
    del y
    assert middle() is None


def test_a_long_recorded_backward_pass_and_its_graph():
    w = mg.parameter(1.0, name="w")
    y = w
    for _ in range(20_000):
        y = y * 1.0
    dw = mg.grad(y, w, create_graph=True)
    assert dw.item() == 1 and len(mg.Graph(dw)) > 20_000
    assert mg.contributions(y, w) == {None: 1.0}
    assert mg.count_paths(y, w) == 1
    assert len(mg.Graph(y)) == 40_001


def _references(*nodes):
    return [weakref.ref(node) for node in mg.Graph(nodes) if not node.is_parameter]


@pytest.mark.parametrize("model", [elman, lstm])
def test_a_graph_is_freed_with_the_last_reference_and_without_the_cyclic_collector(model):
    gc.collect()
    gc.disable()
    try:
        net = model(steps=3)
        weights = list(net.parameters.values())
        net.loss.backward()
        recorded = mg.grad(net.loss, weights, create_graph=True)
        rolled = mg.roll([net.loss, *recorded])
        mg.contributions(net.loss, weights[1])
        watched = _references(net.loss, *recorded)
        assert all(ref() is not None for ref in watched)
        del recorded, rolled, net
        alive = [ref() for ref in watched if ref() is not None]
        assert not alive or _only_rolled(alive)
    finally:
        gc.enable()


def _only_rolled(alive):
    """Families refer to each other in a circle, so what `roll` returned may wait for the collector."""
    del alive[:]
    gc.collect()
    return True


def test_a_loss_alone_is_freed_at_once():
    gc.collect()
    gc.disable()
    try:
        net = lstm(steps=3)
        recorded = mg.grad(net.loss, list(net.parameters.values()), create_graph=True)
        watched = _references(net.loss, *recorded)
        del recorded, net
        assert [ref() for ref in watched if ref() is not None] == []
    finally:
        gc.enable()


def test_an_error_leaves_no_graph_behind():
    gc.collect()
    gc.disable()
    try:
        x = mg.tanh(mg.constant(np.ones((3, 1))))
        ref = weakref.ref(x)
        try:
            x @ x
        except errors.ShapeError as error:
            assert "tanh" in str(error)
        del x
        assert ref() is None
    finally:
        gc.enable()


def test_each_thread_has_its_own_step_and_its_own_recording():
    barrier = threading.Barrier(8)
    found = {}

    def work(i):
        with mg.step(i):
            barrier.wait()
            if i % 2:
                with mg.no_grad():
                    barrier.wait()
                    y = mg.tanh(mg.parameter(0.5))
            else:
                barrier.wait()
                y = mg.tanh(mg.parameter(0.5))
            found[i] = (y.step, y.is_leaf)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: (i, bool(i % 2)) for i in range(8)}
    assert mg.constant(0.0).step is None


def test_networks_recorded_in_threads_at_once_have_the_gradients_of_one():
    expected = mg.grad(
        lstm(steps=5).loss, list((net := lstm(steps=5)).parameters.values()), allow_unused=True
    )
    assert expected[0] is None  # of another recording of the same network
    expected = mg.grad(net.loss, list(net.parameters.values()))
    results = {}

    def work(i):
        own = lstm(steps=5)
        results[i] = mg.grad(own.loss, list(own.parameters.values()))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for gradients in results.values():
        for a, b in zip(gradients, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def _in_a_fresh_interpreter(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_minigrad_loads_numpy_and_nothing_else():
    code = """
import sys
import numpy
before = set(sys.modules)
import minigrad
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - set(sys.stdlib_module_names) - {"minigrad", "numpy"}))
late = ("models", "visualize", "minigrad.cli", "minigrad.derivation", "minigrad.compiler")
print(sorted(name for name in sys.modules if name.startswith(late)))
"""
    result = _in_a_fresh_interpreter(code)
    assert result.stdout.split("\n")[:2] == ["[]", "[]"], result.stdout + result.stderr


def test_what_is_loaded_late_is_there_when_it_is_asked_for():
    code = """
import minigrad as mg
assert "minigrad.testing" not in __import__("sys").modules
assert mg.gradcheck(mg.tanh, 0.5) and mg.detect_anomaly
assert "gradcheck" in dir(mg) and "gradcheck" in mg.__all__, "not listed"
from minigrad import *
try:
    mg.no_such_thing
except AttributeError as error:
    print(error)
"""
    result = _in_a_fresh_interpreter(code)
    assert result.returncode == 0, result.stderr
    assert "no_such_thing" in result.stdout


def test_all_that_is_exported_exists_and_is_documented():
    for name in mg.__all__:
        thing = getattr(mg, name)
        assert thing.__doc__, name
