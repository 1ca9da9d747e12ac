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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad import optimizers
from models import LSTM, ElmanRNN
from models.checkpoint import Checkpoint
from models.errors import CheckpointError, DataError, ModelError, TrainingError
from models.recurrent import Recurrent
from models.text import Vocabulary
from models.windows import streams

Array = NDArray[Any]
Arrays = dict[str, Array]
Step = Callable[[Array, Array, Mapping[str, Array]], tuple[float, Arrays, Arrays]]

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
        from minigrad.errors import nearest

        known = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ModelError(f"there is no setting {name!r}; {nearest(name, known)}")
            kinds = (int, float) if known[name] is float else (known[name],)
            if not isinstance(value, kinds) or (isinstance(value, bool) and known[name] is not bool):
                raise ModelError(f"{name} is {value!r}; expected a value such as {getattr(cls, name)!r}")
        return cls(**values)


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


def eager_step(net: Recurrent) -> Step:
    """Return the training step that records the graph anew each time: loss, gradients, final state."""
    names, nodes = list(net.parameters), list(net.parameters.values())

    def step(inputs: Array, targets: Array, state: Mapping[str, Array]) -> tuple[float, Arrays, Arrays]:
        run = net(inputs, targets, state)
        gradients = mg.grad(run.loss, nodes)
        final = {name: node.value for name, node in run.final.items()}
        return float(run.loss.value), dict(zip(names, gradients, strict=True)), final

    return step


def make_step(net: Recurrent, compiled: bool) -> Step:
    """Return the training step of a network, compiled or recorded anew each time."""
    return compiled_step(net) if compiled else eager_step(net)


def compiled_step(net: Recurrent) -> Step:
    """Return the training step as a program: recorded at its first call, then run as it was.

    What it returns is overwritten by its next run.
    """
    nodes, count = list(net.parameters.values()), len(net.parameters)

    def whole(inputs: mg.Node, targets: mg.Node, states: list[mg.Node]) -> list[mg.Node]:
        run = net(inputs, targets, dict(zip(net.state_shapes(1), states, strict=True)))
        # The final state is wanted too, to carry on with, so the gradients are recorded here.
        return [run.loss, *mg.grad(run.loss, nodes, create_graph=True), *run.final.values()]

    program = mg.compile(whole)

    def step(inputs: Array, targets: Array, state: Mapping[str, Array]) -> tuple[float, Arrays, Arrays]:
        loss, *rest = program(inputs, targets, [state[name] for name in net.state_shapes(1)])
        gradients = dict(zip(net.parameters, rest[:count], strict=True))
        return float(loss), gradients, dict(zip(net.state_shapes(1), rest[count:], strict=True))

    return step


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
