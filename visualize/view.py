"""Two views of a recorded graph as a diagram: the one that a person draws by hand, and every primitive.

The hand-drawn view folds what a person draws as one symbol: a product with a parameter is ``{Whh}``, a
bias and the activation after it are ``(tanh+bh)``.  A parameter is repeated in every step that uses it;
wired across the steps, one node for it would tangle the picture.  Both views are readings of the nodes
alone: nothing here knows a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minigrad import Node
from minigrad.sweep import ancestors
from visualize.diagram import FUNCTION, INFIX, JOIN, OPERATION, PRODUCT, VALUE, Diagram, Symbol, Wire
from visualize.errors import DrawingError

_LOSSES = ("cross_entropy", "squared_error")
_SIGNS = {name: sign for sign, name in INFIX.items()}
_SHORT = {"sigmoid": "sig", "negative": "neg"}
# A bias in front of one of these is drawn inside of it.
_ACTIVATIONS = ("tanh", "sigmoid", "relu", "softmax", "log_softmax", "exp", "sqrt", "log", "abs")


@dataclass
class _Loss:
    """What is bookkeeping of the loss in a graph, and the predictions that it judges."""

    nodes: set[int]
    predictions: list[tuple[Node, Node]]  # (prediction, loss node that judges it)


def _find_loss(outputs: Sequence[Node], nodes: Sequence[Node]) -> _Loss | None:
    """Find everything that follows from losses of predictions, if that is all that the outputs are."""
    after: set[int] = set()
    judged: list[tuple[Node, Node]] = []
    for node in nodes:
        if node.primitive is None:
            continue
        if node.primitive.name in _LOSSES and not any(i.serial in after for i in node.inputs):
            after.add(node.serial)
            position = 2 if node.primitive.name == "cross_entropy" and len(node.inputs) > 2 else 0
            judged.append((node.inputs[position], node))
        elif any(i.serial in after for i in node.inputs):
            after.add(node.serial)
            # A penalty on the parameters, say, belongs into the picture.
            if any(i.requires_grad and i.serial not in after for i in node.inputs):
                return None
    if not judged or any(output.serial not in after for output in outputs):
        return None
    return _Loss(after, judged)


class _Sketch:
    """Symbols and wires while they are being collected."""

    def __init__(self) -> None:
        self.symbols: list[Symbol] = []
        self.wires: list[Wire] = []
        self.at: dict[int, int] = {}  # serial of a node -> symbol whose output it is

    def add(
        self,
        kind: str,
        text: str,
        node: Node,
        inputs: Sequence[int],
        *,
        nodes: tuple[Node, ...] = (),
        parameters: tuple[Node, ...] = (),
        shown: str = "",
        step: int | None = None,
    ) -> int:
        i = len(self.symbols)
        step = node.step if step is None else step
        self.symbols.append(Symbol(i, kind, text, step, nodes or (node,), shown=shown, parameters=parameters))
        self.wires.extend(Wire(source, i, position) for position, source in enumerate(inputs))
        return i

    def diagram(self) -> Diagram:
        return Diagram(self.symbols, self.wires)


def hand(outputs: Sequence[Node], *, loss: bool = False) -> Diagram:
    """Return the hand-drawn view of what the outputs are made of.

    Parameters
    ----------
    outputs : sequence of Node
        Usually the loss.
    loss : bool
        Draw the losses of the steps as ``[L]`` behind the predictions.  A drawing by hand ends at the
        predictions.

    Returns
    -------
    Diagram
    """
    everything = ancestors(outputs)
    found = _find_loss(outputs, everything)
    if found is None:
        drawn = everything
    else:
        drawn = ancestors([prediction for prediction, _ in found.predictions])
    sketch = _Sketch()
    _HandView(drawn, sketch).draw()
    if found is not None and loss:
        _draw_losses(sketch, found, outputs)
    return sketch.diagram()


def _draw_losses(sketch: _Sketch, found: _Loss, outputs: Sequence[Node]) -> None:
    for prediction, judge in found.predictions:
        name = judge.name or judge.primitive.name  # type: ignore[union-attr]
        source = sketch.at[prediction.serial]
        step = judge.step if judge.step is not None else sketch.symbols[source].step
        if judge.name:
            i = sketch.add(VALUE, name, judge, [source], shown=judge.label, step=step)
        else:
            i = sketch.add(FUNCTION, name, judge, [source], step=step)
        sketch.at[judge.serial] = i
    total = outputs[0]
    if len(outputs) == 1 and total.serial not in sketch.at:
        judges = [sketch.at[judge.serial] for _, judge in found.predictions]
        sketch.at[total.serial] = sketch.add(VALUE, total.name or "L", total, judges, shown=total.label)


class _HandView:
    """Folds nodes into the symbols that a person draws."""

    def __init__(self, nodes: Sequence[Node], sketch: _Sketch) -> None:
        self.nodes = nodes
        self.sketch = sketch
        self.uses = Counter(i.serial for node in nodes for i in node.inputs)
        self.users: dict[int, Node] = {i.serial: node for node in nodes for i in node.inputs}
        self.biased: dict[int, tuple[Node, Node, Node]] = {}  # activation -> (sum, summand, bias)
        self.skipped: set[int] = set()
        for node in nodes:
            self._fold_bias(node)

    def _fold_bias(self, node: Node) -> None:
        """Remember that the sum before an activation is drawn inside of it."""
        if node.primitive is None or node.primitive.name not in _ACTIVATIONS:
            return
        before = node.inputs[0]
        if before.primitive is None or before.primitive.name != "add" or self.uses[before.serial] != 1:
            return
        a, b = before.inputs
        if b.is_parameter and not a.is_parameter and b.name:
            self.biased[node.serial] = (before, a, b)
        elif a.is_parameter and not b.is_parameter and a.name:
            self.biased[node.serial] = (before, b, a)
        else:
            return
        self.skipped.add(before.serial)

    def draw(self) -> None:
        for node in self.nodes:
            if node.serial in self.skipped or (node.primitive is None and not node.name):
                continue
            if node.is_leaf:
                # Leaves that are shared by everything are drawn where they are used.
                if not node.is_parameter and node.step is not None:
                    self._value(node)
                continue
            i = self._operation(node)
            if node.name:
                i = self.sketch.add(VALUE, node.name, node, [i], shown=node.label)
            self.sketch.at[node.serial] = i
        if not self.sketch.symbols:
            for node in self.nodes:
                self._value(node)

    def _value(self, node: Node, step: int | None = None) -> int:
        text = node.name or ("parameter" if node.is_parameter else "constant")
        i = self.sketch.add(
            VALUE,
            text,
            node,
            [],
            shown=node.label,
            step=step,
            parameters=(node,) if node.is_parameter else (),
        )
        if node.step is not None:
            self.sketch.at[node.serial] = i
        return i

    def _source(self, node: Node, user: Node) -> int:
        """Return the symbol that `node` comes from, for the use by `user`."""
        if node.serial in self.sketch.at:
            return self.sketch.at[node.serial]
        return self._value(node, user.step)

    def _operation(self, node: Node) -> int:
        primitive = node.primitive
        assert primitive is not None
        add, source = self.sketch.add, self._source
        if node.serial in self.biased:
            before, summand, bias = self.biased[node.serial]
            text = f"{_function_text(node)}+{bias.name}"
            inputs = [source(summand, node)]
            return add(FUNCTION, text, node, inputs, nodes=(before, node), parameters=(bias,))
        product = _product(node)
        if product is not None:
            text, weight, operand = product
            return add(PRODUCT, text, node, [source(operand, node)], parameters=(weight,))
        if len(node.inputs) == 1 and primitive.name not in ("concat", "stack", "accumulate"):
            return add(FUNCTION, _function_text(node), node, [source(node.inputs[0], node)])
        sign = _SIGNS.get(primitive.name)
        if sign and len(node.inputs) == 2:
            folded = self._fold_operand(node, sign)
            if folded is not None:
                return folded
        inputs = [source(operand, node) for operand in node.inputs]
        return self._join(node, inputs, sign)

    def _fold_operand(self, node: Node, sign: str) -> int | None:
        """Draw ``1 - z``, ``w * c`` and ``y + b`` as a function of the one operand that is no leaf."""
        a, b = node.inputs
        for operand, other, left in ((b, a, False), (a, b, True)):
            if other.is_leaf and other.step is None and (other.is_parameter or not other.name):
                continue
            if operand.is_parameter and operand.name and sign != "@":
                inside = operand.name
            elif operand.is_leaf and not operand.name and operand.size == 1 and not operand.requires_grad:
                inside = f"{operand.value.item():g}"
            else:
                continue
            commutes = sign in "*+"
            text = f"{inside}{sign}" if left and not commutes else f"{sign}{inside}"
            parameters = (operand,) if operand.is_parameter else ()
            source = self._source(other, node)
            return self.sketch.add(FUNCTION, text, node, [source], parameters=parameters)
        return None

    def _join(self, node: Node, inputs: list[int], sign: str | None) -> int:
        """Draw what takes several values; more than two are joined one after the other where they may."""
        assert node.primitive is not None
        name = node.primitive.name
        symbols = self.sketch.symbols
        if name == "concat" and node.attributes.get("axis", 0) in (0, -node.ndim):
            kind, text = JOIN, "#"
            if all(_is_product_sum(symbols[i], self.sketch) for i in inputs):
                kind, text = OPERATION, "concat"  # products that meet in # are added
        elif name in ("add", "accumulate"):
            kind, text = OPERATION, "+"
            if len(inputs) > 1 and all(_is_product_sum(symbols[i], self.sketch) for i in inputs):
                kind, text = JOIN, "#"
        elif sign:
            return self.sketch.add(OPERATION, sign, node, inputs)
        else:
            return self.sketch.add(OPERATION, _function_text(node), node, inputs)
        if len(inputs) == 1:
            return inputs[0]
        chained = inputs[0]
        for source in inputs[1:]:
            chained = self.sketch.add(kind, text, node, [chained, source])
        return chained


def _is_product_sum(symbol: Symbol, sketch: _Sketch) -> bool:
    """Whether a symbol is a product, or a ``#`` in which products are added."""
    if symbol.kind == PRODUCT:
        return True
    return symbol.kind == JOIN and symbol.nodes[-1].primitive.name in ("add", "accumulate")  # type: ignore[union-attr]


