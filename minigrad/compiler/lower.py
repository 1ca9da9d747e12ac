"""From recorded nodes to the intermediate representation: each family of the rolled view becomes one value.

A graph that does not roll is taken node by node; all its values stand once, and everything after this works
on them just the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compiler.ir import Program, Value, constant
from minigrad.errors import NotRollableError
from minigrad.node import Node
from minigrad.roll import roll
from minigrad.rolled import Affine, Family, Operand, Rolled, Span


def lower(
    outputs: Sequence[Node], inputs: Mapping[int, int], rolled: bool = True
) -> tuple[Program, str | None]:
    """Return the program of some nodes, and why it is unrolled if it is.

    Parameters
    ----------
    outputs : sequence of Node
        What is to be computed.
    inputs : mapping of int to int
        The positions of the inputs by the serials of their nodes; other constants keep the values they have.
    rolled : bool
        Whether to fold the steps at all.
    """
    reason = None
    if rolled:
        try:
            return _Folded(roll(list(outputs)), inputs).program(outputs), None
        except NotRollableError as error:
            reason = str(error)
    return _Plain(inputs).program(outputs), reason or "steps are not folded: switched off"


class _Plain:
    """Node by node."""

    def __init__(self, inputs: Mapping[int, int]) -> None:
        self.inputs = inputs
        self.values: dict[int, Value] = {}

    def program(self, outputs: Sequence[Node]) -> Program:
        from minigrad.sweep import ancestors

        for node in ancestors(list(outputs)):
            self.once(node)
        return Program([self.once(node) for node in outputs])

    def once(self, node: Node) -> Value:
        """Return the value of a node that stands once; its inputs have been made."""
        value = self.values.get(node.serial)
        if value is None:
            value = self.leaf(node) if node.primitive is None else self.operation(node)
            self.values[node.serial] = value
        return value

    def operation(self, node: Node) -> Value:
        assert node.primitive is not None
        inputs = [self.once(x) for x in node.inputs]
        return Value(
            node.primitive.name, inputs, node.shape, node.dtype, None, _name(node), **node.attributes
        )

    def leaf(self, node: Node) -> Value:
        if node.serial in self.inputs:
            position = self.inputs[node.serial]
            return Value(
                "input",
                (),
                node.shape,
                node.dtype,
                None,
                node.name or f"input_{position + 1}",
                position=position,
            )
        if node.requires_grad:
            return Value("parameter", (), node.shape, node.dtype, None, node.label, node=node)
        return constant(node.value, _name(node))


class _Folded(_Plain):
    """Family by family."""

    def __init__(self, rolled: Rolled, inputs: Mapping[int, int]) -> None:
        super().__init__(inputs)
        self.rolled = rolled
        self.families: dict[int, Value] = {}
        for family in rolled.families:
            self.families[id(family)] = self.empty(family)

    def program(self, outputs: Sequence[Node]) -> Program:
        for node in self.rolled.outside:
            self.once(node)
        # Inputs come last: families read each other in a circle.
        for family in self.rolled.families:
            self.connect(family)
        return Program([self.once(node) for node in outputs])

    def empty(self, family: Family) -> Value:
        name = family.name if family.is_named else None
        op = "frames" if family.primitive is None else family.primitive.name
        return Value(
            op, (), family.shape, family.dtype, (family.first, family.last), name, **family.attributes
        )

    def connect(self, family: Family) -> None:
        value = self.families[id(family)]
        if family.primitive is None:
            leaves = list(family.members.values())
            first = leaves[0]
            fixed = not any(x.requires_grad or x.serial in self.inputs for x in leaves)
            alike = all(x.value is first.value or _same(x.value, first.value) for x in leaves[1:])
            if fixed and len(leaves) > 1 and first.size == 1 and alike:
                # The 1 of `1 - h²` is recorded anew in every step: one constant serves all.
                value.op, value.inputs = "broadcast_to", [constant(first.value)]
                value.attributes = {"shape": family.shape}
                return
            value.attributes = {}
            if fixed:
                value.op, value.inputs = "indexed", [constant(np.stack([x.value for x in leaves]))]
                value.attributes["indices"] = tuple((i,) for i in range(len(leaves)))
                return
            value.inputs = [self.leaf_once(x) for x in leaves]
            return
        if any(isinstance(part, Affine) for part in family.attributes.get("index", ())):
            self.connect_moving_index(family, value)
            return
        value.inputs = [self.operand(family, operand) for operand in family.inputs]

    def leaf_once(self, node: Node) -> Value:
        value = self.values.get(node.serial)
        if value is None:
            value = self.values[node.serial] = self.leaf(node)
        return value

    def connect_moving_index(self, family: Family, value: Value) -> None:
        """Read another entry of one value at each step, `x[t - 1]`."""
        source = family.inputs[0]
        assert source.node is not None
        base = self.once(source.node)
        value.op = "indexed"
        value.attributes = {"indices": tuple(node.attributes["index"] for node in family.members.values())}
        value.inputs = [base]

    def operand(self, family: Family, operand: Operand) -> Value:
        if operand.family is None:
            assert operand.node is not None
            value = self.once(operand.node)
            if len(operand.steps) == len(family.members):
                return value
            return self.window(value, None, family, operand, {})
        source = self.families[id(operand.family)]
        return self.window(source, operand.family, family, operand, operand.initial)

    def window(
        self,
        source: Value,
        source_family: Family | None,
        family: Family,
        operand: Operand,
        initial: Mapping[int, Node],
    ) -> Value:
        span = (family.first, family.last)
        boundary: dict[int, Value] = {t: self.once(node) for t, node in initial.items()}
        present = set(operand.steps)
        for t in family.members:
            if t not in present and t not in boundary:
                boundary[t] = constant(np.zeros(source.shape, source.dtype), "0")
        if source_family is None:
            # Something that stands once, added at some steps only.
            inputs = [boundary.get(t, source) for t in family.members]  # a few of the steps, or all
            return Value("frames", inputs, source.shape, source.dtype, span)
        if not boundary and not operand.offset and source.span == span:
            return source
        steps = tuple(sorted(boundary))
        inputs = [source, *(boundary[t] for t in steps)]
        return Value(
            "window",
            inputs,
            source.shape,
            source.dtype,
            span,
            source.name,
            offset=operand.offset,
            boundary=steps,
        )

    def once(self, node: Node) -> Value:
        """Return what a node outside of the steps is, or a family's member as seen from there."""
        value = self.values.get(node.serial)
        if value is not None:
            return value
        family = self.rolled.family_of(node)
        if family is not None:
            if family.primitive is None:
                return self.leaf_once(node)
            step = node.step
            if step is None or family.members.get(step) is not node:
                step = next(t for t, member in family.members.items() if member is node)
            source = self.families[id(family)]
            value = Value("at", (source,), node.shape, node.dtype, None, _name(node), step=step)
        elif node.primitive is None:
            value = self.leaf(node)
        elif node.primitive.name == "accumulate":
            value = self.sum(node)
        else:
            value = self.operation(node)
        self.values[node.serial] = value
        return value

    def sum(self, node: Node) -> Value:
        """Make the sum over time of what was recorded as one node with an addend for each step."""
        addends = []
        for part in self.rolled.parts(node):
            if isinstance(part, Span):
                source = self.families[id(part.family)]
                if source.span != (part.first, part.last):
                    narrow = (part.first, part.last)
                    source = Value(
                        "window",
                        (source,),
                        source.shape,
                        source.dtype,
                        narrow,
                        source.name,
                        offset=0,
                        boundary=(),
                    )
                span = (part.first, part.last)
                addends.append(Value("total", (source,), source.shape, source.dtype, None, None, over=span))
            else:
                addends.append(self.once(part))
        return Value("accumulate", addends, node.shape, node.dtype, None, _name(node))


def _name(node: Node) -> str | None:
    return node.label if node.name is not None else None


def _same(a: Any, b: Any) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())
