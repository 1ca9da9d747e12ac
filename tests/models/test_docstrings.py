"""Every example in a docstring of the models says what is so, and every public name explains itself."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import models

MODULES = ["models", *(m.name for m in pkgutil.walk_packages(models.__path__, "models."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch):
    monkeypatch.chdir(models.__path__[0] + "/..")  # some read the example data
    module = importlib.import_module(name)
    if name == "models.onnx_export":
        pytest.importorskip("onnx")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_explained(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for key, value in vars(module).items():
        own = getattr(value, "__module__", None) == name
        if own and not key.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
            assert value.__doc__, f"{name}.{key}"
