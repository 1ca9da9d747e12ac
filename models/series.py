"""A series of numbers and its forecast: a column read, scaled by what is known, and forecast value by value.

Note 002's forecaster reads windows of the last values and answers with the next one (many-to-one). Scaling
learns from the training part alone, so that nothing of the future leaks into it. Two naive forecasts say
how good an error is: the last value again, and the value one season ago.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import nearest
from models.errors import DataError
from models.recurrent import Recurrent
from models.text import read_text

Array = NDArray[Any]


def read_column(path: str | Path, column: str | None = None, encoding: str = "utf-8") -> tuple[str, Array]:
    """Read one column of numbers from a CSV file with a header row.

    Parameters
    ----------
    path : path
        The file; separated by commas, semicolons or tabs.
    column : str, optional
        Its name in the header; by default the last column.

    Returns
    -------
    name : str
    values : ndarray of float64, shape (N,)

    Raises
    ------
    DataError
        If the file is empty or no text, there is no such column, or a value is missing or no finite number;
        the message names row and column.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> name, values = read_column("examples/data/sunspots.csv", "SUNACTIVITY")
    >>> len(values), float(values[-1])
    (309, 2.9)
    """
    lines = read_text(path, encoding).split("\n")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file: {error}") from error
    header = [name.strip() for name in rows[0]]
    if all(_is_number(name) for name in header):
        raise DataError(
            f"{path}, row 1: {rows[0]} are numbers; expected a header row with the names of the columns"
        )
    name = header[-1] if column is None else column
    if name not in header:
        raise DataError(f"{path} has no column {name!r}; {nearest(name, header)}")
    place = header.index(name)
    values = []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue  # an empty line
        where = f"{path}, row {number}, column {name!r}"
        text_of = row[place].strip() if place < len(row) else ""
        if not text_of or text_of.lower() in ("na", "nan", "null", "none", "-", "?"):
            raise DataError(f"{where}: the value is missing ({text_of!r}); fill it or leave out the row")
        if not _is_number(text_of):
            raise DataError(f"{where}: {text_of!r} is not a number")
        value = float(text_of)
        if not math.isfinite(value):
            raise DataError(f"{where}: {text_of} is not finite")
        values.append(value)
    if not values:
        raise DataError(f"{path} has a header and no rows")
    return name, np.array(values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number, nobody else does


@dataclass(frozen=True)
class Scaling:
    """Brings a series to mean 0 and standard deviation 1, by those of its training part."""

    mean: float
    deviation: float

    @classmethod
    def learned_from(cls, values: Array) -> Scaling:
        """Take mean and deviation from these values.

        Raises
        ------
        DataError
            If all values are the same: there is nothing to learn.
        """
        deviation = float(np.std(values))
        if deviation == 0:
            raise DataError(
                f"all {len(values)} values of the training part are {values[0]}: nothing can be learned"
            )
        return cls(float(np.mean(values)), deviation)

    def apply(self, values: Array) -> Array:
        """Return the scaled values."""
        return (values - self.mean) / self.deviation

    def undo(self, values: Array) -> Array:
        """Return the values in their own units."""
        return values * self.deviation + self.mean


def season(values: Array, longest: int | None = None) -> int:
    """Return the period: the lag of the highest autocorrelation after its first descent below zero.

    1 if there is no such lag: the seasonal forecast is then the last value again.

    >>> season(np.sin(np.arange(200) * 2 * np.pi / 11))
    11
    """
    centred = values - values.mean()
    longest = len(values) // 2 if longest is None else longest
    if longest < 2 or not centred.any():
        return 1
    # Each lag over its own number of terms: otherwise longer lags come out too small.
    n = len(values)
    correlation = np.array([(centred[: n - k] * centred[k:]).mean() for k in range(longest + 1)])
    below = np.flatnonzero(correlation < 0)
    if not below.size or below[0] + 1 > longest:
        return 1
    lag = int(below[0] + np.argmax(correlation[below[0] :]))
    return lag if correlation[lag] > 0 else 1


def predict(net: Recurrent, inputs: Array) -> Array:
    """Return the answer of a many-to-one network to each window: inputs `(T, F, B)` to `(outputs, B)`."""
    state = None
    for row in inputs:
        answer, state = net.step(row, state)
    return answer


def extend(net: Recurrent, last: Array, horizon: int) -> Array:
    """Return a forecast of `horizon` values, each fed back as if it had been seen.

    Parameters
    ----------
    net : Recurrent
        A many-to-one network of one feature and one output.
    last : ndarray, shape (length,)
        The scaled values before the forecast.
    horizon : int
        How many values.

    Returns
    -------
    ndarray, shape (horizon,)
    """
    window = list(last)
    forecast = []
    for _ in range(horizon):
        answer = predict(net, np.array(window).reshape(-1, 1, 1))
        forecast.append(float(answer[0, 0]))
        window = [*window[1:], forecast[-1]]
    return np.array(forecast)


def root_mean_square(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))