def _product(node: Node) -> tuple[str, Node, Node] | None:
    """Read a node as a product with a named parameter: (text, parameter, operand), or None."""
    assert node.primitive is not None
    if node.primitive.name == "take" and node.inputs[0].is_parameter and node.inputs[0].name:
        if node.attributes.get("axis", 0) in (1, -1):
            return node.inputs[0].name, node.inputs[0], node.inputs[1]
        return None
    if node.primitive.name != "matmul":
        return None
    a, b = node.inputs
    for weight, operand, mark in ((a, b, ""), (b, a, "@")):
        turned = ""
        if (
            weight.primitive is not None
            and weight.primitive.name in ("permute_dims", "matrix_transpose")
            and not weight.name
        ):
            weight, turned = weight.inputs[0], "^T"
        if weight.is_leaf and weight.name and weight.step is None and not operand.is_parameter:
            return f"{mark}{weight.name}{turned}", weight, operand
    return None


def _function_text(node: Node) -> str:
    """Write a primitive and what it was told, as stands in the parentheses: ``sig``, ``sum axis=0``."""
    assert node.primitive is not None
    name = node.primitive.name
    attributes = node.attributes
    if name == "accumulate" and len(node.inputs) == 1:
        return "id"  # one addend: the value itself
    if name == "scalar_power":
        return f"^{attributes['exponent']:g}"
    if name == "getitem":
        return f"at {_index_text(attributes['index'])}"
    told = []
    for key, value in attributes.items():
        if value is None or value is False or (name in ("softmax", "log_softmax") and value in (0, -2)):
            continue
        told.append(f"{key}={value}".replace(" ", ""))
    # Parentheses would end the symbol: a shape is written 3,4.
    return " ".join([_SHORT.get(name, name), *told]).replace("(", "").replace(",)", "").replace(")", "")


