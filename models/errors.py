"""The errors of data, checkpoints and weights; each is a `MinigradError` and the matching builtin."""

from __future__ import annotations

from minigrad.errors import MinigradError


class DataError(MinigradError, ValueError):
    """A text or a series that cannot be used as it is."""


class CheckpointError(MinigradError, ValueError):
    """A file that is no checkpoint, is damaged, or does not fit."""


class WeightsError(MinigradError, ValueError):
    """Weights from elsewhere that do not fit together or that no model here has."""


class ModelError(MinigradError, ValueError):
    """A model described in a way that cannot be built."""


class TrainingError(MinigradError, ArithmeticError):
    """A training run whose numbers are no longer finite."""
