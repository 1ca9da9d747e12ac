"""`minigrad check` and `minigrad derive`: derivations held against a network, and written from one."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minigrad.errors import MinigradError, nearest

if TYPE_CHECKING:
    import minigrad as mg
    from minigrad.derivation.checker import Report
    from minigrad.derivation.reader import Text

DRAWS = ((1, 0), (3, 1), (1, 2))  # (columns, seed): one column, then several, three draws


class CommandError(MinigradError, ValueError):
    """A command line that cannot be carried out."""


class Format(StrEnum):
    """How a derivation is written."""

    text = "text"
    leibniz = "leibniz"
    latex = "latex"
    markdown = "markdown"
    html = "html"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("derive")(derive)
    app.command("check")(check)


def derive(
    model: Annotated[str, typer.Argument(help="elman, lstm, rnn-many-to-one, ..., or FILE.py:function")],
    format: Annotated[Format, typer.Option("--format", "-f", help="How it is written.")] = Format.text,
    per_step: Annotated[bool, typer.Option("--per-step", help="Every step on its own.")] = False,
    paths: Annotated[
        str | None,
        typer.Option("--paths", metavar="NODE", help="The gradient of NODE (h[1]) as a sum over all paths."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Number of time steps.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file instead.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Print the backward pass of a network as a person would derive it."""
    import minigrad.derivation.path_sums as path_sums
    import minigrad.derivation.writer as writer
    from minigrad.cli.model import load

    loss = load(model, steps=steps)
    if paths is None:
        result = writer.write(loss, per_step=per_step)
    else:
        result = path_sums.paths(loss, _node(loss, paths))
    result.title = f"Backward pass of {model}"
    text = getattr(result, format.value)
    if out is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return
    _write_new(out, text, force)
    typer.echo(f"wrote {out}")


def _node(loss: mg.Node, label: str) -> mg.Node:
    import minigrad as mg
    from minigrad.derivation.names import Vocabulary
    from minigrad.derivation.reader import parse
    from minigrad.derivation.syntax import Name
    from minigrad.derivation.truth import World

    graph = mg.Graph(loss)
    world = World(loss)
    side = parse(f"{label} = 0").sides[0]
    found = Vocabulary(world).locate(side) if isinstance(side, Name) else None
    if found is None:
        raise CommandError(f"no {label} in this network: {nearest(label, graph.names)}")
    step = found[1]
    if step is None:
        return graph[found[0]]
    return graph[found[0], world.last + step.offset if step.base else step.offset]


