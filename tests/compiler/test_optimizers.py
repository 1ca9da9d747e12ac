"""Optimizers move parameters as torch.optim does, in place and without allocating."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import optimizers
from minigrad.errors import NameNotFoundError, NotConnectedError, ShapeError, UnsupportedError

CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("SGD", {}, "SGD", {}),
    ("SGD", {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.8, "nesterov": True}, "SGD", {"momentum": 0.8, "nesterov": True}),
    ("SGD", {"momentum": 0.5, "weight_decay": 0.1}, "SGD", {"momentum": 0.5, "weight_decay": 0.1}),
    ("Adam", {}, "Adam", {}),
    ("Adam", {"betas": (0.8, 0.9), "weight_decay": 0.2}, "Adam", {"betas": (0.8, 0.9), "weight_decay": 0.2}),
    ("AdamW", {}, "AdamW", {}),
    ("AdamW", {"weight_decay": 0.3}, "AdamW", {"weight_decay": 0.3}),
    ("RMSProp", {}, "RMSprop", {}),
    ("RMSProp", {"decay": 0.9, "momentum": 0.7}, "RMSprop", {"alpha": 0.9, "momentum": 0.7}),
    ("Adagrad", {}, "Adagrad", {}),
    ("Adagrad", {"weight_decay": 0.1}, "Adagrad", {"weight_decay": 0.1}),
]


@pytest.mark.parametrize(("ours", "options", "theirs", "their_options"), CASES)
def test_like_torch(ours: str, options: dict[str, Any], theirs: str, their_options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 1))}
    parameters = {name: mg.parameter(a, name=name) for name, a in arrays.items()}
    twins = {name: torch.tensor(a, requires_grad=True) for name, a in arrays.items()}
    optimizer = getattr(optimizers, ours)(parameters, learning_rate=0.05, **options)
    twin = getattr(torch.optim, theirs)(list(twins.values()), lr=0.05, **their_options)
    for _ in range(20):
        gradients = {name: rng.standard_normal(a.shape) for name, a in arrays.items()}
        before = {name: g.copy() for name, g in gradients.items()}
        optimizer.step(gradients)
        for name, g in gradients.items():
            np.testing.assert_array_equal(g, before[name])  # read, never written
            twins[name].grad = torch.tensor(g)
        twin.step()
    for name, node in parameters.items():
        np.testing.assert_allclose(node.value, twins[name].detach().numpy(), rtol=1e-12, atol=1e-14)


ALL = [
    ("SGD", {"momentum": 0.9}),
    ("Adam", {}),
    ("AdamW", {}),
    ("RMSProp", {"momentum": 0.5}),
    ("Adagrad", {}),
]


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_loss_falls_and_float32_stays(name: str, options: dict[str, Any]) -> None:
    w = mg.parameter(np.array([3.0, -2.0], np.float32), name="w")
    optimizer = getattr(optimizers, name)([w], learning_rate=0.05, **options)
    home = w.value
    for _ in range(100):
        optimizer.zero_grad()
        mg.sum((w - 1) ** 2).backward()
        optimizer.step()
    assert float(((w.value - 1) ** 2).sum()) < 12
    assert w.value is home
    assert w.value.dtype == np.float32


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_step_allocates_nothing_that_grows(name: str, options: dict[str, Any]) -> None:
    w = mg.parameter(np.ones((400, 500), np.float32), name="w")
    g = {"w": np.ones((400, 500), np.float32)}
    optimizer = getattr(optimizers, name)({"w": w}, weight_decay=0.1, **options)
    optimizer.step(g)
    tracemalloc.start()
    optimizer.step(g)
    optimizers.clip_by_norm(g, 0.5)
    optimizers.clip_by_value(g, 0.1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_state_carries_on_where_it_was(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    gradients = [{"w": rng.standard_normal(3)} for _ in range(8)]
    whole, parts = (mg.parameter(np.ones(3), name="w") for _ in range(2))
    through = getattr(optimizers, name)({"w": whole}, **options)
    first = getattr(optimizers, name)({"w": parts}, **options)
    for g in gradients:
        through.step(g)
    for g in gradients[:4]:
        first.step(g)
    second = getattr(optimizers, name)({"w": parts}, **options)
    second.load_state(first.state())
    for g in gradients[4:]:
        second.step(g)
    np.testing.assert_array_equal(whole.value, parts.value)


def test_clipping_by_norm_keeps_the_direction() -> None:
    g = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    assert optimizers.clip_by_norm(g, 10.0) == 5.0
    np.testing.assert_array_equal(g["a"], [3.0, 0.0])
    assert optimizers.clip_by_norm(g, 1.0) == 5.0
    np.testing.assert_allclose(g["a"], [0.6, 0.0])
    np.testing.assert_allclose(g["b"], [[0.8]])
    part = np.arange(20.0).reshape(4, 5)[:, 1:3]
    assert optimizers.clip_by_norm([part], 1e9) == pytest.approx(np.linalg.norm(part))
    broken = np.array([np.nan, 1.0])
    assert math.isnan(optimizers.clip_by_norm([broken], 1.0))
    assert broken[1] == 1.0


def test_clipping_by_value() -> None:
    g = np.array([-3.0, 0.5, 2.0])
    optimizers.clip_by_value([g], 1.0)
    np.testing.assert_array_equal(g, [-1.0, 0.5, 1.0])


def test_what_cannot_be_is_said() -> None:
    w = mg.parameter(np.ones(2), name="w")
    with pytest.raises(NotConnectedError, match="w has no gradient"):
        optimizers.SGD([w]).step()
    with pytest.raises(ShapeError, match=r"w has shape \(2,\), its gradient \(3,\)"):
        optimizers.SGD({"w": w}).step({"w": np.ones(3)})
    with pytest.raises(NameNotFoundError, match="v, which is not optimized"):
        optimizers.SGD({"w": w}).step({"w": np.ones(2), "v": np.ones(2)})
    with pytest.raises(UnsupportedError, match="not a parameter"):
        optimizers.Adam([mg.constant(np.ones(2))])
    with pytest.raises(UnsupportedError, match="learning_rate is -1"):
        optimizers.Adam([w], learning_rate=-1)
    with pytest.raises(UnsupportedError, match="betas"):
        optimizers.Adam([w], betas=(1.0, 0.9))
    with pytest.raises(NameNotFoundError, match=r"no m\.w"):
        optimizers.Adam({"w": w}).load_state({"count": np.array(1)})
    np.testing.assert_array_equal(w.value, np.ones(2))
