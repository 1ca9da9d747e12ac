"""Hand derivations: the notation, the writer, the checker.

`write(loss)` prints the backward pass of a graph as a person would derive it; `check(text, loss)` holds a
derivation that a person wrote against the graph, line by line; both speak the notation of ``grammar.lark``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checker import Report, check
    from .path_sums import paths
    from .reader import read
    from .writer import Derivation, write

__all__ = ["Derivation", "Report", "check", "paths", "read", "write"]
_HOME = {
    "check": "checker",
    "Report": "checker",
    "read": "reader",
    "write": "writer",
    "paths": "path_sums",
    "Derivation": "writer",
}


def __getattr__(name: str) -> Any:
    """Load a part when it is first used, so that `import minigrad` stays quick."""
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
