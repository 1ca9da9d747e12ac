"""What a training run is made of, as plain data that a file or a command line can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minigrad import optimizers
from minigrad.errors import nearest
from models.elman import ElmanRNN
from models.errors import ModelError
from models.lstm import LSTM

MODELS: dict[str, type[ElmanRNN] | type[LSTM]] = {"lstm": LSTM, "elman": ElmanRNN}
OPTIMIZERS: dict[str, type[optimizers.Optimizer]] = {
    "adam": optimizers.Adam,
    "adamw": optimizers.AdamW,
    "rmsprop": optimizers.RMSProp,
    "adagrad": optimizers.Adagrad,
    "sgd": optimizers.SGD,
}


@dataclass(frozen=True)
class Settings:
    """What a training run is made of; the defaults suit a text of some 100 kB and a few minutes.

    Attributes
    ----------
    model : {"lstm", "elman"}
    hidden, layers, embed : int
        Sizes of the network.
    steps, batch : int
        Window length and number of parallel streams of one update.
    epochs : int
        Passes over the training part.
    optimizer : {"adam", "adamw", "rmsprop", "adagrad", "sgd"}
    learning_rate : float
        At the start; it falls linearly to a tenth of it over the run if `decay`.
    clip : float
        Largest norm of all gradients together, those of the mean loss per character; 0 for no clipping.
    validation : float
        Share of the text, at its end, that is not trained on.
    seed : int
    dtype : {"float32", "float64"}
    compiled : bool
        Whether the step is compiled; otherwise it is recorded anew each time.
    """

    model: str = "lstm"
    hidden: int = 128
    layers: int = 1
    embed: int = 32
    steps: int = 64
    batch: int = 32
    epochs: int = 20
    optimizer: str = "adam"
    learning_rate: float = 0.008
    decay: bool = True
    clip: float = 1.0
    validation: float = 0.1
    seed: int = 0
    dtype: str = "float32"
    compiled: bool = True

    def __post_init__(self) -> None:
        for name, words in (
            ("model", tuple(MODELS)),
            ("optimizer", tuple(OPTIMIZERS)),
            ("dtype", ("float32", "float64")),
        ):
            if getattr(self, name) not in words:
                raise ModelError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(words)}")
        for name in ("hidden", "layers", "embed", "steps", "batch", "epochs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ModelError(f"{name} is {value!r}; expected a whole number of at least 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ModelError(f"learning_rate is {self.learning_rate}; expected a positive number")
        if not self.clip >= 0:
            raise ModelError(f"clip is {self.clip}; expected a norm, or 0 for no clipping")
        if not 0 < self.validation < 1:
            raise ModelError(f"validation is {self.validation}; expected a share between 0 and 1")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Make settings from plain data, as a TOML file holds it.

        Raises
        ------
        ModelError
            If a name is unknown or a value is not of its kind.
        """
        known = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ModelError(f"there is no setting {name!r}; {nearest(name, known)}")
            kinds = (int, float) if known[name] is float else (known[name],)
            if not isinstance(value, kinds) or (isinstance(value, bool) and known[name] is not bool):
                raise ModelError(f"{name} is {value!r}; expected a value such as {getattr(cls, name)!r}")
        return cls(**values)
