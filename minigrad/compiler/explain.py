"""What a program does, as a person would write it, and what it costs.

The text is written from the rewritten program, one line for each operation, in the graph's own names:
steps as ``h[t]``, what a window reads as ``h[t-1]``, slices as ``a[0:64]``. It is for reading; the Python
that runs is in `Executable.source`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from minigrad.compiler.ir import LEAVES, VIEWS, Program, Value
from minigrad.primitives.base import ATOM, PRIMITIVES

if TYPE_CHECKING:
    from minigrad.compiler import Executable


class Report(NamedTuple):
    """A program after a rewrite.

    Attributes
    ----------
    name : str
        The rewrite.
    operations : int
        Operations carried out in one run: those in a recurrence once for every step, those outside once. (As
        recorded, everything is once for every step.)
    work : int
        Floating point operations in one run: 2 n m k for a product, one for each entry of anything else.
    """

    name: str
    operations: int
    work: int


def measure(name: str, program: Program) -> Report:
    """Count a program's operations and work."""
    operations = work = 0
    inside = program.recurrences() if name != "recorded" else None
    for value in program.values():
        if value.op in LEAVES | VIEWS | {"frames", "indexed", "concat"}:
            continue
        alone = inside is None or id(value) in inside
        operations += value.steps if alone else 1
        work += value.steps * _work(value)
    return Report(name, operations, work)


def _work(value: Value) -> int:
    if value.op == "matmul":
        return 2 * value.size * value.inputs[0].shape[-1]
    if value.op == "product_over_time":
        x = value.inputs[0]
        return 2 * value.size * x.steps * x.shape[0]
    if value.op in ("total", "sum", "mean", "max", "cross_entropy", "squared_error"):
        return value.inputs[0].size * (value.inputs[0].steps if value.span is None else 1)
    if value.op in ("softmax", "log_softmax"):
        return 5 * value.size
    if value.op == "add":
        return value.size * (len(value.inputs) - 1)
    if value.op in ("take", "rows", "laid_out", "one_hot"):
        return 0
    return value.size


# -- the program as text -------------------------------------------------------------------------------


_PLAIN = {"product_over_time": "G", "constant": "k", "multiply": "a"}


class _Names:
    """A name for every value: the graph's own where there is one, made unique."""

    def __init__(self, values: Sequence[Value], shown: Sequence[Value]) -> None:
        self.names: dict[int, str] = {}
        used: set[tuple[str, bool]] = set()
        leaves = [v for v in values if v.op in ("parameter", "input")]
        frames = [v for v in values if v.op in ("frames", "indexed")]
        for value in (*leaves, *shown, *frames, *values):
            if id(value) in self.names or (value.op in VIEWS and value.op != "getitem"):
                continue
            name = (value.name or _PLAIN.get(value.op, "a")).split("[")[0]
            # h is one thing and h[t] another: the initial state may share the name.
            stepped = value.span is not None
            base, count = name, 1
            while (name, stepped) in used or name in _PLAIN.values():
                name = f"{base}{count}" if base in _PLAIN.values() else base + "'" * count
                count += 1
            used.add((name, stepped))
            self.names[id(value)] = name

    def of(self, value: Value, shift: int = 0) -> str:
        """Return a value as its readers write it."""
        if value.op == "constant" and value.size == 1:
            return f"{value.attributes['array'].item():g}"
        if value.op == "window":
            return self.of(value.inputs[0], shift + value.attributes["offset"])
        if value.op == "at":
            return self.of(value.inputs[0]).replace("[t]", f"[{value.attributes['step']}]")
        if value.op == "permute_dims":
            return f"{self.of(value.inputs[0], shift)}^T"
        if value.op == "broadcast_to":
            return self.of(value.inputs[0], shift)
        if value.op == "slice":
            start, stop = value.attributes["start"], value.attributes["stop"]
            ahead = ":, " * value.attributes["axis"]
            return f"{self.of(value.inputs[0], shift)}[{ahead}{start}:{stop}]"
        name = self.names.get(id(value), value.op)
        if value.span is None:
            return name
        return f"{name}[t{shift:+d}]" if shift else f"{name}[t]"

    def expression(self, value: Value) -> str:
        """Return how a value is computed."""
        x = [self.of(y) for y in value.inputs]
        op, attributes = value.op, value.attributes
        if op == "add":
            return " + ".join(x)
        if op == "total":
            first, last = value.inputs[0].span or (0, 0)
            return f"sum over t in {first}..{last} of {x[0]}"
        if op == "product_over_time":
            first, last = value.inputs[0].span or (0, 0)
            return f"sum over t in {first}..{last} of {x[0]}^T @ {x[1]}     (one product)"
        if op == "scaled_tanh":
            return f"scale * tanh({x[0]}) + shift"
        if op == "multiply_each":
            return f"each block of {x[1]} * {x[0]}"
        if op == "rows":
            return f"{x[0]}^T     (laid out as rows)"
        if op == "laid_out":
            return f"{x[0]}     (copied in one piece)"
        if op == "square":
            return f"{x[0]}²"
        if op == "subtract_one_hot":
            return f"{x[0]} - one_hot({x[1]})"
        if op in ("concat", "stack"):
            return f"[{'; '.join(x)}]"
        if op in ("frames", "indexed"):
            return f"{x[0]}, {x[1]}, ..." if len(x) > 1 else f"{x[0]}[...]"
        if op in PRIMITIVES:
            shown = {name: part for name, part in attributes.items() if name != "view"}
            return PRIMITIVES[op].write([(text, ATOM if " " not in text else 0) for text in x], shown)
        return f"{op}({', '.join(x)})"


