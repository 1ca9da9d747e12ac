"""Programs: a training step compiled from the recorded graph, as an expert would write it in numpy.

The graph is recorded once, forward and backward, folded over time, rewritten by a few general rules
(`minigrad.compiler.passes`), laid out in memory and turned into a flat list of numpy calls that write in
place. The eager engine stays the reference: a compiled program computes the same.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from minigrad.compiler.emit import Emitter
from minigrad.compiler.explain import Report, explain, measure
from minigrad.compiler.ir import Program, Value
from minigrad.compiler.lower import lower
from minigrad.compiler.passes import PASSES
from minigrad.compiler.plan import Plan
from minigrad.compiler.schedule import NotLoopableError, schedule
from minigrad.compiler.trace import Trace, flattened, signature
from minigrad.errors import AxisError, NameNotFoundError, UnsupportedError, nearest
from minigrad.node import Array, Node

__all__ = ["PASSES", "Compiled", "Executable", "NotLoopableError", "compile"]


def compile(
    function: Callable[..., Any],
    parameters: Mapping[str, Node] | Sequence[Node] | None = None,
    *,
    without: Collection[str] = (),
) -> Compiled:
    """Compile a training step, or with no parameters a function.

    Parameters
    ----------
    function : callable
        ``function(*inputs)``: takes nodes (or lists of them) and returns the loss, a scalar node. It is
        called once for each combination of the inputs' shapes and dtypes, to be recorded; what it does
        besides recording is done then and not again. It may not ask for values (`float(node)`,
        ``if node > 0``): that raises `TracingError`. Constants that it makes keep the values they have then;
        parameters are read anew in every run.
    parameters : mapping of str to Node, or sequence of Node, optional
        With respect to what to differentiate. Their values are updated in place by optimizers; they may come
        to live side by side in one array, as views.
    without : collection of str
        Rewrites to leave out, among `minigrad.compiler.PASSES`, or ``"fold"`` to take the steps one by one.

    Returns
    -------
    Compiled
        ``step(*inputs)`` gives ``(loss, gradients)``, the gradients in the form of `parameters`; without
        parameters, what the function returns, as arrays. The arrays belong to the program and are overwritten
        in its next run.

    Raises
    ------
    NameNotFoundError
        If a rewrite in `without` does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> W = mg.parameter(np.eye(2) / 2, name="W")
    >>> def loss(x):
    ...     h = mg.constant(np.ones((2, 1)), name="h", step=0)
    ...     for t in range(1, 4):
    ...         with mg.step(t):
    ...             h = mg.tanh(W @ h + x[t - 1]).named("h")
    ...     return mg.sum(h)
    >>> step = mg.compile(loss, {"W": W})
    >>> value, gradients = step(np.zeros((3, 2, 1)))
    >>> gradients["W"].shape
    (2, 2)
    """
    for name in without:
        if name not in PASSES and name != "fold":
            raise NameNotFoundError(f"compile: no rewrite {name!r}: {nearest(name, [*PASSES, 'fold'])}")
    return Compiled(function, parameters, frozenset(without))


class Compiled:
    """A function with a program for every combination of shapes and dtypes that it has met; see `compile`."""

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: Mapping[str, Node] | Sequence[Node] | None,
        without: frozenset[str],
    ) -> None:
        self.function = function
        self.parameters = parameters
        self.without = without
        self.programs: dict[Any, Executable] = {}
        self._names = list(parameters) if isinstance(parameters, Mapping) else None
        self._last: Executable | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the program for these inputs; compile it if they are the first of their kind."""
        program = self.programs.get(signature(arguments))
        if program is None:
            program = self.program(*arguments)
        self._last = program
        return program(arguments)

    def program(self, *arguments: Any) -> Executable:
        """Return the program for inputs like these, compiled if need be."""
        key = signature(arguments)
        found = self.programs.get(key)
        if found is None:
            found = self.programs[key] = Executable(self, arguments)
        self._last = found
        return found

    def explain(self, *arguments: Any) -> str:
        """Return the program as a person would write it, for inputs like these (by default the last ones).

        Raises
        ------
        UnsupportedError
            If nothing has been compiled yet and no inputs are given.
        """
        if arguments:
            return self.program(*arguments).explain()
        if self._last is None:
            raise UnsupportedError(
                "explain: nothing is compiled yet; call the step once, or explain(*inputs)"
            )
        return self._last.explain()


