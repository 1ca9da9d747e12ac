"""A recorded node as an expression: what a person would write for it.

Named values are written by their names, unnamed ones in place.  Each primitive becomes the notation of hand
derivations where there is one, and a call by its own name where there is none, so that any graph can be
written, and what is written comes to the same value again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import MinigradError
from minigrad.node import Node

from .bounds import size_name
from .reader import NotationError, parse
from .syntax import (
    Call,
    Expression,
    Name,
    Negative,
    Number,
    Power,
    Product,
    Slice,
    Step,
    Sum,
    Transpose,
    summed,
)
from .truth import World

MAX_PARTS = 4_000  # nodes that one line may spell out


class TooLong(MinigradError, ValueError):
    """An expression that would fill pages; it is written with names for its parts instead."""


class Writer:
    """Writes nodes of the forward pass and of the recorded backward pass.

    Parameters
    ----------
    world : World
    relative : bool
        Steps are counted from the step of the line (``h[t-1]``), else given as numbers (``h[2]``).
    """

    def __init__(self, world: World, relative: bool) -> None:
        self.world = world
        self.relative = relative
        self.canonical = {i for steps in world.names.values() for i in steps.values()}
        # The gradient of a loss is a leaf, 1: it is left out of products and not written as dL.
        self.gradient_of = {
            g.serial: i for i, g in world.gradients.items() if i in self.canonical and g.primitive is not None
        }
        # A value that is only handed on has a gradient of one addend: others that share it may call it by
        # its name.
        self.sole: dict[int, int] = {}
        for i in sorted(self.gradient_of.values(), key=lambda i: world.gradients[i].serial):
            addends = world.addends(i)
            node = world.nodes[i]
            if node.requires_grad and node.step is not None and [t for t, _ in addends] == [node.step]:
                self.sole.setdefault(addends[0][1].serial, i)
        self.vocabulary = _vocabulary(world)
        self.temporaries: dict[int, Name] = {}
        self._clean: dict[tuple[str, bool], str | None] = {}
        self._calls: dict[int, bool] = {}
        self._count = 0

    # -- names -----------------------------------------------------------------------------------

    def name(self, place: int, t: int | None, gradient: bool = False) -> Name:
        """Return the name of a value, or of its gradient, as seen from step t."""
        node = self.world.nodes[place]
        prefix = "d" if gradient else ""
        if place not in self.canonical:
            return Name(f"{prefix}#{place}", quoted=True)
        assert node.name is not None
        text = prefix + node.name
        clean = self.clean(text, gradient)
        quoted = not clean
        if quoted and ("`" in text or "\n" in text or not text.isprintable()):
            return Name(f"{prefix}#{place}", quoted=True)
        if node.step is None:
            return Name(text, quoted=quoted)
        if self.relative and t is not None:
            ambiguous = None in self.world.names[node.name]
            offset = node.step - t
            return Name(text, Step("t", offset) if offset or ambiguous else None, quoted)
        return Name(text, Step("", node.step), quoted)

    def clean(self, text: str, gradient: bool) -> bool:
        """Whether a name reads back as what it is."""
        key = (text, gradient)
        if key not in self._clean:
            self._clean[key] = "yes" if self._reads_back(text, gradient) else None
        return self._clean[key] is not None

    def _reads_back(self, text: str, gradient: bool) -> bool:
        name = Name(text)
        try:
            side = parse(f"{text} = 1").sides[0]
        except NotationError:
            return False
        if side != name or (text in ("T", "where", "L") and gradient):
            return False
        found = self.vocabulary.differentiated(name)
        if gradient:
            return found is not None and found[0] == text[1:] and found[1] is None and not found[2]
        return found is None and self.vocabulary.locate(name) == (text, None)

    def is_call(self, place: int) -> bool:
        """Whether a name only abbreviates a call, as `tanc` does tanh(c): then the call is written."""
        if place not in self._calls:
            self._calls[place] = self._is_call(place)
        return self._calls[place]

    def _is_call(self, place: int) -> bool:
        node = self.world.nodes[place]
        if node.primitive is None or len(node.inputs) != 1 or node.name is None:
            return False
        inner = node.inputs[0]
        if (
            inner.name is None
            or self.world.place.get(inner.serial) not in self.canonical
            or inner.step != node.step
        ):
            return False
        function = node.primitive.name
        prefix = node.name.removesuffix(inner.name).rstrip("_")
        return node.name.endswith(inner.name) and len(prefix) >= 2 and function.startswith(prefix)

    # -- expressions -----------------------------------------------------------------------------

    def write(
        self, node: Node, t: int | None, owner: int | None = None, goal: tuple[int, ...] | None = None
    ) -> Expression:
        """Write a node as seen from step t, as an addend of the gradient of the node `owner`.

        `goal` is the shape of the left side: a sum over the columns of a batch is understood there.
        """
        self._count = 0
        if goal is not None and node.primitive is not None and node.primitive.name == "sum":
            operand = node.inputs[0]
            if node.attributes.get("keepdims") and node.shape == goal and _sums_columns(operand.shape, goal):
                return self._expression(operand, t, False)
        return self._expression(node, t, owner is not None and self.sole.get(node.serial) == owner)

    def named(self, node: Node) -> Expression | None:
        """Return the name by which a node is written, or None if it is written in place."""
        return self._named(node, None)

    def spelled_out(self, node: Node) -> Expression:
        """Write a node in full, even if it has a name."""
        self._count = 0
        return self._expression(node, None, True)

    def _expression(self, node: Node, t: int | None, top: bool) -> Expression:
        """Write a node without recursion on the graph: parts first, then what is made of them."""
        done: dict[int, Expression] = {}
        todo: list[tuple[Node, bool]] = [(node, False)]
        while todo:
            current, ready = todo.pop()
            if current.serial in done:
                continue
            known = None if (current is node and top) else self._named(current, t)
            if known is not None:
                done[current.serial] = known
                continue
            if current.primitive is None:
                done[current.serial] = self._leaf(current, t)
                continue
            if not ready:
                self._count += 1
                if self._count > MAX_PARTS:
                    raise TooLong("too long to be written on one line")
                todo.append((current, True))
                todo += [(operand, False) for operand in current.inputs if operand.serial not in done]
                continue
            done[current.serial] = self._operation(current, [done[x.serial] for x in current.inputs], t)
        return done[node.serial]

    def _named(self, node: Node, t: int | None) -> Expression | None:
        if node.serial in self.temporaries:
            return self.temporaries[node.serial]
        if node.serial in self.sole and node.serial not in self.gradient_of:
            return self.name(self.sole[node.serial], t, gradient=True)
        if node.serial in self.gradient_of:
            return self.name(self.gradient_of[node.serial], t, gradient=True)
        place = self.world.place.get(node.serial)
        if place is None or place not in self.canonical:
            return None
        if self.is_call(place):
            primitive = node.primitive
            assert primitive is not None
            return Call(primitive.name, (self.name(self.world.place[node.inputs[0].serial], t),))
        return self.name(place, t)

    def _leaf(self, node: Node, t: int | None) -> Expression:
        value = node.value
        if (value.size == 1 and value.ndim == 0) or (
            value.size and value.dtype.kind in "fiu" and _uniform(value)
        ):
            number = float(value.flat[0])
            written: Expression = Number(abs(number)) if number >= 0 else Negative(Number(-number))
            if np.isfinite(number) and (value.ndim == 0 or node.serial not in self.world.place):
                return written if value.ndim == 0 else Call("full", (written,), (("shape", value.shape),))
        place = self.world.place.get(node.serial)
        if place is None:
            raise TooLong(f"{node!r} has no name and stands only in the backward pass")
        return Name(f"#{place}", quoted=True)

    def _operation(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        assert node.primitive is not None
        name = node.primitive.name
        rule = getattr(self, f"_{name}", None)
        written = rule(node, parts, t) if rule is not None else None
        if written is not None:
            return written  # type: ignore[no-any-return]
        if node.primitive.broadcasts and name != "matmul":
            parts = [self._spread(x, part, node.shape) for x, part in zip(node.inputs, parts, strict=True)]
        options = tuple((key, _plain(value)) for key, value in node.attributes.items())
        return Call(name, tuple(parts), options)

    def _spread(self, operand: Node, part: Expression, shape: tuple[int, ...]) -> Expression:
        """Write a broadcast out where only scalars broadcast."""
        if operand.shape == shape or operand.ndim == 0:
            return part
        return Call("broadcast_to", (part,), (("shape", shape),))

    def _pair(self, node: Node, parts: list[Expression], product: bool = False) -> list[Expression]:
        """Write the operands of an elementwise operation so that they fit without broadcasting."""
        a, b = node.inputs
        if product:  # a single number needs no spreading out
            if b.shape == node.shape and b.ndim:
                a, parts[0] = _unspread(a, parts[0])
            elif a.shape == node.shape and a.ndim:
                b, parts[1] = _unspread(b, parts[1])
            if a.size == 1 or b.size == 1:
                return parts
        n = self.world.columns
        fits = a.shape == b.shape or a.ndim == 0 or b.ndim == 0
        columns = (
            n > 1
            and a.ndim == b.ndim == 2
            and a.shape[0] == b.shape[0]
            and {a.shape[1], b.shape[1]} == {1, n}
        )
        if fits or (columns and a.shape[0] > 1 and n != a.shape[0]):
            return parts
        return [self._spread(x, part, node.shape) for x, part in zip(node.inputs, parts, strict=True)]

    def _add(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        return summed(self._pair(node, parts), [1, 1])

    def _subtract(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        a, b = self._pair(node, parts)
        return Sum((*a.terms, b), (*a.signs, -1)) if isinstance(a, Sum) else Sum((a, b), (1, -1))

    def _accumulate(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        return summed(parts, [1] * len(parts))

    def _negative(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        inner = parts[0]
        return inner.operand if isinstance(inner, Negative) else Negative(inner)

    def _multiply(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        a, b = self._pair(node, parts, product=True)
        if a == Number(1):
            return b
        if b == Number(1):
            return a
        return _times(a, b, "⊙")

    def _matmul(self, node: Node, parts: list[Expression], t: int | None) -> Expression | None:
        a, b = node.inputs
        if a.ndim != 2 or b.ndim != 2:
            return Call("matmul", tuple(parts))
        plain = a.shape != b.shape and a.size > 1 and b.size > 1
        return _times(parts[0], parts[1], "⋅" if plain else "@")

    def _divide(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        a, b = self._pair(node, parts, product=True)
        if b == Number(1):
            return a
        return _times(a, b, "/")

    def _scalar_power(self, node: Node, parts: list[Expression], t: int | None) -> Expression | None:
        exponent = node.attributes["exponent"]
        if abs(exponent) > 60:
            return None
        number = float(exponent)
        return Power(parts[0], Number(number) if number >= 0 else Negative(Number(-number)))

    def _permute_dims(self, node: Node, parts: list[Expression], t: int | None) -> Expression | None:
        if tuple(node.attributes["axes"]) != (1, 0):
            return None
        inner = parts[0]
        return inner.operand if isinstance(inner, Transpose) else Transpose(inner)

    def _getitem(self, node: Node, parts: list[Expression], t: int | None) -> Expression | None:
        index = node.attributes["index"]
        if not isinstance(index, tuple) or not all(
            isinstance(part, tuple) and len(part) == 3 and part[2] in (None, 1) for part in index
        ):
            return None
        sizes = node.inputs[0].shape
        bounds = []
        for part, size in zip(index, sizes, strict=False):
            start, stop = part[0], part[1]
            if any(b is not None and b < 0 for b in (start, stop)):
                return None
            lower = None if not start else size_name(start, self.world, [])
            upper = None if stop is None or stop == size else size_name(stop, self.world, [])
            bounds.append((lower, upper))
        while len(bounds) > 1 and bounds[-1] == (None, None):
            bounds.pop()
        return Slice(parts[0], tuple(bounds))

    def _concat(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        axis = node.attributes["axis"]
        return Call("concat", tuple(parts), (("axis", axis),) if axis else ())

    def _softmax(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        axis = node.attributes["axis"]
        return Call("softmax", tuple(parts), (("axis", axis),) if axis else ())

    def _astype(self, node: Node, parts: list[Expression], t: int | None) -> Expression:
        return parts[0]

    def _one_hot(self, node: Node, parts: list[Expression], t: int | None) -> Expression | None:
        return parts[0] if self._is_class(node.inputs[0], node.shape) else None

    def _put(self, node: Node, parts: list[Expression], t: int | None) -> Expression | None:
        """Write the gradient of an embedding as ``dx * c^T``: on paper a class is its column."""
        g, indices = node.inputs
        if node.attributes["axis"] != 1 or node.ndim != 2:
            return None
        if not self._is_class(indices, (node.shape[1], g.shape[1])):
            return None
        return _times(parts[0], Transpose(parts[1]), "⋅" if g.shape != (g.shape[1], node.shape[1]) else "@")

    def _is_class(self, node: Node, shape: tuple[int, ...]) -> bool:
        place = self.world.place.get(node.serial)
        if place is None or place not in self.canonical:
            return False
        column = self.world.column(place)
        return column is not None and column.shape == shape


def _vocabulary(world: World) -> Any:
    from .names import Vocabulary

    return Vocabulary(world)


def _unspread(node: Node, part: Expression) -> tuple[Node, Expression]:
    """Take the number itself where a number was repeated to fill a shape."""
    while (
        node.primitive is not None
        and node.primitive.name in ("broadcast_to", "reshape")
        and node.inputs[0].size == 1
        and isinstance(part, Call)
        and part.function == node.primitive.name
    ):
        node, part = node.inputs[0], part.arguments[0]
    return node, part


def _times(a: Expression, b: Expression, operator: str) -> Expression:
    """Multiply: ``⊙`` elementwise, ``⋅`` an unmistakable matrix product, ``@`` one that has to say so."""
    if isinstance(a, Negative):
        return Negative(_times(a.operand, b, operator))
    left, operators = (a.factors, a.operators) if isinstance(a, Product) else ((a,), ())
    return Product((*left, b), (*operators, operator))


def plain(tree: Expression) -> Expression:
    """Write every product that the shapes decide with ``*``, as the notes do."""
    from .syntax import transform

    def change(part: Expression) -> Expression:
        if isinstance(part, Product):
            return Product(part.factors, tuple("*" if o in "⊙⋅" else o for o in part.operators), part.span)
        return part

    return transform(tree, change)


def _sums_columns(shape: tuple[int, ...], goal: tuple[int, ...]) -> bool:
    return len(shape) == 2 == len(goal) and goal[1] == 1 and shape[0] == goal[0] and shape[1] > 1


def _uniform(value: Any) -> bool:
    return bool(np.all(value == value.flat[0]))


def _plain(value: Any) -> Any:
    """Return an attribute as the notation can write it: numbers, tuples, words."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return Word(np.dtype(value).name)
    if isinstance(value, list):
        return tuple(_plain(v) for v in value)
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, np.generic):
        return value.item()
    if value is Ellipsis:
        return Word("Ellipsis")
    return value


class Word(str):
    """A word in an option, written without quotation marks."""

    def __repr__(self) -> str:
        return str(self)
