"""What a run over a sequence leaves behind: its recorded nodes by name and time step."""

from __future__ import annotations

from dataclasses import dataclass, field

import minigrad as mg
from models.errors import ModelError


@dataclass
class Unrolled:
    """The recorded nodes of one run over a sequence, by name and time step.

    Attributes
    ----------
    outputs : dict of int to Node
        What the network answers: probabilities `p` for softmax, `y` otherwise, `(outputs, batch)`, at every
        step that has a read-out.
    states : dict of str to dict of int to Node
        Each state of each layer by step, the initial one at step 0: ``run.states["h"][3]``, `(hidden,
        batch)`.
    losses : dict of int to Node
        The loss of each step, summed over the batch; empty if no targets were given.
    """

    outputs: dict[int, mg.Node] = field(default_factory=dict)
    states: dict[str, dict[int, mg.Node]] = field(default_factory=dict)
    losses: dict[int, mg.Node] = field(default_factory=dict)
    _total: mg.Node | None = None

    @property
    def loss(self) -> mg.Node:
        """The sum of the losses of all steps (the one loss itself if there is only one).

        Raises
        ------
        ModelError
            If the network was run without targets.
        """
        if self._total is None:
            if not self.losses:
                raise ModelError("this run has no loss: call the network with targets, net(inputs, targets)")
            losses = list(self.losses.values())
            self._total = losses[0] if len(losses) == 1 else mg.accumulate(*losses).named("L")
        return self._total

    @property
    def final(self) -> dict[str, mg.Node]:
        """The state after the last step, as the `state` of a run that goes on from here."""
        return {name: by_step[max(by_step)] for name, by_step in self.states.items()}


def layer_suffix(layer: int) -> str:
    """Return what the names of a layer end in: nothing for layer 1, `_ii` for 2, `_iii` for 3, `_iv` for 4.

    >>> [layer_suffix(k) for k in (1, 2, 4, 9)]
    ['', '_ii', '_iv', '_ix']
    """
    if layer == 1:
        return ""
    roman = ""
    for value, letters in ((50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")):
        roman += letters * (layer // value)
        layer %= value
    return "_" + roman
