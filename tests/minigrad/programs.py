"""Random programs over all primitives, run by minigrad and by HIPS autograd alike.

A program is a list of instructions over a growing list of values; running it needs only a table from the
name of an operation to a function, so that the peer that runs it shares nothing with minigrad.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st

import minigrad as mg

LEAVES = {"A": (3, 3), "B": (3, 3), "x": (3, 1), "s": ()}


class Instruction(NamedTuple):
    """An operation on values by their place in the list."""

    name: str
    operands: tuple[int, ...]
    detail: Any = None


def _table(np_: Any, special: dict[str, Any]) -> dict[str, Any]:
    """Return the operations as they are written with a numpy-like module; all of them stay within bounds."""
    squash = np_.tanh
    return {
        "add": lambda a, b, _: a + b,
        "subtract": lambda a, b, _: a - b,
        "multiply": lambda a, b, _: squash(a) * b,
        "divide": lambda a, b, _: a / (1.5 + squash(b)),
        "negative": lambda a, _: -a,
        "matmul": lambda a, b, _: squash(a) @ b,
        "exp": lambda a, _: np_.exp(squash(a)),
        "log": lambda a, _: np_.log(1.5 + squash(a)),
        "sqrt": lambda a, _: np_.sqrt(1.5 + squash(a)),
        "tanh": lambda a, _: squash(a),
        "abs": lambda a, _: np_.abs(a),
        "scalar_power": lambda a, k: squash(a) ** k,
        "power": lambda a, b, _: (1.5 + squash(a)) ** squash(b),
        "maximum": lambda a, b, _: np_.maximum(a, b),
        "minimum": lambda a, b, _: np_.minimum(a, b),
        "transpose": lambda a, _: np_.transpose(a),
        "column": lambda a, k: a[:, k : k + 1],
        "rows": lambda a, _: a[::-1],
        "entry": lambda a, k: a[k, 0],
        "gather": lambda a, k: a[np.array([k, 0, k])],
        "concat": lambda a, b, _: np_.concatenate([a, b], 0)[1:4],
        "stack": lambda a, b, k: np_.stack([a, b], 0)[k % 2],
        "split": lambda a, k: np_.split(a, [1 + k % 2], 0)[0] + 0.0 * a[:1],
        "sum": lambda a, k: np_.sum(squash(a), k % 2, keepdims=True),
        "mean": lambda a, k: np_.mean(a, k % 2, keepdims=True),
        "max": lambda a, k: np_.max(a, axis=k % 2, keepdims=True),
        "reshape": lambda a, _: np_.reshape(np_.reshape(a, (-1,)), a.shape),
        "where": lambda a, b, _: np_.where(a > b, a, squash(b)),
        **special,
    }


def _softmax(a: Any, axis: int) -> Any:
    e = anp.exp(a - anp.max(a, axis=axis, keepdims=True))
    return e / anp.sum(e, axis=axis, keepdims=True)


def _logsumexp(a: Any, axis: int) -> Any:
    return anp.log(anp.sum(anp.exp(a), axis=axis, keepdims=True))


OURS = _table(
    np,  # numpy's own functions, which reach ours by their protocols
    {
        "sigmoid": lambda a, _: mg.sigmoid(a),
        "relu": lambda a, _: mg.relu(a),
        "softmax": lambda a, k: mg.softmax(a, k % 2),
        "log_softmax": lambda a, k: mg.log_softmax(a, k % 2),
        "take": lambda a, k: mg.take(a, [k, k, 0], 0),
        "cross_entropy": lambda a, k: mg.cross_entropy(a, [k % 3]),
        "squared_error": lambda a, b, _: mg.squared_error(np.tanh(a), np.tanh(b)),
        "accumulate": lambda a, b, _: mg.accumulate(a, np.tanh(b), a),
        "broadcast_to": lambda a, _: mg.broadcast_to(a, (3, 3)),
    },
)
THEIRS = _table(
    anp,
    {
        "sigmoid": lambda a, _: 1 / (1 + anp.exp(-a)),
        "relu": lambda a, _: anp.maximum(a, 0.0),
        "softmax": lambda a, k: _softmax(a, k % 2),
        "log_softmax": lambda a, k: a - _logsumexp(a, k % 2),
        "take": lambda a, k: a[np.array([k, k, 0])],
        "cross_entropy": lambda a, k: _logsumexp(a, 0)[0, 0] - a[k % 3, 0],
        "squared_error": lambda a, b, _: 0.5 * anp.sum((anp.tanh(a) - anp.tanh(b)) ** 2),
        "accumulate": lambda a, b, _: a + anp.tanh(b) + a,
        "broadcast_to": lambda a, _: a * anp.ones((3, 3)),
        # HIPS autograd's own `where` forgets to undo broadcasting; here it has nothing to undo.
        "where": lambda a, b, _: anp.where(a > b, a + 0.0 * b, anp.tanh(b) + 0.0 * a),
    },
)

# For each operation: which shapes its operands may have, as a test.
_ANY, _MATRIX, _COLUMN, _AXES = (
    lambda s: True,
    lambda s: s == (3, 3),
    lambda s: s == (3, 1),
    lambda s: len(s) == 2 and s[0] == 3,
)
_LONG = {"concat", "stack", "squared_error", "accumulate"}  # two operands of one shape
_NEEDS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ["negative", "exp", "log", "sqrt", "tanh", "abs", "scalar_power", "sigmoid", "relu", "transpose"],
        (_ANY,),
    ),
    **dict.fromkeys(["multiply", "add", "subtract", "divide", "power"], (_ANY, _ANY)),
    **dict.fromkeys(["maximum", "minimum", "where"], (_ANY, _ANY)),
    "matmul": (_MATRIX, _AXES),
    **dict.fromkeys(["column"], (_MATRIX,)),
    **dict.fromkeys(["rows", "entry", "gather", "split", "sum", "mean", "max", "reshape"], (_AXES,)),
    **dict.fromkeys(["softmax", "log_softmax", "take"], (_AXES,)),
    "cross_entropy": (_COLUMN,),
    "broadcast_to": (_COLUMN,),
    **dict.fromkeys(_LONG, (_AXES, _AXES)),
}
assert set(_NEEDS) == set(OURS) == set(THEIRS)


@st.composite
def programs(draw: Any, length: int = 12) -> list[Instruction]:
    """Draw a program whose instructions fit together; it is run once on zeros to learn the shapes."""
    values = [np.zeros(shape) for shape in LEAVES.values()]
    program: list[Instruction] = []
    for _ in range(draw(st.integers(1, length))):
        name = draw(st.sampled_from(sorted(_NEEDS)))
        places = [[i for i, value in enumerate(values) if fits(value.shape)] for fits in _NEEDS[name]]
        operands = tuple(draw(st.sampled_from(place)) for place in places)
        if name in _LONG:
            operands = (operands[0], draw(st.sampled_from(_alike(values, operands[0]))))
        detail = draw(st.sampled_from([1, 2, 3])) if name == "scalar_power" else draw(st.integers(0, 2))
        instruction = Instruction(name, operands, detail)
        try:
            with np.errstate(all="ignore"):
                value = _run_one(THEIRS, instruction, values)
        except ValueError:
            continue  # these shapes do not broadcast
        if np.size(value) > 9 or np.ndim(value) > 2:
            continue
        values.append(np.asarray(value))
        program.append(instruction)
    return program


def _alike(values: list[Any], place: int) -> list[int]:
    return [i for i, value in enumerate(values) if value.shape == values[place].shape]


def _run_one(table: dict[str, Any], instruction: Instruction, values: list[Any]) -> Any:
    operands = [values[i] for i in instruction.operands]
    return table[instruction.name](*operands, instruction.detail)


def run(table: dict[str, Any], program: list[Instruction], leaves: list[Any]) -> list[Any]:
    """Return all values of a program, the leaves first."""
    values = list(leaves)
    for instruction in program:
        values.append(_run_one(table, instruction, values))
    return values


def scalar(table: dict[str, Any], program: list[Instruction], leaves: list[Any]) -> Any:
    """Return a number that depends on every value of a program, with unlike weights."""
    np_ = np if table is OURS else anp
    total = 0.0
    for i, value in enumerate(run(table, program, leaves)):
        total = total + (1.0 + 0.37 * i) * np_.sum(np_.tanh(value))
    return total


def leaves_at(seed: int) -> list[np.ndarray]:
    """Return numbers for the leaves; continuous ones, so that no two are equal."""
    random = np.random.default_rng(seed)
    return [random.normal(size=shape) for shape in LEAVES.values()]
