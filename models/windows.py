"""Windows over a series, and the time-major batches a recurrent network reads: views, never copies.

Note 002 (lines 1-6 and 150-175) cuts 1..10 into windows of 3 and then "decomposes" them, so that all
windows take their first step together, then their second. Both are one strided view of the series: row t of
the time-major batch is the series from t on. Its author doubted whether 8327 values and windows of 10 make
8317 outputs. They do: there are 8318 windows, and the last has no next value to be its target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import DataError

Array = NDArray[Any]


def _series(series: ArrayLike, what: str, ndims: tuple[int, ...] = (1, 2)) -> Array:
    array = np.asarray(series)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what}: the series has dtype {array.dtype}; expected real numbers")
    if array.ndim not in ndims:
        wanted = " or ".join({1: "(values,)", 2: "(values, features)"}[n] for n in ndims)
        raise DataError(f"{what}: the series has shape {array.shape}; expected {wanted}")
    if array.dtype.kind == "f" and array.size:
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if bad.size:
            more = f", and at {bad.size - 1} more places" if bad.size > 1 else ""
            raise DataError(
                f"{what}: the series is not finite at index {bad[0]} ({array[bad[0]]}){more}; "
                "fill or leave out what is missing first"
            )
    return array


def _positive(number: int, what: str, name: str) -> int:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise DataError(f"{what}: {name} is {number!r}; expected a whole number of at least 1")
    return int(number)


def create_sequences(series: ArrayLike, length: int) -> Array:
    """Return every window of `length` consecutive values, as a read-only view on the series.

    Parameters
    ----------
    series : array_like, shape (N,) or (N, F)
        The values, finite.
    length : int
        The number of values in a window, from 1 to N.

    Returns
    -------
    ndarray, shape (N - length + 1, length) or (N - length + 1, length, F)
        Row k holds values k .. k + length - 1.

    Raises
    ------
    DataError
        If the series is too short, is not finite or not a series of numbers, or `length` is below 1.

    Notes
    -----
    ``create_sequences`` of note 002, lines 1-3.

    Examples
    --------
    >>> windows = create_sequences(range(1, 11), 3)
    >>> windows.shape, windows[0].tolist(), windows[-1].tolist()
    ((8, 3), [1, 2, 3], [8, 9, 10])
    """
    length = _positive(length, "create_sequences", "length")
    array = _series(series, "create_sequences")
    if len(array) < length:
        raise DataError(f"create_sequences: a window of {length} does not fit in a series of {len(array)}")
    windows = np.lib.stride_tricks.sliding_window_view(array, length, axis=0)
    return windows if array.ndim == 1 else windows.transpose(0, 2, 1)


def time_major(windows: ArrayLike) -> Array:
    """Return windows as the network reads them: `(length, F, windows)`, a view.

    Row t holds step t of every window, one column a window (note 002, lines 4-5).

    Parameters
    ----------
    windows : array_like, shape (windows, length) or (windows, length, F)
        As `create_sequences` makes them.

    Raises
    ------
    DataError
        If `windows` has another number of axes.

    Examples
    --------
    >>> time_major(create_sequences(range(1, 11), 3))[1].tolist()
    [[2, 3, 4, 5, 6, 7, 8, 9]]
    """
    array = np.asarray(windows)
    if array.ndim == 2:
        return array.T[:, np.newaxis, :]
    if array.ndim == 3:
        return array.transpose(1, 2, 0)
    raise DataError(
        f"time_major: windows have shape {array.shape}; expected (windows, length) or (windows, length, F)"
    )


def forecasting_pairs(series: ArrayLike, length: int) -> tuple[Array, Array]:
    """Return windows and, for each, the value that follows it: the inputs and targets of a forecaster.

    Parameters
    ----------
    series : array_like, shape (N,) or (N, F)
        The values, finite; more than `length` of them.
    length : int
        The number of values that the network reads before it answers.

    Returns
    -------
    inputs : ndarray, shape (length, F, N - length)
        Time-major windows, one column a window; a view.
    targets : ndarray, shape (F, N - length)
        The next value of each; a view.

    Raises
    ------
    DataError
        As `create_sequences`, and if no value is left to be a target.

    Examples
    --------
    Note 002, lines 159-163: ten values in, the eleventh out, over 1..14.

    >>> inputs, targets = forecasting_pairs(range(1, 15), 10)
    >>> inputs.shape, targets.tolist()
    ((10, 1, 4), [[11, 12, 13, 14]])
    """
    array = _series(series, "forecasting_pairs")
    length = _positive(length, "forecasting_pairs", "length")
    if len(array) <= length:
        raise DataError(
            f"forecasting_pairs: a window of {length} and the value after it do not fit in a series of "
            f"{len(array)}; at least {length + 1} values are needed"
        )
    targets = array[length:]
    return time_major(create_sequences(array[:-1], length)), np.atleast_2d(targets.T)


def streams(tokens: ArrayLike, steps: int, columns: int) -> Iterator[tuple[Array, Array]]:
    """Cut one long sequence into `columns` streams and yield them in windows of `steps`, for truncated BPTT.

    Column b of one window goes on where column b of the window before ended, so that the state can be
    carried over. The target of each token is the next one. At most ``columns * steps`` tokens at the end
    are left out.

    Parameters
    ----------
    tokens : array_like of int, shape (N,)
        Class indices.
    steps, columns : int
        Window length T and number of streams B.

    Yields
    ------
    inputs, targets : ndarray of int, shape (T, B)
        Views on `tokens`.

    Raises
    ------
    DataError
        If not even one window fits: ``columns * steps + 1`` tokens are needed.

    Examples
    --------
    >>> [(x.tolist(), y.tolist()) for x, y in streams(range(9), steps=2, columns=2)]
    [([[0, 4], [1, 5]], [[1, 5], [2, 6]]), ([[2, 6], [3, 7]], [[3, 7], [4, 8]])]
    """
    steps = _positive(steps, "streams", "steps")
    columns = _positive(columns, "streams", "columns")
    array = _series(tokens, "streams", (1,))
    count = (len(array) - 1) // (columns * steps)
    if count < 1:
        raise DataError(
            f"streams: {columns} streams of windows of {steps} need at least {columns * steps + 1} tokens, "
            f"there are {len(array)}; use fewer streams or shorter windows"
        )
    each = count * steps
    inputs = array[: columns * each].reshape(columns, each).T
    targets = array[1 : columns * each + 1].reshape(columns, each).T
    return ((inputs[k : k + steps], targets[k : k + steps]) for k in range(0, each, steps))
