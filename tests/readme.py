"""The README's examples are true: each is executed, in order, in an empty directory, as a reader would.

- a ``pycon`` block is a doctest; all of them share one namespace
- a ``console`` block holds commands after ``$ `` and what they print; ``...`` stands for anything, and
  a line ``[exit status N]`` for a command that is to end with that status
- a block after ``<!-- file: NAME -->`` is a file of that name
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n+)?^```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```", re.M | re.S
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks() -> list[tuple[int, str, str | None, str]]:
    """Return line, kind, file name and text of each block."""
    text = README.read_text(encoding="utf-8")
    return [
        (text[: m.start("text")].count("\n"), m["kind"], m["file"], m["text"]) for m in BLOCK.finditer(text)
    ]


def run_console(text: str, line: int, directory: Path) -> None:
    """Run each command of a block and compare what it prints."""
    environment = dict(os.environ, COLUMNS="100", NO_COLOR="1", PYTHONIOENCODING="utf-8")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for session in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, expected = session.partition("\n")
        status = re.search(r"^\[exit status (\d+)\]\n?", expected, flags=re.M)
        if status:
            expected = expected.replace(status[0], "")
        done = subprocess.run(
            command, shell=True, cwd=directory, env=environment, capture_output=True, text=True, timeout=300
        )
        printed = done.stdout + done.stderr
        where = f"README.md, block at line {line}: $ {command}"
        assert done.returncode == int(status[1] if status else 0), f"{where}\n{printed}"
        if expected.strip():
            matches = doctest.OutputChecker().check_output(expected, printed, FLAGS)
            assert matches, f"{where}\nexpected:\n{expected}\nprinted:\n{printed}"


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every block of the README in order."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    counts = {"pycon": 0, "console": 0}
    for line, kind, file, text in blocks():
        if file:
            Path(tmp_path / file).write_text(text, encoding="utf-8")
        if kind == "pycon":
            parsed = doctest.DocTestParser().get_doctest(text, namespace, "README.md", "README.md", line)
            out: list[str] = []
            result = doctest.DocTestRunner(optionflags=FLAGS).run(parsed, out=out.append, clear_globs=False)
            assert not result.failed, "".join(out)
            namespace.update(parsed.globs)
        elif kind == "console":
            run_console(text, line, tmp_path)
        counts[kind] = counts.get(kind, 0) + 1
    assert counts["pycon"] and counts["console"], "the README has lost its examples"


def test_links_lead_somewhere() -> None:
    """Every relative link and picture of the README and of docs/ is there."""
    for page in (README, *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8")):
            link = next(part for part in target if part)
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
