"""One problem for all competitors: sizes, weights, data, and what the answer must be.

A competitor is a function `(Problem) -> step`, where `step()` runs one forward and backward pass and returns
`(loss, gradients by name)`. Nothing is timed before `agree` has held every competitor's answer against the
hand-written loop of `models.by_hand`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models import by_hand

Array = Any
Step = Callable[[], tuple[Any, Mapping[str, Array]]]


@dataclass(frozen=True)
class Size:
    """A configuration: vocabulary V, embedding E, hidden H, columns B, steps T."""

    name: str
    V: int
    E: int
    H: int
    B: int
    T: int

    def __str__(self) -> str:
        return f"{self.name} (V {self.V}, E {self.E}, H {self.H}, B {self.B}, T {self.T})"


SIZES = {
    "tiny": Size("tiny", 64, 32, 64, 1, 25),
    "small": Size("small", 64, 32, 128, 16, 32),
    "medium": Size("medium", 96, 64, 256, 32, 64),
    "large": Size("large", 96, 128, 512, 64, 100),
    # file 002: hidden 50, windows of 10 over a series of 8327 values, every window a column
    "forecaster": Size("forecaster", 1, 1, 50, 8317, 10),
}


@dataclass
class Problem:
    """Weights and data of one model at one size, seeded; `model` is `lstm`, `elman` or `forecaster`."""

    model: str
    size: Size
    seed: int = 0
    dtype: Any = np.float32
    parameters: dict[str, Array] = field(init=False)
    tokens: Array = field(init=False)
    targets: Array = field(init=False)
    h0: Array = field(init=False)
    c0: Array = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        V, E, H, B, T = self.size.V, self.size.E, self.size.H, self.size.B, self.size.T

        def weights(rows: int, columns: int) -> Array:
            return (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(self.dtype)

        def bias(rows: int) -> Array:
            return (0.1 * rng.standard_normal((rows, 1))).astype(self.dtype)

        if self.model == "lstm":
            gates = {f"W{gate}": weights(H, H + E) for gate in "fico"}
            biases = {f"b{gate}": bias(H) for gate in "fico"}
            self.parameters = {"Wex": weights(E, V), **gates, **biases, "Why": weights(V, H), "by": bias(V)}
        elif self.model == "elman":
            self.parameters = {
                "Wex": weights(E, V), "Wxh": weights(H, E), "Whh": weights(H, H), "bh": bias(H),
                "Why": weights(V, H), "by": bias(V),
            }  # fmt: skip
        else:
            self.parameters = {
                "Wxh": weights(H, 1), "Whh": weights(H, H), "bh": bias(H),
                "Why": weights(1, H), "by": bias(1),
            }  # fmt: skip
        self.h0 = np.zeros((H, B), self.dtype)
        self.c0 = np.zeros((H, B), self.dtype)
        if self.model == "forecaster":
            series = np.sin(np.arange(B + T) / 25) + 0.1 * rng.standard_normal(B + T)
            windows = np.lib.stride_tricks.sliding_window_view(series.astype(self.dtype), B)
            self.tokens = np.array(windows[:T, None, :], order="C")  # (T, 1, B): real numbers, not classes
            self.targets = np.array(windows[T][None, :])
        else:
            self.tokens = rng.integers(0, V, (T, B))
            self.targets = rng.integers(0, V, (T, B))


def hand_written(problem: Problem) -> Step:
    """Return the loop that a person writes after deriving backpropagation through time (`models.by_hand`)."""
    q = problem

    def step() -> tuple[Any, Mapping[str, Array]]:
        if q.model == "lstm":
            answer = by_hand.lstm(q.parameters, q.tokens, q.targets, q.h0, q.c0)
        elif q.model == "elman":
            answer = by_hand.elman(q.parameters, q.tokens, q.targets, q.h0)
        else:
            return forecaster_by_hand(q)
        return answer.loss, answer.gradients

    return step


def forecaster_by_hand(q: Problem) -> tuple[Any, Mapping[str, Array]]:
    """File 002's forecaster with the derivation of its section BPTT, in plain numpy."""
    Wxh, Whh, bh, Why, by = (q.parameters[name] for name in ("Wxh", "Whh", "bh", "Why", "by"))
    T = q.size.T
    h = {0: q.h0}
    for t in range(1, T + 1):
        h[t] = np.tanh(Wxh @ q.tokens[t - 1] + Whh @ h[t - 1] + bh)
    dy = Why @ h[T] + by - q.targets
    loss = 0.5 * float((dy * dy).sum())
    dWhy, dby = dy @ h[T].T, dy.sum(axis=1, keepdims=True)
    dWxh, dWhh, dbh = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(bh)
    dh = Why.T @ dy
    for t in range(T, 0, -1):
        dh_pre = (1 - h[t] ** 2) * dh
        dbh += dh_pre.sum(axis=1, keepdims=True)
        dWxh += dh_pre @ q.tokens[t - 1].T
        dWhh += dh_pre @ h[t - 1].T
        dh = Whh.T @ dh_pre
    return loss, {"Wxh": dWxh, "Whh": dWhh, "bh": dbh, "Why": dWhy, "by": dby}


def agree(step: Step, reference: tuple[Any, Mapping[str, Array]], tolerance: float = 2e-4) -> str | None:
    """Return None if `step` gives the reference's loss and gradients, else one line saying where it does not.

    The tolerance is relative to each gradient's largest entry; single precision summed over thousands of
    addends in different orders differs by some 1e-5 of it.
    """
    loss, gradients = step()
    expected_loss, expected = reference
    if not np.isclose(float(loss), float(expected_loss), rtol=tolerance):
        return f"loss {float(loss):.6g}, expected {float(expected_loss):.6g}"
    for name, gradient in gradients.items():
        wanted = np.asarray(expected[name])
        got = np.asarray(gradient).reshape(wanted.shape)
        difference = float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-30))
        if not difference <= tolerance:
            return f"d{name} differs by {difference:.2g} of its largest entry"
    return None
