"""A primitive is one operation in one place: its value, its vjp, its notation, the shapes it takes.

The vjp (vector-Jacobian product) of an operation ``y = f(a, b)`` is a readable formula for each input, in
the same public functions that a user calls.  Those functions take arrays as well as nodes, so one formula
serves twice: on arrays when only numbers are wanted, on nodes when the backward pass is to be recorded,
and the recorded gradients can be printed, drawn and differentiated again (Griewank & Walther 2008, ch. 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from minigrad.errors import MinigradError, ShapeError, UnsupportedError
from minigrad.node import Array, Attributes, Node, Operand, constant, record

# How tightly a written expression binds; an operand that binds less tightly is put in parentheses.
SUM, PRODUCT, UNARY, POWER, ATOM = 1, 2, 3, 4, 5

Vjp: TypeAlias = Callable[..., Any]
Notation: TypeAlias = "str | Callable[[Sequence[str], Attributes], str]"

PRIMITIVES: dict[str, Primitive] = {}


@dataclass(frozen=True, eq=False, slots=True)
class Primitive:
    """One operation.

    Attributes
    ----------
    name : str
        The name that users call, such as ``"tanh"``.
    value : callable
        ``value(*arrays, **attributes)`` computes the result.
    vjps : tuple of (callable or None)
        For each input, ``vjp(g, y, *inputs, **attributes)``: the gradient of that input, given the gradient
        `g` of the result `y`.  None where no gradient flows (indices, conditions).  A variadic primitive
        has a single rule, ``vjp(g, y, inputs, position=..., **attributes)``, which gets the inputs as one
        sequence: unpacking them for each of n inputs would take n² steps.
    text, latex : str or callable
        How it is written: a format of the written operands and the attributes.
    precedence : int
        How tightly the written form binds.
    binds : int or tuple of int
        How tightly each operand has to bind to stand without parentheses.
    broadcasts : bool
        Whether the operands are broadcast against each other; the engine undoes that in gradients.
    explain : callable or None
        ``explain(*inputs, **attributes)`` says in words which shapes do not fit.
    merged : mapping
        For some inputs, the sum of the vjps over many uses at once, on arrays (`sum_t g_t x_t^T` is one
        product): ``merged[position](uses)`` with `uses` a list of (gradient, node), or None if it
        does not pay.
    """

    name: str
    value: Callable[..., Any]
    vjps: tuple[Vjp | None, ...] = ()
    text: Notation = ""
    latex: Notation = ""
    precedence: int = ATOM
    binds: int | tuple[int, ...] = 0
    broadcasts: bool = False
    variadic: bool = False
    explain: Callable[..., str | None] | None = None
    merged: dict[int, Callable[[list[tuple[Array, Node]]], Array | None]] = field(default_factory=dict)
    # Whether a gradient flows through it at all.
    is_differentiable: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_differentiable", any(vjp is not None for vjp in self.vjps))

    def vjp(self, position: int) -> Vjp | None:
        """Return the rule of the input at `position`."""
        if not self.variadic:
            return self.vjps[position]
        rule = self.vjps[0] if self.vjps else None
        if rule is None:
            return None
        return lambda g, y, *inputs, **attributes: rule(g, y, inputs, position=position, **attributes)

    def write(
        self, operands: Sequence[tuple[str, int]], attributes: Attributes | None = None, latex: bool = False
    ) -> str:
        """Write the operation applied to written operands, each with how tightly it binds.

        >>> from minigrad.primitives import ATOM, PRIMITIVES, SUM
        >>> PRIMITIVES["multiply"].write([("a + b", SUM), ("c", ATOM)])
        '(a + b) * c'
        """
        attributes = attributes or {}
        binds = self.binds if isinstance(self.binds, tuple) else (self.binds,) * len(operands)
        if len(binds) < len(operands):
            binds += (0,) * (len(operands) - len(binds))
        opening, closing = (r"\left(", r"\right)") if latex else ("(", ")")
        written = [
            f"{opening}{text}{closing}" if precedence < least else text
            for (text, precedence), least in zip(operands, binds, strict=False)
        ]
        notation = (self.latex or self.text) if latex else self.text
        if callable(notation):
            return notation(written, attributes)
        if notation:
            return notation.format(*written, **attributes)
        return f"{self.name}({', '.join(written)})"

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def define(name: str, value: Callable[..., Any], *vjps: Vjp | None, **rest: Any) -> Primitive:
    """Enter a primitive into the table `PRIMITIVES` and return it."""
    primitive = Primitive(name, value, vjps, **rest)
    assert name not in PRIMITIVES, name
    PRIMITIVES[name] = primitive
    return primitive


def apply(primitive: Primitive, operands: Sequence[Operand], **attributes: Any) -> Node:
    """Carry out a primitive: on nodes it is recorded, on arrays only it is plain numpy.

    Numbers and arrays that meet a node become constants; a Python number takes the node's dtype.  The result
    is declared a node, which is what users see; only the vjps call it on arrays.
    """
    partner = None
    for operand in operands:
        if type(operand) is Node:
            partner = operand
            break
    if partner is None:
        return primitive.value(*operands, **attributes)  # type: ignore[no-any-return]
    inputs = tuple([x if type(x) is Node else lift(x, partner) for x in operands])
    try:
        value = primitive.value(*[x.value for x in inputs], **attributes)
    except MinigradError:
        raise
    except (ValueError, IndexError) as error:
        raise shape_error(primitive, inputs, attributes, error) from None
    except TypeError as error:
        raise _type_error(primitive, inputs, error) from None
    return record(primitive, value, inputs, attributes)


def unary(primitive: Primitive, x: Operand) -> Node:
    """`apply` for one operand without attributes."""
    if type(x) is Node:
        try:
            value = primitive.value(x.value)
        except TypeError as error:
            raise _type_error(primitive, (x,), error) from None
        return record(primitive, value, (x,))
    return primitive.value(np.asarray(x))  # type: ignore[no-any-return]


def binary(primitive: Primitive, a: Operand, b: Operand) -> Node:
    """`apply` for two operands without attributes."""
    if type(a) is not Node:
        if type(b) is not Node:
            return primitive.value(a, b)  # type: ignore[no-any-return]
        a = lift(a, b)
    elif type(b) is not Node:
        b = lift(b, a)
    try:
        value = primitive.value(a.value, b.value)
    except ValueError as error:
        raise shape_error(primitive, (a, b), {}, error) from None
    except TypeError as error:
        raise _type_error(primitive, (a, b), error) from None
    return record(primitive, value, (a, b))


def lift(value: Operand, partner: Node) -> Node:
    """Make a constant of a number or an array that meets the node `partner`."""
    if type(value) is Node:
        return value
    if isinstance(value, (bool, int, float, complex)):
        # A Python number is weak: it takes the dtype of what it meets (numpy's NEP 50).
        return constant(np.asarray(value, dtype=np.result_type(partner.value.dtype, value)))
    if isinstance(value, (list, tuple)) and any(isinstance(item, Node) for item in value):
        raise UnsupportedError(
            f"a list that holds nodes met {partner.label}: make one node of it with mg.stack or mg.concat"
        )
    return constant(value)


def shown(node: Node) -> str:
    """Return a node as shape errors show it: ``x[3] (8, 1)``."""
    return f"{node.label} {node.shape}"


def shape_error(
    primitive: Primitive, inputs: Sequence[Node], attributes: Attributes, error: Exception
) -> ShapeError:
    """Say which operands, with which shapes, did not fit, and why."""
    reason = None
    if primitive.explain is not None:
        reason = primitive.explain(*inputs, **attributes)
    if reason is None:
        reason = str(error)
    operands = [(shown(node), SUM if " " in node.label else ATOM) for node in inputs]
    infix = _INFIX.get(primitive.name)
    if infix and len(inputs) == 2:
        written = f" {infix} ".join(text for text, _ in operands)
    else:
        written = ", ".join(text for text, _ in operands[:6]) + (", ..." if len(operands) > 6 else "")
    return ShapeError(f"{primitive.name}: {written}: {reason}")


def _type_error(primitive: Primitive, inputs: Sequence[Node], error: Exception) -> UnsupportedError:
    """Say which operands, with which dtypes, an operation is not made for."""
    operands = ", ".join(f"{node.label} {node.dtype}" for node in inputs[:6])
    return UnsupportedError(f"{primitive.name}: {operands}: {error}; mg.astype(x, np.float64) makes numbers")


_INFIX = {"matmul": "@", "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}


def explain_broadcast(*inputs: Node, **attributes: Any) -> str | None:
    """Say on which axis shapes cannot be broadcast."""
    ndim = max(node.ndim for node in inputs)
    for axis in range(1, ndim + 1):
        sizes = {node.shape[-axis] for node in inputs if node.ndim >= axis} - {1}
        if len(sizes) > 1:
            a, b = sorted(sizes, reverse=True)[:2]
            return f"sizes {a} and {b} on axis {ndim - axis} differ and neither is 1"
    return None
