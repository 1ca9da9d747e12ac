"""The notebook in examples/: its cells run, and what is stored below them is what they give."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "examples" / "lstm_from_primitives.ipynb"


def test_the_notebook_was_executed_and_gives_the_same_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    names: dict[str, object] = {}
    shown = 0
    for cell in (c for c in cells if c["cell_type"] == "code"):
        assert cell["execution_count"]
        stored = "".join(
            "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            for output in cell["outputs"]
        )
        assert not any(output["output_type"] == "error" for output in cell["outputs"])
        assert _words(stored) == _words(_run("".join(cell["source"]), names))
        shown += any("image/svg+xml" in output.get("data", {}) for output in cell["outputs"])
    assert shown >= 2


def _words(text: str) -> list[str]:
    return text.split()


def _run(source: str, names: dict[str, object]) -> str:
    """Run a cell as a notebook does: what it prints, then the last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            if value is not None:
                print(repr(value))
    return out.getvalue()