class Executable:
    """One program, for one combination of shapes and dtypes.

    Attributes
    ----------
    source : str
        The generated Python.
    names : dict
        What the names in it stand for.
    bytes : int
        The memory of its buffers.
    seconds : dict of str to float
        How long recording and compiling took.
    reports : list of Report
        Operations and floating point work after each rewrite.
    unrolled : str or None
        Why the steps were not folded, if they were not.
    """

    def __init__(self, owner: Compiled, arguments: Sequence[Any]) -> None:
        start = perf_counter()
        parameters = owner.parameters
        wanted = None if parameters is None else _nodes(parameters)
        # Hundreds of thousands of objects come and none of them goes: the collector would look for nothing.
        collecting = gc.isenabled()
        gc.disable()
        try:
            trace = Trace(owner.function, arguments, wanted)
            recorded = perf_counter()
            self._single = trace.single
            self._names = owner._names
            self._differentiates = wanted is not None
            self._lock = threading.Lock()
            self._build(trace, owner.without, fold="fold" not in owner.without)
        finally:
            if collecting:
                gc.enable()
        self.seconds = {"record": recorded - start, "compile": perf_counter() - recorded}

    def _build(self, trace: Trace, without: frozenset[str], fold: bool) -> None:
        program, self.unrolled = lower(trace.outputs, trace.inputs, fold)
        self.reports: list[Report] = [measure("recorded", program)]
        for name, rewrite in PASSES.items():
            if name not in without:
                rewrite(program)
                self.reports.append(measure(name, program))
        try:
            items = schedule(program)
        except NotLoopableError as error:
            self._build(trace, without, fold=False)
            self.unrolled = str(error)
            return
        self.plan = Plan(program, items)
        emitter = Emitter(self.plan)
        self._run = emitter.program()
        self.source = emitter.source
        self.names = emitter.names
        self.calls = emitter.calls
        self.bytes = self.plan.bytes
        self._parameters = self.plan.parameters
        self._inputs = self._checked_inputs(program, len(trace.arrays))
        outputs = [self.plan.stack(x).array for x in program.outputs]
        self._outputs = outputs
        gradients = outputs[1:]
        self._gradients: Any = (
            dict(zip(self._names, gradients, strict=True)) if self._names is not None else gradients
        )

    def _checked_inputs(self, program: Program, count: int) -> list[tuple[Array | None, int | None]]:
        """Return each input's buffer and, for class indices, the number of classes."""
        limits: dict[int, int] = {}
        for value in program.values():
            limited = _classes(value)
            if limited is None:
                continue
            indices, depth = limited
            for leaf in _inputs_behind(indices):
                position = leaf.attributes["position"]
                limits[position] = min(depth, limits.get(position, depth))
        return [(self.plan.inputs.get(i), limits.get(i)) for i in range(count)]

    def __call__(self, arguments: Sequence[Any]) -> Any:
        """Copy the inputs in, run, and return the results."""
        with self._lock:
            arrays = flattened(arguments)
            for (buffer, classes), array in zip(self._inputs, arrays, strict=True):
                if buffer is not None:
                    if classes is not None:
                        _check_classes(array, classes)
                    buffer[...] = array
            for node, array in self._parameters:
                if node.value is not array:
                    # Somebody gave the parameter a new array: its values move to where the program reads.
                    array[...] = node.value
                    node.value = array
            self._run()
            if self._differentiates:
                return self._outputs[0][()], self._gradients
            return self._outputs[0] if self._single else list(self._outputs)

    def explain(self) -> str:
        """Return the program as a person would write it."""
        return explain(self)


def _nodes(parameters: Mapping[str, Node] | Sequence[Node]) -> list[Node]:
    nodes = list(parameters.values()) if isinstance(parameters, Mapping) else list(parameters)
    for node in nodes:
        if not isinstance(node, Node) or not node.is_parameter:
            raise UnsupportedError(f"compile: {node!r} is not a parameter; make it with mg.parameter(array)")
    return nodes


def _classes(value: Value) -> tuple[Value, int] | None:
    """Return the indices that an operation takes, and how many classes there are."""
    if value.op == "take":
        return value.inputs[1], value.inputs[0].shape[value.attributes["axis"]]
    if value.op == "one_hot":
        return value.inputs[0], value.attributes["depth"]
    if value.op == "subtract_one_hot":
        return value.inputs[1], value.shape[0]
    if value.op == "cross_entropy" and value.inputs[1].dtype.kind in "iu":
        return value.inputs[1], value.inputs[0].shape[value.attributes["axis"]]
    if value.op in ("put", "put_along_axis", "take_along_axis"):
        shape = value.attributes.get("shape", value.inputs[0].shape)
        return value.inputs[1], shape[value.attributes["axis"]]
    return None


def _inputs_behind(value: Value) -> list[Value]:
    found, todo, seen = [], [value], set()
    while todo:
        x = todo.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if x.op == "input":
            found.append(x)
        todo.extend(x.inputs)
    return found


_UNSIGNED = {n: np.dtype(f"u{n}") for n in (1, 2, 4, 8)}


def _check_classes(array: Array, classes: int) -> None:
    if array.size:
        # One comparison for both ends: as unsigned numbers, negative ones are large.
        unsigned = array.view(_UNSIGNED[array.itemsize]) if array.dtype.kind == "i" else array
        if np.maximum.reduce(unsigned, None) >= classes:
            bad = array[(array < 0) | (array >= classes)].flat[0]
            raise AxisError(f"a class is {bad}: expected a number from 0 to {classes - 1}")
