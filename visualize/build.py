"""A drawing as a program: its symbols become primitives, its wires their operands, its steps time steps.

A drawing says nothing of sizes; the arrays that it is given do. Where there are none, `sizes` finds out which
sizes have to agree and `random_arrays` fills them, so that a drawn network runs at once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.errors import nearest
from visualize.diagram import (
    CARRY,
    FOLD,
    FUNCTION,
    INFIX,
    JOIN,
    PRODUCT,
    VALUE,
    Diagram,
    Symbol,
    is_number,
    parameter_names,
    split_function,
)
from visualize.errors import DrawingError

_LONG = {"sig": "sigmoid", "neg": "negative", "σ": "sigmoid", "id": "positive"}
_FUNCTIONS = (
    "tanh", "sigmoid", "relu", "softmax", "log_softmax", "exp", "log", "sqrt", "abs", "negative", "sign",
    "sum", "mean", "max", "reshape", "permute_dims", "matrix_transpose", "expand_dims", "squeeze",
    "broadcast_to", "stop_gradient", "one_hot", "astype",
)  # fmt: skip
_OPERATIONS = (
    "maximum", "minimum", "where", "greater", "greater_equal", "less", "less_equal", "equal", "concat",
    "stack", "take", "cross_entropy", "squared_error", "accumulate",
)  # fmt: skip


@dataclass
class Built:
    """A drawing that has been run.

    Attributes
    ----------
    diagram : Diagram
    nodes : dict of int to Node
        The recorded node of each symbol, by the symbol's id.
    outputs : list of Node
        The values that no other symbol takes.
    parameters : dict of str to Node
    """

    diagram: Diagram
    nodes: dict[int, mg.Node]
    outputs: list[mg.Node]
    parameters: dict[str, mg.Node] = field(default_factory=dict)

    def __getitem__(self, key: str | tuple[str, int | None]) -> mg.Node:
        """Return the node of a name and a step: ``built["h", 2]``."""
        return mg.Graph(self.outputs)[key]

    def loss(self, seed: int = 0) -> mg.Node:
        """Return a scalar to differentiate.

        Scalar outputs are taken as they are; a softmax is held against random classes by cross-entropy, any
        other value against random numbers by squared error. Several are added up.
        """
        random = np.random.default_rng(seed)
        used = {s.text for s in self.diagram.symbols}
        truth = "y" if "y" not in used else "y_true"
        losses = []
        for node in self.outputs:
            if node.dtype.kind != "f" or not node.requires_grad:
                continue
            if node.size == 1 and not node.ndim:
                losses.append(node)
                continue
            with mg.step(node.step):
                if node.primitive is not None and node.primitive.name == "softmax":
                    size, count = node.shape[0], int(np.prod(node.shape[1:]))
                    classes = random.integers(size, size=count)
                    target = np.eye(size)[classes].T.reshape(node.shape).astype(node.dtype)
                    target_node = mg.constant(target, name=truth)
                    losses.append(mg.cross_entropy(node.inputs[0], target_node).named("L"))
                else:
                    target = random.standard_normal(node.shape).astype(node.dtype)
                    losses.append(mg.squared_error(node, mg.constant(target, name=truth)).named("L"))
        if not losses:
            raise DrawingError(
                "the drawing has no output that depends on a parameter, so nothing can be differentiated; "
                "draw a product {W} or a bias (tanh+b)"
            )
        if len(losses) == 1:
            return losses[0]
        return mg.accumulate(*losses).named("L")


def build(diagram: Diagram, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> Built:
    """Run a diagram and return the live graph.

    Parameters
    ----------
    diagram : Diagram
        As `visualize.parse` reads it.
    parameters : mapping of str to array_like or Node
        One for each name in `diagram.parameters`: a product's ``(out, in)``, a bias ``(out, 1)``.
    inputs : mapping of str to array_like
        For each value that comes from nowhere, columns ``(features, batch)``; where a name comes at several
        steps, a sequence in the order of time, or a dict by step.

    Returns
    -------
    Built

    Raises
    ------
    DrawingError
        If a name is missing or unknown, or a function is none that minigrad has.
    ShapeError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from visualize import parse
    >>> built = parse("[x]-{W}-(tanh+b)-[y]").build(
    ...     {"W": np.eye(2), "b": np.zeros((2, 1))}, {"x": np.ones((2, 1))}
    ... )
    >>> built["y"].value.round(3).tolist()
    [[0.762], [0.762]]
    """
    return _Builder(diagram, parameters, inputs).run()


def leaf_names(diagram: Diagram) -> dict[int, str]:
    """Return the symbols whose values have to be given, with their names.

    A state that enters the drawing is named as the value that it becomes; one that enters an operation
    directly is ``in1``, ``in2`` ...
    """
    names: dict[int, str] = {}
    for symbol in diagram.symbols:
        into = diagram.inputs(symbol)
        if symbol.kind == VALUE and all(s.kind == CARRY for s in into):
            names[symbol.id] = symbol.text
        elif symbol.kind == CARRY and not into and any(s.kind != VALUE for s in diagram.outputs(symbol)):
            names[symbol.id] = f"in{1 + sum(n.startswith('in') for n in names.values())}"
    return {i: name for i, name in names.items() if not _is_parameter_leaf(diagram, i)}


def _is_parameter_leaf(diagram: Diagram, i: int) -> bool:
    symbol = diagram.symbols[i]
    return symbol.kind == VALUE and symbol.text in diagram.parameters


class _Builder:
    def __init__(self, diagram: Diagram, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        self.diagram = diagram
        self.inputs = inputs
        self.leaves = leaf_names(diagram)
        self._check_names("parameter", parameters, diagram.parameters)
        self._check_names("input", inputs, tuple(dict.fromkeys(self.leaves.values())))
        self.parameters = {
            name: value if isinstance(value, mg.Node) else mg.parameter(np.asarray(value), name=name)
            for name, value in parameters.items()
        }
        self.nodes: dict[int, mg.Node] = {}
        self.names = {s.text for s in diagram.symbols if s.kind == VALUE} | set(diagram.parameters)

    def _check_names(self, what: str, given: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
        for name in wanted:
            if name not in given:
                raise DrawingError(
                    f"the drawing has the {what} {name}, and no value is given for it; given are "
                    f"{', '.join(map(str, given)) or 'none'}"
                )
        for name in given:
            if name not in wanted:
                raise DrawingError(f"the drawing has no {what} {name!r}; {nearest(str(name), wanted)}")

    def run(self) -> Built:
        for i in self.diagram.order:
            symbol = self.diagram.symbols[i]
            with mg.step(symbol.step):
                node = self._node(symbol)
            if node is not None:
                self.nodes[i] = node
        outputs: dict[int, mg.Node] = {}
        for symbol in self.diagram.symbols:
            taken = [s for s in self.diagram.outputs(symbol) if s.kind != CARRY]
            if symbol.id in self.nodes and not taken and not self.nodes[symbol.id].is_leaf:
                node = self.nodes[symbol.id]
                outputs[node.serial] = node
        carried_only = {
            self.nodes[s.id].serial
            for s in self.diagram.symbols
            if s.id in self.nodes and any(t.kind == CARRY for t in self.diagram.outputs(s))
        }
        chosen = [n for serial, n in outputs.items() if serial not in carried_only] or list(outputs.values())
        return Built(self.diagram, self.nodes, chosen, self.parameters)

    def _node(self, symbol: Symbol) -> mg.Node | None:
        operands = [self.nodes[s.id] for s in self.diagram.inputs(symbol) if s.id in self.nodes]
        if symbol.id in self.leaves:
            return self._leaf(symbol)
        if symbol.kind == CARRY:
            return None
        if symbol.kind == FOLD:
            raise DrawingError(
                f"{symbol.written} stands for folded steps, which cannot be run: draw them all"
            )
        try:
            if symbol.kind == VALUE:
                return self._value(symbol, operands)
            if symbol.kind == PRODUCT:
                return self._product(symbol, operands[0])
            if symbol.kind == JOIN:
                return self._join(symbol, operands)
            if symbol.kind == FUNCTION:
                return self._function(symbol, operands[0])
            return self._operation(symbol, operands)
        except (KeyError, IndexError) as error:
            if isinstance(error, mg.errors.MinigradError):
                raise
            raise DrawingError(f"{symbol.written}{_place(symbol)}: it lacks a value to work on") from error

    def _leaf(self, symbol: Symbol) -> mg.Node:
        name = self.leaves[symbol.id]
        given = self.inputs[name]
        places = [i for i in self.diagram.order if self.leaves.get(i) == name]
        if isinstance(given, Mapping):
            if symbol.step not in given:
                steps = ", ".join(str(self.diagram.symbols[i].step) for i in places)
                raise DrawingError(
                    f"input {name}: no value for step {symbol.step}; the drawing has steps {steps}"
                )
            value = given[symbol.step]
        elif len(places) > 1:
            places.sort(key=lambda i: (self.diagram.symbols[i].step or 0, self._column(i)))
            if len(given) != len(places):
                raise DrawingError(f"input {name} comes {len(places)} times; {len(given)} values are given")
            value = given[places.index(symbol.id)]
        else:
            value = given
        if isinstance(value, mg.Node):
            return value
        return mg.constant(np.asarray(value), name=name)

    def _column(self, i: int) -> int:
        place = self.diagram.symbols[i].place
        return place[1] if place else i

    def _value(self, symbol: Symbol, operands: list[mg.Node]) -> mg.Node:
        if not operands:
            return self.parameters[symbol.text]
        node = operands[0]
        if node.name is None:
            return node.named(symbol.text)
        if node.name == symbol.text:
            return node
        return mg.accumulate(node).named(symbol.text)  # a second name for the same value

    def _product(self, symbol: Symbol, x: mg.Node) -> mg.Node:
        text = symbol.text
        weight = self.parameters[parameter_names(symbol)[0]]
        if text.endswith("^T"):
            weight = mg.matrix_transpose(weight)
        if text.startswith("@"):
            return x @ weight
        if x.dtype.kind in "iu":
            return mg.take(weight, x, axis=1)
        return weight @ x

    def _join(self, symbol: Symbol, operands: list[mg.Node]) -> mg.Node:
        if _adds(self.diagram, symbol):
            return operands[0] + operands[1]
        return mg.concat(operands, axis=0)

    def _function(self, symbol: Symbol, x: mg.Node) -> mg.Node:
        function, sign, operand = split_function(symbol.text)
        if sign and function in INFIX and not operand:
            raise DrawingError(f"{symbol.written}{_place(symbol)}: expected an operand, as in (*2) or (1-)")
        if function == "" and sign == "^":
            return x ** float(operand)
        if sign and (not function or not operand):
            inside = operand or function
            other: Any = float(inside) if is_number(inside) else self.parameters[inside]
            a, b = (x, other) if operand else (other, x)
            return _infix(sign)(a, b)
        if sign:
            bias = float(operand) if is_number(operand) else self.parameters[operand]
            before = x + bias
            name = self._name_before(symbol, function)
            return _call(symbol, function, before if name is None else before.named(name))
        return _call(symbol, symbol.text, x)

    def _name_before(self, symbol: Symbol, function: str) -> str | None:
        """Name what enters an activation as note 000 does: ``fg_pre`` for ``fg``, ``o`` for a softmax."""
        after = self.diagram.outputs(symbol)
        if len(after) != 1 or after[0].kind != VALUE:
            return None
        name = "o" if function == "softmax" else f"{after[0].text}_pre"
        return None if name in self.names else name

    def _operation(self, symbol: Symbol, operands: list[mg.Node]) -> mg.Node:
        if symbol.text in INFIX:
            return _infix(symbol.text)(*operands)
        name, options = _options(symbol, symbol.text)
        if name not in _OPERATIONS:
            raise DrawingError(f"{symbol.written}{_place(symbol)}: {nearest(name, _OPERATIONS)}")
        function = getattr(mg, name)
        result = (
            function(operands, **options) if name in ("concat", "stack") else function(*operands, **options)
        )
        assert isinstance(result, mg.Node)
        return result


def _adds(diagram: Diagram, symbol: Symbol) -> bool:
    """Whether a ``#`` adds: products meet in it. Vectors that meet in it are concatenated."""
    return all(s.kind == PRODUCT or (s.kind == JOIN and _adds(diagram, s)) for s in diagram.inputs(symbol))


