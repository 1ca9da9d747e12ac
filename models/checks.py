"""Whether inputs and targets fit a network: asked before anything is recorded, answered by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad.errors import ShapeError
from models.errors import ModelError

if TYPE_CHECKING:
    from models.recurrent import Recurrent, Sequences

Array = NDArray[Any]


def value_of(given: Any) -> Array:
    """Return the numbers of a node or of anything numpy takes for an array."""
    return given.value if isinstance(given, mg.Node) else np.asarray(given)


def one_of(kind: str, name: str, word: Any, words: Sequence[str]) -> None:
    """Raise a `ModelError` unless `word` is one of `words`."""
    if not isinstance(word, str) or word not in words:
        raise ModelError(f"{kind}: {name} is {word!r}; expected one of {', '.join(words)}")


def check_inputs(net: Recurrent, inputs: Sequences) -> tuple[int, int]:
    """Return the number of steps and columns of a sequence of inputs, or raise a `ShapeError`."""
    steps = len(inputs)
    if steps < 1:
        raise ShapeError(f"{net.kind}: the inputs have no steps; at least 1 is needed")
    row = _row(inputs)
    check_vector(net.kind, "the inputs of a step", row, net.inputs, net.embedding is not None)
    _check_classes(net.kind, "inputs", inputs, net.inputs)
    return steps, row.shape[-1]


def check_targets(net: Recurrent, targets: Sequences, steps: int, batch: int) -> None:
    """Raise a `ShapeError` unless the targets fit the network and its inputs."""
    classes = net.fy == "softmax"
    if net.topology == "many-to-one":
        check_vector(net.kind, "the targets", value_of(targets), net.outputs, classes, batch)
    else:
        if len(targets) != steps:
            raise ShapeError(f"{net.kind}: there are {steps} steps of inputs and {len(targets)} of targets")
        check_vector(net.kind, "the targets of a step", _row(targets), net.outputs, classes, batch)
    if classes:
        _check_classes(net.kind, "targets", targets, net.outputs)


def check_vector(
    kind: str, what: str, value: Array, size: int, classes: bool, batch: int | None = None
) -> None:
    """Raise a `ShapeError` unless `value` is `(size, batch)`, or indices `(batch,)` if `classes`."""
    indices = value.ndim == 1 and value.dtype.kind in "iu"
    fits = (value.ndim == 2 and value.shape[0] == size) or (classes and indices)
    if fits and (batch is None or value.shape[-1] == batch):
        return
    columns = "batch" if batch is None else f"batch = {batch}"
    wanted = f"({size}, {columns})" + (f" or class indices ({columns},)" if classes else "")
    hint = ""
    if indices and not classes and "input" in what:
        hint = "; class indices need an embedding (embedding=...) or one-hot columns"
    raise ShapeError(f"{kind}: {what} are {value.dtype} {value.shape}; expected {wanted}{hint}")


def _row(sequence: Sequences) -> Array:
    return value_of(sequence)[0] if isinstance(sequence, mg.Node) else value_of(sequence[0])


def _check_classes(kind: str, what: str, given: Sequences, size: int) -> None:
    # A node's numbers are not looked at: under tracing they are not those the program will run on.
    if isinstance(given, np.ndarray) and given.dtype.kind in "iu" and given.size:
        low, high = int(given.min()), int(given.max())
        if low < 0 or high >= size:
            raise ShapeError(
                f"{kind}: {what} hold the class {low if low < 0 else high}; expected 0 to {size - 1}"
            )
