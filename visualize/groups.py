"""Symbols that share a column of a drawing in characters: a strand, and the lane symbols that it meets.

Columns are filled from left to right in the order of evaluation, so symbols may share one only as long as no
way leads out of their column and back into it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visualize.layout import Arranger


class Groups:
    """Symbols that share a column; joined as long as the order of evaluation stays without a circle."""

    def __init__(self, arranger: Arranger) -> None:
        self.a = arranger
        self.of: dict[int, int] = {}
        self.members: dict[int, list[int]] = {}
        for i in arranger.diagram.order:
            strand = arranger.strand_of.get(i)
            key = i if strand is None else strand.symbols[0]
            self.of[i] = key
            self.members.setdefault(key, []).append(i)

    def join(self, i: int, j: int) -> bool:
        """Put the groups of two symbols in one column, if that is possible."""
        a, b = self.of[i], self.of[j]
        if a == b:
            return False
        merged = self.members[a] + self.members[b]
        lanes = [self.a.lane_of[k] for k in merged if k in self.a.lane_of]
        if len(lanes) != len(set(lanes)):
            return False
        if self._reaches(a, b) or self._reaches(b, a):
            return False
        for k in self.members.pop(b):
            self.of[k] = a
            self.members[a].append(k)
        return True

    def _reaches(self, a: int, b: int) -> bool:
        """Whether a way leads from one group to the other through a third."""
        waiting = [a]
        seen = {a}
        while waiting:
            group = waiting.pop()
            for i in self.members[group]:
                for j in self.a.out[i]:
                    other = self.of[j]
                    if other == b:
                        if group != a:
                            return True
                    elif other not in seen and self.a.step[j] <= max(self.a.step[k] for k in self.members[b]):
                        seen.add(other)
                        waiting.append(other)
        return False

    def in_order(self) -> list[list[int]]:
        """Return the groups in an order of evaluation, step by step."""
        waiting: dict[int, int] = {}
        after: dict[int, set[int]] = defaultdict(set)
        for group, members in self.members.items():
            waiting.setdefault(group, 0)
            for i in members:
                for j in self.a.out[i]:
                    if self.of[j] != group and self.of[j] not in after[group]:
                        after[group].add(self.of[j])
                        waiting[self.of[j]] = waiting.get(self.of[j], 0) + 1
        key = {
            g: (max(self.a.step[i] for i in m), min(self.a.position[i] for i in m))
            for g, m in self.members.items()
        }
        order = []
        ready = [g for g, n in waiting.items() if not n]
        left = set(waiting)
        while left:
            if not ready:  # strands that need each other: begin with the earliest
                ready = [min(left, key=lambda g: key[g])]
            ready.sort(key=lambda g: key[g], reverse=True)
            group = ready.pop()
            if group not in left:
                continue
            left.discard(group)
            order.append(self.members[group])
            for other in after[group]:
                waiting[other] -= 1
                if waiting[other] <= 0 and other in left:
                    ready.append(other)
        return order