def _infix(sign: str) -> Callable[..., mg.Node]:
    function: Callable[..., mg.Node] = getattr(mg, INFIX[sign])
    return function


def _call(symbol: Symbol, text: str, x: mg.Node) -> mg.Node:
    if text.startswith("at "):
        return x[_index(symbol, text[3:])]
    name, options = _options(symbol, text)
    if name not in _FUNCTIONS:
        raise DrawingError(
            f"{symbol.written}{_place(symbol)}: no function is called {name!r}; {nearest(name, _FUNCTIONS)}"
        )
    result: mg.Node = getattr(mg, name)(x, **options)
    return result


def _options(symbol: Symbol, text: str) -> tuple[str, dict[str, Any]]:
    """Split ``sum axis=0 keepdims=True`` into the name and what it is told."""
    name, *told = text.split()
    options: dict[str, Any] = {}
    for item in told:
        key, equals, value = item.partition("=")
        try:
            options[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            equals = ""
        if not equals:
            raise DrawingError(f"{symbol.written}{_place(symbol)}: expected name=value, found {item!r}")
    return _LONG.get(name, name), options


def _index(symbol: Symbol, text: str) -> Any:
    parts: list[Any] = []
    try:
        for part in text.split(","):
            if part == "...":
                parts.append(Ellipsis)
            elif part == "None":
                parts.append(None)
            elif ":" in part:
                parts.append(slice(*(int(end) if end else None for end in part.split(":"))))
            else:
                parts.append(int(part))
    except ValueError:
        raise DrawingError(f"{symbol.written}{_place(symbol)}: expected an index, as in (at 0:4)") from None
    return tuple(parts)


def _place(symbol: Symbol) -> str:
    return f" at line {symbol.place[0]}, column {symbol.place[1]}" if symbol.place else ""
