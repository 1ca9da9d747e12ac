"""Training a character model by truncated backpropagation through time, so that stopping leaves no trace.

The text is cut into parallel streams; each update reads one window of every stream, and the state that a
window ends with is where the next begins. Everything that the next update depends on is in the trainer's
checkpoint: weights, optimizer, carried state, place in the text, random state. So a run that is interrupted
and resumed makes the very same weights.

The loop here prints nothing and draws nothing: it yields what happened, and whoever watches decides what to
show. Method: Werbos 1990; truncated, with carried state, as in Elman 1990 and Williams & Peng 1990.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import optimizers
from models.checkpoint import Checkpoint
from models.errors import CheckpointError, DataError, TrainingError
from models.recurrent import Recurrent
from models.sampling import bits_per_character
from models.settings import MODELS, OPTIMIZERS, Settings
from models.steps import Array, Arrays, Step, make_step
from models.text import Vocabulary
from models.windows import streams


@dataclass(frozen=True)
class Update:
    """What one update did.

    Attributes
    ----------
    number : int
        Updates so far, from 1.
    epoch, window, windows : int
        Pass over the text from 1, window in it from 1, and how many windows it has.
    bits : float
        Loss of this window, in bits per character.
    norm : float
        Norm of all gradients before clipping.
    validation : float or None
        Bits per character on the part not trained on; after the last window of an epoch.
    """

    number: int
    epoch: int
    window: int
    windows: int
    bits: float
    norm: float
    validation: float | None = None


class Trainer:
    """A network, the text it learns from, and how far it has come.

    Parameters
    ----------
    text : str
        Its last `settings.validation` share is held out.
    settings : Settings
    vocabulary : Vocabulary, optional
        That of the text if not given.

    Attributes
    ----------
    net : Recurrent
    vocabulary : Vocabulary
    epoch, window, number : int
        Whole epochs, windows of the current one, and updates done.
    history : list of dict
        One entry an epoch: `epoch`, `number`, `bits` (mean over the epoch's windows), `validation`.

    Raises
    ------
    DataError
        If the text is too short for one window of every stream.
    """

    def __init__(self, text: str, settings: Settings, vocabulary: Vocabulary | None = None) -> None:
        self.settings = settings
        self.vocabulary = Vocabulary(text) if vocabulary is None else vocabulary
        self.fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        tokens = self.vocabulary.encode(text)
        cut = len(tokens) - max(2, round(len(tokens) * settings.validation))
        self.train_tokens, self.validation_tokens = tokens[: max(cut, 0)], tokens[max(cut, 0) :]
        # An epoch starts anywhere in the first window, so that its windows are cut elsewhere than the last.
        needed = settings.batch * settings.steps + settings.steps
        if len(self.train_tokens) < needed + 1:
            raise DataError(
                f"the text has {len(tokens)} characters, {len(self.train_tokens)} of them to train on; "
                f"{settings.batch} streams of windows of {settings.steps} need at least {needed + 1}: "
                "use a longer text, a smaller --batch or --steps"
            )
        self.net: Recurrent = MODELS[settings.model](
            inputs=len(self.vocabulary),
            hidden=settings.hidden,
            embedding=settings.embed,
            layers=settings.layers,
            seed=settings.seed,
            dtype=settings.dtype,
        )
        self.optimizer = OPTIMIZERS[settings.optimizer](
            self.net.parameters, learning_rate=settings.learning_rate
        )
        self.random = np.random.default_rng(settings.seed)
        self.epoch = self.window = self.number = self.offset = 0
        self.carry: Arrays = self._zero_state()
        self.history: list[dict[str, Any]] = []
        self._epoch_bits: list[float] = []
        self._step: Step | None = None

    @property
    def windows(self) -> int:
        """Windows of one epoch, the same in all of them."""
        settings = self.settings
        return (len(self.train_tokens) - settings.steps - 1) // (settings.batch * settings.steps)

    def _zero_state(self) -> Arrays:
        shapes = self.net.state_shapes(self.settings.batch)
        return {name: np.zeros(shape, self.net.dtype) for name, shape in shapes.items()}

    def updates(self) -> Iterator[Update]:
        """Train on from where the trainer is to the end of the last epoch, yielding after each update.

        At every yield the trainer may be left for good, or `checkpoint` taken.

        Raises
        ------
        TrainingError
            If the loss or a gradient is not finite any more; the weights are those before that update.
        """
        settings = self.settings
        if self._step is None:
            self._step = make_step(self.net, settings.compiled)
        scale = 1 / (settings.steps * settings.batch)
        while self.epoch < settings.epochs:
            if self.window == 0:
                self.offset = int(self.random.integers(settings.steps + 1))
                self.carry = self._zero_state()
            tokens = self.train_tokens[self.offset :]
            windows = list(streams(tokens, settings.steps, settings.batch))[: self.windows]
            for inputs, targets in windows[self.window :]:
                loss, gradients, carry = self._step(inputs, targets, self.carry)
                mean = {name: g * g.dtype.type(scale) for name, g in gradients.items()}
                norm = optimizers.clip_by_norm(mean, settings.clip or math.inf)
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    raise TrainingError(
                        f"update {self.number + 1}: the loss is {loss * scale:g}, the norm of the gradients "
                        f"{norm:g}; a smaller --learning-rate (now {settings.learning_rate:g}) helps"
                    )
                if settings.decay:
                    done = self.number / (settings.epochs * self.windows)
                    self.optimizer.learning_rate = settings.learning_rate * (1 - 0.9 * min(done, 1.0))
                self.optimizer.step(mean)
                self.carry = {name: np.array(array) for name, array in carry.items()}
                self.window += 1
                self.number += 1
                bits = loss * scale / math.log(2)
                self._epoch_bits.append(bits)
                place = (self.number, self.epoch + 1, self.window, self.windows)
                validation = None
                if self.window == self.windows:
                    validation = self.validation_bits()
                    self.epoch, self.window = self.epoch + 1, 0
                    self.history.append(
                        {
                            "epoch": self.epoch,
                            "number": self.number,
                            "bits": float(np.mean(self._epoch_bits)),
                            "validation": validation,
                        }
                    )
                    self._epoch_bits = []
                yield Update(*place, bits, norm, validation)

    def validation_bits(self) -> float:
        """Return the loss on the part not trained on, in bits per character."""
        return bits_per_character(self.net, self.validation_tokens)

    # -- stopping and going on -----------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Return all that the next update depends on."""
        arrays = {f"optimizer.{name}": array for name, array in self.optimizer.state().items()}
        arrays |= {f"carry.{name}": array for name, array in self.carry.items()}
        about = {
            "vocabulary": self.vocabulary.characters,
            "settings": dataclasses.asdict(self.settings),
            "text": self.fingerprint,
            "epoch": self.epoch,
            "window": self.window,
            "number": self.number,
            "offset": self.offset,
            "random": self.random.bit_generator.state,
            "history": self.history,
            "epoch_bits": self._epoch_bits,
        }
        return Checkpoint(self.net, arrays, about)

    @classmethod
    def resumed(cls, checkpoint: Checkpoint, text: str, epochs: int | None = None) -> Trainer:
        """Go on from a checkpoint, with the same text.

        Parameters
        ----------
        checkpoint : Checkpoint
        text : str
        epochs : int, optional
            A new number of epochs in all; that of the checkpoint if not given.

        Raises
        ------
        CheckpointError
            If the checkpoint is not of a training run, or of one on another text.
        """
        about = checkpoint.about
        try:
            values = dict(about["settings"])
            if epochs is not None:
                values["epochs"] = epochs
            vocabulary = Vocabulary(about["vocabulary"])
            settings = Settings.from_mapping(values)
            if about["text"] != hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest():
                raise CheckpointError(
                    "the checkpoint is of a run on another text; resume with the text that it began with"
                )
            trainer = cls(text, settings, vocabulary)
            trainer.net.set_parameters(checkpoint.net.values())
            trainer.optimizer.load_state(_under("optimizer.", checkpoint.arrays))
            carry = _under("carry.", checkpoint.arrays)
            if {name: array.shape for name, array in carry.items()} != trainer.net.state_shapes(
                settings.batch
            ):
                raise CheckpointError("the carried state in the checkpoint does not fit the network")
            trainer.carry = carry
            trainer.epoch, trainer.window = about["epoch"], about["window"]
            trainer.number, trainer.offset = about["number"], about["offset"]
            trainer.random.bit_generator.state = about["random"]
            trainer.history, trainer._epoch_bits = list(about["history"]), list(about["epoch_bits"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"the checkpoint is not of a training run: {error} is missing") from error
        return trainer


def _under(prefix: str, arrays: Mapping[str, Array]) -> Arrays:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
