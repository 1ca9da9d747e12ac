"""Every error that minigrad raises on purpose: one base class, and each is the matching builtin as well.

A message names the thing, what was expected, what was found, and how to mend it.  Code that knows
nothing of minigrad may catch the builtin (``ValueError``, ``TypeError``, ...); the command line catches
`MinigradError` and prints its message alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MinigradError(Exception):
    """Base of all errors that minigrad raises on purpose."""


class ShapeError(MinigradError, ValueError):
    """Shapes that do not fit an operation."""


class AxisError(MinigradError, IndexError, ValueError):
    """An axis or an index outside of an array."""


class NotScalarError(MinigradError, ValueError):
    """A gradient was asked of a node that is not a scalar, and no output gradient was given."""


class NotConnectedError(MinigradError, ValueError):
    """A gradient was asked for a node from which no gradient path leads to the output."""


class IntegerGradientError(MinigradError, TypeError):
    """A gradient was asked for values that are not floating point numbers."""


class NameNotFoundError(MinigradError, KeyError):
    """A graph holds no node of the name and step that were asked for."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


class TooManyPathsError(MinigradError, ValueError):
    """More paths lead from one node to another than may be listed."""


class NotRollableError(MinigradError, ValueError):
    """The steps of a graph do not correspond to one another."""


class UnsupportedError(MinigradError, TypeError):
    """An operation that nodes do not take part in."""


class TracingError(MinigradError, TypeError):
    """A function under tracing asked for a value, on which a compiled program may not depend."""


class GradcheckError(MinigradError, AssertionError):
    """A recorded gradient and a numerical one differ."""


class AnomalyError(MinigradError, ArithmeticError):
    """A NaN or an infinity appeared under `minigrad.detect_anomaly`."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return a sentence that offers the known names nearest to `name`, or lists a few of them.

    >>> nearest("Whx", ["Whh", "Wxh", "bh"])
    'did you mean Wxh or Whh?'
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not names:
        return "nothing here has a name; give one with node.named(...)"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"there are {', '.join(names[:12])}{more}"
