"""Sums of products over time are one product: ``sum_t d[t] @ z[t]^T`` is ``D^T @ Z`` over T * B.

For that both operands are laid out with columns as rows, ``(T * B, features)``. Where that would move
more memory than adding up the products (few features, thousands of columns), the products are made step
by step instead. The sum of `d` over columns and time is the product with a column of ones, and then part
of the same product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.compiler.ir import Program, Value, concat, constant, matmul, slice_, transpose
from minigrad.compiler.passes.simplify import simplify


def sums_over_time(program: Program) -> None:
    """Rewrite sums over time; see the module."""
    find_products(program)
    simplify(program)
    find_column_sums(program)
    simplify(program)
    join_products(program)
    simplify(program)
    lay_out_rows(program)
    simplify(program)
    lay_out_weights(program)


# From so many uses of a matrix on, it pays to lay it out anew once, as the product reads it fastest.
_USES = 512


def lay_out_weights(program: Program) -> None:
    """Copy matrices that a loop multiplies by, where they are not in one piece as they stand."""
    inside = program.recurrences()
    by: dict[int, Value] = {}
    copies: dict[int, Value] = {}
    keep = program.values()
    for value in keep:
        if value.op != "matmul" or id(value) not in inside or len(value.shape) != 2:
            continue
        W = value.inputs[0]
        if W.span is not None or W.op not in ("slice", "permute_dims"):
            continue
        x, strided = W, False
        while x.op in ("slice", "permute_dims"):
            strided |= x.op == "slice" and x.attributes["axis"] != 0
            x = x.inputs[0]
        if strided or value.steps * value.shape[1] >= _USES:
            if id(W) not in copies:
                copies[id(W)] = Value("laid_out", (W,), W.shape, W.dtype, None, W.name)
            by[id(value)] = matmul(copies[id(W)], value.inputs[1], value.name)
    program.replace(by)


def rows(x: Value) -> Value:
    """Make the transpose of each step, laid out anew."""
    if x.op == "permute_dims" and x.attributes["axes"] == (1, 0):
        return x.inputs[0]
    return Value("rows", (x,), x.shape[::-1], x.dtype, x.span, x.name and f"{x.name}^T")


def find_products(program: Program) -> None:
    """Rewrite sums of products of two stepped values."""
    by: dict[int, Value] = {}
    keep = program.values()
    for value in keep:
        if value.op != "total":
            continue
        (x,) = value.inputs
        if x.op == "matmul" and x.span is not None and len(x.shape) == 2:
            a, b = x.inputs
            if a.span == b.span == x.span and _pays(a, b):
                by[id(value)] = Value(
                    "product_over_time", (rows(a), _natural(b)), value.shape, value.dtype, None,
                    value.name,
                )  # fmt: skip
        elif x.op == "put" and x.span is not None and x.attributes["axis"] == 1 and len(x.shape) == 2:
            g, indices = x.inputs
            if g.span == x.span and len(indices.shape) == 1 and indices.span == x.span:
                depth = x.shape[1]
                shape = (indices.shape[0], depth)
                hot = Value(
                    "one_hot", (indices,), shape, x.dtype, x.span, None, depth=depth, axis=1, dtype=x.dtype
                )
                by[id(value)] = Value("product_over_time", (rows(g), hot), value.shape, value.dtype, None)
    program.replace(by)


def _natural(b: Value) -> Value:
    """Return the right operand with its transpose laid out as rows."""
    return rows(b.inputs[0]) if b.op == "permute_dims" else b


def _pays(a: Value, b: Value) -> bool:
    columns = a.shape[1]
    return columns == 1 or columns * (a.shape[0] + b.shape[1]) <= 4 * a.shape[0] * b.shape[1]


def find_column_sums(program: Program) -> None:
    """Rewrite sums over columns and time of what is laid out as rows anyway."""
    keep = program.values()
    laid_out = {id(v.inputs[0]): v for v in keep if v.op == "rows"}
    by: dict[int, Value] = {}
    ones: dict[Any, Value] = {}
    for value in keep:
        if value.op != "total" or value.inputs[0].op != "sum" or value.inputs[0].span is None:
            continue
        summed = value.inputs[0]
        (x,) = summed.inputs
        attributes = summed.attributes
        if attributes["axis"] != (1,) or not attributes["keepdims"] or len(x.shape) != 2:
            continue
        if id(x) not in laid_out or x.span is None:
            continue
        key = (x.shape[1], x.dtype)
        if key not in ones:
            ones[key] = constant(np.ones((x.shape[1], 1), x.dtype), "1")
        by[id(value)] = Value(
            "product_over_time", (laid_out[id(x)], ones[key]), value.shape, value.dtype, None, value.name
        )
    program.replace(by)


def join_products(program: Program) -> None:
    """Make one product over time of those with the same left operand."""
    groups: dict[int, list[Value]] = {}
    keep = program.values()
    for value in keep:
        if value.op == "product_over_time":
            groups.setdefault(id(value.inputs[0]), []).append(value)
    by: dict[int, Value] = {}
    for group in groups.values():
        # Only what is laid out anew, and ones: anything else would have to be copied beside it.
        group = [
            v
            for v in group
            if v.inputs[1].op in ("rows", "concat") or (v.inputs[1].op == "constant" and v.inputs[1].size)
        ]
        if len(group) < 2:
            continue
        group.sort(key=lambda v: v.inputs[1].op == "constant")
        left = group[0].inputs[0]
        right = concat([v.inputs[1] for v in group], 1)
        right.span = left.span
        joined = Value("product_over_time", (left, right), (left.shape[1], right.shape[1]), left.dtype, None)
        start = 0
        for value in group:
            by[id(value)] = slice_(joined, 1, start, start + value.shape[1])
            start += value.shape[1]
    program.replace(by)


def lay_out_rows(program: Program) -> None:
    """Compute what is only read as rows in that layout; lay out parts of a concatenation into its rows."""
    for _ in range(4):
        users = program.users()
        by: dict[int, Value] = {}
        keep = program.values()
        laid_out = {id(v.inputs[0]): v for v in keep if v.op == "rows"}
        inside = program.recurrences()
        for value in keep:
            if value.op != "rows":
                continue
            (x,) = value.inputs
            only = len(users[id(x)]) == 1 and id(x) not in inside
            if x.op == "matmul" and only and x.inputs[0].span is None and id(x.inputs[1]) in laid_out:
                W, y = x.inputs
                by[id(value)] = matmul(rows(y), transpose(W), name=value.name)
            elif x.op == "concat" and only:
                by[id(value)] = concat([rows(y) for y in x.inputs], 1 - x.attributes["axis"], value.name)
            elif x.op == "window" and id(x.inputs[0]) in laid_out:
                # Rows that are there already, some steps away: copying them is cheaper than transposing.
                inputs = [laid_out[id(x.inputs[0])], *(rows(y) for y in x.inputs[1:])]
                by[id(value)] = Value(
                    "window", inputs, value.shape, value.dtype, value.span, value.name,
                    **x.attributes,
                )  # fmt: skip
            elif x.op == "window" and len(x.inputs) == 1:
                inner = rows(x.inputs[0])
                by[id(value)] = Value(
                    "window", (inner,), value.shape, value.dtype, value.span, value.name,
                    offset=x.attributes["offset"], boundary=(),
                )  # fmt: skip
        program.replace(by)
        simplify(program)
        if not by:
            return
