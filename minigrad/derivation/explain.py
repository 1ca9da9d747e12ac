"""Why a line is wrong, in the reader's words: a sign, a transpose, a constant factor, some steps only."""

from __future__ import annotations

import numpy as np

from .goals import Attempt
from .truth import World


def by_step(found: Attempt) -> dict[int | None, float]:
    """Return the largest error at each step, over all draws."""
    steps: dict[int | None, float] = {}
    for (_, t), error in found.errors.items():
        steps[t] = max(error, steps.get(t, 0.0))
    return steps


def listed(steps: list[int]) -> str:
    """Write steps in words: ``t = 2 and t = 1``."""
    words = [f"t = {t}" for t in steps]
    if len(words) > 3:
        return f"{len(words)} steps ({words[0]} ... {words[-1]})"
    return " and ".join(words)


def factor_between(bad: Attempt, world: World) -> str:
    """Recognise a sign, a transposition or a constant factor."""
    if bad.sample is None:
        return ""
    value, truth = bad.sample
    if value.shape != truth.shape or not truth.size:
        return ""
    largest = np.unravel_index(np.argmax(np.abs(truth)), truth.shape)
    if truth[largest] == 0:
        return ""
    factor = float(value[largest] / truth[largest])
    if np.isfinite(factor) and factor and np.allclose(value, factor * truth, rtol=1e-9, atol=0):
        if abs(factor + 1) < 1e-9:
            return "the sign is wrong"
        T = len(world.steps)
        if T > 1 and abs(factor - 1 / T) < 1e-9:
            return f"1/{T} of the true value: right if the loss were averaged over the {T} steps, not summed"
        if T > 1 and abs(factor - T) < 1e-9:
            return f"{T} times the true value: right if the loss were summed over the {T} steps, not averaged"
        if abs(factor - 2) < 1e-9:
            return "twice the true value: right for a squared error without the half"
        return f"{factor:.4g} times the true value"
    if (
        value.ndim == 2
        and value.shape[0] == value.shape[1]
        and np.allclose(value.T, truth, rtol=1e-9, atol=0)
    ):
        return "this is the transpose of the true value"
    return ""
