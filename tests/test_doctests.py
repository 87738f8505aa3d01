"""Every example in every docstring of the package runs, and every formula of the theory has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import madnas
import madnas.cli

# madnas.cli is mapped from its own folder, so that walking madnas does not meet it in a checkout.
PACKAGES = (madnas, madnas.cli)
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)
THEORY = [name for name in MODULES if name.startswith("madnas.theory.")]

WITHOUT_EXAMPLE = {"is_symbolic", "is_array", "log", "exp", "sqrt", "floor_to_multiple"}
"""Plumbing of ``madnas.theory.numerics``: no formulas."""


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_theory_is_found():
    assert len(THEORY) >= 5


@pytest.mark.parametrize("name", THEORY)
def test_every_formula_has_an_example(name: str):
    module = importlib.import_module(name)
    formulas = [
        function
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == name and not function.__name__.startswith("_")
    ]
    assert formulas
    without = {function.__name__ for function in formulas if ">>>" not in (function.__doc__ or "")}
    assert without <= WITHOUT_EXAMPLE
