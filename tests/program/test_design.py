"""From a problem to a network that can be trusted: recheck, explanation, sweeps."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import madnas
from madnas.errors import SolverError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.specfile import check_spec, dump_spec, load_spec
from madnas.program import design as module
from madnas.program.design import design, pareto, point_name, recheck, sweep
from madnas.program.problem import Problem
from madnas.program.search import Effort, search
from madnas.program.space import load_space
from tests.program.spaces import brute_force, meets, objective_of, random_problem

MLP = Problem(load_space("mlp"), {"params": 100_000}, 0.1)
SE = Problem(load_space("mobilenet-se"), {"macs": 390_000_000}, 0.5)
CIFAR = Problem(load_space("basic-cifar"), {"macs": 20_000_000, "params": 200_000}, 0.2)
FEW = Effort(max_nodes=1, gap=0.5)


@pytest.fixture(scope="module", params=["se", "cifar", "mlp"])
def designed(request):
    return design({"se": SE, "cifar": CIFAR, "mlp": MLP}[request.param], name="mine")


class TestDesign:
    def test_everything_is_recomputed_from_the_spec(self, designed):
        problem, spec = designed.problem, designed.spec
        assert spec.name == "mine"
        assert designed.counts == count(spec)
        assert designed.structure == analyse(spec)
        assert designed.objective == objective_of(problem, spec)
        assert meets(problem, spec)
        assert check_spec(spec) == spec
        assert designed.used() == {name: (getattr(count(spec), name), n) for name, n in problem.budgets.items()}

    def test_gap_is_relative_to_the_bound(self, designed):
        assert designed.bound >= designed.objective
        assert designed.gap == pytest.approx((designed.bound - designed.objective) / designed.bound)
        assert 0 <= designed.gap <= 1e-3
        assert designed.bound <= designed.solution.relaxation
        assert str(designed.solution.evidence.nodes) in designed.bound_basis

    def test_binding_limits_come_with_what_they_are_worth(self, designed):
        names = [binding.limit for binding in designed.binding]
        assert set(names) == {*designed.problem.budgets, "rho"}
        gains = [binding.gain for binding in designed.binding]
        assert gains == sorted(gains, reverse=True)
        prices = designed.solution.prices
        for binding in designed.binding:
            price = prices["rho" if binding.limit == "rho" else f"budget[{binding.limit}]"]
            assert binding.gain == pytest.approx(0.01 * price)
            assert binding.gain_percent == pytest.approx(100 * binding.gain / designed.objective)
            limit = designed.problem.rho if binding.limit == "rho" else designed.problem.budgets[binding.limit]
            value = designed.structure.rho if binding.limit == "rho" else getattr(designed.counts, binding.limit)
            assert binding.used == pytest.approx(value / limit)

    def test_a_limit_that_does_not_bind_is_not_listed(self):
        loose = design(replace(MLP, budgets=MLP.budgets | {"layers": 500, "macs": 10**9}))
        assert [binding.limit for binding in loose.binding] == ["rho", "params"]

    def test_one_percent_more_gains_what_is_printed(self, designed):
        """Of the relaxation; whole numbers make the gain of a designed network jump."""
        problem = designed.problem
        gain = next(binding.gain for binding in designed.binding if binding.limit == "rho")
        more, less = (search(replace(problem, rho=problem.rho * f), FEW).relaxation for f in (1.005, 0.995))
        assert more - less == pytest.approx(gain, rel=0.02)

    def test_provenance_is_complete_and_the_same_on_every_run(self, designed):
        provenance = designed.spec.provenance
        problem = designed.problem
        assert provenance == {
            "program": "DeepMAD Eq. (5)",
            "space": problem.space.name,
            "budgets": problem.budgets,
            "rho": problem.rho,
            "stage_weights": list(problem.weights),
            "depth_penalty": problem.beta,
            "guidelines": [1, 2, 3],
            "objective": round(designed.objective, 3),
            "bound": round(designed.bound, 3),
            "gap": round(designed.gap, 6),
            "solver": designed.solution.solver,
            "madnas": madnas.__version__,
        }
        again = design(problem, name="mine")
        assert again.spec.provenance == provenance
        assert dump_spec(again.spec) == dump_spec(designed.spec)

    def test_file_holds_the_network_and_its_provenance(self, designed, tmp_path):
        path = tmp_path / "net.yaml"
        path.write_text(dump_spec(designed.spec))
        loaded = load_spec(path)
        assert loaded == designed.spec
        assert loaded.provenance == designed.spec.provenance

    def test_enumerated_answers_say_so(self, tmp_path):
        problem = random_problem("tiny-bottleneck", tmp_path, 1)
        finished = design(problem)
        assert finished.gap == 0
        assert re.fullmatch(r"all [\d,]+ (points|networks|candidates)?.* enumerated", finished.bound_basis)
        assert finished.objective == pytest.approx(brute_force(problem)[0], rel=1e-12)


def tampered(designed, **changes):
    """A solution with some parts replaced."""
    return replace(designed.solution, **changes)


class TestRecheck:
    def check(self, designed, problem=None, solution=None, objective=None):
        spec = designed.spec
        recheck(
            problem or designed.problem,
            spec,
            count(spec),
            analyse(spec),
            designed.objective if objective is None else objective,
            solution or designed.solution,
        )

    def test_accepts_the_answer(self, designed):
        self.check(designed)

    def test_exceeded_budget(self, designed):
        for name, (value, _) in designed.used().items():
            exact = replace(designed.problem, budgets=designed.problem.budgets | {name: value})
            self.check(designed, exact)
            less = replace(designed.problem, budgets=designed.problem.budgets | {name: value - 1})
            with pytest.raises(SolverError, match=f"the answer for mine failed its recheck: {name}$") as caught:
                self.check(designed, less)
            assert caught.value.exit_code == 4

    def test_exceeded_rho(self, designed):
        with pytest.raises(SolverError, match=r"recheck: rho$"):
            self.check(designed, replace(designed.problem, rho=designed.structure.rho * (1 - 1e-9)))

    def test_other_objective(self, designed):
        with pytest.raises(SolverError, match=r"recheck: objective$"):
            self.check(designed, solution=tampered(designed, objective=designed.objective * (1 + 1e-6)))
        with pytest.raises(SolverError, match=r"recheck: objective$"):
            self.check(designed, objective=designed.objective - 1.0)

    def test_broken_ratio(self, tmp_path):
        designed = design(random_problem("tiny-bottleneck", tmp_path, 1))
        ratios = designed.problem.ratios
        values = designed.solution.values.copy()
        values[ratios[-1].bottom] = 10 * values[ratios[-1].top]
        with pytest.raises(SolverError, match=f"recheck: .*{ratios[-1].name}"):
            self.check(designed, solution=tampered(designed, values=values))

    def test_everything_that_is_wrong_is_named(self, designed):
        names = list(designed.problem.budgets)
        problem = replace(designed.problem, budgets={name: 1 for name in names}, rho=1e-6)
        with pytest.raises(SolverError, match=", ".join([*names, "rho", "objective"])):
            self.check(designed, problem, objective=0.5)

    @pytest.mark.parametrize("change", [1, -1], ids=["a block more", "a block less"])
    def test_a_wrong_answer_of_the_search_never_comes_out(self, change, monkeypatch):
        def wrong(problem, effort=None, known=None):
            found = search(problem, effort, known)
            values = found.values.copy()
            values[problem.index["depth2"]] += change
            return replace(found, values=values)

        monkeypatch.setattr(module, "search", wrong)
        with pytest.raises(SolverError, match=r"failed its recheck: .*objective"):
            design(MLP)


class TestSweep:
    def test_more_of_a_budget_is_never_worse(self):
        limits = [60_000, 80_000, 100_000, 130_000, 170_000]
        points = [({"params": limit}, replace(MLP, budgets={"params": limit})) for limit in limits]
        designs = list(sweep(points, name="net"))
        assert [one.swept for one in designs] == [swept for swept, _ in points]
        assert [one.spec.name for one in designs] == ["net-params60K", "net-params80K", "net-params100K",
                                                      "net-params130K", "net-params170K"]  # fmt: skip
        objectives = [one.objective for one in designs]
        assert objectives == sorted(objectives)
        assert all(one.used()["params"][0] <= limit for one, limit in zip(designs, limits, strict=True))

    def test_an_earlier_answer_that_fits_is_used(self):
        """Searching hardly at all for the second point, the first one's answer remains."""
        lazy = Effort(max_nodes=1, gap=0.5)
        careful = design(MLP)
        alone = design(replace(MLP, budgets={"params": 101_000}), lazy)
        known = np.array([careful.solution.values])
        helped = design(replace(MLP, budgets={"params": 101_000}), lazy, known=known)
        assert helped.objective >= max(careful.objective, alone.objective)

    def test_points_of_different_spaces_do_not_mix(self):
        wider = replace(MLP, space=replace(MLP.space, multiple=16))
        designs = list(sweep([({"rho": 0.1}, MLP), ({"rho": 0.1}, wider)]))
        assert all(group.out % 16 == 0 for group in designs[1].spec.groups)

    def test_results_come_one_by_one(self):
        generator = sweep([({"rho": 0.1}, MLP), ({"rho": 0.2}, "not a problem")])
        assert next(generator).objective > 0
        with pytest.raises(AttributeError):
            next(generator)

    @pytest.mark.parametrize(
        ("swept", "name"),
        [
            ({"rho": 0.3}, "net-rho0.3"),
            ({"rho": None}, "net-rhonone"),
            ({"macs": 4_500_000_000, "params": 29_000_000}, "net-macs4.5G-params29M"),
            ({"activations": 1_234_567}, "net-activations1.234567M"),
            ({"stage_weights": (1.0, 1.0, 0.5, 8.0)}, "net-weights1_1_0.5_8"),
            ({}, "net"),
        ],
        ids=str,
    )
    def test_names_of_points_tell_them_apart(self, swept, name):
        assert point_name("net", swept) == name
        assert not set(name) & set("/\\ :")


