"""One formula, three kinds of argument: numbers, arrays of candidates and Pyomo expressions give the same values."""

from collections.abc import Sequence

import pyomo.environ as pyo
import pytest

from madnas.theory.effectiveness import average_width, effectiveness, log_effectiveness
from madnas.theory.entropy import cnn_entropy, layer_entropy, layer_width, log_variance, mlp_entropy, output_variance
from madnas.theory.objective import depth_imbalance, objective, variance
from madnas.theory.restructuring import alpha_penalty
from madnas.theory.tinynas import standard_deviation, tinynas_depth_imbalance, tinynas_entropy, tinynas_objective
from tests.theory.arguments import Formula, assert_agrees

FORMULAS: dict[str, tuple[Formula, Sequence[float]]] = {
    "layer_width": (lambda c: layer_width(c, kernel=3), [64]),
    "layer_width, kernel": (lambda c, k: layer_width(c, kernel=k), [64, 5]),
    "layer_width, depthwise": (lambda c, k: layer_width(c, kernel=k, groups=c), [64, 5]),
    "layer_entropy": (layer_entropy, [576]),
    "log_variance": (lambda *ws: log_variance(ws), [27, 576, 64]),
    "output_variance": (lambda *ws: output_variance(ws), [27, 576, 64]),
    "mlp_entropy": (lambda out, *ws: mlp_entropy(out, log_variance(ws)), [10, 784, 100]),
    "cnn_entropy": (lambda r, c, *ws: cnn_entropy(r, c, log_variance(ws)), [14, 384, 27, 576, 64]),
    "average_width": (average_width, [115, 684.5]),
    "effectiveness": (effectiveness, [115, 684.5]),
    "log_effectiveness": (log_effectiveness, [115, 684.5]),
    "variance": (lambda *depths: variance(depths), [6, 9, 10, 12]),
    "depth_imbalance": (lambda *depths: depth_imbalance(depths), [6, 9, 10, 12]),
    "objective": (lambda a, b, *depths: objective([a, b], [1, 8], depths), [1454.0, 7120.0, 6, 9, 10]),
    "objective, beta 0": (lambda a, b: objective([a, b], [1, 8], [3, 90], depth_penalty=0), [1454.0, 7120.0]),
    "alpha_penalty": (lambda *alphas: alpha_penalty(alphas, 1e-3), [0.2, 0.9, 1.3]),
    "tinynas_entropy": (tinynas_entropy, [14, 384, 500.0]),
    "tinynas_entropy, SE": (lambda r, c, s: tinynas_entropy(r, c, s, squeeze_excite=True), [14, 384, 500.0]),
    "standard_deviation": (lambda *depths: standard_deviation(depths), [6, 9, 10, 12]),
    "tinynas_depth_imbalance": (lambda *depths: tinynas_depth_imbalance(depths), [9, 10, 12]),
    "tinynas_objective": (lambda a, b, *ds: tinynas_objective([a, b], [1, 8], ds), [1454.0, 7120.0, 6, 9, 10]),
}


@pytest.mark.parametrize(("formula", "at"), FORMULAS.values(), ids=FORMULAS.keys())
def test_number_array_and_expression_agree(formula: Formula, at: Sequence[float]):
    assert_agrees(formula, at)


def test_log_rho_is_linear_in_the_log_widths():
    """For given depths the rho constraint is linear, which is what makes the program well behaved."""
    model = pyo.ConcreteModel()
    model.log_widths = pyo.Var(range(3))
    assert log_effectiveness(3, sum(model.log_widths.values())).polynomial_degree() == 1
