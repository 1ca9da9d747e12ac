"""`minigrad demo`: the whole way on a real text, from drawings and gradients to a network that has learned.

Both networks read the first characters of the text. What the recorded graph says of every gradient is held
against the hand derivation, which knows nothing of minigrad; any difference worth the name ends the command
with status 1.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import minigrad as mg
from minigrad.cli.show import bar, blas_threads, console, explain, heading, progress_bar, quote
from minigrad.errors import MinigradError

STEPS = 6
BOUND = 1e-9
SECONDS = 40.0


class DataMissingError(MinigradError, FileNotFoundError):
    """The example data is not where the packages are."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    text: Annotated[
        Path | None,
        typer.Option(help="A text to work on, at least 20 kB.", show_default="Alice in Wonderland"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the drawings go.")] = Path("demo"),
    encoding: Annotated[str, typer.Option(help="Of the text.")] = "utf-8",
    seconds: Annotated[float, typer.Option(help="How long to train, at most.", min=1)] = SECONDS,
) -> None:
    """Show the whole way on a real text: draw, derive, verify, train.

    Builds an Elman network and an LSTM over the characters of a text, draws both unrolled over time, holds
    every gradient against the hand derivations, splits one of them by time steps, and trains the LSTM for a
    short while. Exit status 1 if any gradient is off by more than 1e-9.
    """
    from models.text import Vocabulary, read_text

    path = example("alice.txt") if text is None else text
    content = read_text(path, encoding)
    vocabulary = Vocabulary(content)
    check_length(content, path)
    out.mkdir(parents=True, exist_ok=True)
    screen = console()
    heading(screen, "The text")
    screen.print(f"  {path}: {len(content):,} characters, {len(vocabulary)} different.\n")
    prose = first_paragraph(content)
    quote(screen, prose)

    read = prose[: STEPS + 1]
    tokens = vocabulary.encode(read)
    networks = {name: record(name, len(vocabulary), tokens) for name in ("elman", "lstm")}
    drawings(screen, networks, out)
    right = gradients(screen, networks)
    steps(screen, networks, read)
    checked(screen)
    with blas_threads(1):
        train(screen, content, vocabulary, seconds)
    explain(screen, f"Drawings: {out / 'elman.svg'}, {out / 'lstm.svg'}. What else there is: minigrad --help")
    if not right:
        screen.print(f"[bold red]A gradient differs from the hand derivation by more than {BOUND:g}.[/]")
        raise typer.Exit(1)


def example(name: str) -> Path:
    """Return the path of a file of the examples."""
    import models

    path = Path(models.__file__).parent.parent / "examples" / "data" / name
    if not path.is_file():
        raise DataMissingError(f"the example data is not at {path}; name a file of your own")
    return path


def first_paragraph(content: str) -> str:
    """Return the first few lines that look like prose: three or more without a blank one between them."""
    for block in content.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if len(lines) >= 3 and len(block) > STEPS:
            return "\n".join(line.strip() for line in lines[:4])
    return content.strip()[:300]


def check_length(content: str, path: Path) -> None:
    """Refuse a text from which nothing can be learned."""
    from models.errors import DataError

    if len(content) < 20_000:
        raise DataError(f"{path} has {len(content):,} characters; the demo learns from at least 20,000")
    if len(set(content)) < 2:
        raise DataError(f"{path} repeats one character, {content[0]!r}: there is nothing to learn")


class Recorded:
    """One network, unrolled over the first characters, with its gradients from the graph and by hand."""

    def __init__(self, name: str, net: Any, run: Any, expected: Any) -> None:
        self.name, self.net, self.run, self.expected = name, net, run, expected
        nodes = {name: by_step[0] for name, by_step in run.states.items()}
        wanted = [*net.parameters.values(), *nodes.values()]
        found = mg.grad(run.loss, wanted)
        self.found = dict(zip([*net.parameters, *nodes], map(np.asarray, found), strict=True))

    def rows(self) -> list[tuple[str, tuple[int, ...], float, float, float]]:
        """Name, shape, largest entry, largest absolute and relative difference of every gradient."""
        rows = []
        for name, by_hand in self.expected.gradients.items():
            label = f"{name}[0]" if name in self.run.states else name
            difference = float(np.abs(self.found[name] - by_hand).max())
            largest = float(np.abs(by_hand).max())
            rows.append(
                (label, by_hand.shape, largest, difference, difference / largest if largest else difference)
            )
        return rows


