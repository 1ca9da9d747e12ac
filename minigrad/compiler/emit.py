"""From a planned program to a Python function: a flat list of numpy calls, and loops over views bound before.

The generated source is plain: one call a line, and for each recurrence a loop over a list of tuples, one
tuple a step, that holds the views of that step:

    for v1, v2, v3 in steps_1:
        f4(c7, v1, c8)
        f2(c8, v2, v3)

Operands that are the same at every step (weights, scratch) are bound outside of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compiler import reductions  # noqa: F401  (enters its kernels into the table)
from minigrad.compiler.ir import LEAVES, Value
from minigrad.compiler.kernels import Call, calls, copy, fallback
from minigrad.compiler.memory import cut
from minigrad.compiler.plan import Plan
from minigrad.compiler.schedule import Item
from minigrad.primitives import thaw_index


class Emitter:
    """Collects the lines of a program and what its names stand for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.functions: dict[int, str] = {}
        self.calls = 0  # in one run
        self.loops = 0

    def program(self) -> Callable[[], None]:
        """Emit everything and return the function that runs it."""
        for item in self.plan.items:
            if item.direction == 0:
                self.value(item.values[0])
            else:
                self.loop(item)
        for whole, part, start in self.plan.constant_parts:
            # Written once: its memory is nobody else's.
            self.place(whole, part, start)
        body = "\n".join(self.lines) or "    pass"
        source = f"def run():\n{body}\n"
        self.source = source
        exec(compile(source, "<compiled training step>", "exec"), self.names)
        run: Callable[[], None] = self.names["run"]
        return run

    # -- outside of loops ------------------------------------------------------------------------------

    def value(self, value: Value) -> None:
        """Emit one value outside of recurrences."""
        plan = self.plan
        if value.op == "window" and len(value.inputs) > 1:
            self.fill(value)
        if id(value) in plan.copied_windows:
            self.copied_window(value)
            return
        if value.op == "concat":
            for part, start in plan.copies.get(id(value), ()):
                self.copy_part(value, part, start)
            return
        if value.op in ("frames", "indexed") and not plan.is_view(value):
            self.frames(value)
            return
        if plan.is_view(value) or value.op in LEAVES:
            return
        out = plan.stack(value)
        if value.span is None:
            operands = [
                plan.stack(x).steps(*x.span) if x.span is not None else plan.stack(x).array
                for x in value.inputs
            ]
            # Operations from steps to once (totals) take the whole stack.
            batched = any(x.span is not None for x in value.inputs)
            for call in calls(value, out.array, operands, False) or [fallback(value, out.array, operands)]:
                self.once(call)
            assert not batched or value.op in ("total", "product_over_time"), value
            return
        first, last = value.span
        operands = [plan.stack(x).steps(first, last) for x in value.inputs]
        found = calls(value, out.steps(first, last), operands, True)
        if found is None:
            self.steps([value], range(first, last + 1))
        else:
            for call in found:
                self.once(call)

    def copy_part(self, whole: Value, part: Value, start: int) -> None:
        """Emit the copy of one operand into a concatenation."""
        axis = whole.attributes["axis"]
        stop = start + part.shape[axis]
        stack, source = self.plan.stack(whole), self.plan.stack(part)
        if whole.span is None:
            self.once(copy(cut(stack.array, axis, start, stop), source.array))
            return
        out = cut(stack.steps(*whole.span), axis + 1, start, stop)
        x = source.steps(*whole.span)
        self.once(copy(out, x if part.span is not None else np.broadcast_to(x, out.shape)))

    def place(self, whole: Value, part: Value, start: int) -> None:
        """Write a constant operand of a concatenation into its memory, now."""
        axis = whole.attributes["axis"] + (whole.span is not None)
        out = cut(self.plan.stack(whole).array, axis, start, start + part.shape[whole.attributes["axis"]])
        out[...] = part.attributes["array"]

    def frames(self, value: Value) -> None:
        """Emit the copies of one value for each step into a stack; of constants, make them now."""
        assert value.span is not None
        stack = self.plan.stack(value)
        for k, t in enumerate(range(value.span[0], value.span[1] + 1)):
            if value.op == "indexed":
                x = value.inputs[0]
                array = self.plan.stack(x).array[(*thaw_index(value.attributes["indices"][k]), ...)]
            else:
                x = value.inputs[k]
                array = self.plan.stack(x).array
            if all(y.op == "constant" for y in value.inputs):
                stack.at(t)[...] = array
            else:
                self.once(copy(stack.at(t), array))

    def fill(self, window: Value) -> None:
        """Emit what stands in at the ends of a window: into the slots of its source, or its own."""
        stack = self.plan.stack(window)
        for t, x in zip(window.attributes["boundary"], window.inputs[1:], strict=True):
            self.once(copy(stack.at(t), self.plan.stack(x).array))

    def copied_window(self, window: Value) -> None:
        """Emit the copy of a window that has memory of its own."""
        assert window.span is not None
        first, last = window.span
        source, offset = window.inputs[0], window.attributes["offset"]
        inner = [t for t in range(first, last + 1) if t not in window.attributes["boundary"]]
        if inner:
            out = self.plan.stack(window).steps(inner[0], inner[-1])
            x = self.plan.stack(source).steps(inner[0] + offset, inner[-1] + offset)
            self.once(copy(out, x))

    def once(self, call: Call) -> None:
        """Emit a call outside of loops."""
        operands = ", ".join(self.bound(x) for x in call.operands)
        self.lines.append(f"    {self.function(call)}({operands})")
        self.calls += 1

    # -- loops -------------------------------------------------------------------------------------------

    def loop(self, item: Item) -> None:
        """Emit a recurrence: for each stretch of time with the same operations, one loop."""
        for value in item.values:
            if value.op == "window" and len(value.inputs) > 1:
                self.fill(value)
        spans = [v.span for v in item.values if v.span is not None]
        first, last = min(s[0] for s in spans), max(s[1] for s in spans)
        steps = range(first, last + 1)
        if item.direction < 0:
            steps = steps[::-1]
        active = [self.active(item, t) for t in steps]
        start = 0
        for stop in range(1, len(steps) + 1):
            same = stop < len(steps) and [id(v) for v in active[stop]] == [id(v) for v in active[start]]
            if not same:
                self.steps(active[start], steps[start:stop])
                start = stop

    def active(self, item: Item, t: int) -> list[Value]:
        """Return what is computed at a step."""
        found = []
        for value in item.values:
            assert value.span is not None
            here = value.span[0] <= t <= value.span[1]
            if id(value) in self.plan.copied_windows:
                here = here and t not in value.attributes["boundary"]
            elif value.op == "concat":
                here = here and id(value) in self.plan.copies
            elif self.plan.is_view(value):
                here = False
            if here:
                found.append(value)
        return found

    def at_step(self, value: Value, t: int) -> list[Call]:
        """Return the calls of a value at one step."""
        plan = self.plan
        stack = plan.stack(value)
        if id(value) in plan.copied_windows:
            return [copy(stack.at(t), plan.stack(value.inputs[0]).at(t + value.attributes["offset"]))]
        if value.op == "concat":
            axis = value.attributes["axis"]
            return [
                copy(cut(stack.at(t), axis, start, start + part.shape[axis]), plan.stack(part).at(t))
                for part, start in plan.copies[id(value)]
            ]
        operands = [plan.stack(x).at(t) for x in value.inputs]
        return calls(value, stack.at(t), operands, False) or [fallback(value, stack.at(t), operands)]

    def steps(self, values: Sequence[Value], steps: Sequence[int] | range) -> None:
        """Emit some values at some steps as a loop."""
        if not values:
            return
        bodies = [[call for value in values for call in self.at_step(value, t)] for t in steps]
        if len(steps) == 1:
            for call in bodies[0]:
                self.once(call)
            return
        self.loops += 1
        bound: list[list[Any]] = [[] for _ in steps]
        variables: list[str] = []
        known: dict[tuple[Any, ...], str] = {}
        lines = []
        for position, call in enumerate(bodies[0]):
            here = [body[position] for body in bodies]
            written = []
            for i, operand in enumerate(call.operands):
                if all(_same(operand, other.operands[i]) for other in (here[1], here[-1])):
                    written.append(self.bound(operand))
                    continue
                key = (_place(operand), _place(here[1].operands[i]), _place(here[-1].operands[i]))
                if key not in known:
                    known[key] = f"v{len(variables)}"
                    variables.append(known[key])
                    for row, other in zip(bound, here, strict=True):
                        row.append(other.operands[i])
                written.append(known[key])
            own = all(c.function is call.function for c in here)
            if own:
                name = self.function(call)
            else:
                # Kernels with scratch of their own are made anew for each step.
                name = f"v{len(variables)}"
                variables.append(name)
                for row, other in zip(bound, here, strict=True):
                    row.append(other.function)
            lines.append(f"        {name}({', '.join(written)})")
        listed = ", ".join(variables) + ("," if len(variables) == 1 else "")
        name = f"steps_{self.loops}"
        self.names[name] = [tuple(row) for row in bound] if variables else range(len(steps))
        self.lines.append(f"    for {listed or '_'} in {name}:")
        self.lines.extend(lines)
        self.calls += len(lines) * len(steps)

    # -- names -------------------------------------------------------------------------------------------

    def function(self, call: Call) -> str:
        """Return the name under which a function is bound."""
        key = id(call.function)
        if key not in self.functions:
            base = getattr(call.function, "__name__", "call").strip("_<>")
            name = base if base.isidentifier() and base not in self.names else f"{base}_{len(self.functions)}"
            name = name if name.isidentifier() else f"call_{len(self.functions)}"
            self.functions[key] = name
            self.names[name] = call.function
        return self.functions[key]

    def bound(self, operand: Any) -> str:
        """Return the name of an operand that is the same at every run."""
        if isinstance(operand, (bool, int, tuple)):
            return repr(operand)
        key = ("bound", *_place(operand))
        name = self._bound.get(key)
        if name is None:
            name = self._bound[key] = f"c{len(self._bound)}"
            self.names[name] = operand
        return name

    @property
    def _bound(self) -> dict[Any, str]:
        if not hasattr(self, "_bound_names"):
            self._bound_names: dict[Any, str] = {}
        return self._bound_names


def _place(x: Any) -> tuple[Any, ...]:
    """Return what tells one view of memory from another."""
    if isinstance(x, np.ndarray):
        return (x.__array_interface__["data"][0], x.shape, x.strides, x.dtype.str)
    return (repr(x),)


def _same(a: Any, b: Any) -> bool:
    return a is b or _place(a) == _place(b)
