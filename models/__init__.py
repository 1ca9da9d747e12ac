"""Recurrent networks, built only from what minigrad exports, in the letters of the hand derivations.

>>> from models import LSTM
>>> LSTM(inputs=5, hidden=4, embedding=3, seed=0)
LSTM(inputs=5, hidden=4, outputs=5, embedding=3, many-to-many, float64): 168 weights
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.elman import ElmanRNN
from models.errors import ModelError
from models.lstm import LSTM
from models.recurrent import Recurrent
from models.unrolled import Unrolled
from models.windows import create_sequences, forecasting_pairs, streams, time_major

__all__ = [
    "LSTM",
    "ElmanRNN",
    "Recurrent",
    "Unrolled",
    "build",
    "create_sequences",
    "forecasting_pairs",
    "streams",
    "time_major",
]


def build(description: Mapping[str, Any]) -> ElmanRNN | LSTM:
    """Build a network from its description, with fresh weights.

    Parameters
    ----------
    description : mapping
        As ``net.description`` gives it.

    Raises
    ------
    ModelError
        If the description names no kind of network here, or does not fit it.

    Examples
    --------
    >>> net = LSTM(inputs=5, hidden=4, seed=0)
    >>> build(net.description).description == net.description
    True
    """
    kinds: dict[Any, type[ElmanRNN] | type[LSTM]] = {"ElmanRNN": ElmanRNN, "LSTM": LSTM}
    kind = description.get("kind")
    if kind not in kinds:
        raise ModelError(f"the description is of a {kind!r} network; known are {' and '.join(kinds)}")
    try:
        return kinds[kind].from_description(description)
    except TypeError as error:
        raise ModelError(f"the description does not fit {kind}: {error}") from error
