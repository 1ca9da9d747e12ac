"""Which value of the model a name of the text means.

``h1``, ``h_1``, ``h[1]`` and, under a sum over t, ``ht`` are the value h at a step; ``dh`` and ``dL/dh``
are its gradient; ``dh_next`` is what arrives from the step after.  A name that the model does not have may be
bound: by the text (``where f is fg``), by its value (``z2 = ...`` comes to the same as some node of the
graph), or by its spelling (``w_f`` for ``Wf``).  Everything else is undefined, and undefined names are
reported, not guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .syntax import Derivative, Expression, Name, Step, TimeSum, walk
from .truth import World

LOSSES = ("L", "loss", "J", "E", "Loss")


@dataclass
class Vocabulary:
    """All names that a text may use for values of the model.

    Attributes
    ----------
    world : World
    aliases : dict of str to str
        The text's name to the model's.
    bound : dict
        Names that the text defines, by step: the place of the node that has the same value.
    own : set of str
        Names that the text defines and that are no value of the model; `own_general` are those of them
        that have a value at each step.
    notes : dict of str to str
        What was taken for what, and why.
    """

    world: World
    aliases: dict[str, str] = field(default_factory=dict)
    bound: dict[str, dict[int | None, int]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    own_general: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spelled: dict[str, list[str]] = {}
        for name in self.world.names:
            if len(name) > 1:  # H is not h
                spelled.setdefault(_spelling(name), []).append(name)
        self._spelled = {key: names[0] for key, names in spelled.items() if len(names) == 1}
        self._located: dict[Name, tuple[str, Step | None] | None] = {}
        self.loss = next((n for n in LOSSES if n in self.world.names), "L")

    def steps_of(self, name: str) -> dict[int | None, int]:
        """Return the places of a name's nodes by step."""
        if name in self.bound:
            return self.bound[name]
        if name.startswith("#"):  # the n-th node of the graph, for what has no name
            place = int(name[1:]) if name[1:].isdigit() else -1
            return {None: place} if 0 <= place < len(self.world.nodes) else {}
        return self.world.names.get(self.aliases.get(name, name), {})

    def known(self, name: str) -> bool:
        """Whether a name is one of the model's, or bound by the text."""
        if name in self.bound or name in self.world.names or self.aliases.get(name) in self.world.names:
            return True
        return name.startswith("#") and bool(self.steps_of(name))

    def bind(self, name: str, step: int | None, place: int) -> None:
        """From here on `name` at `step` is the node at `place`."""
        self.bound.setdefault(name, {})[step] = place
        self.own.discard(name)
        self._located.clear()

    def define(self, name: str) -> None:
        """From here on `name` is the text's own (the empty name only forgets what was located)."""
        if name:
            self.own.add(name)
        self._located.clear()

    def locate(self, name: Name) -> tuple[str, Step | None] | None:
        """Return the name that the model or the text has, and the step written on it; None if unknown."""
        if name not in self._located:
            self._located[name] = self._locate(name)
        return self._located[name]

    def _locate(self, name: Name) -> tuple[str, Step | None] | None:
        text = name.text
        if self.known(text):
            return text, name.step
        if name.quoted:
            return None
        if name.step is None:
            split = re.fullmatch(r"(.+?)_?(\d{1,9})", text)
            if split and self.known(split[1]):
                return split[1], Step("", int(split[2]))
            split = re.fullmatch(r"(.+?)_?([tT])", text)
            if split and self.known(split[1]):
                return split[1], Step(split[2], 0)
        alike = self._spelled.get(_spelling(text))
        if alike is None and name.step is None:
            split = re.fullmatch(r"(.+?)_?(\d{1,9})", text)
            if split and _spelling(split[1]) in self._spelled:
                alike = self._spelled[_spelling(split[1])]
                self._alias(split[1], alike)
                return split[1], Step("", int(split[2]))
        if alike is not None and text not in self.own:
            self._alias(text, alike)
            return text, name.step
        return None

    def _alias(self, text: str, name: str) -> None:
        self.aliases[text] = name
        self.notes[text] = f"`{text}` is taken for the model's `{name}`"

    def differentiated(self, name: Name) -> tuple[str, Step | None, bool] | None:
        """Return what ``dh`` is the gradient of, its step, and whether only the carry is meant."""
        if not name.text.startswith("d") or len(name.text) < 2:
            return None
        if name.quoted and self.known(name.text):
            return None
        inner = Name(name.text[1:], name.step, name.quoted)
        found = self.locate(inner)
        if found:
            return (*found, False)
        carry = re.fullmatch(r"(.+?)_?(next|carry|nxt|future)", inner.text)
        if carry and self.known(carry[1]):
            return carry[1], name.step, True
        return None

    def is_loss(self, name: Name) -> bool:
        """Whether a name is the whole loss."""
        if name.step is not None:
            return False
        if name.text in LOSSES and not (name.text != self.loss and self.known(name.text)):
            return True
        return name.text == self.loss

    def gradient_names(self) -> list[str]:
        """Return the names of the model's gradients."""
        return ["d" + name for name in self.world.names]

    def is_general(self, trees: list[Expression]) -> bool:
        """Whether an equation speaks of a general step: a name of several steps has none written on it."""
        bodies = {
            id(part)
            for tree in trees
            for over in walk(tree)
            if isinstance(over, TimeSum)
            for part in walk(over)
        }
        for tree in trees:
            for part in walk(tree):
                if id(part) in bodies:
                    continue
                if isinstance(part, Derivative):
                    continue
                if isinstance(part, Name) and self._is_general(part):
                    return True
        return False

    def _is_general(self, name: Name) -> bool:
        found = self.locate(name) or self.differentiated(name)
        if found is None:
            step = name.step
            return (step is not None and step.base == "t") or (step is None and name.text in self.own_general)
        base, step = found[0], found[1]
        if step is not None:
            return step.base == "t"
        steps = [t for t in self.steps_of(base) if t is not None and t >= self.world.first]
        return len(steps) > 1 and None not in self.steps_of(base)


def _spelling(name: str) -> str:
    return name.replace("_", "").lower()