def check(
    file: Annotated[
        str, typer.Argument(help="A file, - for standard input, or a shipped derivation: elman, lstm, ...")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="What it is held against, if the text does not say: elman, FILE.py:function ...",
        ),
    ] = None,
    lines: Annotated[
        str | None, typer.Option("--lines", "-l", metavar="A:B", help="Only these lines.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Time steps; else those that the text names, or 3.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    fix: Annotated[Path | None, typer.Option("--fix", metavar="OUT", help="Write a repaired copy.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --fix overwrite a file.")] = False,
    repairs: Annotated[bool, typer.Option("--repairs/--no-repairs", help="Search for repairs.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is not right.")] = False,
) -> None:
    """Judge a hand derivation line by line.

    Exit status 0 if nothing is wrong, 1 if a line is, 2 if the input cannot be read.
    """
    from minigrad.derivation.reader import decode, read, read_file

    path = None
    if file == "-":
        source = decode(sys.stdin.buffer.read())
    else:
        path = _find(file)
        source = read_file(path)
    first, last = _range(lines)
    text = read(source, first, last)
    _inherit(text, source, first)
    if not text.equations:
        where = f"lines {lines} of {file}" if lines else file
        raise CommandError(f"{where}: no equation was found; a line such as `do = p - y` is one")
    report = judge(text, model, steps, repairs or fix is not None, file)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        _show(report, quiet)
    if fix is not None:
        _fix(fix, source, report, path, force)
    raise typer.Exit(0 if report.ok else 1)


def judge(
    text: Text, model: str | None, steps: int | None, repairs: bool = True, file: str = "the text"
) -> Report:
    """Check a text that has been read against a network by name.

    The network is drawn three times, with one column, then with several.
    """
    import minigrad.derivation.checker as checker
    from minigrad.cli.model import load
    from minigrad.derivation.truth import redrawn

    name = model or text.model
    if name is None:
        raise CommandError(
            f"{file} does not say which network it is about: name one with --model elman, lstm, "
            "rnn-many-to-one, ... or FILE.py:function, or write a line `model: elman` into the text"
        )
    wanted = steps or checker.steps_named(text) or 3
    losses = [load(name, steps=wanted, columns=columns, seed=seed) for columns, seed in DRAWS]
    if all(_same_numbers(losses[0], other) for other in losses[1:]):
        return checker.check(text, losses[0], repairs=repairs, model=name)
    return checker.check(text, [redrawn(loss, 0) for loss in losses], repairs=repairs, model=name)


def _same_numbers(a: mg.Node, b: mg.Node) -> bool:
    """Whether two runs have the same numbers: a function that knows no seed gives the same each time."""
    return a.value.shape == b.value.shape and bool((a.value == b.value).all())


def shipped() -> dict[str, Path]:
    """Return the derivations that come with the project, by name."""
    import models

    folder = Path(models.__file__).parent / "derivations"
    return {path.stem: path for path in sorted(folder.glob("*.txt"))}


def _find(file: str) -> Path:
    path = Path(file)
    if path.exists():
        if path.is_dir():
            raise CommandError(f"{file} is a folder; a derivation is a text file")
        return path
    known = shipped()
    if file in known:
        return known[file]
    raise CommandError(f"no file {file}, and no shipped derivation of that name: {nearest(file, known)}")


def _range(lines: str | None) -> tuple[int, int | None]:
    if lines is None:
        return 1, None
    start, colon, end = lines.partition(":")
    try:
        first = int(start) if start else 1
        last = int(end) if end else (None if colon else first)
    except ValueError:
        raise CommandError(f"--lines {lines}: expected two line numbers, as in --lines 21:34") from None
    if first < 1 or (last is not None and last < first):
        raise CommandError(
            f"--lines {lines}: the first line is 1, and the last may not come before the first"
        )
    return first, last


def _inherit(text: Text, source: str, first: int) -> None:
    """Take the model and the aliases that the text names above the chosen lines."""
    if first == 1:
        return
    from minigrad.derivation.reader import read

    above = read(source, 1, first - 1)
    text.model = text.model or above.model
    text.steps = text.steps or above.steps
    text.aliases = above.aliases | text.aliases


def _show(report: Report, quiet: bool) -> None:
    from minigrad.derivation.report import blocks

    lines = list(blocks(report, only_bad=quiet))
    if not sys.stdout.isatty():
        for text, _ in lines:
            print(text)
        return
    from rich.console import Console
    from rich.text import Text as RichText

    console = Console(highlight=False)
    for text, style in lines:
        console.print(RichText(text, style=style), soft_wrap=True)


def _fix(out: Path, source: str, report: Report, path: Path | None, force: bool) -> None:
    from minigrad.derivation.report import fixed

    if path is not None and out.exists() and out.resolve() == path.resolve() and not force:
        raise CommandError(
            f"--fix {out} is the file itself; name another one, or say --force to overwrite it"
        )
    text, changed = fixed(source, report)
    _write_new(out, text, force)
    print(
        f"wrote {out}: {changed} line{'' if changed == 1 else 's'} changed, each marked with a comment",
        file=sys.stderr,
    )


def _write_new(path: Path, text: str, force: bool) -> None:
    """Write a whole file or nothing, and never over another one unasked."""
    from minigrad.files import write_whole

    if path.exists() and not force:
        raise CommandError(f"{path} exists; say --force to overwrite it")
    write_whole(path, text.encode())
