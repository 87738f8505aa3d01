"""Several searches over one task: what the summary has, and that nothing is computed twice."""

import json
from dataclasses import replace

import pytest

from madnas.errors import SpecError
from madnas.experiments.curves.run import CurvesPlan, run_curves
from madnas.experiments.library import load_recipe, recipe_files
from madnas.figures import render
from madnas.network.count import count
from madnas.network.specfile import parse_spec
from madnas.network.yamlfile import read_yaml
from madnas.report.curves_plot import draw_curves

NAME = "zen-nas/proxies"


def test_every_proxy_of_the_figures_is_there():
    recipe = load_recipe(NAME)
    assert {f"Figure {number}" for number in range(7, 13)} <= {curve.figure for curve in recipe.curves}
    assert recipe.quickened().candidates < recipe.candidates


def test_curves_rise_and_are_found_again(tmp_path):
    recipe = load_recipe(NAME)
    closed = tuple(curve for curve in recipe.curves if curve.score in ("macs", "params"))
    plan = CurvesPlan(NAME, replace(recipe, curves=closed, candidates=400), 0, tmp_path / "out")
    summary = run_curves(plan)
    assert [curve["name"] for curve in summary["curves"]] == ["FLOPs", "params"]
    for curve in summary["curves"]:
        values = [value for _, value in curve["history"]]
        assert values == sorted(values) and values[-1] == curve["fitness"]["value"]
        spec = parse_spec(curve["spec"], "summary")
        assert getattr(count(spec), curve["score"]) == values[-1] and count(spec).params <= 1_000_000
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    journals = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.jsonl")}
    assert run_curves(plan) == summary and len(journals) == 2
    assert all(path.read_bytes() == held for path, held in journals.items())
    assert render(draw_curves(summary), "png").startswith(b"\x89PNG")


def test_broken_recipes_say_where(tmp_path):
    tree = read_yaml(recipe_files()[NAME])
    path = tmp_path / "recipe.yaml"
    for changes, key in (({"curves": []}, "curves: at least one"), ({"survivers": 3}, "survivers"),
                         ({"candidates": 0}, "candidates: at least 1")):  # fmt: skip
        path.write_text(json.dumps(tree | changes))
        with pytest.raises(SpecError, match=key):
            load_recipe(str(path))
