"""Which graph a command is about: a built-in network by name, or the user's own function.

The built-in ones are made for checking and drawing, not for learning: every dimension has a size of its
own, so that a transposed matrix does not fit by accident, and nothing that enters is zero, so that no term
vanishes from view.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad.errors import MinigradError, NameNotFoundError, NotScalarError, nearest

VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 5, 3, 4, 6
FEATURES, OUTPUTS = 3, 5


class ModelLoadError(MinigradError, ValueError):
    """A file or a function that gives no graph."""


@dataclass(frozen=True)
class BuiltIn:
    """A network by name: its class and the words that build it."""

    kind: str
    options: dict[str, Any]
    about: str


def _numbers(kind: str, topology: str, about: str) -> BuiltIn:
    outputs = FEATURES if topology == "one-to-many" else OUTPUTS
    sizes = {"inputs": FEATURES, "hidden": HIDDEN, "outputs": outputs}
    return BuiltIn(kind, sizes | {"topology": topology, "fy": "identity"}, about)


_EMBEDDED = {"inputs": VOCABULARY, "hidden": HIDDEN, "outputs": CLASSES, "embedding": EMBEDDING}

BUILT_IN: dict[str, BuiltIn] = {
    "elman": BuiltIn(
        "ElmanRNN", _EMBEDDED, "Elman network: embedding, softmax, a loss at every step (note 000)"
    ),
    "lstm": BuiltIn("LSTM", _EMBEDDED, "LSTM: embedding, softmax, a loss at every step (note 000)"),
    "rnn-many-to-one": _numbers(
        "ElmanRNN", "many-to-one", "Elman network: numbers in, one loss at the end (note 002)"
    ),
    "lstm-many-to-one": _numbers("LSTM", "many-to-one", "LSTM: numbers in, one loss at the end (note 002)"),
    "rnn-many-to-many": _numbers(
        "ElmanRNN", "many-to-many", "Elman network: numbers in, a loss at every step"
    ),
    "lstm-many-to-many": _numbers("LSTM", "many-to-many", "LSTM: numbers in, a loss at every step"),
    "rnn-one-to-many": _numbers("ElmanRNN", "one-to-many", "Elman network: each output is the next input"),
    "lstm-one-to-many": _numbers("LSTM", "one-to-many", "LSTM: each output is the next input"),
    "elman-two-layers": BuiltIn("ElmanRNN", _EMBEDDED | {"layers": 2}, "Elman network of two layers"),
    "lstm-two-layers": BuiltIn("LSTM", _EMBEDDED | {"layers": 2}, "LSTM of two layers"),
}


def load(
    spec: str, steps: int | None = None, columns: int = 1, seed: int = 0, dtype: DTypeLike = np.float64
) -> mg.Node:
    """Return the loss node of a network, recorded over a few steps with random weights and inputs.

    Parameters
    ----------
    spec : str
        A name of `BUILT_IN`; a drawing in characters, ``FILE.txt``; or ``FILE.py:function``: a function
        without required arguments that returns a scalar node. Of ``steps, columns, seed, dtype`` it is
        passed those that it takes; what it does not take, it decides itself.
    steps : int, optional
        Number of time steps, 3 if not given.
    columns : int
        Size of the batch.
    seed : int
        Of weights, inputs, targets and initial states.
    dtype : dtype
        float64 or float32.

    Raises
    ------
    NameNotFoundError
        If there is no such network or function.
    ModelLoadError, NotScalarError
        If the file cannot be read or run, or its function does not return a scalar node.

    Examples
    --------
    >>> load("elman", steps=2)
    L = accumulate f64[]
    """
    if steps is not None and steps < 1:
        raise ModelLoadError(f"{spec}: {steps} steps cannot be unrolled; at least 1 is needed")
    if columns < 1:
        raise ModelLoadError(f"{spec}: a batch of {columns} columns is none; at least 1 is needed")
    if spec in BUILT_IN:
        return _built_in(BUILT_IN[spec], 3 if steps is None else steps, columns, seed, dtype)
    if spec.endswith(".txt"):
        return _of_drawing(Path(spec), columns, seed, dtype)
    path, colon, name = spec.rpartition(":")
    if not colon or not path:
        hint = f"; for a function of your own write {spec}:FUNCTION" if spec.endswith(".py") else ""
        raise NameNotFoundError(f"no network is called {spec!r}; {nearest(spec, BUILT_IN)}{hint}")
    options = {"columns": columns, "seed": seed, "dtype": dtype}
    if steps is not None:
        options["steps"] = steps
    return _of_user(Path(path), name, options)


def _built_in(chosen: BuiltIn, steps: int, columns: int, seed: int, dtype: DTypeLike) -> mg.Node:
    import models

    kinds: dict[str, type[models.ElmanRNN] | type[models.LSTM]]
    kinds = {"ElmanRNN": models.ElmanRNN, "LSTM": models.LSTM}
    net = kinds[chosen.kind](**chosen.options, seed=seed, dtype=dtype)
    random = np.random.default_rng(seed)
    net.set_parameters({name: 0.6 * random.standard_normal(W.shape) for name, W in net.parameters.items()})
    state = {name: random.uniform(-0.9, 0.9, shape) for name, shape in net.state_shapes(columns).items()}

    def one_hot(size: int) -> Any:
        return np.eye(size)[random.integers(size, size=(steps, columns))].transpose(0, 2, 1)

    if net.embedding is not None:
        inputs, targets = one_hot(net.inputs), one_hot(net.outputs)
    else:
        inputs = random.standard_normal((steps, net.inputs, columns))
        targets = random.standard_normal((steps, net.outputs, columns))
    if net.topology == "many-to-one":
        targets = targets[-1]
    if net.topology == "one-to-many":
        inputs = inputs[0]
    return net(inputs, targets, state).loss


def _of_drawing(path: Path, columns: int, seed: int, dtype: DTypeLike) -> mg.Node:
    """Run a network that is drawn in a text file, over random weights, inputs and targets."""
    from visualize.files import read_drawing
    from visualize.sizes import random_arrays

    diagram = read_drawing(path)
    parameters, inputs = (_cast(arrays, dtype) for arrays in random_arrays(diagram, seed, columns))
    loss = diagram.build(parameters, inputs).loss(seed)
    assert isinstance(loss, mg.Node)
    return loss


def _cast(arrays: Any, dtype: DTypeLike) -> Any:
    """Give arrays a dtype, also in lists and dicts of them."""
    if isinstance(arrays, dict):
        return {name: _cast(value, dtype) for name, value in arrays.items()}
    if isinstance(arrays, list):
        return [_cast(value, dtype) for value in arrays]
    return np.asarray(arrays, dtype)


def _of_user(path: Path, name: str, options: dict[str, Any]) -> mg.Node:
    module = _imported(path)
    functions = {key: value for key, value in vars(module).items() if callable(value) and key[0] != "_"}
    function = functions.get(name)
    if function is None:
        raise NameNotFoundError(f"{path} has no function {name!r}; {nearest(name, functions)}")
    taken = _taken(function, options, f"{path}:{name}")
    try:
        result = function(**taken)
    except MinigradError as error:
        raise ModelLoadError(f"{_where(error, path)}: {error}") from error
    except Exception as error:
        raise ModelLoadError(f"{_where(error, path)}: {type(error).__name__}: {error}") from error
    if not isinstance(result, mg.Node):
        raise ModelLoadError(
            f"{path}:{name} returned {type(result).__name__}; expected a node, the loss: "
            "the last line of the function should return it"
        )
    if result.size != 1:
        raise NotScalarError(
            f"{path}:{name} returned {result.label} of shape {result.shape}; expected a scalar loss, "
            "for instance mg.sum(...) of it"
        )
    return result


def _taken(function: Callable[..., Any], options: dict[str, Any], what: str) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    missing = [
        p.name
        for p in parameters
        if p.name not in options and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if missing == ["steps"]:
        options = options | {"steps": 3}
    elif missing:
        raise ModelLoadError(
            f"{what} needs the argument {missing[0]!r}; expected a function without arguments, or with "
            "some of steps, columns, seed, dtype"
        )
    return {p.name: options[p.name] for p in parameters if p.name in options}


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelLoadError(f"{path}: no such file")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise ModelLoadError(f"{path}: not a Python file; its name should end in .py")
    module = importlib.util.module_from_spec(specification)
    # The file may import its neighbours, as it could if Python were started on it.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        specification.loader.exec_module(module)
    except SyntaxError as error:
        raise ModelLoadError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ModelLoadError(f"{_where(error, path)}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _where(error: BaseException, path: Path) -> str:
    """Return the last line of the user's file on the way to an error."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()
    ]
    return f"{path}:{frames[-1].lineno}" if frames else str(path)
