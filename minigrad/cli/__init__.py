"""The `minigrad` command: the only place in minigrad that imports models or visualize.

Each module beside this one holds the commands of one subject and a `register(app)`. Every error that
minigrad raises on purpose, and every error of the operating system, becomes one message on standard error
and exit status 2.
"""

from __future__ import annotations

import functools
import importlib
import io
import sys
from importlib.util import find_spec

import typer

from minigrad.errors import MinigradError

# In the order of `minigrad --help`: what one meets first stands first.
_COMMANDS = ("demo", "drawings", "derivations", "training", "forecasting", "doctor")

app = typer.Typer(
    name="minigrad",
    help="Understand, verify and run backpropagation through time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"minigrad {version('minigrad')}")
        raise typer.Exit()


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_version, is_eager=True
    ),
) -> None:
    pass


@functools.cache  # once, however often main() is called in one process
def _register_commands() -> None:
    for name in _COMMANDS:
        module = f"{__name__}.{name}"
        if find_spec(module) is not None:
            importlib.import_module(module).register(app)


def main() -> None:
    """Run the command line; the entry point of the `minigrad` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show ² shows ? instead of failing
            stream.reconfigure(errors="replace")
    try:
        _register_commands()
        app()
    except MinigradError as error:
        sys.exit(_complain(str(error)))
    except BrokenPipeError:
        # The reader of our output has left (`minigrad ... | head`): nothing went wrong.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_complain(f"{where}{error.strerror or error}"))


def _complain(message: str) -> int:
    print(f"minigrad: {message}", file=sys.stderr)
    return 2
