"""minigrad: understand, verify and run backpropagation through time.

Computing with nodes records a graph; everything else is a reading of it.

>>> import numpy as np
>>> import minigrad as mg
>>> W = mg.parameter(np.array([[0.5]]), name="W")
>>> x = mg.constant(np.array([[2.0]]), name="x")
>>> loss = mg.squared_error(mg.tanh(W @ x), [[1.0]])
>>> loss.backward()
>>> W.grad.round(4)
array([[-0.2002]])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad import errors
from minigrad.autodiff import grad
from minigrad.graph import Graph
from minigrad.node import Node, constant, no_grad, parameter, step
from minigrad.parts import Path, contributions, count_paths, paths
from minigrad.primitives import (
    abs,
    accumulate,
    add,
    astype,
    broadcast_to,
    concat,
    cross_entropy,
    divide,
    equal,
    exp,
    expand_dims,
    getitem,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log_softmax,
    matmul,
    matrix_transpose,
    max,
    maximum,
    mean,
    minimum,
    multiply,
    negative,
    one_hot,
    permute_dims,
    power,
    relu,
    reshape,
    sigmoid,
    sign,
    softmax,
    split,
    sqrt,
    squared_error,
    squeeze,
    stack,
    stop_gradient,
    subtract,
    sum,
    take,
    take_along_axis,
    tanh,
    where,
)
from minigrad.roll import roll
from minigrad.rolled import Rolled

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minigrad import derivation as derivation
    from minigrad import optimizers as optimizers
    from minigrad import testing as testing
    from minigrad.compiler import compile as compile
    from minigrad.testing import detect_anomaly as detect_anomaly
    from minigrad.testing import gradcheck as gradcheck

__all__ = [
    "Graph",
    "Node",
    "Path",
    "Rolled",
    "__version__",
    "abs",
    "accumulate",
    "add",
    "astype",
    "broadcast_to",
    "compile",
    "concat",
    "constant",
    "contributions",
    "count_paths",
    "cross_entropy",
    "derivation",
    "detect_anomaly",
    "divide",
    "equal",
    "errors",
    "exp",
    "expand_dims",
    "getitem",
    "grad",
    "gradcheck",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "negative",
    "no_grad",
    "one_hot",
    "optimizers",
    "parameter",
    "paths",
    "permute_dims",
    "power",
    "relu",
    "reshape",
    "roll",
    "sigmoid",
    "sign",
    "softmax",
    "split",
    "sqrt",
    "squared_error",
    "squeeze",
    "stack",
    "step",
    "stop_gradient",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tanh",
    "testing",
    "where",
]


def __getattr__(name: str) -> Any:
    """Load the parts that are not needed to record and differentiate when they are first asked for."""
    from importlib import import_module

    home = _ELSEWHERE.get(name)
    if home is None:
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
    module = import_module(home)
    return module if home.endswith("." + name) else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_ELSEWHERE = {
    "gradcheck": "minigrad.testing",
    "detect_anomaly": "minigrad.testing",
    "testing": "minigrad.testing",
    "compile": "minigrad.compiler",
    "optimizers": "minigrad.optimizers",
    "derivation": "minigrad.derivation",
}
