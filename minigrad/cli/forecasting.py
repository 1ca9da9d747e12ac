"""`minigrad forecast`: the forecaster of note 002 on a column of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from minigrad.cli.show import bar, blas_threads, console, heading, progress_bar
from minigrad.errors import MinigradError


class ForecastUsageError(MinigradError, ValueError):
    """Options that do not go together."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(forecast)


def forecast(
    csv: Annotated[Path, typer.Argument(help="A CSV file with a header row.", show_default=False)],
    column: Annotated[
        str | None, typer.Option(help="The column to forecast.", show_default="the last")
    ] = None,
    model: Annotated[str, typer.Option(help="lstm or elman.")] = "lstm",
    length: Annotated[int, typer.Option(help="Values read before each answer.", min=1)] = 10,
    hidden: Annotated[int, typer.Option(help="Size of the state.", min=1)] = 50,
    horizon: Annotated[int, typer.Option(help="Values to forecast beyond the end.", min=0)] = 20,
    test: Annotated[float, typer.Option(help="Share at the end that is not trained on.")] = 0.2,
    epochs: Annotated[int, typer.Option(help="Passes over all windows.", min=1)] = 200,
    learning_rate: Annotated[float, typer.Option(min=0)] = 0.01,
    seed: Annotated[int, typer.Option(help="Of the weights.")] = 0,
    compiled: Annotated[bool, typer.Option(help="Compile the training step.")] = True,
    encoding: Annotated[str, typer.Option(help="Of the file.")] = "utf-8",
    out: Annotated[Path, typer.Option(help="The plot: png, svg or pdf.")] = Path("forecast.png"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the plot if it exists.")] = False,
) -> None:
    """Forecast a series: windows in, the next value out, errors beside two naive forecasts."""
    from models.forecasting import Forecaster, draw_forecast
    from models.series import read_column

    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ForecastUsageError(f"--out is {out}; its name should end in .png, .svg or .pdf")
    if out.exists() and not overwrite:
        raise ForecastUsageError(f"{out} exists; choose another --out, or say --overwrite")
    name, values = read_column(csv, column, encoding)
    forecaster = Forecaster(
        values,
        model=model,
        length=length,
        hidden=hidden,
        test=test,
        learning_rate=learning_rate,
        seed=seed,
        compiled=compiled,
    )
    screen = console()
    windows = forecaster.inputs.shape[2]
    screen.print(
        f"[bold]{csv}[/], {name}: {len(values)} values; {forecaster.cut} to learn from, "
        f"{len(values) - forecaster.cut} to test on"
    )
    screen.print(f"{windows} windows of {length} values, each with the next value as its target")
    screen.print(f"{forecaster.net!r}", markup=False)
    with blas_threads(1), progress_bar(screen) as progress:
        task = progress.add_task("training", total=epochs)
        for epoch, error in forecaster.train(epochs):
            shown = f"error {error * forecaster.scaling.deviation:.3g} at the end of what it learns from"
            progress.update(task, completed=epoch, description=shown)
    result = forecaster.forecast(horizon)
    heading(screen, "One value ahead, on the part not trained on")
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("forecast")
    table.add_column("root mean square error", justify="right")
    table.add_column("")
    worst = max(result.errors.values())
    titles = {
        "last": "the last value again",
        "season": f"the value {result.period} before (season)",
        "network": f"the network ({forecaster.net.kind})",
    }
    best = min(result.errors, key=result.errors.__getitem__)
    for key, title in titles.items():
        style = "bold green" if key == best else ""
        error = result.errors[key]
        table.add_row(Text(title, style), Text(f"{error:.4g}", style), bar(error / worst if worst else 0, 20))
    screen.print(Padding(table, (0, 0, 1, 2), expand=False))
    if horizon:
        numbers = ", ".join(f"{value:.4g}" for value in result.future)
        screen.print(f"The next {horizon}, each fed back: {numbers}")
    draw_forecast(result, name, out)
    screen.print(f"Series, fit and forecast: {out}", markup=False)
