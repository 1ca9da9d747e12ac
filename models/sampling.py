"""What a trained character model is good for: its loss on a text, and text that it says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.recurrent import Recurrent
from models.text import Vocabulary
from models.windows import streams

Array = NDArray[Any]


def bits_per_character(net: Recurrent, tokens: Array, columns: int = 16) -> float:
    """Return the mean of -log2 of the probability that the network gives each next token.

    The tokens are read in `columns` streams from a zero state, so a little context is lost at the start of
    each.
    """
    columns = max(1, min(columns, (len(tokens) - 1) // 64))
    ((inputs, targets),) = streams(tokens, (len(tokens) - 1) // columns, columns)
    smallest = np.finfo(net.dtype).tiny
    state: Mapping[str, Array] | None = None
    total = 0.0
    for row, target in zip(inputs, targets, strict=True):
        p, state = net.step(row, state)
        total -= float(np.log2(np.maximum(p[target, np.arange(columns)], smallest)).sum())
    return total / inputs.size


def sample(
    net: Recurrent,
    vocabulary: Vocabulary,
    length: int,
    prompt: str = "",
    temperature: float = 1.0,
    seed: int | None = None,
) -> str:
    """Return `length` characters that the network says, each fed back as the next input.

    Parameters
    ----------
    prompt : str
        What it reads first; not part of the result. A newline if empty and known.
    temperature : float
        Below 1 the likely becomes likelier; 0 takes the likeliest always.

    Raises
    ------
    DataError
        If the prompt holds a character that the network does not know, or the temperature is negative.
    """
    if not temperature >= 0:
        raise DataError(f"temperature is {temperature}; expected 0 or more")
    start = prompt or ("\n" if "\n" in vocabulary.characters else vocabulary.characters[0])
    random = np.random.default_rng(seed)
    state: Mapping[str, Array] | None = None
    p = np.empty(0)
    for token in vocabulary.encode(start):
        p, state = net.step(np.array([token]), state)
    tokens = []
    for _ in range(length):
        weights = p[:, 0].astype(np.float64)
        if temperature == 0:
            token = int(weights.argmax())
        else:
            with np.errstate(divide="ignore"):  # a probability of zero stays one
                logits = np.log(weights) / temperature
            weights = np.exp(logits - logits.max())
            token = int(random.choice(len(weights), p=weights / weights.sum()))
        tokens.append(token)
        p, state = net.step(np.array([token]), state)
    return vocabulary.decode(tokens)
