"""Elementwise primitives: arithmetic, functions, comparisons, and the sum in which gradients meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import ShapeError, UnsupportedError
from minigrad.node import Array, Attributes, Node, Operand
from minigrad.primitives.base import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    UNARY,
    apply,
    binary,
    define,
    explain_broadcast,
    unary,
)

# -- arithmetic --------------------------------------------------------------------------------------

_ADD = define(
    "add",
    np.add,
    lambda g, y, a, b: g,
    lambda g, y, a, b: g,
    text="{0} + {1}",
    precedence=SUM,
    binds=SUM,
    broadcasts=True,
    explain=explain_broadcast,
)


def add(a: Operand, b: Operand) -> Node:
    """Return ``a + b``, broadcast as in numpy."""
    return binary(_ADD, a, b)


_SUBTRACT = define(
    "subtract",
    np.subtract,
    lambda g, y, a, b: g,
    lambda g, y, a, b: -g,
    text="{0} - {1}",
    precedence=SUM,
    binds=(SUM, PRODUCT),
    broadcasts=True,
    explain=explain_broadcast,
)


def subtract(a: Operand, b: Operand) -> Node:
    """Return ``a - b``, broadcast as in numpy."""
    return binary(_SUBTRACT, a, b)


_MULTIPLY = define(
    "multiply",
    np.multiply,
    lambda g, y, a, b: g * b,
    lambda g, y, a, b: g * a,
    text="{0} * {1}",
    latex=r"{0} \odot {1}",
    precedence=PRODUCT,
    binds=(PRODUCT, UNARY),  # a * (b @ c) is not (a * b) @ c
    broadcasts=True,
    explain=explain_broadcast,
)


def multiply(a: Operand, b: Operand) -> Node:
    """Return the elementwise product ``a * b``, broadcast as in numpy."""
    return binary(_MULTIPLY, a, b)


_DIVIDE = define(
    "divide",
    np.true_divide,
    lambda g, y, a, b: g / b,
    lambda g, y, a, b: -(g * y / b),
    text="{0} / {1}",
    latex=r"\frac{{{0}}}{{{1}}}",
    precedence=PRODUCT,
    binds=(PRODUCT, UNARY),
    broadcasts=True,
    explain=explain_broadcast,
)


def divide(a: Operand, b: Operand) -> Node:
    """Return the elementwise quotient ``a / b``, broadcast as in numpy."""
    return binary(_DIVIDE, a, b)


_NEGATIVE = define("negative", np.negative, lambda g, y, x: -g, text="-{0}", precedence=UNARY, binds=UNARY)


def negative(x: Operand) -> Node:
    """Return ``-x``."""
    return unary(_NEGATIVE, x)


def _scalar_power_vjp(g: Any, y: Any, x: Any, exponent: float) -> Any:
    if exponent == 2:
        return g * (2 * x)
    if exponent == 1:
        return g
    if exponent == 0:
        return g * 0  # and not 0 * x**-1, which is NaN at zero
    return g * (exponent * x ** (exponent - 1))


def _write_scalar_power(operands: Sequence[str], attributes: Attributes) -> str:
    exponent = attributes["exponent"]
    return f"{operands[0]}²" if exponent == 2 else f"{operands[0]}^{_exponent(exponent, '()')}"


def _latex_scalar_power(operands: Sequence[str], attributes: Attributes) -> str:
    return f"{operands[0]}^{{{attributes['exponent']}}}"


def _exponent(exponent: float, brackets: str) -> str:
    plain = exponent >= 0 and float(exponent).is_integer()
    return f"{exponent:g}" if plain else f"{brackets[0]}{exponent!r}{brackets[1]}"


_SCALAR_POWER = define(
    "scalar_power",
    lambda x, exponent: x**exponent,
    _scalar_power_vjp,
    text=_write_scalar_power,
    latex=_latex_scalar_power,
    precedence=POWER,
    binds=ATOM,
)

_POWER = define(
    "power",
    np.power,
    # Where a = b = 0 the exponent b - 1 is replaced by 1: the factor b makes the product the right 0.
    lambda g, y, a, b: g * b * a ** fn.where(fn.equal(fn.abs(a) + fn.abs(b), 0), 1, b - 1),
    lambda g, y, a, b: g * y * fn.log(fn.where(fn.equal(a, 0), 1, a)),
    text="{0}^{1}",
    latex="{0}^{{{1}}}",
    precedence=POWER,
    binds=ATOM,
    broadcasts=True,
    explain=explain_broadcast,
)


def power(x: Operand, exponent: Operand) -> Node:
    """Return ``x ** exponent``.

    A Python number as exponent is an attribute of the operation (``scalar_power``); an array or a node is
    an operand of it, and has a gradient where `x` is positive.

    >>> import minigrad as mg
    >>> mg.power(mg.constant(3.0), 2).item()
    9.0
    """
    if isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        if exponent < 0 and isinstance(x, Node) and x.value.dtype.kind in "iub":
            raise UnsupportedError(
                f"power: {x.label} is {x.dtype}, which has no negative powers: mg.astype(x, np.float64)"
            )
        return apply(_SCALAR_POWER, (x,), exponent=exponent)
    return binary(_POWER, x, exponent)


# -- functions ---------------------------------------------------------------------------------------

_EXP = define("exp", np.exp, lambda g, y, x: g * y, text="exp({0})", latex=r"\exp\left({0}\right)")


def exp(x: Operand) -> Node:
    """Return the exponential of each entry."""
    return unary(_EXP, x)


_LOG = define("log", np.log, lambda g, y, x: g / x, text="log({0})", latex=r"\log\left({0}\right)")


def log(x: Operand) -> Node:
    """Return the natural logarithm of each entry."""
    return unary(_LOG, x)


_SQRT = define("sqrt", np.sqrt, lambda g, y, x: g / (2 * y), text="sqrt({0})", latex=r"\sqrt{{{0}}}")


def sqrt(x: Operand) -> Node:
    """Return the square root of each entry."""
    return unary(_SQRT, x)


_ABS = define("abs", np.abs, lambda g, y, x: g * fn.sign(x), text="abs({0})", latex=r"\left|{0}\right|")


def abs(x: Operand) -> Node:
    """Return the absolute value of each entry; its derivative at 0 is taken to be 0."""
    return unary(_ABS, x)


_SIGN = define("sign", np.sign, None, text="sign({0})", latex=r"\operatorname{{sign}}\left({0}\right)")


def sign(x: Operand) -> Node:
    """Return -1, 0 or 1 for each entry.  No gradient flows through it."""
    return unary(_SIGN, x)


_TANH = define(
    "tanh", np.tanh, lambda g, y, x: g * (1 - y**2), text="tanh({0})", latex=r"\tanh\left({0}\right)"
)


def tanh(x: Operand) -> Node:
    """Return the hyperbolic tangent of each entry."""
    return unary(_TANH, x)


# Below these, exp(-x) would overflow; the sigmoid there is smaller than the smallest normal number.
_LOWEST: dict[str, Array] = {"f": np.array(-87, np.float32), "d": np.array(-708, np.float64)}
_ONE: dict[str, Array] = {"f": np.array(1, np.float32), "d": np.array(1, np.float64)}


def _sigmoid(x: Any) -> Any:
    x = np.asarray(x)
    kind = x.dtype.char
    if kind not in _LOWEST or not x.ndim:
        if x.dtype.kind == "c":
            return 1 / (1 + np.exp(-x))
        wide = x.astype(np.float64).reshape(-1)
        result = _sigmoid(wide).reshape(x.shape)
        return result.astype(x.dtype) if x.dtype.kind == "f" else result
    y = np.maximum(x, _LOWEST[kind])
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.add(y, _ONE[kind], out=y)
    return np.reciprocal(y, out=y)


_SIGMOID = define(
    "sigmoid",
    _sigmoid,
    lambda g, y, x: g * y * (1 - y),
    text="sigmoid({0})",
    latex=r"\sigma\left({0}\right)",
)


def sigmoid(x: Operand) -> Node:
    """Return ``1 / (1 + exp(-x))`` of each entry, without overflow."""
    return unary(_SIGMOID, x)


_RELU = define(
    "relu",
    lambda x: np.maximum(x, 0) if x.dtype.kind != "c" else np.where(x.real > 0, x, 0),
    lambda g, y, x: g * (x > 0),
    text="relu({0})",
    latex=r"\operatorname{{relu}}\left({0}\right)",
)


def relu(x: Operand) -> Node:
    """Return ``max(x, 0)`` of each entry; its derivative at 0 is taken to be 0."""
    return unary(_RELU, x)


_MAXIMUM = define(
    "maximum",
    np.maximum,
    # Where both are equal, each gets half: the sum of the two gradients is then g everywhere.
    lambda g, y, a, b: 0.5 * (fn.where(a > b, g, 0) + fn.where(a >= b, g, 0)),
    lambda g, y, a, b: 0.5 * (fn.where(b > a, g, 0) + fn.where(b >= a, g, 0)),
    text="maximum({0}, {1})",
    latex=r"\max\left({0}, {1}\right)",
    broadcasts=True,
    explain=explain_broadcast,
)


def maximum(a: Operand, b: Operand) -> Node:
    """Return the larger of two entries; where they are equal, each gets half of the gradient."""
    return binary(_MAXIMUM, a, b)


_MINIMUM = define(
    "minimum",
    np.minimum,
    lambda g, y, a, b: 0.5 * (fn.where(a < b, g, 0) + fn.where(a <= b, g, 0)),
    lambda g, y, a, b: 0.5 * (fn.where(b < a, g, 0) + fn.where(b <= a, g, 0)),
    text="minimum({0}, {1})",
    latex=r"\min\left({0}, {1}\right)",
    broadcasts=True,
    explain=explain_broadcast,
)


def minimum(a: Operand, b: Operand) -> Node:
    """Return the smaller of two entries; where they are equal, each gets half of the gradient."""
    return binary(_MINIMUM, a, b)


# -- choosing and comparing; no gradient flows through a comparison ------------------------------------

_WHERE = define(
    "where",
    np.where,
    None,
    lambda g, y, condition, a, b: fn.where(condition, g, 0),
    lambda g, y, condition, a, b: fn.where(condition, 0, g),
    text="where({0}, {1}, {2})",
    broadcasts=True,
    explain=explain_broadcast,
)


def where(condition: Operand, a: Operand, b: Operand) -> Node:
    """Return `a` where the condition holds and `b` elsewhere, broadcast as in numpy."""
    if isinstance(condition, Node) and not isinstance(a, Node) and not isinstance(b, Node):
        a, b = np.asarray(a), np.asarray(b)  # numbers are not to take the dtype of the condition
    elif isinstance(a, Node) or isinstance(b, Node):
        partner = a if isinstance(a, Node) else b
        assert isinstance(partner, Node)
        a, b = fn.lift(a, partner), fn.lift(b, partner)
    return apply(_WHERE, (condition, a, b))


def _comparison(name: str, ufunc: np.ufunc, symbol: str) -> Any:
    return define(
        name,
        ufunc,
        None,
        None,
        text=f"{{0}} {symbol} {{1}}",
        precedence=0,
        binds=SUM,
        broadcasts=True,
        explain=explain_broadcast,
    )


_GREATER = _comparison("greater", np.greater, ">")
_GREATER_EQUAL = _comparison("greater_equal", np.greater_equal, ">=")
_LESS = _comparison("less", np.less, "<")
_LESS_EQUAL = _comparison("less_equal", np.less_equal, "<=")
_EQUAL = _comparison("equal", np.equal, "==")


def greater(a: Operand, b: Operand) -> Node:
    """Return whether ``a > b``, entry by entry."""
    return binary(_GREATER, a, b)


def greater_equal(a: Operand, b: Operand) -> Node:
    """Return whether ``a >= b``, entry by entry."""
    return binary(_GREATER_EQUAL, a, b)


def less(a: Operand, b: Operand) -> Node:
    """Return whether ``a < b``, entry by entry."""
    return binary(_LESS, a, b)


def less_equal(a: Operand, b: Operand) -> Node:
    """Return whether ``a <= b``, entry by entry."""
    return binary(_LESS_EQUAL, a, b)


def equal(a: Operand, b: Operand) -> Node:
    """Return whether two entries are equal.  (``a == b`` asks whether two nodes are one and the same.)."""
    return binary(_EQUAL, a, b)


# -- the rest ----------------------------------------------------------------------------------------


def _accumulate(*addends: Array) -> Array:
    if len(addends) == 1:
        return addends[0]
    total: Array = addends[0] + addends[1]
    for addend in addends[2:]:
        in_place = total.ndim and addend.dtype == total.dtype
        total = np.add(total, addend, out=total) if in_place else total + addend
    return total


_ACCUMULATE = define(
    "accumulate",
    _accumulate,
    lambda g, y, addends, position: g,
    text=lambda addends, attributes: " + ".join(addends),
    precedence=SUM,
    binds=SUM,
    variadic=True,
)


def accumulate(*addends: Operand) -> Node:
    """Return the sum of any number of addends of one shape, as a single node.

    Gradients meet in such a node: its inputs are the contributions, each with its own step.  The loss of
    a sequence is one as well.

    >>> import minigrad as mg
    >>> mg.accumulate(mg.constant(1.0), mg.constant(2.0), mg.constant(3.0)).item()
    6.0

    Raises
    ------
    ShapeError
        If the shapes differ, or nothing is given.
    """
    if not addends:
        raise ShapeError("accumulate: expected at least one addend, found none")
    shapes = {np.shape(x.value if isinstance(x, Node) else x) for x in addends}
    if len(shapes) > 1:
        listed = " and ".join(map(str, sorted(shapes)))
        raise ShapeError(f"accumulate: all addends must have one shape, found {listed}")
    return apply(_ACCUMULATE, addends)


_STOP_GRADIENT = define("stop_gradient", lambda x: x, None, text="stop_gradient({0})")


def stop_gradient(x: Operand) -> Node:
    """Return the value of `x` as it is; no gradient flows back through it (PyTorch's ``detach``)."""
    return unary(_STOP_GRADIENT, x)


_ASTYPE = define(
    "astype",
    lambda x, dtype: x.astype(dtype),
    lambda g, y, x, dtype: fn.astype(g, x.dtype),
    text="{0}",  # a change of precision is not written
    latex="{0}",
)


# Rounding to whole numbers has the derivative 0, and a gradient must not be rounded on its way back.
_ROUNDED = define("astype_integer", lambda x, dtype: x.astype(dtype), None, text="{0}", latex="{0}")


def astype(x: Operand, dtype: Any) -> Node:
    """Return the value in another dtype.

    Between floating point dtypes the gradient is converted back; no gradient flows through integers.

    >>> import minigrad as mg
    >>> mg.astype(mg.constant(1.5), "float32")
    astype f32[]
    """
    if not isinstance(x, Node):
        x = np.asarray(x)
    wanted = np.dtype(dtype)
    primitive = _ASTYPE if wanted.kind in "fc" else _ROUNDED
    return apply(primitive, (x,), dtype=wanted)
