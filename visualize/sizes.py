"""Which sizes a drawing lets one choose, and random arrays of such sizes.

Elementwise symbols have one size all around; a product has two; a concatenation's size is the sum of what
meets in it. What is left open gets a small size of its own each, so that a transposed matrix does not fit by
accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from visualize.build import _adds, leaf_names
from visualize.diagram import (
    CARRY,
    FUNCTION,
    JOIN,
    OPERATION,
    PRODUCT,
    VALUE,
    Diagram,
    Symbol,
    parameter_names,
)
from visualize.errors import DrawingError

# Sizes for what is left open, all different.
_OPEN = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
_KEEPS_SIZE = (
    "tanh", "sig", "sigmoid", "relu", "softmax", "log_softmax", "exp", "log", "sqrt", "abs", "neg",
    "negative", "sign", "σ", "stop_gradient",
)  # fmt: skip


class _Sizes:
    """Sizes that have to be equal, as sets, and those that are sums of others."""

    def __init__(self) -> None:
        self.parent: dict[Any, Any] = {}
        self.sums: list[_Sum] = []

    def find(self, key: Any) -> Any:
        self.parent.setdefault(key, key)
        while self.parent[key] != key:
            key = self.parent[key]
        return key

    def same(self, a: Any, b: Any) -> None:
        self.parent[self.find(a)] = self.find(b)


def random_arrays(diagram: Diagram, seed: int = 0, batch: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return random parameters and inputs that fit a drawing.

    Parameters
    ----------
    diagram : Diagram
    seed : int
        Of the random numbers.
    batch : int
        The number of columns of each input.

    Raises
    ------
    DrawingError
        If no sizes fit, or a function changes sizes in a way that a drawing does not tell.

    Examples
    --------
    >>> from visualize import parse
    >>> parameters, inputs = random_arrays(parse("[x]-{W}-(tanh+b)-[y]"))
    >>> parameters["W"].shape, parameters["b"].shape, inputs["x"].shape
    ((4, 3), (4, 1), (3, 1))
    """
    size = _solve(diagram)
    random = np.random.default_rng(seed)
    parameters: dict[str, Any] = {}
    for i in diagram.order:
        symbol = diagram.symbols[i]
        for name in parameter_names(symbol):
            if name in parameters:
                continue
            if symbol.kind == PRODUCT:
                shape = size["out", name], size["in", name]
                parameters[name] = random.standard_normal(shape) / np.sqrt(shape[1])
            else:
                parameters[name] = 0.5 * random.standard_normal((size["bias", name], 1))
    inputs: dict[str, Any] = {}
    names = leaf_names(diagram)
    for name in dict.fromkeys(names.values()):
        places = [i for i in diagram.order if names.get(i) == name]
        places.sort(key=lambda i: (diagram.symbols[i].step or 0, (diagram.symbols[i].place or (0, i))[1]))
        values = [random.standard_normal((size[i], batch)) for i in places]
        inputs[name] = values if len(values) > 1 else values[0]
    return parameters, inputs


def _solve(diagram: Diagram) -> dict[Any, int]:
    sizes = _Sizes()
    for i in diagram.order:
        _constrain(diagram, diagram.symbols[i], sizes)
    # The same input has one size at all steps.
    first: dict[str, int] = {}
    for i, name in leaf_names(diagram).items():
        sizes.same(i, first.setdefault(name, i))
    known: dict[Any, int] = {}
    free = iter(_OPEN)
    waiting = list(sizes.sums)
    while waiting:
        entry = next((e for e in waiting if _unknown(e, sizes, known) <= 1), None)
        if entry is None:
            # Choose the first size that is no sum itself, and see what follows from it.
            totals = {sizes.find(key) for key, _, _ in waiting}
            roots = [sizes.find(k) for _, addends, _ in waiting for k in addends]
            chosen = next((r for r in roots if r not in known and r not in totals), None)
            if chosen is None:
                symbol = waiting[0][2]
                found = f"the sizes do not fit at {symbol.written}{_where(symbol)}"
                raise DrawingError(f"{found}: they depend on themselves")
            known[chosen] = next(free, 13)
            continue
        waiting.remove(entry)
        _add_up(entry, sizes, known, free)
    for key in list(sizes.parent):
        root = sizes.find(key)
        if root not in known:
            known[root] = next(free, 13)
    return {key: known[sizes.find(key)] for key in sizes.parent}


_Sum = tuple[Any, list[Any], Symbol]


def _unknown(entry: _Sum, sizes: _Sizes, known: dict[Any, int]) -> int:
    """Count what is not known of a sum: its addends, and its total."""
    roots = [sizes.find(k) for k in (entry[0], *entry[1])]
    return sum(root not in known for root in roots)


def _add_up(entry: _Sum, sizes: _Sizes, known: dict[Any, int], free: Iterator[int]) -> None:
    """Find the one size of a sum that is not known from the others, or compare if all are."""
    key, addends, symbol = entry
    total = sizes.find(key)
    roots = [sizes.find(k) for k in addends]
    missing = [root for root in roots if root not in known]
    if not missing:
        found = sum(known[root] for root in roots)
        if known.setdefault(total, found) == found:
            return
    else:
        found = sum(known[root] for root in roots if root in known)
        known[missing[0]] = known[total] - found
        if known[missing[0]] > 0:
            return
    raise DrawingError(
        f"the sizes do not fit at {symbol.written}{_where(symbol)}: {found} values come together where "
        f"{known[total]} are needed"
    )


def _constrain(diagram: Diagram, symbol: Symbol, sizes: _Sizes) -> None:
    i = symbol.id
    sizes.find(i)
    into = [s.id for s in diagram.inputs(symbol)]
    if symbol.kind == PRODUCT and into:
        name = parameter_names(symbol)[0]
        if symbol.text.startswith("@"):
            raise DrawingError(
                f"{symbol.written}{_where(symbol)} multiplies from the right; give it arrays in Python"
            )
        turned = symbol.text.endswith("^T")
        sizes.same(into[0], ("out" if turned else "in", name))
        sizes.same(i, ("in" if turned else "out", name))
    elif symbol.kind == JOIN and not _adds(diagram, symbol):
        sizes.sums.append((i, [*into], symbol))
    elif symbol.kind == FUNCTION and not _keeps_size(symbol):
        raise DrawingError(
            f"{symbol.written}{_where(symbol)}: a drawing does not tell the sizes that come out of it; build "
            "it from Python with arrays of your own: visualize.parse(text).build(parameters, inputs)"
        )
    elif symbol.kind in (VALUE, FUNCTION, OPERATION, JOIN, CARRY):
        if symbol.kind == OPERATION and symbol.text not in ("*", "+", "-", "/", "^", "maximum", "minimum"):
            raise DrawingError(
                f"{symbol.written}{_where(symbol)}: a drawing does not tell the sizes that come out of it; "
                "build it from Python with arrays of your own"
            )
        for j in into:
            sizes.same(i, j)
        if symbol.kind == FUNCTION:
            for name in parameter_names(symbol):
                sizes.same(i, ("bias", name))


def _keeps_size(symbol: Symbol) -> bool:
    from visualize.diagram import split_function

    function, sign, operand = split_function(symbol.text)
    if sign and (not function or not operand):
        return True
    return function in _KEEPS_SIZE


def _where(symbol: Symbol) -> str:
    return f" (line {symbol.place[0]}, column {symbol.place[1]})" if symbol.place else ""


__all__ = ["random_arrays"]
