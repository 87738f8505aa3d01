"""The theory is light: numbers in, numbers out, and nothing heavy is loaded for it."""

import pkgutil
import subprocess
import sys

import madnas.theory

HEAVY = {"casadi", "matplotlib", "numpy", "pydantic", "pyomo", "rich", "timm", "torch", "typer", "yaml"}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return {name.partition(".")[0] for name in output.split()}


def test_theory_imports_nothing_heavy():
    modules = [module.name for module in pkgutil.walk_packages(madnas.theory.__path__, "madnas.theory.")]
    assert {"madnas.theory.entropy", "madnas.theory.objective", "madnas.theory.tinynas"} <= set(modules)
    loaded = loaded_by("import " + ", ".join(modules))
    assert "madnas" in loaded
    assert not loaded & HEAVY


def test_counting_a_network_imports_nothing_heavy():
    assert not loaded_by("import madnas.network.analyse, madnas.network.count, madnas.network.tinynas_score") & HEAVY


def test_the_check_sees_a_heavy_import():
    assert loaded_by("import numpy") & HEAVY == {"numpy"}
