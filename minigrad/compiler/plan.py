"""The plan of memory: where every value lives.

A value of the steps lives in one stack over time, `(slots, ...)`, and its value at step t is a view. The
stack has slots beyond the span where a window reads them: slot 0 for the initial state. A value that only
its own step of a loop reads has one slot that all steps share. Parts of a concatenation are computed in
their places in it. Views own nothing. Memory whose last reader has run is used again.
"""

from __future__ import annotations

import numpy as np

from minigrad.compiler.ir import LEAVES, VIEWS, Program, Value
from minigrad.compiler.memory import (
    Stack,
    adopt,
    aligned_bytes,
    all_constant,
    already_stacked,
    as_rows,
    best_block,
    cut,
    regular,
)
from minigrad.compiler.schedule import Item
from minigrad.node import Array, Node
from minigrad.primitives import thaw_index

_INPLACE = frozenset(
    {"add", "subtract", "multiply", "divide", "negative", "exp", "log", "sqrt", "abs", "tanh", "square"}
    | {"maximum", "minimum", "scaled_tanh", "relu"}
)


class Plan:
    """Memory for a scheduled program.

    Attributes
    ----------
    items : list of Item
        As scheduled.
    copies : dict
        The inputs of a concatenation that have to be copied into it, by its id.
    fills : dict
        For each window by its id: the boundary steps with the values to copy there before it is read.
    copied_windows : set
        Ids of the windows that are copied, because the place of their boundary is taken.
    bytes : int
        How much is allocated.
    """

    def __init__(self, program: Program, items: list[Item]) -> None:
        self.program = program
        self.items = items
        self.values = [value for item in items for value in item.values]
        self.index = {id(v): i for i, item in enumerate(items) for v in item.values}
        self.home: dict[int, tuple[Value, int, int]] = {}
        self.copies: dict[int, list[tuple[Value, int]]] = {}
        self.copied_windows: set[int] = set()
        self.stacks: dict[int, Stack] = {}
        self.parameters: list[tuple[Node, Array]] = []
        self.inputs: dict[int, Array] = {}
        self.constant_parts: list[tuple[Value, Value, int]] = []
        self.moved: set[int] = set()  # owners of memory that is read at other steps than its own
        self.replaced: set[int] = set()
        self.bytes = 0
        self.sizes: dict[str, int] = {}
        self._bind_parameters()
        self._find_homes()
        self._find_extents()
        self._allocate()

    # -- who owns memory -----------------------------------------------------------------------------

    def is_view(self, value: Value) -> bool:
        """Whether a value owns no memory."""
        if id(value) in self.home or id(value) in self.copied_windows:
            return False
        if value.op == "indexed":
            return self._strided(value) is not None
        if value.op == "rows":
            return 1 in value.shape
        return value.op in VIEWS

    def _find_homes(self) -> None:
        for value in self.values:
            if value.op != "concat" or id(value) in self.stacks:
                continue
            axis = value.attributes["axis"]
            start = 0
            for part in value.inputs:
                size = part.shape[axis]
                can = (
                    id(part) not in self.home
                    and id(part) not in self.stacks
                    and part.op not in LEAVES | VIEWS | {"frames", "indexed", "reshape"}
                    and part.span == value.span
                    and part.dtype == value.dtype
                    and not (part.op == "take" and len(part.shape) == 2)
                )
                if can:
                    self.home[id(part)] = (value, axis, start)
                elif part.op == "constant":
                    self.constant_parts.append((value, part, start))
                else:
                    self.copies.setdefault(id(value), []).append((part, start))
                start += size

    # -- extents -------------------------------------------------------------------------------------

    def root(self, value: Value) -> tuple[Value, int] | None:
        """Return the value whose stack a stepped value lives in, and the offset in time; None if fixed."""
        offset = 0
        while True:
            if id(value) in self.home:
                value = self.home[id(value)][0]
            elif value.op == "window" and id(value) not in self.copied_windows:
                offset += value.attributes["offset"]
                value = value.inputs[0]
            elif value.op in ("slice", "permute_dims", "getitem", "rows") and self.is_view(value):
                value = value.inputs[0]
            elif self.is_view(value):
                return None
            else:
                return value, offset

    def _find_extents(self) -> None:
        self.extent: dict[int, tuple[int, int]] = {}
        taken: dict[tuple[int, int], list[tuple[Value, Value]]] = {}
        for value in self.values:
            if value.op != "window" or len(value.inputs) == 1:
                continue
            found = self.root(value.inputs[0])
            boundary = list(zip(value.attributes["boundary"], value.inputs[1:], strict=True))
            places: list[tuple[int, int]] = []
            free = found is not None and found[0].span is not None
            if found is not None and free:
                root, offset = found
                assert root.span is not None
                for t, source in boundary:
                    slot = t + value.attributes["offset"] + offset
                    key = (id(root), slot)
                    places.append(key)
                    if root.span[0] <= slot <= root.span[1]:
                        free = False
                    for reader, other in taken.get(key, ()):
                        if other is not source or reader is not value.inputs[0]:
                            free = free and self._disjoint(reader, value.inputs[0])
            if not free or found is None:
                self.copied_windows.add(id(value))
                continue
            root = found[0]
            for key, (_, source) in zip(places, boundary, strict=True):
                taken.setdefault(key, []).append((value.inputs[0], source))
                low, high = self.extent.get(id(root), root.span or (0, 0))
                self.extent[id(root)] = (min(low, key[1]), max(high, key[1]))

    def _disjoint(self, a: Value, b: Value) -> bool:
        """Whether two values certainly share no memory within a step."""
        cuts = []
        for x in (a, b):
            if id(x) in self.home:
                whole, axis, start = self.home[id(x)]
                cuts.append((id(whole), axis, start, start + x.shape[axis]))
            elif x.op == "slice":
                axis, start, stop = (x.attributes[name] for name in ("axis", "start", "stop"))
                cuts.append((id(x.inputs[0]), axis, start, stop))
            else:
                return False
        (w, i, s, e), (v, j, p, q) = cuts
        return w == v and i == j and (e <= p or q <= s)

    # -- allocation ----------------------------------------------------------------------------------

    def _bind_parameters(self) -> None:
        """Let parameters live where the program wants them: stacked, where it multiplies by the stack."""
        stacked: set[int] = set()
        leaves = [v for v in self.program.values() if v.op in LEAVES]
        for value in self.values:
            parts = value.inputs
            if value.op != "concat" or not all(p.op == "parameter" for p in parts):
                continue
            if any(id(p) in stacked for p in parts) or len({id(p) for p in parts}) < len(parts):
                continue
            stacked.update(id(p) for p in parts)
            axis = value.attributes["axis"]
            whole = already_stacked([p.attributes["node"].value for p in parts], axis)
            if whole is None:
                whole = np.empty(value.shape, value.dtype)
                self.bytes += whole.nbytes
            self.stacks[id(value)] = Stack(whole, 0, False)
            start = 0
            for part in parts:
                node = part.attributes["node"]
                view = cut(whole, axis, start, start + part.shape[axis])
                adopt(node, view)
                self.stacks[id(part)] = Stack(view, 0, False)
                start += part.shape[axis]
        for leaf in leaves:
            if leaf.op == "parameter":
                if id(leaf) not in self.stacks:
                    node = leaf.attributes["node"]
                    if not node.value.flags.writeable:
                        node.value = node.value.copy()
                    self.stacks[id(leaf)] = Stack(node.value, 0, False)
                self.parameters.append((leaf.attributes["node"], self.stacks[id(leaf)].array))
            elif leaf.op == "input":
                buffer = np.empty(leaf.shape, leaf.dtype)
                self.stacks[id(leaf)] = Stack(buffer, 0, False)
                self.inputs[leaf.attributes["position"]] = buffer
            else:
                # Read only: the array is the user's, or the engine's.
                array = leaf.attributes["array"].view()
                array.flags.writeable = False
                self.stacks[id(leaf)] = Stack(array, 0, False)

    def _allocate(self) -> None:
        owners: dict[int, Value] = {}
        for value in self.values:
            if not self.is_view(value) and id(value) not in self.home and id(value) not in self.stacks:
                owners[id(value)] = value
        first, last, single = self._lifetimes(owners)
        fixed = {id(whole) for whole, _, _ in self.constant_parts}
        fixed |= {key for key, v in owners.items() if v.op in ("frames", "indexed") and all_constant(v)}
        free: list[Array] = []
        ends: dict[int, list[Array]] = {}
        blocks: dict[int, Array] = {}
        for owner in sorted(owners.values(), key=lambda v: first[id(v)]):
            key = id(owner)
            now = first[key]
            for i in sorted(i for i in ends if i < now):
                free.extend(ends.pop(i))
            high, low = self.extent.get(key, owner.span or (0, 0))[::-1]
            slots = 1 if single[key] or owner.span is None else high - low + 1
            nbytes = slots * owner.size * owner.dtype.itemsize
            block = None
            if key not in fixed:
                block = self._written_over(owner, blocks, last, now, single[key], nbytes)
                if block is None and self.items[now].direction and not single[key]:
                    block = self._used_up(owner, owners, blocks, first, last, single)
                if block is not None:
                    # It passes from one value to the other.
                    ends[now] = [b for b in ends[now] if b is not block]
                else:
                    block = best_block(free, nbytes)
            if block is None:
                block = aligned_bytes(nbytes)
                self.bytes += nbytes
                name = owner.name or owner.op
                self.sizes[name] = self.sizes.get(name, 0) + nbytes
            if key not in fixed:
                ends.setdefault(last[key], []).append(block)
                blocks[key] = block
            self._lay_out(owner, block[:nbytes].view(owner.dtype), slots, low, high, single[key])

    def _written_over(
        self,
        owner: Value,
        blocks: dict[int, Array],
        last: dict[int, int],
        now: int,
        single: bool,
        nbytes: int,
    ) -> Array | None:
        """Return the memory of an operand that an elementwise operation may write its result over."""
        if owner.op not in _INPLACE or self.items[now].direction != 0 or single or len(owner.inputs) > 2:
            return None
        for x in owner.inputs:
            block = blocks.get(id(x))
            alike = x.shape == owner.shape and x.dtype == owner.dtype and x.span == owner.span
            if block is None or not alike or last[id(x)] != now or as_rows(x):
                continue
            if id(x) in self.extent or id(owner) in self.extent or block.nbytes < nbytes:
                continue
            return block
        return None

    def _used_up(
        self,
        owner: Value,
        owners: dict[int, Value],
        blocks: dict[int, Array],
        first: dict[int, int],
        last: dict[int, int],
        single: dict[int, bool],
    ) -> Array | None:
        """Return the stack of a value whose step has been read for the last time when this one's is written.

        Both have as many bytes a step, and the same steps: the loop writes one over the other as it goes.
        """
        key = id(owner)
        now = self.index[key]
        values = self.items[now].values
        if key in self.extent or key in self.moved or first[key] != now:
            return None
        # Whatever is computed in the owner's memory is written no earlier than the first of it.
        written = min(i for i, v in enumerate(values) if self._owner(v, owners) == key)
        for other, block in blocks.items():
            x = owners[other]
            same = x.span == owner.span and x.size * x.dtype.itemsize == owner.size * owner.dtype.itemsize
            if not same or last[other] != now or first[other] >= now or single[other]:
                continue
            if other in self.extent or other in self.moved or other in self.replaced:
                continue
            readers = [i for i, v in enumerate(values) for y in v.inputs if self._owner(y, owners) == other]
            if readers and max(readers) < written:
                self.replaced.add(other)
                return block
        return None

    def _owner(self, value: Value, owners: dict[int, Value]) -> int | None:
        """Return the id of the value in whose memory another one lives."""
        while id(value) not in owners:
            if id(value) in self.home:
                value = self.home[id(value)][0]
            elif self.is_view(value) and value.inputs:
                value = value.inputs[0]
            else:
                return None
        return id(value)

    def _lay_out(self, owner: Value, memory: Array, slots: int, low: int, high: int, single: bool) -> None:
        key = id(owner)
        shape = owner.shape[::-1] if as_rows(owner) else owner.shape
        if owner.span is None:
            array = memory.reshape(shape)
            self.stacks[key] = Stack(array.T if as_rows(owner) else array, 0, False)
            return
        array = memory.reshape(slots, *shape)
        if as_rows(owner):
            array = array.transpose(0, 2, 1)
        if single:
            array = np.lib.stride_tricks.as_strided(
                array, (high - low + 1, *array.shape[1:]), (0, *array.strides[1:])
            )
        self.stacks[key] = Stack(array, low, True)

    def _lifetimes(self, owners: dict[int, Value]) -> tuple[dict[int, int], dict[int, int], dict[int, bool]]:
        """Return the items of first writing and last reading of each owner, and whether one slot will do."""
        first = {key: self.index[key] for key in owners}
        last = dict(first)
        single = {
            key: v.span is not None and self.items[self.index[key]].direction != 0 and key not in self.extent
            for key, v in owners.items()
        }

        for value in self.values:
            here = self.index[id(value)]
            home = self._owner(value, owners)
            if home is not None:
                first[home] = min(first[home], here)
                last[home] = max(last[home], here)
                if self.items[here].direction == 0 or here != self.index[home]:
                    single[home] = False
            for x in value.inputs:
                key = self._owner(x, owners)
                if key is None:
                    continue
                last[key] = max(last[key], here)
                moved = value.op == "window" and value.attributes["offset"] != 0
                if moved:
                    self.moved.add(key)
                if here != self.index[key] or moved:
                    single[key] = False
            if value.op == "frames":
                for x in value.inputs:
                    key = self._owner(x, owners)
                    if key is not None:
                        last[key] = len(self.items)
        for value in self.program.outputs:
            key = self._owner(value, owners)
            if key is not None:
                last[key] = len(self.items)
                single[key] = False
        # A window's boundary is written before its loop: its stack must be there by then.
        for value in self.values:
            if value.op == "window" and len(value.inputs) > 1 and id(value) not in self.copied_windows:
                key = self._owner(value.inputs[0], owners)
                if key is not None:
                    first[key] = min(first[key], self.index[id(value)])
        return first, last, single

    # -- where a value is ----------------------------------------------------------------------------

    def stack(self, value: Value) -> Stack:
        """Return the memory of a value."""
        found = self.stacks.get(id(value))
        if found is None:
            found = self._locate(value)
            if value.span is not None and not found.stepped:
                # The same at every step.
                array = np.broadcast_to(found.array, (value.steps, *found.array.shape))
                found = Stack(array, value.span[0], True)
            self.stacks[id(value)] = found
        return found

    def _locate(self, value: Value) -> Stack:
        if id(value) in self.home:
            whole, axis, start = self.home[id(value)]
            stack = self.stack(whole)
            stop = start + value.shape[axis]
            return Stack(cut(stack.array, axis + stack.stepped, start, stop), stack.first, stack.stepped)
        if value.op == "indexed":
            array = self._strided(value)
            assert array is not None and value.span is not None
            return Stack(array, value.span[0], True)
        stack = self.stack(value.inputs[0])
        lead = int(stack.stepped)
        op, attributes = value.op, value.attributes
        if op == "window":
            return Stack(stack.array, stack.first - attributes["offset"], stack.stepped)
        if op == "at":
            return Stack(stack.at(attributes["step"]), 0, False)
        if op == "slice":
            array = cut(stack.array, attributes["axis"] + lead, attributes["start"], attributes["stop"])
        elif op == "permute_dims" or op == "rows":
            axes = attributes.get("axes", (1, 0))
            array = stack.array.transpose((0, *(a + 1 for a in axes)) if lead else axes)
        elif op == "broadcast_to":
            x = stack.array
            if lead:
                missing = len(value.shape) - (x.ndim - 1)
                x = x.reshape(x.shape[0], *(1,) * missing, *x.shape[1:])
            array = np.broadcast_to(x, (*x.shape[:lead], *value.shape))
        elif op == "getitem":
            array = stack.array[(slice(None),) * lead + thaw_index(attributes["index"])]
        else:
            raise AssertionError(f"{value!r} has no memory")
        return Stack(array, stack.first, stack.stepped)

    def _strided(self, value: Value) -> Array | None:
        """Return entries of one value as one view with a leading axis, if they stand at equal distances."""
        found: Array | None = value.attributes.get("view")
        base = value.inputs[0]
        if found is None and base.op in LEAVES:
            array = self.stacks[id(base)].array
            found = regular([array[(*thaw_index(i), ...)] for i in value.attributes["indices"]])
            value.attributes["view"] = found
        return found