def record(name: str, classes: int, tokens: Any) -> Recorded:
    """Unroll a network over characters, each the target of the one before."""
    from models import LSTM, ElmanRNN, by_hand

    net: ElmanRNN | LSTM = (ElmanRNN if name == "elman" else LSTM)(classes, 16, embedding=8, seed=0)
    inputs, targets = tokens[:-1, np.newaxis], tokens[1:, np.newaxis]
    one_hot = np.eye(classes)
    random = np.random.default_rng(0)
    state = {key: random.uniform(-0.5, 0.5, shape) for key, shape in net.state_shapes(1).items()}
    run = net(one_hot[inputs].transpose(0, 2, 1), one_hot[targets].transpose(0, 2, 1), state)
    if name == "elman":
        expected = by_hand.elman(net.values(), inputs, targets, state["h"])
    else:
        expected = by_hand.lstm(net.values(), inputs, targets, state["h"], state["c"])
    return Recorded(name, net, run, expected)


def drawings(screen: Console, networks: dict[str, Recorded], out: Path) -> None:
    """Draw both networks unrolled."""
    from visualize import draw

    heading(screen, "Drawn from the recorded graph")
    titles = {"elman": "Elman network", "lstm": "LSTM"}
    for name, recorded in networks.items():
        path = out / f"{name}.svg"
        draw(recorded.run.loss, path, title=f"{titles[name]}, unrolled over {STEPS} characters")
        nodes = len(mg.Graph(recorded.run.loss).nodes)
        screen.print(f"  {path}  {titles[name]}, {STEPS} time steps, {nodes} recorded nodes")


def gradients(screen: Console, networks: dict[str, Recorded]) -> bool:
    """Show each gradient beside the hand derivation's; return whether all agree."""
    heading(screen, "Every gradient, recorded against derived by hand")
    right = True
    for name, recorded in networks.items():
        table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
        table.add_column("Elman network" if name == "elman" else "LSTM", style="bold", min_width=13)
        for title in ("shape", "largest entry", "off by", "relative", ""):
            table.add_column(title, justify="right")
        for label, shape, largest, difference, relative in recorded.rows():
            fits = relative <= BOUND
            right &= fits
            table.add_row(
                f"d{label}",
                "×".join(map(str, shape)),
                f"{largest:.3g}",
                f"{difference:.1e}",
                f"{relative:.1e}",
                Text("✓", "green") if fits else Text("✗", "bold red"),
            )
        screen.print(Padding(table, (0, 0, 1, 2), expand=False))
    explain(
        screen,
        "By hand: the notes' equations in plain numpy, models/by_hand.py. "
        f"Agreed means off by at most {BOUND:g} of the largest entry.",
    )
    return right


