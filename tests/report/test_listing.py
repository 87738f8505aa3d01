"""Spaces and recipes as one document."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from madnas.program.recipe import DesignRecipe, load_recipe, recipe_files
from madnas.program.space import load_space, space_files
from madnas.report.listing import SCHEMA, list_document


@pytest.fixture(scope="module")
def found():
    return list_document()


def test_is_plain_data(found):
    assert json.loads(json.dumps(found)) == found
    assert found["schema"] == SCHEMA == "madnas/list/1"


def test_every_space(found):
    spaces = {space["name"]: space for space in found["spaces"]}
    assert list(spaces) == list(space_files())
    for name, space in spaces.items():
        assert load_space(space["file"]) == load_space(name)
        assert space["stages"] <= space["groups"] + 1
        assert space["summary"] and space["rho"] > 0
    assert spaces["mobilenet-se"]["kernels"] == [3, 5, 7]
    assert spaces["mlp"]["kernels"] == []
    assert (spaces["basic-cifar"]["input"], spaces["basic-cifar"]["classes"]) == ([3, 32, 32], 100)


def test_every_space_of_free_length(found):
    spaces = {space["name"]: space for space in found["evolution_spaces"]}
    assert list(spaces) == ["zen-mobile", "zen-residual"]
    assert spaces["zen-residual"]["blocks"] == ["basic", "bottleneck"]
    assert all(space["kernels"] == [3, 5, 7] and Path(space["file"]).exists() for space in spaces.values())


def test_every_recipe_with_the_whole_problem(found):
    recipes = {recipe["name"]: recipe for recipe in found["recipes"]}
    assert list(recipes) == list(recipe_files())
    for name, one in recipes.items():
        assert Path(one["file"]).samefile(recipe_files()[name])
        again = DesignRecipe(
            one["row"],
            one["space"],
            **one["budgets"],
            rho=one["rho"],
            without_guidelines=tuple({1, 2, 3} - set(one["guidelines"])),
        ).problem()
        problem = load_recipe(name).problem()
        assert (again.budgets, again.rho, again.guidelines) == (problem.budgets, problem.rho, problem.guidelines)
        assert one["stage_weights"] == list(problem.weights)
        assert one["depth_penalty"] == problem.beta
        assert one["input"] == list(problem.space.input)
    assert recipes["29m-288"]["input"] == [3, 288, 288]
    assert recipes["r18-alpha16"]["stage_weights"] == [1, 1, 1, 1, 16]
    assert recipes["b0-without-guideline2"]["depth_penalty"] == 0
    assert recipes["r18-rho0.3"]["published"] == "deepmad-r18"


@pytest.mark.parametrize("module", ["listing", "scores"])
def test_loads_no_solver(module):
    code = f"import sys, madnas.report.{module}; print({{'pyomo', 'casadi', 'numpy', 'torch'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
