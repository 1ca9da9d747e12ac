"""`minigrad check` and `minigrad derive`: what they print, write, and return."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .common import source

GRU = """
import numpy as np
import minigrad as mg

def loss(steps=3, seed=0):
    random = np.random.default_rng(seed)
    W = mg.parameter(random.normal(size=(4, 3)), name="W")
    U = mg.parameter(random.normal(size=(4, 4)), name="U")
    h = mg.constant(random.normal(size=(4, 1)), name="h", step=0)
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = mg.constant(random.normal(size=(3, 1)), name="x")
            z = mg.sigmoid((W @ x + U @ h).named("a")).named("z")
            h = (z * h).named("h")
            losses.append(mg.squared_error(h, mg.constant(random.normal(size=(4, 1)), name="y")).named("L"))
    return mg.accumulate(*losses).named("L")
"""


@pytest.fixture
def minigrad(tmp_path, monkeypatch, capsys):
    """Run the command in this process, in an empty folder: (status, standard output, standard error)."""
    from minigrad.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minigrad", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_the_shipped_derivation_is_checked_without_a_file(minigrad):
    status, out, _ = minigrad("check", "lstm")
    assert status == 0 and "27 right" in out and "all gradients right" in out


def test_a_file_with_a_slip(minigrad, tmp_path):
    Path("mine.txt").write_text(source("note-000-elman").replace("model: elman", ""), encoding="utf-8")
    status, out, _ = minigrad("check", "mine.txt", "--model", "elman", "--lines", "4:20")
    assert status == 1
    assert "no such name; did you mean `dh_pre`" in out.replace("\n", " ")
    status, out, err = minigrad("check", "mine.txt", "--model", "elman", "--fix", "better.txt")
    assert status == 1 and "2 lines changed" in err
    better = Path("better.txt").read_text(encoding="utf-8")
    assert "dWxh += dh_pre * x^T  # was: dWxh += d_pre * x^T" in better
    assert minigrad("check", "better.txt", "-m", "elman")[0] == 0
    assert better.count("# was:") == 2 and len(better.split("\n")) == len(
        source("note-000-elman").split("\n")
    )


def test_fixing_fills_in_sizes_and_joins_continued_lines(minigrad):
    text = source("note-000-lstm").replace("dz = Wf^T * dfg_pre + Wi^T", "dz = Wf * dfg_pre +\n    Wi^T")
    Path("mine.txt").write_text(text, encoding="utf-8")
    minigrad("check", "mine.txt", "--fix", "better.txt")
    better = Path("better.txt").read_text(encoding="utf-8")
    assert "dh = dz[:H]  # was: dh = dz[:?]" in better
    assert "dz = Wf^T * dfg_pre + Wi^T * dig_pre" in better
    assert minigrad("check", "better.txt")[0] == 0


def test_nothing_of_the_users_is_overwritten_unasked(minigrad):
    original = source("note-000-elman")
    Path("mine.txt").write_text(original, encoding="utf-8")
    status, _, err = minigrad("check", "mine.txt", "--fix", "mine.txt")
    assert status == 2 and "is the file itself" in err
    Path("other.txt").write_text("precious")
    status, _, err = minigrad("check", "mine.txt", "--fix", "other.txt")
    assert status == 2 and "exists" in err and Path("other.txt").read_text() == "precious"
    assert Path("mine.txt").read_text(encoding="utf-8") == original
    assert minigrad("check", "mine.txt", "--fix", "mine.txt", "--force")[0] == 1
    assert "# was:" in Path("mine.txt").read_text(encoding="utf-8")
    assert sorted(p.name for p in Path().iterdir()) == ["mine.txt", "other.txt"]


def test_json(minigrad):
    status, out, _ = minigrad("check", "note-000-elman", "--json")
    data = json.loads(out)
    assert status == 1 and data["ok"] is False and data["model"] == "elman"
    assert {line["verdict"] for line in data["lines"]} == {"right", "undefined"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nowhere.txt"], "no file nowhere.txt"),
        (["check", "."], "is a folder"),
        (["check", "prose.txt"], "no equation was found"),
        (["check", "line.txt"], "does not say which network"),
        (["check", "line.txt", "-m", "elmann"], "no network is called 'elmann'"),
        (["check", "line.txt", "-m", "elman", "--lines", "x:y"], "expected two line numbers"),
        (["check", "line.txt", "-m", "elman", "--lines", "4:2"], "may not come before"),
        (["check", "binary.txt", "-m", "elman"], "binary file"),
        (["derive", "nothing"], "no network is called"),
        (["derive", "lstm", "--paths", "q[1]"], "no q[1] in this network"),
        (["derive", "lstm", "--paths", "h[1]", "--steps", "30"], "more than 1,000 paths"),
    ],
)
def test_what_cannot_be_read_is_one_message_and_status_2(minigrad, arguments, words):
    Path("prose.txt").write_text("It was a dark and stormy night.\n")
    Path("line.txt").write_text("do = p - y\n")
    Path("binary.txt").write_bytes(bytes(range(256)))
    status, out, err = minigrad(*arguments)
    assert (status, out) == (2, "") and words in err and "Traceback" not in err


def test_a_model_of_ones_own(minigrad):
    Path("gru.py").write_text(GRU)
    status, out, _ = minigrad("derive", "gru.py:loss")
    assert status == 0 and "dz = dh * h[t-1]" in out
    Path("mine.txt").write_text(out)
    assert minigrad("check", "mine.txt", "-m", "gru.py:loss")[0] == 0
    Path("mine.txt").write_text(out.replace("dz = dh * h[t-1]", "dz = dh * h"))
    status, out, _ = minigrad("check", "mine.txt", "-m", "gru.py:loss")
    assert status == 1 and "try: dz = dh * h[t-1]" in out


@pytest.mark.parametrize("form", ["text", "leibniz", "latex", "markdown", "html"])
def test_every_format(minigrad, form):
    status, out, _ = minigrad("derive", "elman", "--format", form)
    assert status == 0 and out.strip()
    if form in ("text", "leibniz"):
        Path("printed.txt").write_text(out, encoding="utf-8")
        assert minigrad("check", "printed.txt", "-m", "elman")[0] == 0
    assert minigrad("derive", "elman", "-f", form, "--out", "file")[0] == 0
    assert Path("file").read_text(encoding="utf-8") == out
    assert minigrad("derive", "elman", "--out", "file")[0] == 2


def test_standard_input_and_a_pipe():
    text = "model: elman\ndo = p - y\n"
    command = [sys.executable, "-c", "from minigrad.cli import main; main()", "check", "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0 and b"1 right" in done.stdout and not done.stderr


def test_importing_minigrad_does_not_import_the_reader():
    code = (
        "import sys, minigrad; assert 'lark' not in sys.modules and 'minigrad.derivation' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
