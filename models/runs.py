"""A training run and its directory: what is written, when, and so that a kill at any moment loses nothing.

    checkpoint.safetensors    the last state, from which the run goes on
    best.safetensors          the state of the lowest loss on the held-out text
    log.jsonl                 one line an update, and one an epoch with the held-out loss
    loss.svg                  the curve of both

Files are written in an order that makes any prefix of it harmless: what a resumed run repeats, it writes
again, the same.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minigrad.files import write_whole
from models.checkpoint import load, save
from models.errors import CheckpointError
from models.settings import Settings
from models.text import BackOff, entropy
from models.training import Trainer, Update

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
LOG = "log.jsonl"
CURVE = "loss.svg"


class Run:
    """A trainer and the directory that it writes to; made by `begin` or `resume`."""

    def __init__(self, directory: Path, trainer: Trainer) -> None:
        self.directory = directory
        self.trainer = trainer

    @classmethod
    def begin(cls, directory: str | Path, text: str, settings: Settings) -> Run:
        """Start a run in a new or empty directory.

        Raises
        ------
        CheckpointError
            If the directory holds a run already, or a file that the run would write.
        DataError
            If the text is too short.
        OSError
            If the directory cannot be made or written.
        """
        directory = Path(directory)
        if (directory / CHECKPOINT).exists():
            raise CheckpointError(
                f"{directory} holds a training run already: go on with it (--resume), or choose another --out"
            )
        for name in (BEST, LOG, CURVE):
            if (directory / name).exists():
                raise CheckpointError(
                    f"{directory / name} exists and is of no run that could be gone on with; "
                    "choose another --out, or move it away"
                )
        trainer = Trainer(text, settings)
        _prepare(directory)
        # From here on there is a run to go on with, whatever happens.
        save(directory / CHECKPOINT, trainer.checkpoint())
        return cls(directory, trainer)

    @classmethod
    def resume(cls, directory: str | Path, text: str, epochs: int | None = None) -> Run:
        """Go on with the run of a directory, exactly as if it had never stopped.

        Raises
        ------
        CheckpointError
            If there is none, or not on this text.
        """
        directory = Path(directory)
        path = directory / CHECKPOINT
        if not path.exists():
            raise CheckpointError(
                f"{directory} holds no training run to go on with ({CHECKPOINT} is not there)"
            )
        trainer = Trainer.resumed(load(path), text, epochs)
        _prepare(directory)
        run = cls(directory, trainer)
        run._cut_log()
        return run

    @property
    def best(self) -> float | None:
        """The lowest loss on the held-out text so far, in bits per character."""
        return min((entry["validation"] for entry in self.trainer.history), default=None)

    def updates(self, stop: Callable[[], bool] = lambda: False, save_every: int = 100) -> Iterator[Update]:
        """Train to the end, or until `stop` answers yes after an update; saves at every epoch and at the end.

        Parameters
        ----------
        stop : callable
            Asked after each update.
        save_every : int
            Updates between checkpoints within an epoch.
        """
        began = time.monotonic()
        unsaved = 0
        lines: list[str] = []
        for update in self.trainer.updates():
            unsaved += 1
            lines.append(_line(update, time.monotonic() - began))
            if update.validation is not None or unsaved >= save_every or stop():
                self._append(lines)
                if update.validation is not None and update.validation == self.best:
                    save(self.directory / BEST, self.trainer.checkpoint())
                save(self.directory / CHECKPOINT, self.trainer.checkpoint())
                unsaved, lines = 0, []
            yield update
            if unsaved == 0 and stop():
                return

    def _append(self, lines: list[str]) -> None:
        with open(self.directory / LOG, "a", encoding="utf-8") as log:
            log.write("".join(lines))

    def _cut_log(self) -> None:
        """Drop what was logged after the checkpoint: it comes again."""
        kept = [line for line in read_log(self.directory) if line["update"] <= self.trainer.number]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_whole(self.directory / LOG, text.encode())

    def draw_curve(self) -> Path:
        """Draw the loss over the updates, on both parts of the text, beside what there is to beat."""
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        log = read_log(self.directory)
        figure = Figure(figsize=(7, 4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        numbers = [line["update"] for line in log]
        axes.plot(
            numbers, [line["bits"] for line in log], color="#9ecae1", linewidth=0.8, label="each window"
        )
        epochs = self.trainer.history
        axes.plot(
            [e["number"] for e in epochs],
            [e["bits"] for e in epochs],
            color="#08519c",
            label="mean of an epoch",
        )
        axes.plot(
            [e["number"] for e in epochs],
            [e["validation"] for e in epochs],
            color="#d94801",
            marker="o",
            markersize=3,
            label="held-out text",
        )
        trainer = self.trainer
        counts = BackOff(trainer.train_tokens, len(trainer.vocabulary))
        for bits, label in (
            (entropy(trainer.validation_tokens), "entropy of the characters"),
            (counts.bits_per_token(trainer.validation_tokens), "3-gram counts with back-off"),
        ):
            axes.axhline(bits, color="#969696", linestyle="--", linewidth=0.8)
            axes.annotate(
                label,
                (1, bits),
                xycoords=("axes fraction", "data"),
                xytext=(-4, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color="#636363",
            )
        axes.set_xlabel("updates")
        axes.set_ylabel("bits per character")
        axes.grid(alpha=0.3)
        axes.legend()
        path = self.directory / CURVE
        figure.savefig(path, format="svg")
        return path


def _line(update: Update, seconds: float) -> str:
    line: dict[str, Any] = {
        "update": update.number,
        "epoch": update.epoch,
        "bits": round(update.bits, 6),
        "norm": round(update.norm, 6),
        "seconds": round(seconds, 3),
    }
    if update.validation is not None:
        line["validation"] = update.validation
    return json.dumps(line) + "\n"


def read_log(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; a last line that a kill has torn is left out."""
    path = directory / LOG
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in (CHECKPOINT, BEST, LOG):  # what a kill in the middle of writing has left
        for leftover in directory.glob(f".{name}.*.tmp"):
            leftover.unlink(missing_ok=True)
    handle, probe = tempfile.mkstemp(dir=directory)
    os.close(handle)
    os.unlink(probe)


def find(path: str | Path) -> Path:
    """Return the checkpoint file that a path means: itself, or the best or last one of a run's directory.

    Raises
    ------
    CheckpointError
        If a directory holds neither.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for name in (BEST, CHECKPOINT):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{path} holds no training run: neither {BEST} nor {CHECKPOINT} is there")
