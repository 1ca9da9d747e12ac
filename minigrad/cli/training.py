"""The commands about networks that learn: train, sample, export, inspect."""

from __future__ import annotations

import dataclasses
import math
import shlex
import signal
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from minigrad.cli.show import blas_threads, console, duration, explain, heading, progress_bar, quote
from minigrad.errors import MinigradError


class UsageError(MinigradError, ValueError):
    """Options that do not go together."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (train, sample, export, inspect):
        app.command()(command)


_NETWORK, _LEARNING = "The network", "How it learns"


def _option(help: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=panel, **more)


def train(
    context: typer.Context,
    text: Annotated[Path, typer.Argument(help="The text to learn.", show_default=False)],
    out: Annotated[Path, _option("Where the run is kept.")] = Path("run"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    config: Annotated[Path | None, _option("Settings as TOML; options given here go first.")] = None,
    encoding: Annotated[str, _option("Of the text.")] = "utf-8",
    sample_every: Annotated[int, _option("Epochs between samples; 0: none.", min=0)] = 5,
    save_every: Annotated[int, _option("Updates between checkpoints.", min=1)] = 200,
    threads: Annotated[
        int | None, _option("For products; else 1 below 512 hidden units, all above.", min=1)
    ] = None,
    model: Annotated[str, _option("lstm or elman.", _NETWORK)] = "lstm",
    hidden: Annotated[int, _option("Size of a layer's state.", _NETWORK)] = 128,
    layers: Annotated[int, _option("Layers.", _NETWORK)] = 1,
    embed: Annotated[int, _option("Size of the embedding.", _NETWORK)] = 32,
    dtype: Annotated[str, _option("float32 or float64.", _NETWORK)] = "float32",
    seed: Annotated[int, _option("Of weights and windows.", _NETWORK)] = 0,
    steps: Annotated[int, _option("Steps of a window.", _LEARNING)] = 64,
    batch: Annotated[int, _option("Parallel streams.", _LEARNING)] = 32,
    epochs: Annotated[int, _option("Passes over the text.", _LEARNING)] = 20,
    optimizer: Annotated[str, _option("adam, adamw, rmsprop, adagrad, sgd.", _LEARNING)] = "adam",
    learning_rate: Annotated[float, _option("At the start.", _LEARNING)] = 0.008,
    decay: Annotated[bool, _option("Let it fall to a tenth.", _LEARNING)] = True,
    clip: Annotated[float, _option("Largest norm of the gradients; 0: any.", _LEARNING)] = 1.0,
    validation: Annotated[float, _option("Share of the text held out.", _LEARNING)] = 0.1,
    compiled: Annotated[bool, _option("Compile the step.", _LEARNING)] = True,
) -> None:
    """Train a character model on a text by truncated backpropagation through time.

    Writes checkpoints, the best of them, a log and the loss curve to --out. Ctrl-C ends the step, saves,
    and says how to go on; resumed, the run ends with the very weights that it would have had.
    """
    from models.runs import Run
    from models.settings import Settings
    from models.text import read_text

    # Only what was really given: the rest may come from the file, or from the run that goes on.
    given = {
        field.name: context.params[field.name]
        for field in dataclasses.fields(Settings)
        if _is_given(context, field.name)
    }
    content = read_text(text, encoding)
    if resume:
        fixed = sorted({*given, *(("config",) if config else ())} - {"epochs"})
        if fixed:
            raise UsageError(
                f"--{fixed[0].replace('_', '-')} cannot be changed on the way: a resumed run keeps its "
                "settings, but for --epochs"
            )
        run = Run.resume(out, content, epochs)
    else:
        base = _read_config(config) if config else {}
        run = Run.begin(out, content, Settings.from_mapping(base | given))
    screen = console()
    with blas_threads(threads or (1 if run.trainer.settings.hidden < 512 else None)):
        _introduce(screen, run, text)
        again = ["minigrad", "train", str(text), "--out", str(out), "--resume"]
        again += ["--encoding", encoding] if _is_given(context, "encoding") else []
        _watch(screen, run, again, sample_every, save_every)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML file: {error}") from error


def _introduce(screen: Console, run: Any, text: Path) -> None:
    from models.text import BackOff, entropy

    trainer = run.trainer
    train_tokens, held_out = trainer.train_tokens, trainer.validation_tokens
    classes = len(trainer.vocabulary)
    screen.print(
        f"[bold]{text}[/]: {len(train_tokens):,} characters to learn from, {len(held_out):,} held out, "
        f"{classes} different"
    )
    screen.print(f"{trainer.net!r}", markup=False)
    three = BackOff(train_tokens, classes).bits_per_token(held_out)
    screen.print(
        f"to beat on the held-out text, in bits per character: {entropy(held_out):.3f} by the characters' "
        f"frequencies, {three:.3f} by 3-gram counts with back-off"
    )
    if trainer.number:
        screen.print(f"going on after update {trainer.number:,}, in epoch {trainer.epoch + 1}")


def _watch(screen: Console, run: Any, again: list[str], sample_every: int, save_every: int) -> None:
    """Run the training and show how it goes."""
    from models.sampling import sample as draw_sample

    trainer, settings = run.trainer, run.trainer.settings
    total = settings.epochs * trainer.windows
    each = settings.steps * settings.batch
    smooth: float | None = None
    began, first = time.monotonic(), trainer.number
    with _stop_on_signal() as stopped, progress_bar(screen) as progress:
        task = progress.add_task("compiling", total=total, completed=first)
        for update in run.updates(stop=stopped.__bool__, save_every=save_every):
            smooth = update.bits if smooth is None else smooth + 0.05 * (update.bits - smooth)
            speed = (update.number - first) * each / (time.monotonic() - began)
            best = "" if run.best is None else f", held out {run.best:.3f}"
            shown = f"{smooth:.3f} bits{best}, {speed / 1000:,.0f}k char/s"
            progress.update(task, completed=update.number, description=shown)
            if update.validation is None:
                continue
            entry = trainer.history[-1]
            star = " [green]best[/]" if update.validation == run.best else ""
            progress.console.print(
                f"epoch {update.epoch:>3}/{settings.epochs}  {entry['bits']:.3f} bits/character, "
                f"held out [bold]{update.validation:.3f}[/]{star}"
            )
            if sample_every and update.epoch % sample_every == 0:
                words = draw_sample(trainer.net, trainer.vocabulary, 160, temperature=0.7, seed=settings.seed)
                quote(progress.console, words)
    curve = run.draw_curve()
    if trainer.epoch < settings.epochs:
        screen.print(
            f"\n[yellow]stopped[/] after update {trainer.number:,} of {total:,}; all is saved. Go on with"
        )
        screen.print(f"    {shlex.join(again)}", markup=False, soft_wrap=True)
        raise typer.Exit(130)
    spent = duration(time.monotonic() - began)
    screen.print(f"\n[green]done[/] in {spent}: best held-out loss {run.best:.3f} bits per character")
    screen.print(
        f"{run.directory}: best.safetensors, checkpoint.safetensors, log.jsonl, {curve.name}", markup=False
    )


class _Stop:
    """Whether someone has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked

    def ask(self, number: int, frame: Any) -> None:
        if self.asked:  # the second time is meant
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def _stop_on_signal() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sample(
    run: Annotated[Path, typer.Argument(help="A run's directory, or a checkpoint.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="What the network reads first.")] = "",
    length: Annotated[int, typer.Option(help="Characters to say.", min=1)] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1: likelier; 0: likeliest.", min=0)] = 0.7,
    seed: Annotated[int | None, typer.Option(help="For the same sample again.", show_default=False)] = None,
) -> None:
    """Let a trained network go on with a text."""
    from models.checkpoint import load
    from models.runs import find
    from models.sampling import sample as draw_sample

    checkpoint = load(find(run))
    vocabulary = _vocabulary(checkpoint, run)
    words = draw_sample(checkpoint.net, vocabulary, length, prompt, temperature, seed)
    typer.echo(prompt + words)


def _vocabulary(checkpoint: Any, path: Path) -> Any:
    from models.text import Vocabulary

    if "vocabulary" not in checkpoint.about:
        raise UsageError(f"{path} holds a network that does not speak characters")
    return Vocabulary(checkpoint.about["vocabulary"])


def export(
    run: Annotated[Path, typer.Argument(help="A run's directory, or a checkpoint.", show_default=False)],
    format: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The file.", show_default="model.onnx or model.safetensors")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a network for elsewhere: an ONNX model, or a PyTorch state dict as safetensors."""
    from minigrad.files import write_whole
    from models.checkpoint import load
    from models.runs import find

    if format not in ("onnx", "torch"):
        raise UsageError(f"--format is {format!r}; expected onnx or torch")
    path = out or Path("model.onnx" if format == "onnx" else "model.safetensors")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another --out, or say --overwrite")
    checkpoint = load(find(run))
    metadata = {}
    if "vocabulary" in checkpoint.about:
        metadata["vocabulary"] = checkpoint.about["vocabulary"]
    if format == "onnx":
        from models.onnx_export import to_onnx

        data = to_onnx(checkpoint.net, metadata).SerializeToString()
    else:
        from safetensors.numpy import save as to_bytes

        from models.torch_weights import to_torch

        data = to_bytes(to_torch(checkpoint.net), metadata)
    write_whole(path, data)
    typer.echo(f"{path}: {checkpoint.net!r}, {len(data):,} bytes")


def inspect(
    file: Annotated[
        Path, typer.Argument(help="A run, a checkpoint, or PyTorch weights.", show_default=False)
    ],
    draw: Annotated[
        Path | None, typer.Option(help="Write the drawing of three steps there.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file if it exists.")] = False,
    topology: Annotated[str, typer.Option(help="Of PyTorch weights, which do not say it.")] = "many-to-many",
    nonlinearity: Annotated[str, typer.Option(help="Of nn.RNN weights, likewise: tanh or relu.")] = "tanh",
) -> None:
    """Show the network in a file: its drawing, parameters, sizes and norms."""
    import numpy as np

    from models.checkpoint import FORMAT, load, read_tensors
    from models.runs import find
    from models.torch_weights import from_torch

    path = find(file)
    arrays, metadata = read_tensors(path)
    about: dict[str, Any] = {}
    if metadata.get("format") == FORMAT:
        checkpoint = load(path)
        net, about, origin = checkpoint.net, checkpoint.about, "minigrad checkpoint"
    else:
        net = from_torch(arrays, topology=topology, nonlinearity=nonlinearity)
        origin = "PyTorch state dict"
    screen = console()
    screen.print(f"[bold]{path}[/]: {origin}, {path.stat().st_size:,} bytes")
    screen.print(f"{net!r}", markup=False)
    if "history" in about:
        best = min((e["validation"] for e in about["history"]), default=math.nan)
        screen.print(
            f"trained for {about['number']:,} updates, {about['epoch']} epochs; "
            f"best held-out loss {best:.3f} bits per character"
        )
    heading(screen, "One time step")
    characters = _drawing(net, fold="step").text
    width = max(map(len, characters.splitlines()))
    if screen.is_terminal and width > screen.width:
        explain(screen, f"It takes {width} columns to draw; `--draw FILE.svg` draws it to a file.")
    else:
        screen.print(Text(characters), soft_wrap=True)
    heading(screen, "Parameters")
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("name", style="bold", min_width=8, no_wrap=True)
    broken = any(not np.isfinite(array).all() for array in net.values().values())
    for title in (
        "shape",
        "weights",
        "norm",
        "rms",
        "smallest",
        "largest",
        *(["not finite"] if broken else []),
    ):
        table.add_column(title, justify="right", min_width=8)
    for name, array in net.values().items():
        wide = array.astype(np.float64)
        bad = int((~np.isfinite(wide)).sum())
        finite = wide[np.isfinite(wide)]
        low, high = (finite.min(), finite.max()) if finite.size else (math.nan, math.nan)
        table.add_row(
            name,
            "×".join(map(str, array.shape)),
            f"{array.size:,}",
            f"{np.linalg.norm(finite):.3g}",
            f"{np.sqrt(np.mean(finite**2)) if finite.size else math.nan:.3g}",
            f"{low:.3g}",
            f"{high:.3g}",
            *([Text(f"{bad:,}", "bold red" if bad else "dim")] if broken else []),
        )
    screen.print(Padding(table, (0, 0, 1, 2), expand=False))
    if draw is not None:
        _drawing(net, fold="auto").save(draw, overwrite=overwrite)
        screen.print(f"drawn to {draw}", markup=False)


def _drawing(net: Any, fold: str) -> Any:
    """Draw the network unrolled over three steps; what it reads does not matter to the drawing."""
    import numpy as np

    from visualize import draw

    steps = 3
    inputs = np.zeros((steps, net.inputs, 1))
    inputs[:, 0] = 1  # a class, for a network that reads classes
    targets = np.zeros((steps, net.outputs, 1))
    targets[:, 0] = 1
    loss = net(
        inputs[0] if net.topology == "one-to-many" else inputs,
        targets[0] if net.topology == "many-to-one" else targets,
    ).loss
    return draw(loss, title=net.kind, fold=fold)
