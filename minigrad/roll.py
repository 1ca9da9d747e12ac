"""The rolled view: an unrolled graph folded over time.

A hand derivation is written once, for a general step t; the recorded graph has T copies of it.  `roll`
recovers the first from the second.  The nodes of step t that correspond to those of step t + 1 (same
primitive, attributes and shapes, inputs that correspond with a constant offset in time) form a *family*, and
an input that comes from another step is a *carry*.  The correspondence is guessed from names and local
structure, and then verified input by input: what `roll` returns is true of every node, or it raises.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minigrad.errors import NotRollableError
from minigrad.node import Node
from minigrad.rolled import Affine, Carry, Family, Operand, Rolled
from minigrad.sweep import ancestors, nodes_of


def roll(outputs: Node | Sequence[Node]) -> Rolled:
    """Fold the graph behind the outputs over time.

    Parameters
    ----------
    outputs : Node or sequence of Node
        A loss, or a loss with recorded gradients.

    Raises
    ------
    NotRollableError
        If the steps do not correspond; the message names the nodes that broke it.

    Examples
    --------
    >>> import minigrad as mg
    >>> w = mg.parameter(0.5, name="w")
    >>> h = mg.constant(1.0, name="h", step=0)
    >>> for t in (1, 2, 3):
    ...     with mg.step(t):
    ...         h = mg.tanh(w * h).named("h")
    >>> mg.roll(h)
    rolled over steps 1 to 3, carrying h[t-1]
      multiply[t] = multiply(w, h[t-1]) for t = 1..3
      h[t] = tanh(multiply[t]) for t = 1..3
    """
    nodes = ancestors(nodes_of(outputs, "roll: the outputs"))
    steps = _effective_steps(nodes)
    _check_steps(nodes, steps)
    try:
        return _rolled(nodes, steps, _families(nodes, steps, by_carry=False))
    except NotRollableError as error:
        # Operations that only differ in which state they take may have been confused: tell them apart by it.
        try:
            return _rolled(nodes, steps, _families(nodes, steps, by_carry=True))
        except NotRollableError:
            raise error from None


def _rolled(nodes: Sequence[Node], steps: Mapping[int, int], families: list[Family]) -> Rolled:
    """Verify families and return the rolled view."""
    places: dict[int, tuple[Family, int]] = {}
    for family in families:
        for t, node in family.members.items():
            places[node.serial] = (family, t)
    heirs: dict[str, Family] = {}
    for family in families:
        if family.is_named and not family.is_leaf:
            known = heirs.get(family.name)
            heirs[family.name] = family if known is None or family.last > known.last else known
    for family in families:
        _check_alike(family)
        if family.primitive is not None and family.primitive.name == "accumulate":
            family.inputs = _addends(family, places)
        else:
            count = len(next(iter(family.members.values())).inputs)
            family.inputs = tuple(_operand(family, i, places, heirs) for i in range(count))
    ordered = _ordered(families)
    carries: dict[tuple[int, int], Carry] = {}
    for family in ordered:
        for operand in family.inputs:
            if operand.family is not None and operand.offset:
                key = (id(operand.family), operand.offset)
                carries.setdefault(key, Carry(operand.family, operand.offset))
    computed = sorted({t for f in families if not f.is_leaf for t in f.members})
    first = _first_step(families, computed)
    outside = tuple(node for node in nodes if node.serial not in places)
    return Rolled(first, computed[-1], tuple(ordered), tuple(carries.values()), outside, places)


# -- which nodes belong together -----------------------------------------------------------------------


def _effective_steps(nodes: Sequence[Node]) -> dict[int, int]:
    """Return the step of each node that has one.

    A constant of no step that is used in one step alone (an input made before the loop) belongs there.
    """
    steps = {node.serial: node.step for node in nodes if node.step is not None}
    used_in: dict[int, set[int | None]] = {}
    for node in nodes:
        for operand in node.inputs:
            if operand.is_leaf and not operand.requires_grad and operand.serial not in steps:
                used_in.setdefault(operand.serial, set()).add(node.step)
    for serial, where in used_in.items():
        (only,) = where if len(where) == 1 else (None,)
        if only is not None:
            steps[serial] = only
    return steps


def _check_steps(nodes: Sequence[Node], steps: Mapping[int, int]) -> None:
    present = sorted({steps[n.serial] for n in nodes if n.serial in steps and not n.is_leaf})
    if not present:
        raise NotRollableError("roll: nothing was recorded inside of a step; use `with mg.step(t):`")
    for a, b in itertools.pairwise(present):
        if b != a + 1:
            raise NotRollableError(f"roll: the steps have a gap: {b} follows {a}; number them one by one")


def _families(nodes: Sequence[Node], steps: Mapping[int, int], by_carry: bool) -> list[Family]:
    """Group the nodes of all steps by a key that corresponding nodes share.

    A named node's key is its name.  An unnamed one's is its operation and the keys of those inputs that
    belong to its own step or to no step; what comes from elsewhere is left open here (the first step takes
    an initial state where the others take a carry) and is looked at when the families are verified.
    With `by_carry`, a state from elsewhere counts by its name, which its initial value shares.
    """
    keys: dict[int, Any] = {}
    interned: dict[Any, int] = {}
    groups: dict[Any, dict[int, Node]] = {}
    seen: Counter[tuple[Any, int]] = Counter()
    shared = _shared(nodes, steps)
    first_use: dict[int, tuple[Any, int]] = {}
    deferred: dict[int, Node] = {}

    def place(node: Node, t: int, key: Any) -> None:
        # Several nodes of one step may share a key: they correspond in the order of recording.
        group = (key, seen[key, t])
        seen[key, t] += 1
        groups.setdefault(group, {})[t] = node
        for position, x in enumerate(node.inputs):
            if steps.get(x.serial) == t:
                first_use.setdefault(x.serial, (group, position))

    for node in nodes:
        t = steps.get(node.serial)
        if t is None:
            continue
        if node.name is not None:
            key: Any = ("named", node.name, node.is_leaf)
        elif node.is_leaf:
            # Numbers without axes, such as the 1 in 1 - h², are part of a formula: they do not change.
            number = repr(node.value.item()) if not node.ndim else None
            key = ("leaf", node.shape, node.dtype.str, number, node.requires_grad)
        else:
            primitive = node.primitive
            assert primitive is not None
            local = tuple(_local_key(x, t, steps, keys, shared, by_carry) for x in node.inputs)
            if primitive.name == "accumulate":
                local = tuple(sorted((k for k in local if k is not None), key=repr))
            key = (primitive.name, _timeless(node.attributes), node.shape, node.dtype.str, local)
        key = interned.setdefault(key, len(interned))
        keys[node.serial] = key
        if node.name is None and all(
            x.serial not in steps
            or x.serial in deferred
            or (by_carry and (x.is_leaf or steps[x.serial] != t))
            for x in node.inputs
        ):
            deferred[node.serial] = node
        else:
            place(node, t, key)
    # A number, or the transpose of a weight, has nothing of its step to be told by: it belongs to its user.
    # With `by_carry` the same goes for the transpose of a state.
    # Where a step has but one of a kind, nothing needs to be told apart.
    count = Counter((keys[serial], steps[serial]) for serial in deferred)
    alike = {key for (key, _), times in count.items() if times > 1}
    for serial, node in reversed(deferred.items()):
        key = keys[serial]
        place(node, steps[serial], (key, first_use.get(serial) if key in alike else None))
    return [_family(part) for members in groups.values() for part in _apart(members)]


def _apart(members: dict[int, Node]) -> list[dict[int, Node]]:
    """Set an initial state that is computed (h[0] repeated for each column, say) apart from the later."""
    first, *later = sorted(members)
    if later and members[first].primitive is not members[later[0]].primitive:
        return [{first: members[first]}, {t: members[t] for t in later}]
    return [members]


def _shared(nodes: Sequence[Node], steps: Mapping[int, int]) -> set[int]:
    """Return the serials of the nodes of no step that several steps use."""
    users: dict[int, set[int]] = {}
    for node in nodes:
        t = steps.get(node.serial)
        if t is not None:
            for operand in node.inputs:
                if operand.serial not in steps:
                    users.setdefault(operand.serial, set()).add(t)
    return {serial for serial, where in users.items() if len(where) > 1}


def _local_key(
    x: Node, t: int, steps: Mapping[int, int], keys: Mapping[int, Any], shared: set[int], by_carry: bool
) -> Any:
    if x.serial in shared:
        return ("shared", x.serial)
    at = steps.get(x.serial)
    if by_carry and x.name is not None and at is not None:
        return ("from", x.name, at - t)
    return ("here", keys[x.serial]) if at == t and x.serial in keys and not x.is_leaf else None


def _timeless(attributes: Mapping[str, Any]) -> Any:
    """Return attributes as a key; whole numbers in an index may move with time and are left open."""
    items = []
    for name in sorted(attributes):
        value = attributes[name]
        if name == "index":
            value = tuple("int" if isinstance(part, int) else part for part in value)
        items.append((name, value))
    return tuple(items)


def _family(members: dict[int, Node]) -> Family:
    members = dict(sorted(members.items()))
    some = next(iter(members.values()))
    named = some.name is not None
    name = some.name if some.name is not None else some.primitive.name if some.primitive else "constant"
    return Family(name, named, some.primitive, _moving(members), some.shape, some.dtype, members)


def _moving(members: Mapping[int, Node]) -> Mapping[str, Any]:
    """Return the attributes of a family, with whole numbers that move with time as `Affine`."""
    some = next(iter(members.values()))
    if "index" not in some.attributes or len({n.attributes.get("index") for n in members.values()}) == 1:
        return some.attributes
    moving = []
    for position, part in enumerate(some.attributes["index"]):
        values = {}
        for t, node in members.items():
            index = node.attributes.get("index", ())
            values[t] = index[position] if position < len(index) else None
        fixed = len(set(values.values())) == 1
        affine = None if fixed else _affine(values)
        moving.append(part if fixed or affine is None else affine)
    return {**some.attributes, "index": tuple(moving)}


def _affine(values: Mapping[int, Any]) -> Affine | None:
    (t, a), (u, b) = list(values.items())[:2]
    if not all(isinstance(value, int) for value in values.values()):
        return None
    slope = (b - a) // (u - t)
    line = Affine(slope, a - slope * t)
    return line if abs(slope) == 1 and all(line.at(t) == v for t, v in values.items()) else None


# -- verification --------------------------------------------------------------------------------------


def _check_alike(family: Family) -> None:
    """Raise unless the members are one operation on one shape, at steps without a gap."""
    some = next(iter(family.members.values()))
    previous = None
    for t, node in family.members.items():
        if node.primitive is not some.primitive:
            raise NotRollableError(f"roll: {node!r}, but {some!r}: the steps compute it differently")
        if node.shape != some.shape or node.dtype != some.dtype:
            raise NotRollableError(f"roll: {node!r}, but {some!r}: its shape changes over time")
        if len(node.inputs) != len(some.inputs) and (
            node.primitive is None or node.primitive.name != "accumulate"
        ):
            raise NotRollableError(
                f"roll: {node!r} has {len(node.inputs)} inputs, but {some!r} has {len(some.inputs)}"
            )
        for name, value in family.attributes.items():
            expected = value
            if name == "index":
                expected = tuple(part.at(t) if isinstance(part, Affine) else part for part in value)
            if node.attributes.get(name) != expected:
                raise NotRollableError(
                    f"roll: {node.label} has {name}={node.attributes.get(name)}, "
                    f"where the other steps would have {expected}"
                )
        if previous is not None and t != previous + 1:
            raise NotRollableError(
                f"roll: {family.name} is computed at steps {previous} and {t}, and not between them"
            )
        previous = t


Source = tuple[Any, int]  # (a family or a node, the offset)


def _source(x: Node, t: int, places: Mapping[int, tuple[Family, int]]) -> Source:
    place = places.get(x.serial)
    return (x, 0) if place is None else (place[0], place[1] - t)


def _operand(
    family: Family,
    position: int,
    places: Mapping[int, tuple[Family, int]],
    heirs: Mapping[str, Family],
) -> Operand:
    """Return what a family takes at one input, if that is the same in all of its steps.

    Where a carry has nothing to bring, at the ends of time, another node may stand in for it.
    """
    sources = {t: _source(node.inputs[position], t, places) for t, node in family.members.items()}
    candidates = Counter((id(s), offset) for s, offset in sources.values())
    objects = {(id(s), offset): (s, offset) for s, offset in sources.values()}
    for s, offset in list(objects.values()):
        # An initial state is told by its name: a leaf h[0] stands in for the h that is computed later.
        if isinstance(s, Family) and s.is_named and s.name in heirs:
            heir = heirs[s.name]
            if (id(heir), offset) not in objects and offset:
                objects[id(heir), offset] = (heir, offset)
                candidates[id(heir), offset] = 0

    def rank(key: tuple[int, int]) -> tuple[bool, int, bool]:
        source, offset = objects[key]
        computed = isinstance(source, Family) and not source.is_leaf
        return computed and offset != 0, candidates[key], computed

    for key in sorted(objects, key=rank, reverse=True):
        source, offset = objects[key]
        others = [t for t, (s, o) in sources.items() if s is not source or o != offset]
        if isinstance(source, Family):
            initial = {t: family.members[t].inputs[position] for t in others}
            if not others or (
                all(t + offset not in source.members for t in others)
                and (offset or _stand_in(source, initial.values(), places))
            ):
                return Operand(source, None, offset, initial, family.steps)
        elif not others:
            return Operand(None, source, 0, {}, family.steps)
    usual = objects[max(candidates, key=lambda key: candidates[key])]
    odd = next(t for t, (s, o) in sources.items() if s is not usual[0] or o != usual[1])
    even = next(t for t, (s, o) in sources.items() if s is usual[0] and o == usual[1])
    raise NotRollableError(
        f"roll: {family.members[odd].label} takes {family.members[odd].inputs[position]!r}, where "
        f"{family.members[even].label} takes {family.members[even].inputs[position]!r}"
    )


def _stand_in(source: Family, nodes: Iterable[Node], places: Mapping[int, tuple[Family, int]]) -> bool:
    """Whether nodes of a step's own may take the place of a family at the ends of time.

    A given first input may, where the later ones are computed; and where gradients would meet, at an end of
    time, the only one that is left.  Anything else is a step that is computed differently.
    """
    if source.is_leaf:
        return False
    addends: set[int] = set()
    if source.primitive is not None and source.primitive.name == "accumulate":
        inputs = (x for member in source.members.values() for x in member.inputs)
        addends = {id(places[x.serial][0]) for x in inputs if x.serial in places}
    return all(
        node.is_leaf or node.serial not in places or id(places[node.serial][0]) in addends for node in nodes
    )


def _addends(family: Family, places: Mapping[int, tuple[Family, int]]) -> tuple[Operand, ...]:
    """Return the addends of a sum; each is there at every step at which its family has something to add."""
    found: dict[tuple[int, int, int], Operand] = {}
    present: dict[tuple[int, int, int], list[int]] = {}
    for t, node in family.members.items():
        seen: Counter[tuple[int, int]] = Counter()
        for addend in node.inputs:
            source, offset = _source(addend, t, places)
            key = (id(source), offset, seen[id(source), offset])
            seen[id(source), offset] += 1
            if key not in found:
                is_family = isinstance(source, Family)
                found[key] = Operand(source if is_family else None, None if is_family else source, offset)
            present.setdefault(key, []).append(t)
    for key, operand in found.items():
        operand.steps = tuple(present[key])
        for t in family.members:
            if operand.family is None:
                # A loss outside of the steps, say, reaches the last state alone.
                there = operand.steps[0] != family.first and operand.steps[-1] != family.last
            else:
                there = t + operand.offset in operand.family.members
            if there and t not in operand.steps:
                with_it = family.members[operand.steps[0]]
                raise NotRollableError(
                    f"roll: {family.members[t].label} lacks the addend {operand!r} that {with_it.label} has"
                )
    return tuple(sorted(found.values(), key=lambda operand: abs(operand.offset)))


# -- order ---------------------------------------------------------------------------------------------


def _ordered(families: Sequence[Family]) -> list[Family]:
    """Sort families so that each comes after what it takes from its own step."""
    users: dict[int, list[Family]] = {id(family): [] for family in families}
    waiting = {id(family): 0 for family in families}
    for family in families:
        needs = {id(o.family): o.family for o in family.inputs if o.family is not None and not o.offset}
        for need in needs:
            users[need].append(family)
        waiting[id(family)] = len(needs)

    def place(family: Family) -> int:
        members = list(family.members.values())
        return members[len(members) // 2].serial

    ready = [(place(family), i, family) for i, family in enumerate(families) if not waiting[id(family)]]
    heapq.heapify(ready)
    count = len(families)
    ordered: list[Family] = []
    while ready:
        _, _, family = heapq.heappop(ready)
        ordered.append(family)
        for user in users[id(family)]:
            waiting[id(user)] -= 1
            if not waiting[id(user)]:
                count += 1
                heapq.heappush(ready, (place(user), count, user))
    assert len(ordered) == len(families), "a recorded graph has no cycle within a step"
    return ordered


def _first_step(families: Sequence[Family], computed: Sequence[int]) -> int:
    """Return the first step of the program.

    A step before it may compute an initial state, or receive the gradient of one; it holds far fewer
    operations than the others.
    """
    counts = Counter(t for family in families if not family.is_leaf for t in family.members)
    return next(t for t in computed if 2 * counts[t] >= max(counts.values()))