def steps(screen: Console, networks: dict[str, Recorded], characters: str) -> None:
    """Show what each time step contributes to the gradient of the recurrent weights."""
    heading(screen, "One gradient, split over time")
    elman = networks["elman"]
    addends = mg.contributions(elman.run.loss, elman.net.parameters["Whh"])
    norms = {t: float(np.linalg.norm(addend)) for t, addend in addends.items() if t is not None}
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title, justify in (("t", "right"), ("reads", "center"), ("‖dWhh (t)‖", "right"), ("", "left")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for t in sorted(norms):
        table.add_row(
            str(t), repr(characters[t - 1]), f"{norms[t]:.4f}", bar(norms[t] / max(norms.values()), 36)
        )
    total = np.sum(list(addends.values()), axis=0)
    screen.print(Padding(table, (0, 0, 1, 2), expand=False))
    expected = elman.expected.gradients["Whh"]
    off = float(np.abs(total - expected).max() / np.abs(expected).max())
    explain(screen, f"Together they are dWhh: off by {off:.1e} of its largest entry.")


def checked(screen: Console) -> None:
    """Show the checker at work on the equations of the notes, as their author typed them."""
    import models
    from minigrad.cli.derivations import judge
    from minigrad.derivation import read
    from minigrad.derivation.report import blocks

    heading(screen, "Two hand derivations, as typed, judged line by line")
    folder = Path(models.__file__).parent / "derivations"
    found = []
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("note 000", style="bold", min_width=13)
    for title in ("lines", "right", "not right", "gradients right", "repaired"):
        table.add_column(title, justify="right")
    for title, name in (("Elman network", "note-000-elman"), ("LSTM", "note-000-lstm")):
        report = judge(read((folder / f"{name}.txt").read_text(encoding="utf-8")), None, None)
        bad = [line for line in report.lines if line.is_bad]
        repaired = report.gradients if report.repaired is None else report.repaired
        table.add_row(
            title,
            str(len(report.lines)),
            str(len(report.lines) - len(bad)),
            str(len(bad)),
            f"{sum(g.right for g in report.gradients)} of {len(report.gradients)}",
            f"{sum(g.right for g in repaired)} of {len(repaired)}",
        )
        found.append((report, bad))
    screen.print(Padding(table, (0, 0, 0, 2), expand=False))
    for report, bad in found:
        if bad:  # the first slip of each, with its repair
            rows = blocks(dataclasses.replace(report, lines=bad[:1]), only_bad=True)
            screen.print()
            for line, style in itertools.takewhile(lambda row: row[0], itertools.islice(rows, 1, None)):
                screen.print(Text(line, style))
    screen.print()
    explain(
        screen, "The equations of models/derivations/note-000-*.txt; `minigrad check FILE` shows every line."
    )


def train(screen: Console, content: str, vocabulary: Any, seconds: float) -> None:
    """Train the LSTM for a short while and show what it says before and after."""
    import time

    from models.sampling import sample
    from models.settings import Settings
    from models.text import BackOff, entropy
    from models.training import Trainer

    heading(screen, "An LSTM learns the text")
    batch = max(1, min(32, len(content) // 4000))
    settings = Settings(hidden=128, embed=32, steps=32, batch=batch, epochs=1000, seed=0, decay=False)
    trainer = Trainer(content, settings)
    before = sample(trainer.net, vocabulary, 180, temperature=0.7, seed=0)
    first = trainer.validation_bits()
    began = time.monotonic()
    with progress_bar(screen) as progress:
        task = progress.add_task("training", total=seconds)
        characters = 0
        smooth = first
        for update in trainer.updates():
            spent = time.monotonic() - began
            characters += settings.steps * settings.batch
            smooth += 0.1 * (update.bits - smooth)
            shown = f"{smooth:.2f} bits/character, {characters / spent / 1000:,.0f}k characters/s"
            progress.update(task, completed=min(spent, seconds), description=shown)
            if spent >= seconds:
                break
    last = trainer.validation_bits()
    three = BackOff(trainer.train_tokens, len(vocabulary)).bits_per_token(trainer.validation_tokens)
    zero = entropy(trainer.validation_tokens)
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("on held-out text")
    table.add_column("bits per character", justify="right")
    table.add_column("")
    worst = max(first, zero)
    for name, value, style in (
        ("the LSTM before", first, "dim"),
        ("entropy of the characters", zero, "dim"),
        ("3-gram counts with back-off", three, "dim"),
        (
            f"the LSTM after {time.monotonic() - began:.0f} s",
            last,
            "bold green" if last < zero else "bold red",
        ),
    ):
        table.add_row(Text(name, style), Text(f"{value:.3f}", style), bar(value / worst, 24))
    screen.print(Padding(table, (1, 0, 1, 2), expand=False))
    after = sample(trainer.net, vocabulary, 300, temperature=0.7, seed=0)
    for title, words in (("It said before", before), ("It says now", after)):
        screen.print(f"  [dim]{title}[/]")
        quote(screen, words)
        screen.print()
