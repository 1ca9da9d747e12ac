"""The examples in the docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import visualize

MODULES = [f"visualize.{module.name}" for module in pkgutil.iter_modules(visualize.__path__)]


@pytest.mark.parametrize("name", ["visualize", *MODULES])
def test_the_examples_of_a_module(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
