"""The other way to IPOPT: an executable on PATH; here a stand-in that speaks its protocol, as no wheel has one."""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from madnas.errors import SolverError
from madnas.program.model import build
from madnas.program.nlp import CasadiIpopt, ExecutableIpopt, make_solver
from madnas.program.problem import Problem
from madnas.program.search import Effort, search
from madnas.program.space import load_space
from tests.cli.shell import madnas

BUDGETS = {"macs": 1_820_000_000, "params": 11_690_000}


STANDIN = f'exec {sys.executable} {Path(__file__).with_name("ipopt_standin.py")} "$@"'

VERSION = 'case "$*" in *-v*) echo "Ipopt 3.14.11 (x86_64-pc-linux-gnu), ASL(20190605)"; exit 0;; esac'


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that makes shell commands the ``ipopt`` on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where Pyomo writes the problems

    def install(*commands):
        script = folder / "ipopt"
        script.write_text("\n".join(["#!/bin/sh", *commands]) + "\n")
        script.chmod(0o755)
        return script

    return install


@pytest.fixture
def executable(install):
    return install(STANDIN)


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


BROKEN = {
    "does not start": (["echo 'libhsl.so: cannot open shared object file' >&2; exit 127"], "libhsl.so: cannot open"),
    "crashes": ([VERSION, "echo 'Exception of type: OPTION_INVALID' >&2; exit 3"], "OPTION_INVALID"),
    "is killed": ([VERSION, "kill -SEGV $$"], r"return code \(-11\)"),
    "says nothing": (["exit 0"], "it wrote no solution"),
    "prints rubbish": (["printf '\\377\\376\\n'"], "it wrote no solution"),
    "writes rubbish": ([VERSION, 'echo "rubbish" > "${1%.nl}.sol"'], "no Options line"),
}


@pytest.mark.parametrize(("commands", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_an_executable_that_does_not_work_is_named_with_its_last_words(commands, reason, install, tmp_path, capfd):
    script = install(*commands)
    problem = Problem(load_space("mlp"), {"params": 200_000}, 0.1)
    with pytest.raises(SolverError, match=reason) as caught:
        search(problem, Effort(solver="ipopt"))
    assert str(caught.value).startswith(f"the executable {script} does not work: ")
    assert "\n" not in str(caught.value)
    assert "--solver casadi" in caught.value.hint
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.rglob("*.nl"))


def test_a_program_of_another_machine(install):
    script = install()
    script.write_bytes(b"\x7fELF of another kind")
    with pytest.raises(SolverError, match="Exec format error"):
        search(Problem(load_space("mlp"), {"params": 200_000}, 0.1), Effort(solver="ipopt"))


def test_a_later_crash_is_a_solve_that_failed(install, tmp_path):
    """One box that the executable cannot cope with does not end the search; it is counted as unsolved."""
    crash = tmp_path / "crash"
    install(f"test -e {crash} && echo 'Infeasible_Problem_Detected' && exit 3", STANDIN)
    model = build(Problem(load_space("mlp"), {"params": 200_000}, 0.1))
    low = np.array([variable.lb for variable in model.x.values()])
    high = np.array([variable.ub for variable in model.x.values()])
    solver = ExecutableIpopt(model)
    first = solver.solve(low, high, (low + high) / 2)
    crash.touch()
    second = solver.solve(low, high, first)
    crash.unlink()
    third = solver.solve(low, high, first)
    assert [point.status for point in (first, second, third)] == ["optimal", "failed", "optimal"]
    assert second.reason.endswith(" does not work: Infeasible_Problem_Detected")
    assert third.objective == pytest.approx(first.objective, rel=1e-6)


def test_command_line_says_it_in_a_line_and_a_hint(install):
    install(VERSION, "echo 'no licence' >&2; exit 1")
    run = madnas("design", "--flops", "300M", "--params", "3M", "--solver", "ipopt")
    assert (run.returncode, run.stdout) == (4, "")
    first, second = run.stderr.splitlines()
    assert first.startswith("madnas: the executable ") and first.endswith(" does not work: no licence")
    assert second == "hint: use --solver casadi, which needs no executable"
