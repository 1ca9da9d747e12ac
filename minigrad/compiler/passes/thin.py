"""With many columns and few features a sum costs more than a product: thin products join the recurrent.

``W @ h[t-1] + (V @ x[t] + b)`` is ``[W V b] @ [h[t-1]; x[t]; 1]``. The rule is to keep ``V @ x`` out of the
recurrence (`once`); but with thousands of columns, and `V` of a column or two, what costs is to write the
addends and read them again, and one product that adds up inside of BLAS is faster. The weights come to live
side by side in memory.
"""

from __future__ import annotations

import numpy as np

from minigrad.compiler.ir import Program, Value, concat, constant, matmul
from minigrad.compiler.passes.simplify import simplify

# From so many entries of a step on, and up to so many columns of V.
_LARGE = 131_072
_THIN = 4


def thin_products(program: Program) -> None:
    """Join thin products and biases with the recurrent product that they are added to; see the module."""
    inside = program.recurrences()
    users = program.users()
    by: dict[int, Value] = {}
    keep = program.values()
    for value in keep:
        if value.op != "add" or id(value) not in inside or len(value.shape) != 2 or value.size < _LARGE:
            continue
        terms = _terms(value, inside, users)
        products = [x for x in terms if x.op == "matmul" and x.shape == value.shape]
        biases = [x for x in terms if x.span is None and x.shape == (value.shape[0], 1)]
        recurrent = [x for x in products if id(x) in inside and len(users[id(x)]) == 1]
        if len(terms) != len(products) + len(biases) or len(recurrent) != 1 or len(terms) < 2:
            continue
        thin = [x for x in products if x is not recurrent[0]]
        if any(x.inputs[0].span is not None or x.inputs[1].span != value.span for x in products):
            continue
        if len(biases) > 1 or any(x.inputs[0].shape[1] > _THIN for x in thin):
            continue
        ones = [constant(np.ones((1, value.shape[1]), value.dtype), "1") for _ in biases]
        left = concat([*(x.inputs[0] for x in (recurrent[0], *thin)), *biases], 1)
        right = concat([*(x.inputs[1] for x in (recurrent[0], *thin)), *ones], 0)
        by[id(value)] = matmul(left, right, value.name)
    program.replace(by)
    simplify(program)


def _terms(value: Value, inside: dict[int, int], users: dict[int, list[Value]]) -> list[Value]:
    """Return the addends of a sum; sums outside of the recurrence that nothing else reads are taken apart."""
    terms: list[Value] = []
    for x in value.inputs:
        if x.op == "add" and id(x) not in inside and len(users[id(x)]) == 1 and x.span == value.span:
            terms.extend(x.inputs)
        else:
            terms.append(x)
    return terms
