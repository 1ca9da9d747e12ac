"""How the commands look: headings, bars, progress, in a terminal of 80 columns as well as in a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

WIDTH = 80


@contextmanager
def blas_threads(count: int | None) -> Iterator[None]:
    """Let matrix products use `count` threads; as many as they like if None.

    For small matrices one is best: two that wait for one another on a busy machine were seen to take 20 times
    as long (128 hidden units, batch of 32), and on an idle one gain little.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count, user_api="blas"):
        yield


def console(error: bool = False) -> Console:
    """Return a console; in a pipe it is plain and 80 columns wide, whatever the terminal was."""
    screen = Console(stderr=error, highlight=False, soft_wrap=False)
    if not screen.is_terminal:
        screen = Console(stderr=error, highlight=False, width=WIDTH, no_color=True)
    return screen


def heading(screen: Console, title: str) -> None:
    """Print the title of a section."""
    screen.print()
    screen.print(Text(title, "bold cyan"))
    screen.print(Text("─" * len(title), "cyan"))


def explain(screen: Console, text: str) -> None:
    """Print a remark below what it is about."""
    screen.print(Padding(Text(text, "dim"), (0, 2), expand=False))


def quote(screen: Console, text: str) -> None:
    """Print a text that a person or a network wrote, as it is: never read as markup or control codes."""
    width = min(screen.width, WIDTH) - 6
    for line in text.strip("\n").split("\n"):
        printable = "".join(c if c.isprintable() else "·" for c in line).rstrip()
        for part in textwrap.wrap(printable, width, drop_whitespace=False) or [""]:
            screen.print(Text(f"    {part}".rstrip(), "italic"))


def bar(share: float, width: int) -> Text:
    """Return a bar of `share` of `width` characters, to an eighth of a character.

    >>> str(bar(0.5, 4))
    '██'
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return Text("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip(), "cyan")


def progress_bar(screen: Console) -> Progress:
    """Return a progress bar with a description and the time left; in a pipe it prints nothing."""
    return Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
        console=screen,
        disable=not screen.is_terminal,
    )


def duration(seconds: float) -> str:
    """Return a time as a person says it.

    >>> duration(0.42), duration(75), duration(3700)
    ('0.4 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
