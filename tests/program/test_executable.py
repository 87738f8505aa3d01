"""The other way to IPOPT: an executable on PATH; here a stand-in that speaks its protocol, as no wheel has one."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from madnas.errors import SolverError
from madnas.program.model import build
from madnas.program.nlp import CasadiIpopt, ExecutableIpopt, make_solver
from madnas.program.problem import Problem
from madnas.program.search import Effort, search
from madnas.program.space import load_space

BUDGETS = {"macs": 1_820_000_000, "params": 11_690_000}


@pytest.fixture
def executable(tmp_path, monkeypatch):
    script = tmp_path / "ipopt"
    standin = Path(__file__).with_name("ipopt_standin.py")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {standin} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_both_ways_end_in_the_same_optimum_with_the_same_prices(executable):
    problem = Problem(load_space("bottleneck"), BUDGETS, 0.3)
    models = build(problem), build(problem)
    low = np.array([variable.lb for variable in models[0].x.values()])
    high = np.array([variable.ub for variable in models[0].x.values()])
    start = (low + np.minimum(high, np.maximum(12, low))) / 2
    ours = CasadiIpopt(models[0]).solve(low, high, start)
    theirs = ExecutableIpopt(models[1]).solve(low, high, start)
    assert theirs.status == ours.status == "optimal"
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-5)
    for name, price in ours.prices.items():
        assert theirs.prices[name] == pytest.approx(price, rel=1e-2, abs=5.0), name


def test_reserve_takes_room_for_one_solve_only(executable):
    problem = Problem(load_space("bottleneck"), BUDGETS, 0.3)
    model = build(problem)
    solver = ExecutableIpopt(model)
    low = np.array([variable.lb for variable in model.x.values()])
    high = np.array([variable.ub for variable in model.x.values()])
    start = (low + np.minimum(high, np.maximum(12, low))) / 2
    full = solver.solve(low, high, start).objective
    assert solver.solve(low, high, start, {"rho": 0.1}).objective < 0.99 * full
    assert solver.solve(low, high, start).objective == pytest.approx(full, rel=1e-6)


def test_a_whole_design_runs_on_the_executable(executable):
    problem = Problem(load_space("mlp"), {"params": 200_000}, 0.1)
    ours, theirs = search(problem), search(problem, Effort(solver="ipopt"))
    assert "executable" in theirs.solver
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-3)


def test_without_an_executable_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = Problem(load_space("mlp"), {"params": 200_000}, 0.1)
    with pytest.raises(SolverError, match="no 'ipopt' executable") as caught:
        make_solver(build(problem), "ipopt")
    assert "--solver casadi" in (caught.value.hint or "")
