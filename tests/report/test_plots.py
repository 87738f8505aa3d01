"""Pictures of designs: drawn without a display, and showing the numbers of the design."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from madnas.errors import UsageError
from madnas.figures import FORMATS, picture_format, render
from madnas.program.design import design, pareto, sweep
from madnas.program.problem import Problem
from madnas.program.space import load_space
from madnas.report.plots import draw_design, draw_sweep

CIFAR = Problem(load_space("basic-cifar"), {"macs": 20_000_000, "params": 200_000}, 0.3)
MLP = Problem(load_space("mlp"), {"params": 100_000}, 0.1)
SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.fixture(scope="module")
def designed():
    return design(CIFAR, name="mine")


def swept(**values):
    """Designs of MLPs over the product of some lists."""
    points = [{}]
    for name, choices in values.items():
        points = [point | {name: choice} for point in points for choice in choices]
    problems = []
    for point in points:
        budgets = {"params": point.get("params", 100_000)}
        problems.append((point, replace(MLP, budgets=budgets, rho=point.get("rho", 0.1))))
    return list(sweep(problems))


def test_a_dollar_in_a_name_begins_no_formula():
    figure = Figure()
    axis = figure.subplots()
    axis.set(title="$a_{$", xticks=[1, 2], xticklabels=["$a_{$", "b"])
    assert render(figure, "svg") == render(figure, "svg")
    with_tick = Figure()  # powers of ten, which matplotlib writes as formulas
    with_tick.subplots().set(xscale="log", xlim=(1, 1e5))
    render(with_tick, "svg")
    assert all("$" in tick.get_text() and tick.get_parse_math() for tick in with_tick.axes[0].get_xticklabels())


class TestFormat:
    @pytest.mark.parametrize("name", ["a.png", "a.PNG", "b.svg", "c.pdf", "folder.gif/d.png"])
    def test_is_told_by_the_suffix(self, name):
        assert picture_format(Path(name)) == name[-3:].lower()

    @pytest.mark.parametrize("name", ["a", "a.gif", "a.png.txt", "png", ".png", "a.", "a.jpeg"])
    def test_others_are_refused_with_what_there_is(self, name):
        with pytest.raises(UsageError, match="cannot draw a ") as caught:
            picture_format(Path(name))
        assert all(f".{suffix}" in str(caught.value.hint) for suffix in FORMATS)


@pytest.mark.parametrize("kind", FORMATS)
def test_picture_is_a_file_of_its_format_and_the_same_every_time(designed, kind):
    first = render(draw_design(designed), kind)
    assert first.startswith(SIGNATURES[kind])
    assert len(first) > 5000
    assert render(draw_design(designed), kind) == first


class TestDesign:
    def test_widths_of_all_layers_along_the_depth(self, designed):
        top, _ = draw_design(designed).axes
        widths = top.lines[0].get_ydata()
        assert len(widths) == designed.counts.layers
        assert np.log(widths).sum() == pytest.approx(designed.structure.log_widths)
        assert top.lines[1].get_ydata() == pytest.approx([designed.structure.width] * 2)
        assert "mine" in top.get_title()

    def test_entropy_of_every_stage(self, designed):
        _, bottom = draw_design(designed).axes
        assert [bar.get_height() for bar in bottom.patches] == pytest.approx(list(designed.structure.entropies))
        assert [text.get_text() for text in bottom.get_xticklabels()] == [
            f"{stage.resolution:g} px\n{stage.out_chs} ch\n{stage.depth} layers" for stage in designed.structure.stages
        ]
        labels = [text.get_text() for text in bottom.texts]
        assert [label.split(" × ")[1] for label in labels] == ["1", "1", "8"]

    def test_borders_of_the_stages(self, designed):
        top, _ = draw_design(designed).axes
        borders = [line.get_xdata()[0] for line in top.lines[2:]]
        depths = np.cumsum([stage.depth for stage in designed.structure.stages])[:-1]
        assert borders == pytest.approx(list(depths + 0.5))


class TestSweep:
    def test_four_panels_with_the_designs_numbers(self):
        designs = swept(rho=[0.05, 0.1, 0.2])
        axes = draw_sweep(designs).axes
        assert [axis.get_ylabel().split(" ")[0] for axis in axes] == ["layers", "average", "weighted", "objective"]
        series = [
            [one.counts.layers for one in designs],
            [one.structure.width for one in designs],
            [one.structure.weighted_entropy((1.0,)) for one in designs],
            [one.objective for one in designs],
        ]
        for axis, expected in zip(axes, series, strict=True):
            assert axis.lines[0].get_xdata() == pytest.approx([0.05, 0.1, 0.2])
            assert axis.lines[0].get_ydata() == pytest.approx(expected)
            assert axis.get_xlabel() == "rho"

    def test_pareto_front_of_budgets(self):
        designs = swept(params=[60_000, 80_000, 100_000])
        front = draw_sweep(designs).axes[-1].lines[-1]
        assert front.get_label() == "Pareto front"
        best = [one for one, on_front in zip(designs, pareto(designs), strict=True) if on_front]
        assert list(front.get_xdata()) == [one.problem.budgets["params"] for one in best]
        assert front.get_ydata() == pytest.approx([one.objective for one in best])
        assert len(draw_sweep(swept(rho=[0.1, 0.2])).axes[-1].lines) == 1  # none where no budget is swept

    def test_no_front_where_stage_weights_are_swept(self):
        designs = swept(params=[60_000, 100_000])
        weighted = [replace(one, swept=one.swept | {"stage_weights": (1.0,)}) for one in designs]
        assert len(draw_sweep(designs).axes[-1].lines) == 2
        assert len(draw_sweep(weighted).axes[-1].lines) == 1

    def test_two_swept_options_make_several_lines(self):
        designs = swept(params=[60_000, 100_000], rho=[0.05, 0.1, 0.2])
        lines = draw_sweep(designs).axes[0].lines
        assert len(lines) == 3
        assert all(list(line.get_xdata()) == [60_000, 100_000] for line in lines)

    def test_values_that_are_no_numbers_are_named_below_the_axis(self):
        designs = swept(rho=[0.1, None])
        axis = draw_sweep(designs).axes[0]
        assert [text.get_text() for text in axis.get_xticklabels()] == ["0.1", "none"]  # as it is typed
        weights = [replace(one, swept={"stage_weights": (float(i),)}) for i, one in enumerate(designs, 1)]
        assert [text.get_text() for text in draw_sweep(weights).axes[0].get_xticklabels()] == ["1", "2"]