def explain(program: Executable) -> str:
    """Return a program as text: its calls, its memory, what each rewrite did."""
    plan = program.plan
    shown = [v for item in plan.items for v in item.values if not _is_silent(v, plan.is_view(v))]
    names = _Names(plan.program.values(), shown)
    lines = []
    parameters = ", ".join(node.label for node, _ in plan.parameters)
    lines.append(
        f"# {program.calls:,} numpy calls in a run; buffers {_bytes(program.bytes)}; parameters {parameters}"
    )
    if program.unrolled:
        lines.append(f"# unrolled: {program.unrolled}")
    for item in plan.items:
        if item.direction == 0:
            value = item.values[0]
            if _is_silent(value, plan.is_view(value)):
                continue
            ahead = "" if value.span is None else f"for all t in {value.span[0]}..{value.span[1]} at once: "
            lines.append(f"{ahead}{names.of(value)} = {names.expression(value)}")
            continue
        spans = [v.span for v in item.values if v.span is not None]
        first, last = min(s[0] for s in spans), max(s[1] for s in spans)
        for value in item.values:
            if value.op == "window":
                for t, x in zip(value.attributes["boundary"], value.inputs[1:], strict=True):
                    source = names.of(value.inputs[0], value.attributes["offset"])
                    offset = value.attributes["offset"]
                    place = source.replace(f"t{offset:+d}", str(t + offset))
                    lines.append(f"{place} = {'0' if _is_zero(x) else names.of(x)}")
        steps = f"{first}..{last}" if item.direction > 0 else f"{last}..{first}"
        lines.append(f"for t in {steps}:")
        for value in item.values:
            if not _is_silent(value, plan.is_view(value)):
                lines.append(f"    {names.of(value)} = {names.expression(value)}")
    outputs = ", ".join(names.of(x) for x in plan.program.outputs)
    lines.append(f"return {outputs}")
    lines.append("")
    lines.append(f"{'after':<12}{'operations':>12}{'work':>16}")
    for report in program.reports:
        lines.append(f"{report.name:<12}{report.operations:>12,}{report.work:>16,}")
    lines.append("")
    lines.append("largest buffers:")
    for name, size in sorted(plan.sizes.items(), key=lambda pair: -pair[1])[:8]:
        lines.append(f"    {name:<42}{_bytes(size):>12}")
    return "\n".join(lines)


def _is_zero(x: Value) -> bool:
    return x.op == "constant" and not x.attributes["array"].any()


def _is_silent(value: Value, view: bool) -> bool:
    """Whether a value is not worth a line: leaves, and other readings of memory."""
    return value.op in LEAVES or view or value.op in VIEWS


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
