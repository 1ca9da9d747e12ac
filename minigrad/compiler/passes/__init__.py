"""The rewrites, each a function on a program, none of them about recurrent networks.

They are applied in the order of `PASSES`; each can be left out, and every program computes the same without
it, only slower.
"""

from __future__ import annotations

from collections.abc import Callable

from minigrad.compiler.ir import Program
from minigrad.compiler.passes.once import once_for_all_steps
from minigrad.compiler.passes.products import products_that_share
from minigrad.compiler.passes.siblings import siblings
from minigrad.compiler.passes.simplify import simplify
from minigrad.compiler.passes.squash import one_tanh
from minigrad.compiler.passes.sums import sums_over_time
from minigrad.compiler.passes.thin import thin_products

Pass = Callable[[Program], None]

PASSES: dict[str, Pass] = {
    "simplify": simplify,
    "once": once_for_all_steps,
    "products": products_that_share,
    "siblings": siblings,
    "one_tanh": one_tanh,
    "thin": thin_products,
    "sums": sums_over_time,
}

__all__ = ["PASSES", "Pass", "simplify"]
