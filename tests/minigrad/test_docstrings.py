"""Every example in the engine's docstrings runs and prints what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import minigrad

PACKAGE = Path(minigrad.__file__).parent
OTHERS = {"cli", "compiler", "derivation"}  # with tests of their own
MODULES = sorted(
    ".".join(("minigrad", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in OTHERS
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    count = sum(len(test.examples) for m in MODULES for test in finder.find(importlib.import_module(m)))
    assert count > 60
