"""What a graph folded over time is made of: families, the operands they take, and what crosses steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import NameNotFoundError, nearest
from minigrad.node import Node
from minigrad.primitives.base import Primitive


class Affine(NamedTuple):
    """An integer in an index that moves with time: ``slope * t + intercept``."""

    slope: int
    intercept: int

    def at(self, t: int) -> int:
        """Return its value at step `t`."""
        return self.slope * t + self.intercept

    def __repr__(self) -> str:
        sign = "" if self.slope > 0 else "-"
        return f"{sign}t" + (f"{self.intercept:+d}" if self.intercept else "")


@dataclass(eq=False)
class Operand:
    """What a family takes at one input: another family, some steps away, or a node outside of the steps.

    Attributes
    ----------
    family : Family or None
        The family that the input comes from; None if it is the same `node` in every step.
    node : Node or None
        That node.
    offset : int
        From which step the input comes, seen from the step that uses it: -1 is the step before.
    initial : dict of int to Node
        The steps at which there is nothing to carry, with the node that is used there instead.
    steps : tuple of int
        The steps that have this input.  All of the family's, except for addends of an `accumulate`: the
        last step has no carry from the one after it.
    """

    family: Family | None = None
    node: Node | None = None
    offset: int = 0
    initial: dict[int, Node] = field(default_factory=dict)
    steps: tuple[int, ...] = ()

    def at(self, t: int) -> Node | None:
        """Return the node that is used at step `t`; None where there is no such addend."""
        if t not in self.steps:
            return None
        if t in self.initial:
            return self.initial[t]
        return self.node if self.family is None else self.family.members[t + self.offset]

    @property
    def is_carry(self) -> bool:
        """Whether it comes from another step."""
        return self.family is not None and self.offset != 0

    def __repr__(self) -> str:
        if self.family is None:
            return self.node.label if self.node is not None else "?"
        return f"{self.family.name}[t{self.offset:+d}]" if self.offset else f"{self.family.name}[t]"


@dataclass(eq=False)
class Family:
    """The nodes that are one operation of the step.

    Attributes
    ----------
    name : str
        The name of its nodes, or the name of the operation.
    is_named : bool
        Which of the two `name` is.
    primitive : Primitive or None
        None for leaves.
    attributes : mapping
        As those of its nodes; an index that moves with time holds `Affine` entries.
    shape, dtype
        Of every one of its nodes.
    members : dict of int to Node
        Its node at each step that has one, in order.
    inputs : tuple of Operand
        As those of its nodes; for an `accumulate`, every addend that occurs at some step.
    """

    name: str
    is_named: bool
    primitive: Primitive | None
    attributes: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    members: dict[int, Node]
    inputs: tuple[Operand, ...] = ()

    @property
    def first(self) -> int:
        """The first step that has a member."""
        return next(iter(self.members))

    @property
    def last(self) -> int:
        """The last step that has a member."""
        return next(reversed(self.members))

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that have a member, in order."""
        return tuple(self.members)

    @property
    def is_leaf(self) -> bool:
        """Whether its nodes are given and not computed."""
        return self.primitive is None

    @property
    def requires_grad(self) -> bool:
        """Whether a parameter stands behind its nodes."""
        return any(node.requires_grad for node in self.members.values())

    def __repr__(self) -> str:
        how = self.primitive.name if self.primitive is not None else "leaf"
        span = f"t = {self.first}" + (f"..{self.last}" if self.last != self.first else "")
        operands = f"({', '.join(map(repr, self.inputs))})" if self.inputs else ""
        return f"{self.name}[t] = {how}{operands} for {span}"


class Span(NamedTuple):
    """The members of a family from one step to another, as they meet in a node outside of the steps."""

    family: Family
    first: int
    last: int


class Carry(NamedTuple):
    """A family whose values are used in another step: ``h`` at -1, the ``Whh^T @ dh_pre`` of dh at +1."""

    family: Family
    offset: int

    def __repr__(self) -> str:
        return f"{self.family.name}[t{self.offset:+d}]"


@dataclass(eq=False)
class Rolled:
    """A graph folded over time.

    Attributes
    ----------
    first, last : int
        The first and the last step.
    families : tuple of Family
        In an order in which each comes after what it takes from its own step.
    carries : tuple of Carry
        What crosses from step to step.
    outside : tuple of Node
        The nodes of no step: parameters, the total loss, sums over time; in the order of recording.
    """

    first: int
    last: int
    families: tuple[Family, ...]
    carries: tuple[Carry, ...]
    outside: tuple[Node, ...]
    _places: dict[int, tuple[Family, int]]

    def family_of(self, node: Node) -> Family | None:
        """Return the family of a node; None for a node of no step."""
        place = self._places.get(node.serial)
        return place[0] if place else None

    def __getitem__(self, name: str) -> Family:
        """Return the computed family of a name, or else the leaves of that name."""
        found = [family for family in self.families if family.is_named and family.name == name]
        if not found:
            known = [family.name for family in self.families if family.is_named]
            raise NameNotFoundError(f"no family {name} in this rolled graph: {nearest(name, known)}")
        return max(found, key=lambda family: (not family.is_leaf, len(family.members)))

    def parts(self, node: Node) -> list[Node | Span]:
        """Return the inputs of a node outside of the steps, those of one family gathered over time.

        The addends of a sum come in any order, and are gathered whatever theirs; inputs whose order counts
        (of a stack, say) are gathered where they follow one another in time.
        """
        commutes = node.primitive is not None and node.primitive.name == "accumulate"
        return list(_gathered(node.inputs, self._places, commutes))

    def __repr__(self) -> str:
        lines = [
            f"rolled over steps {self.first} to {self.last}, carrying {', '.join(map(repr, self.carries))}"
        ]
        lines += [f"  {family!r}" for family in self.families if not family.is_leaf]
        return "\n".join(lines)


def _gathered(
    inputs: Sequence[Node], places: Mapping[int, tuple[Family, int]], commutes: bool
) -> Iterator[Node | Span]:
    if commutes:
        chains: dict[int, list[tuple[int, Family]]] = {}
        order: list[Node | int] = []
        for x in inputs:
            place = places.get(x.serial)
            if place is None:
                order.append(x)
                continue
            if id(place[0]) not in chains:
                order.append(id(place[0]))
            chains.setdefault(id(place[0]), []).append((place[1], place[0]))
        for item in order:
            if isinstance(item, Node):
                yield item
            else:
                yield from _spans(sorted(chains[item], key=lambda pair: pair[0]))
        return
    run: list[tuple[int, Family]] = []
    for x in inputs:
        place = places.get(x.serial)
        if place is not None and run and run[-1][1] is place[0] and place[1] == run[-1][0] + 1:
            run.append((place[1], place[0]))
            continue
        yield from _spans(run)
        run = [(place[1], place[0])] if place is not None else []
        if place is None:
            yield x
    yield from _spans(run)


def _spans(chain: Sequence[tuple[int, Family]]) -> Iterator[Span]:
    """Yield the unbroken stretches of a list of steps; a step that occurs twice begins a new one."""
    start = 0
    for i in range(1, len(chain) + 1):
        if i == len(chain) or chain[i][0] != chain[i - 1][0] + 1:
            yield Span(chain[start][1], chain[start][0], chain[i - 1][0])
            start = i
