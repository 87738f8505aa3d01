"""The picture: what a summary says is what is drawn."""

import pytest

from madnas.experiments.library import load_recipe
from madnas.experiments.summary import summarise
from madnas.report.experiment_plot import draw_summary
from tests.experiments.shell import write_recipe
from tests.experiments.test_summary import ROWS, row


def draw(tmp_path, rows):
    recipe = load_recipe(str(write_recipe(tmp_path, depths=[4, 5])))
    return draw_summary(summarise("tiny", recipe, 0, rows))


def test_four_panels_with_a_line_for_every_depth(tmp_path):
    figure = draw(tmp_path, ROWS)
    assert len(figure.axes) == 4
    assert [axis.get_xlabel() for axis in figure.axes] == ["parameters", "NN-Mass (neurons)"] * 2
    for axis in figure.axes:
        assert axis.get_legend_handles_labels()[1] == ["depth 4", "depth 5"]
        assert axis.get_title().startswith("R² ") and axis.get_title().endswith("of 6 points")
        assert axis.get_xscale() == "log"
    accuracy = figure.axes[1].get_legend_handles_labels()[0][0].lines[0]
    assert accuracy.get_xdata().tolist() == [2, 4, 9]
    assert accuracy.get_ydata().tolist() == pytest.approx([57.43, 64.36, 72.47], abs=0.01)


def test_without_mass_or_accuracy(tmp_path):
    figure = draw(tmp_path, [row(depth, 0, 0, None) for depth in (4, 5)])
    assert {axis.get_title() for axis in figure.axes} == {"no fit"}
    figure.canvas.draw()


def test_a_point_without_mass_far_below_is_drawn_at_the_border_with_its_value(tmp_path):
    """Otherwise a network that learnt nothing would squeeze all others into a line."""
    rows = [{**one, "accuracy": 0.1 if one["links"] == 0 else one["accuracy"]} for one in ROWS]
    figure = draw(tmp_path, rows)
    low, high = figure.axes[0].get_ylim()
    assert low > 50 and high < 80
    assert [text.get_text() for text in figure.axes[0].texts] == ["10.0", "10.0"]
    assert figure.axes[1].get_ylim() == (low, high)
