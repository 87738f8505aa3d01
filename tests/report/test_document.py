"""Designs as JSON-able data and as CSV."""

import csv
import io
import json
from dataclasses import replace

import pytest

from madnas.network.specfile import parse_spec
from madnas.program.design import design, pareto, sweep
from madnas.program.problem import Problem
from madnas.program.space import load_space
from madnas.report.document import design_csv, design_document, front, sweep_document
from tests.program.spaces import random_problem

MLP = Problem(load_space("mlp"), {"params": 100_000}, 0.1)
CIFAR = Problem(load_space("basic-cifar"), {"macs": 20_000_000, "params": 200_000, "layers": 40}, None)


@pytest.fixture(scope="module", params=["mlp", "cifar"])
def one(request):
    return design({"mlp": MLP, "cifar": CIFAR}[request.param], name="mine")


@pytest.fixture(scope="module")
def swept():
    limits = [60_000, 80_000, 100_000]
    return list(sweep([({"params": n}, Problem(MLP.space, {"params": n}, 0.1)) for n in limits], name="net"))


class TestDocument:
    def test_is_plain_data(self, one):
        document = design_document(one)
        assert json.loads(json.dumps(document)) == document

    def test_holds_what_was_designed(self, one):
        document = design_document(one)
        assert parse_spec(document["spec"], "document") == one.spec
        assert document["rho_limit"] == one.problem.rho
        assert document["bound"] == one.bound and document["gap"] == one.gap
        assert document["budgets"] == {
            name: {"value": getattr(one.counts, name), "limit": limit} for name, limit in one.problem.budgets.items()
        }
        assert [stage["weight"] for stage in document["stages"]] == list(one.problem.weights)
        assert sum(stage["weight"] * stage["entropy"] for stage in document["stages"]) == pytest.approx(
            document["entropy"]
        )
        assert [binding["limit"] for binding in document["binding"]] == [binding.limit for binding in one.binding]
        for binding in document["binding"]:
            gain = binding["gain_per_percent"]
            assert binding["gain_per_percent_relative"] == pytest.approx(gain / document["objective"])

    def test_counts_of_the_solver_are_those_of_the_evidence(self, one):
        solver, evidence = design_document(one)["solver"], one.solution.evidence
        assert solver["nodes"] == evidence.nodes
        assert solver["starts"] == evidence.starts
        assert solver["candidates"] == one.solution.evaluated
        assert solver["basis"] == one.bound_basis
        assert solver["relaxation"] == one.solution.relaxation

    def test_only_points_of_a_sweep_are_swept(self, one, swept):
        assert "swept" not in design_document(one)
        assert design_document(swept[1])["swept"] == {"params": 80_000}

    def test_enumerated_design_has_no_nodes(self, tmp_path):
        document = design_document(design(random_problem("tiny-basic", tmp_path, 1)))
        assert (document["solver"]["nodes"], document["solver"]["starts"], document["gap"]) == (0, 0, 0)
        assert "enumerated" in document["solver"]["basis"]

    def test_sweep_is_its_designs(self, swept):
        document = sweep_document(swept)
        assert document["schema"] == "madnas/design-sweep/1"
        assert [result["pareto"] for result in document["results"]] == pareto(swept)
        assert [{k: v for k, v in result.items() if k != "pareto"} for result in document["results"]] == [
            design_document(one) for one in swept
        ]


def test_front_is_left_out_where_stage_weights_are_swept(swept):
    assert front(swept) == pareto(swept)
    weighted = [replace(one, swept=one.swept | {"stage_weights": (float(i),)}) for i, one in enumerate(swept, 1)]
    assert front(weighted) is None
    document = sweep_document(weighted)
    assert [result["pareto"] for result in document["results"]] == [None] * 3
    columns = design_csv(swept).splitlines()[0].split(",")
    assert "pareto" in columns
    assert design_csv(weighted).splitlines()[0].split(",") == [name for name in columns if name != "pareto"]


class TestCsv:
    def test_a_row_for_each_design(self, swept):
        text = design_csv(swept)
        assert text.endswith("\n") and "\r" not in text
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["name"] for row in rows] == ["net-params60K", "net-params80K", "net-params100K"]
        for row, one in zip(rows, swept, strict=True):
            assert len(row) == len(set(row)) and None not in row
            assert int(row["params"]) == one.counts.params <= int(row["params_limit"])
            assert float(row["objective"]) == one.objective
            assert float(row["rho"]) == pytest.approx(one.structure.rho, rel=1e-15)
            assert row["pareto"] in ("True", "False")

    def test_every_budget_has_its_column(self, one):
        (row,) = csv.DictReader(io.StringIO(design_csv([one])))
        for name, limit in one.problem.budgets.items():
            assert int(row[f"{name}_limit"]) == limit
        assert row["rho_limit"] == ("" if one.problem.rho is None else str(one.problem.rho))
        assert row["stage_weights"].split() == [f"{weight:g}" for weight in one.problem.weights]

    def test_columns_do_not_depend_on_the_values(self, swept):
        headers = {design_csv([one]).splitlines()[0] for one in swept}
        assert len(headers) == 1