def _index_text(index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    written = []
    for part in parts:
        if isinstance(part, tuple):
            start, stop, step = part
            ends = f"{'' if start is None else start}:{'' if stop is None else stop}"
            written.append(ends if step in (None, 1) else f"{ends}:{step}")
        else:
            written.append("..." if part is Ellipsis else str(part))
    return ",".join(written)


def primitives(outputs: Sequence[Node]) -> Diagram:
    """Return the view of every primitive, each with its shape.

    A parameter, and a constant without a step, is repeated for every time step that uses it.
    """
    sketch = _Sketch()
    shared: dict[tuple[int, int | None], int] = {}
    for node in ancestors(outputs):
        if node.is_leaf:
            if node.step is not None:
                sketch.at[node.serial] = _leaf(sketch, node, node.step)
            continue
        inputs = []
        for operand in node.inputs:
            if operand.serial in sketch.at:
                inputs.append(sketch.at[operand.serial])
                continue
            key = operand.serial, node.step
            if key not in shared:
                shared[key] = _leaf(sketch, operand, node.step)
            inputs.append(shared[key])
        how = _function_text(node)
        if len(inputs) > 1:
            assert node.primitive is not None
            kind, text = OPERATION, _SIGNS.get(node.primitive.name, how)
        else:
            kind, text = FUNCTION, how
        shape = f"\n{_shape(node)}"
        i = sketch.add(kind, text, node, inputs, shown=how + ("" if node.name else shape))
        if node.name:
            i = sketch.add(VALUE, node.name, node, [i], shown=node.label + shape)
        sketch.at[node.serial] = i
    if not sketch.symbols:
        for node in outputs:
            _leaf(sketch, node, node.step)
    return sketch.diagram()


def _leaf(sketch: _Sketch, node: Node, step: int | None) -> int:
    text = node.name or (f"{node.value.item():g}" if node.size == 1 else "constant")
    label = f"{node.label if node.name else text}\n{_shape(node)}"
    parameters = (node,) if node.is_parameter else ()
    return sketch.add(VALUE, text, node, [], shown=label, step=step, parameters=parameters)


def _shape(node: Node) -> str:
    return " × ".join(map(str, node.shape)) if node.shape else "scalar"


def view_of(outputs: Node | Sequence[Node], view: str = "hand", *, loss: bool = False) -> Diagram:
    """Return a view of what the outputs are made of.

    Raises
    ------
    DrawingError
        If there is no such view, or there is nothing to draw.
    """
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    if not nodes or not all(isinstance(node, Node) for node in nodes):
        found = type(outputs).__name__ if not nodes else next(type(n).__name__ for n in nodes)
        raise DrawingError(f"draw takes a node or a list of nodes, such as the loss; got {found}")
    if view in ("hand", "compact"):
        return hand(nodes, loss=loss)
    if view == "primitive":
        return primitives(nodes)
    raise DrawingError(f"view is 'hand', 'compact' or 'primitive', not {view!r}")
