"""numpy's own functions on nodes: ``np.tanh(node)`` records what ``mg.tanh(node)`` would.

What has no counterpart raises; it never yields an array of objects or a gradient that is silently zero.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import primitives as fn
from minigrad.errors import UnsupportedError
from minigrad.node import Node, checked_axis

_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: fn.add,
    np.subtract: fn.subtract,
    np.multiply: fn.multiply,
    np.true_divide: fn.divide,
    np.negative: fn.negative,
    np.positive: lambda x: x,
    np.power: fn.power,
    np.float_power: fn.power,
    np.square: lambda x: fn.power(x, 2),
    np.reciprocal: lambda x: fn.divide(1, x),
    np.matmul: fn.matmul,
    np.exp: fn.exp,
    np.log: fn.log,
    np.sqrt: fn.sqrt,
    np.absolute: fn.abs,
    np.fabs: fn.abs,
    np.sign: fn.sign,
    np.tanh: fn.tanh,
    np.maximum: fn.maximum,
    np.minimum: fn.minimum,
    np.greater: fn.greater,
    np.greater_equal: fn.greater_equal,
    np.less: fn.less,
    np.less_equal: fn.less_equal,
    np.equal: fn.equal,
}


def _dot(a: Any, b: Any) -> Any:
    if np.ndim(_value(a)) > 2 or np.ndim(_value(b)) > 2:
        raise UnsupportedError(
            "np.dot of more than two axes means something else than a product: use mg.matmul"
        )
    if not np.ndim(_value(a)) or not np.ndim(_value(b)):
        return fn.multiply(a, b)
    return fn.matmul(a, b)


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Node) else x


_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    # In numpy the third argument is a dtype or an output: what comes behind the axis is given by name here.
    np.sum: lambda a, axis=None, *, keepdims=False: fn.sum(a, axis, keepdims),
    np.mean: lambda a, axis=None, *, keepdims=False: fn.mean(a, axis, keepdims),
    np.max: lambda a, axis=None, *, keepdims=False: fn.max(a, axis, keepdims),
    np.reshape: lambda a, shape: fn.reshape(a, shape),
    np.ravel: lambda a: fn.reshape(a, (-1,)),
    np.transpose: lambda a, axes=None: fn.permute_dims(a, axes),
    np.swapaxes: lambda a, axis1, axis2: fn.permute_dims(a, _swapped(np.ndim(_value(a)), axis1, axis2)),
    np.moveaxis: lambda a, source, destination: fn.permute_dims(
        a, _moved(np.ndim(_value(a)), source, destination)
    ),
    np.expand_dims: lambda a, axis: fn.expand_dims(a, axis),
    np.squeeze: lambda a, axis=None: fn.squeeze(a, axis),
    np.broadcast_to: lambda array, shape: fn.broadcast_to(array, _as_shape(shape)),
    np.concatenate: lambda arrays, axis=0: _concatenate(arrays, axis),
    np.stack: lambda arrays, axis=0: fn.stack(arrays, axis),
    np.vstack: lambda tup: fn.concat(_at_least_2d(tup), 0),
    np.hstack: lambda tup: fn.concat(tup, 0 if np.ndim(_value(tup[0])) == 1 else 1),
    np.split: lambda ary, indices_or_sections, axis=0: fn.split(ary, indices_or_sections, axis),
    np.take: lambda a, indices, axis=None: (
        fn.take(fn.reshape(a, (-1,)), indices) if axis is None else fn.take(a, indices, axis)
    ),
    np.take_along_axis: lambda arr, indices, axis: fn.take_along_axis(arr, indices, axis),
    np.where: fn.where,
    np.dot: _dot,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.zeros_like: lambda a: np.zeros(a.shape, a.dtype),
    np.ones_like: lambda a: np.ones(a.shape, a.dtype),
}

# The array API's names; some are other objects than the functions above, some are the same.
for _name, _own in {"matrix_transpose": fn.matrix_transpose, "amax": _FUNCTIONS[np.max]}.items():
    if hasattr(np, _name):
        _FUNCTIONS.setdefault(getattr(np, _name), _own)


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Node:
    """Record what a numpy ufunc, called with a node, means; the target of ``__array_ufunc__``."""
    if method == "reduce" and (ufunc is np.add or ufunc is np.maximum) and {*options} <= {"axis", "keepdims"}:
        reduce = fn.sum if ufunc is np.add else fn.max
        return reduce(inputs[0], options.get("axis", 0), options.get("keepdims", False))
    function = _UFUNCS.get(ufunc)
    name = f"np.{ufunc.__name__}"
    if method != "__call__":
        raise UnsupportedError(f"{name}.{method} does not record nodes; {_instead(ufunc.__name__)}")
    if function is None:
        raise UnsupportedError(f"{name} does not record nodes; {_instead(ufunc.__name__)}")
    if options.get("out") is not None:
        raise UnsupportedError(
            f"{name}(..., out=...) would overwrite a value that the graph remembers; drop out="
        )
    if options:
        raise UnsupportedError(f"{name} on nodes takes no {', '.join(sorted(options))}=")
    return function(*inputs)  # type: ignore[no-any-return]


def call_function(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Record what a numpy function, called with a node, means; the target of ``__array_function__``."""
    own = _FUNCTIONS.get(function)
    name = f"np.{getattr(function, '__name__', function)}"
    if own is None:
        raise UnsupportedError(f"{name} does not record nodes; {_instead(name.removeprefix('np.'))}")
    try:
        return own(*args, **options)
    except TypeError as error:
        if isinstance(error, UnsupportedError):
            raise
        what = str(error).replace("<lambda>()", "it")
        raise UnsupportedError(f"{name} on nodes: {what}; {_instead(name.removeprefix('np.'))}") from None


def _instead(name: str) -> str:
    own = sorted({*fn.__all__})
    close = difflib.get_close_matches(name, own, n=1, cutoff=0.75)
    if close:
        return f"use mg.{close[0]}"
    return (
        f"write it with minigrad's functions, or take node.value to leave the graph (np.{name}(node.value))"
    )


def _at_least_2d(arrays: Any) -> list[Any]:
    return [fn.reshape(x, (1, -1)) if np.ndim(_value(x)) < 2 else x for x in arrays]


def _concatenate(arrays: Any, axis: int | None) -> Any:
    if axis is None:
        return fn.concat([fn.reshape(x, (-1,)) for x in arrays], 0)
    return fn.concat(arrays, axis)


def _as_shape(shape: Any) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def _swapped(ndim: int, a: int, b: int) -> list[int]:
    axes = list(range(ndim))
    a, b = checked_axis(a, ndim, "np.swapaxes"), checked_axis(b, ndim, "np.swapaxes")
    axes[a], axes[b] = axes[b], axes[a]
    return axes


def _moved(ndim: int, source: int, destination: int) -> list[int]:
    axes = list(range(ndim))
    source, destination = (checked_axis(axis, ndim, "np.moveaxis") for axis in (source, destination))
    axes.insert(destination, axes.pop(source))
    return axes
