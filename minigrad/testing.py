"""Trust: gradients held against numerical ones, and the first value that is not a number found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.autodiff import grad
from minigrad.errors import (
    AnomalyError,
    GradcheckError,
    IntegerGradientError,
    MinigradError,
    UnsupportedError,
)
from minigrad.node import Array, Node, constant, parameter, state


def gradcheck(
    function: Callable[..., Node],
    inputs: Any,
    order: int = 1,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    complex_step: bool | None = None,
    seed: int = 0,
) -> bool:
    """Hold the recorded gradient of a function against a numerical one, entry by entry.

    Parameters
    ----------
    function : callable
        Takes nodes and returns a node of any shape.
    inputs : array_like, Node, or a sequence of them
        Where to check; float64, since finite differences mean nothing in less.
    order : int
        2 checks the gradient of the gradient as well (it differentiates the recorded backward pass).
    eps : float
        The step of central differences, relative to 1.
    rtol, atol : float
        An entry passes if the two values differ by at most ``atol + rtol * |numerical|``.
    complex_step : bool, optional
        Use the complex step, exact to rounding, instead of central differences.  By default it is used
        where the function takes complex numbers and agrees with the differences to what these allow.
    seed : int
        For the random gradient that is sent back through an output of several entries.

    Returns
    -------
    bool
        True; it never returns False.

    Raises
    ------
    GradcheckError
        At the first entry that differs; the message names the input, the index, both values and their ratio.
    IntegerGradientError
        If an input is not float64.

    Notes
    -----
    Complex step: Squire & Trapp 1998, ``Im f(x + ih) / h``.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.gradcheck(lambda x: mg.tanh(x) ** 2, np.linspace(-1, 1, 5), order=2)
    True
    """
    if order < 1:
        raise UnsupportedError(f"gradcheck: order is 1, 2 or more, not {order!r}")
    leaves = _leaves(inputs)
    out = function(*leaves)
    if not isinstance(out, Node):
        raise GradcheckError(f"gradcheck: the function must return a node, not {type(out).__name__}")
    direction = np.random.default_rng(seed).normal(size=out.shape)

    def projected(*nodes: Node) -> Node:
        return fn.sum(fn.multiply(function(*nodes), direction))

    recorded = grad(projected(*leaves), leaves, allow_unused=True)
    arrays = [leaf.value for leaf in leaves]
    for position, leaf in enumerate(leaves):
        analytic = recorded[position]
        if analytic is None:
            analytic = np.zeros_like(leaf.value)
        numerical = _numerical(projected, arrays, position, eps, complex_step)
        _compare(analytic, numerical, leaf, "", rtol, atol)
    if order >= 2:
        _check_next_order(projected, leaves, order, eps, rtol, atol, seed)
    return True


def _check_next_order(
    scalar: Callable[..., Node],
    leaves: list[Node],
    order: int,
    eps: float,
    rtol: float,
    atol: float,
    seed: int,
) -> None:
    """Check the recorded gradient of the gradient, along one random direction in each input."""
    for leaf in leaves:
        position = leaves.index(leaf)

        def gradient(*nodes: Node, position: int = position) -> Node:
            dx = grad(scalar(*nodes), nodes[position], create_graph=True, allow_unused=True)
            return constant(np.zeros(nodes[position].shape)) if dx is None else dx

        try:
            gradcheck(gradient, leaves, order - 1, eps, rtol, atol, False, seed + 1)
        except GradcheckError as error:
            raise GradcheckError(f"in the gradient of {leaf.label}: {error}") from None


def _leaves(inputs: Any) -> list[Node]:
    given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    leaves = []
    for i, x in enumerate(given):
        value = np.asarray(x.value if isinstance(x, Node) else x)
        name = x.name if isinstance(x, Node) and x.name else f"input {i}"
        if value.dtype != np.float64:
            raise IntegerGradientError(
                f"gradcheck: {name} is {value.dtype}; differences need float64: pass x.astype(np.float64)"
            )
        leaves.append(parameter(value, name=name))
    return leaves


def _numerical(
    scalar: Callable[..., Node], arrays: list[Array], position: int, eps: float, complex_step: bool | None
) -> Array:
    """Return the gradient of one input by differences or by the complex step."""
    differences = None
    if not complex_step:
        differences = _central_differences(scalar, arrays, position, eps)
        if complex_step is False:
            return differences
    try:
        exact = _complex_step(scalar, arrays, position)
    except (MinigradError, TypeError, np.exceptions.ComplexWarning):
        if complex_step:
            raise
        assert differences is not None
        return differences
    if differences is not None and not np.allclose(exact, differences, rtol=1e-4, atol=1e-6):
        return differences  # the function is not analytic (an absolute value, a comparison)
    return exact


def _central_differences(
    scalar: Callable[..., Node], arrays: list[Array], position: int, eps: float
) -> Array:
    result = np.zeros_like(arrays[position])
    for index in np.ndindex(result.shape):
        values = []
        step = eps * max(1.0, abs(float(arrays[position][index])))
        for sign in (1, -1):
            moved = arrays[position].copy()
            moved[index] += sign * step
            values.append(_evaluate(scalar, [*arrays[:position], moved, *arrays[position + 1 :]]))
        result[index] = (values[0] - values[1]) / (2 * step)
    return result


def _complex_step(scalar: Callable[..., Node], arrays: list[Array], position: int) -> Array:
    result = np.zeros_like(arrays[position])
    tiny = 1e-30
    for index in np.ndindex(result.shape):
        moved = arrays[position].astype(np.complex128)
        moved[index] += 1j * tiny
        value = _evaluate(scalar, [*arrays[:position], moved, *arrays[position + 1 :]])
        result[index] = value.imag / tiny
    return result


def _evaluate(scalar: Callable[..., Node], arrays: list[Array]) -> Any:
    # Recorded, and not under no_grad: the function may itself ask for gradients.
    with np.errstate(all="ignore"):
        return scalar(*[parameter(array, name=f"input {i}") for i, array in enumerate(arrays)]).value[()]


def _compare(analytic: Array, numerical: Array, leaf: Node, where: str, rtol: float, atol: float) -> None:
    wrong = ~(np.abs(analytic - numerical) <= atol + rtol * np.abs(numerical))
    if not np.any(wrong):
        return
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    a, n = float(analytic[index]), float(numerical[index])
    ratio = f"{a / n:.6g}" if n else "undefined"
    place = f"[{', '.join(map(str, index))}]" if index else ""
    count = int(np.count_nonzero(wrong))
    raise GradcheckError(
        f"gradcheck: {leaf.label}{place}: recorded {a:.10g}, numerical {n:.10g}, ratio {ratio}"
        f"{where} ({count} of {wrong.size} entries differ)"
    )


# -- anomalies -----------------------------------------------------------------------------------------


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise at the first node, forward or backward, whose value holds a NaN or an infinity.

    Raises
    ------
    AnomalyError
        The message names the node with its step, and the ranges of its inputs.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> try:
    ...     with mg.detect_anomaly(), np.errstate(divide="ignore"):
    ...         with mg.step(2):
    ...             mg.log(mg.constant(0.0, name="p")).named("L")
    ... except mg.errors.AnomalyError as error:
    ...     print(error)
    forward: log[2] is -inf; its inputs: p[2] = 0
    """
    before = state.observer
    state.observer = _Observer()
    try:
        yield
    finally:
        state.observer = before


