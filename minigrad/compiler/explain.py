"""What a program does, as a person would write it, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from minigrad.compiler.ir import LEAVES, VIEWS, Program, Value

if TYPE_CHECKING:
    from minigrad.compiler import Executable


class Report(NamedTuple):
    """A program after a rewrite.

    Attributes
    ----------
    name : str
        The rewrite.
    operations : int
        Operations in one run, each once for every step at which it is carried out on its own: those outside
        of recurrences count once.
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
        if value.op in LEAVES | VIEWS | {"frames", "concat"}:
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
    if value.op == "softmax":
        return 5 * value.size
    if value.op == "add":
        return value.size * (len(value.inputs) - 1)
    return value.size


def explain(program: Executable) -> str:
    return ""