def stand_in(objective, **costs):
    """What the Pareto front looks at of a design."""
    used = {name: (cost, 10**9) for name, cost in costs.items()}
    return SimpleNamespace(objective=objective, used=lambda: used)


class TestPareto:
    def test_dominated_designs_are_not_on_the_front(self):
        designs = [
            stand_in(5.0, macs=10, params=10),
            stand_in(4.0, macs=10, params=10),  # worse at the same costs
            stand_in(4.0, macs=9, params=10),  # cheaper
            stand_in(3.0, macs=9, params=9),
            stand_in(5.0, macs=11, params=10),  # as good, dearer
            stand_in(2.0, macs=20, params=1),  # the fewest params
        ]
        assert pareto(designs) == [True, False, True, True, False, True]

    def test_equal_designs_are_both_on_it(self):
        assert pareto([stand_in(1.0, macs=1), stand_in(1.0, macs=1)]) == [True, True]
        assert pareto([stand_in(1.0, macs=1)]) == [True]

    def test_is_the_definition(self):
        """Off the front is what another one equals or beats in everything, and beats in something."""
        generator = np.random.default_rng(0)
        rows = generator.integers(0, 4, (40, 3))
        front = pareto([stand_in(float(o), macs=int(m), params=int(p)) for o, m, p in rows])
        for index, (objective, macs, params) in enumerate(rows):
            better = [r for r in rows if r[0] >= objective and r[1] <= macs and r[2] <= params]
            dominated = any(tuple(row) != (objective, macs, params) for row in better)
            assert front[index] is not dominated
        assert 0 < sum(front) < len(rows)