class _Observer:
    """Looks at each value as it is recorded."""

    def __call__(self, node: Node) -> None:
        if not _finite(node.value):
            raise AnomalyError(
                f"forward: {node.label} {_bad(node.value)}; its inputs: {_ranges(node.inputs)}"
            )

    def gradient(self, node: Node, users: Sequence[Node], g: Array) -> None:
        """Raise if the gradient `g` of a node, which came from its users, holds a NaN or an infinity."""
        if not _finite(g):
            user = users[0] if users else node
            raise AnomalyError(
                f"backward: the gradient of {node.label} {_bad(g)}; it arrives from "
                f"{', '.join(u.label for u in users) or 'outside'}; inputs of {user.label}: "
                f"{_ranges(user.inputs)}"
            )


def _finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _bad(value: Any) -> str:
    array = np.asarray(value)
    wrong = ~np.isfinite(array)
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    found = array[index]
    what = "NaN" if np.isnan(found) else str(found)
    if not array.ndim:
        return f"is {what}"
    count = int(np.count_nonzero(wrong))
    return f"holds {what} at {list(index)} ({count} of {array.size} entries are not finite)"


def _ranges(nodes: Sequence[Node]) -> str:
    parts = []
    for node in nodes:
        value = node.value
        if not value.size:
            parts.append(f"{node.label} is empty")
        elif value.size == 1:
            parts.append(f"{node.label} = {value.reshape(-1)[0]:g}")
        else:
            parts.append(f"{node.label} in [{value.min():g}, {value.max():g}]")
    return ", ".join(parts) or "none, it is a leaf"
