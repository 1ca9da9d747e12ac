"""`minigrad draw`, `minigrad run` and `minigrad report`: pictures of networks, and networks from pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

import minigrad as mg
from minigrad.cli.model import load
from minigrad.cli.show import console, explain, heading


class View(StrEnum):
    """What a drawing shows of a graph."""

    hand = "hand"
    compact = "compact"
    primitive = "primitive"


class Direction(StrEnum):
    """Which way a drawing follows the values."""

    forward = "forward"
    backward = "backward"
    both = "both"


class Fold(StrEnum):
    """How a drawing deals with many steps."""

    auto = "auto"
    never = "never"
    step = "step"


Model = Annotated[
    str,
    typer.Argument(help="elman, lstm, another built-in network, FILE.py:function, or a drawing FILE.txt."),
]
Steps = Annotated[int | None, typer.Option(help="Time steps to unroll.", show_default="3", min=1)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that minigrad did not write.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(draw)
    app.command()(run)
    app.command()(report)


def draw(
    model: Model,
    steps: Steps = None,
    view: Annotated[
        View, typer.Option(help="As by hand, the same in little room, or every primitive.")
    ] = View.hand,
    direction: Annotated[Direction, typer.Option(help="Values, gradients, or both.")] = Direction.forward,
    fold: Annotated[Fold, typer.Option(help="Fold equal steps, never, or draw one step.")] = Fold.auto,
    values: Annotated[bool, typer.Option("--values", help="Show ranges and heat strips.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="svg, png, pdf, dot or txt by the ending; else to the terminal."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a network unrolled over time, to a file or as characters to the terminal.

    What is drawn as characters reads back: `minigrad run drawing.txt` runs it.
    """
    from visualize import draw as draw_graph

    loss = _loss(model, steps)
    drawing = draw_graph(
        loss,
        view=view.value,
        direction=direction.value,
        fold=fold.value,
        values=values,
        title=_title(model, loss),
    )
    if out is None:
        typer.echo(drawing.text)
        return
    drawing.save(out, overwrite=overwrite)
    typer.echo(f"{out}: {len(drawing.diagram.symbols)} symbols, {_steps(loss)}")


def run(
    drawing: Annotated[Path, typer.Argument(help="A drawing in characters.")],
    columns: Annotated[int, typer.Option(help="Size of the batch.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of the random weights and inputs.")] = 0,
) -> None:
    """Run a network that is drawn in a text file: shapes, loss and gradients on random data."""
    from visualize.build import Built
    from visualize.files import read_drawing
    from visualize.sizes import random_arrays

    diagram = read_drawing(drawing)
    parameters, inputs = random_arrays(diagram, seed, columns)
    built: Built = diagram.build(parameters, inputs)
    loss = built.loss(seed)
    loss.backward()
    screen = console()
    heading(screen, f"{drawing.name}: {len(diagram.symbols)} symbols, {_steps(loss)}")
    table = Table("value", "shape", "range", box=None, header_style="dim")
    for node in mg.Graph(loss).nodes:
        if node.name and not node.is_parameter:
            table.add_row(Text(node.label), Text(_shape(node)), Text(_range(node.value)))
    screen.print(table)
    heading(screen, "Loss and gradients")
    screen.print(Text(f"{loss.label} = {loss.item():.6g}"))
    table = Table("parameter", "shape", "gradient, range", "norm", box=None, header_style="dim")
    for name, node in built.parameters.items():
        if node.grad is None:
            table.add_row(Text(name), Text(_shape(node)), Text("not computed"), Text(""))
        else:
            norm = float((node.grad**2).sum() ** 0.5)
            table.add_row(Text(name), Text(_shape(node)), Text(_range(node.grad)), Text(f"{norm:.4g}"))
    screen.print(table)
    explain(
        screen,
        "Weights, inputs and targets are random. A softmax is held against random classes by cross-entropy, "
        "any other output against random numbers by squared error.",
    )


def report(
    model: Model,
    derivation: Annotated[
        Path | None, typer.Option(help="A derivation by hand, to be held against the graph line by line.")
    ] = None,
    steps: Steps = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The page to write.")] = Path("report.html"),
    overwrite: Overwrite = False,
) -> None:
    """Write one page: drawing, equations as the graph gives them, a hand derivation with verdicts, values."""
    from visualize import report as make_report
    from visualize.files import read_text

    loss = _loss(model, steps)
    text = None if derivation is None else read_text(derivation)
    page = make_report(loss, text, title=_title(model, loss), name=derivation.name if derivation else None)
    page.save(out, overwrite=overwrite)
    typer.echo(f"{out}: {page.summary}")


def _loss(model: str, steps: int | None) -> mg.Node:
    return load(model, steps)


def _title(model: str, loss: mg.Node) -> str:
    return f"{model}, {_steps(loss)}"


def _steps(loss: mg.Node) -> str:
    count = len([s for s in mg.Graph(loss).steps if s > 0])
    return f"{count} time step{'' if count == 1 else 's'}"


def _shape(node: mg.Node) -> str:
    return " × ".join(map(str, node.shape)) or "scalar"


def _range(array: object) -> str:
    from visualize.summary import summarize

    return summarize(array).range
