"""Text as class indices: reading it safely, its vocabulary, and what simple models score on it.

The baselines say how good a loss is. The entropy of the character frequencies is what a model without
memory reaches; a 3-gram model with back-off is what counting two characters of context reaches. Both learn
from the training part only and are scored, in bits per character, on the part they have not seen.
"""

from __future__ import annotations

import codecs
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError

Array = NDArray[Any]


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Read a text file; line ends of any kind become newlines.

    Parameters
    ----------
    path : path
        The file.
    encoding : str
        Any that Python knows.

    Raises
    ------
    DataError
        If the encoding is unknown, the file is empty, is not text in this encoding, or holds NUL bytes as
        binary files do.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise DataError(
            f"unknown encoding {encoding!r}; for instance utf-8, latin-1, cp1252, utf-16"
        ) from error
    data = path.read_bytes()
    if not data:
        raise DataError(f"{path} is empty; expected a text")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise DataError(
                f"{path} is a binary file (a NUL byte at {data.index(0)}); expected a text"
            ) from error
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} at {error.start} is not {encoding}; "
            "give the text's own encoding (--encoding latin-1, ...)"
        ) from error
    if "\0" in text:
        raise DataError(
            f"{path} is a binary file or in another encoding than {encoding} "
            f"(a NUL character at {text.index(chr(0))}); expected a text"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


class Vocabulary:
    """The characters of a text, in code point order, and their class indices.

    Examples
    --------
    >>> vocabulary = Vocabulary("abracadabra")
    >>> vocabulary.encode("cab").tolist(), vocabulary.decode([2, 0, 1])
    ([2, 0, 1], 'cab')
    """

    def __init__(self, characters: str | Sequence[str]) -> None:
        self.characters = "".join(sorted(set(characters)))
        self._index = {character: k for k, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Array:
        """Return the class index of each character.

        Raises
        ------
        DataError
            If a character is not in the vocabulary.
        """
        try:
            return np.array([self._index[character] for character in text], dtype=np.int64)
        except KeyError as error:
            raise DataError(
                f"the character {error.args[0]!r} is not among the {len(self)} that the network knows: "
                f"{self.characters!r}"
            ) from error

    def decode(self, indices: Sequence[int] | Array) -> str:
        """Return the text of class indices."""
        return "".join(self.characters[int(k)] for k in indices)


def entropy(tokens: Array) -> float:
    """Return the entropy of the frequencies of `tokens` themselves, in bits per token.

    >>> entropy(np.array([0, 1, 0, 1]))
    1.0
    """
    shares = np.bincount(tokens) / len(tokens)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


class BackOff:
    """A character n-gram model with back-off by the method of Witten & Bell (1991).

    A context that has been seen `N` times with `D` different successors gives `D / (N + D)` of its
    probability to the next shorter context, and the rest to the successors as counted; the shortest backs
    off to all characters alike. So all probabilities are positive and sum to 1.

    Parameters
    ----------
    tokens : ndarray of int
        What to count, class indices.
    classes : int
        Number of classes V.
    order : int
        n; 3 looks at the two characters before.

    Examples
    --------
    >>> model = BackOff(np.array([0, 1, 0, 1, 0]), classes=2)
    >>> round(sum(model.probability((0, 1), k) for k in range(2)), 12)
    1.0
    """

    def __init__(self, tokens: Array, classes: int, order: int = 3) -> None:
        self.classes, self.order = classes, order
        self._counts: dict[tuple[int, ...], Counter[int]] = {}
        sequence = tokens.tolist()
        for k, token in enumerate(sequence):
            for length in range(min(order, k + 1)):
                self._counts.setdefault(tuple(sequence[k - length : k]), Counter())[token] += 1
        self._totals = {context: counts.total() for context, counts in self._counts.items()}

    def probability(self, context: tuple[int, ...], token: int) -> float:
        """Return the probability of `token` after `context`, the last `order - 1` tokens or fewer."""
        result = 1 / self.classes
        for start in range(len(context), -1, -1):
            counts = self._counts.get(context[start:])
            if counts is None:
                break
            different, total = len(counts), self._totals[context[start:]]
            result = (counts[token] + different * result) / (total + different)
        return result

    def bits_per_token(self, tokens: Array) -> float:
        """Return the mean of -log2 of the probability of each token, given those before it."""
        sequence = tokens.tolist()
        before = self.order - 1
        total = sum(
            math.log2(self.probability(tuple(sequence[max(0, k - before) : k]), token))
            for k, token in enumerate(sequence)
        )
        return -total / len(sequence)
