"""What a picture tells of numbers: shape, range, and a strip of colours; of a value and of its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Node

# The entries of a strip; longer values are averaged over stretches of equal length.
CELLS = 12


@dataclass(frozen=True)
class Summary:
    """The range of an array and a strip of at most `CELLS` numbers that stand for it."""

    shape: tuple[int, ...]
    low: float
    high: float
    strip: tuple[float, ...]

    @property
    def range(self) -> str:
        """The smallest and the largest entry: ``-0.52 … 0.81``."""
        if not self.strip:
            return "empty"
        return f"{self.low:.3g} … {self.high:.3g}" if self.low != self.high else f"{self.low:.3g}"

    @property
    def colors(self) -> tuple[str, ...]:
        """The strip as colours: blue below zero, red above, paler towards zero, grey where not finite."""
        finite = [abs(v) for v in self.strip if np.isfinite(v)]
        scale = max(finite, default=0.0) or 1.0
        return tuple(_color(v / scale) if np.isfinite(v) else "#808080" for v in self.strip)


def _color(x: float) -> str:
    end = (178, 24, 43) if x > 0 else (33, 102, 172)
    weight = min(abs(x), 1.0)
    mixed = (round(247 + (channel - 247) * weight) for channel in end)
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def summarize(array: Any) -> Summary:
    """Summarize an array.

    >>> summarize([[0.5], [-1.0]]).range
    '-1 … 0.5'
    """
    values = np.asarray(array)
    if values.dtype.kind == "c":
        values = np.abs(values)
    flat = values.astype(np.float64).reshape(-1)
    if not flat.size:
        return Summary(values.shape, float("nan"), float("nan"), ())
    if flat.size <= CELLS:
        strip = flat
    else:
        edges = np.linspace(0, flat.size, CELLS + 1).astype(int)[:-1]
        strip = np.add.reduceat(flat, edges) / np.diff(np.append(edges, flat.size))
    with np.errstate(invalid="ignore"):
        low, high = float(flat.min()), float(flat.max())
    return Summary(values.shape, low, high, tuple(strip.tolist()))


def gradients(outputs: Sequence[Node], nodes: Iterable[Node]) -> dict[int, Any]:
    """Return the gradient of the sum of the outputs at each node, by serial.

    A node to which no gradient flows is left out: nothing was computed for it, which is not the same as zero.
    """
    wanted = list({node.serial: node for node in nodes if node.requires_grad}.values())
    scalars = [node for node in outputs if node.requires_grad and node.dtype.kind == "f"]
    if not wanted or not scalars:
        return {}
    total = scalars[0] if len(scalars) == 1 else None
    found: dict[int, Any] = {}
    for output in [total] if total is not None else scalars:
        seed = None if output.size == 1 and not output.ndim else np.ones_like(output.value)
        arrays = mg.grad(output, wanted, grad_outputs=seed, allow_unused=True)
        for node, array in zip(wanted, arrays, strict=True):
            if array is not None:
                found[node.serial] = array if node.serial not in found else found[node.serial] + array
    return found
