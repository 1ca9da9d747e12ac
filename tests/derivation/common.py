"""What the tests of this folder share."""

from __future__ import annotations

from functools import lru_cache

import minigrad as mg
from minigrad.cli.derivations import DRAWS, shipped
from minigrad.cli.model import load
from minigrad.derivation import Report, check


@lru_cache(maxsize=32)
def draws(model: str, steps: int = 3) -> tuple[mg.Node, ...]:
    return tuple(load(model, steps=steps, columns=columns, seed=seed) for columns, seed in DRAWS)


def checked(text: str, model: str = "elman", steps: int = 3, repairs: bool = True) -> Report:
    return check(text, draws(model, steps), repairs=repairs, model=model)


def source(name: str) -> str:
    return shipped()[name].read_text(encoding="utf-8")


def one(text: str, model: str = "elman", steps: int = 3):
    """The finding about a single line."""
    (finding,) = checked(text, model, steps).lines
    return finding


def in_place(model: str, old: str, new: str):
    """The report on the shipped derivation with one line changed, and the finding about that line."""
    text = source(model)
    assert text.count(f"\n{old}\n") == 1, old
    changed = text.replace(f"\n{old}\n", f"\n{new}\n")
    number = changed.split("\n").index(new) + 1
    report = checked(changed, model)
    (finding,) = [f for f in report.lines if f.number == number]
    return report, finding
