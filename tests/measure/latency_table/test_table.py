"""Latency tables: what is predicted from what was measured, without a clock: times come from known rates."""

import json
from dataclasses import replace

import numpy as np
import pytest

from madnas.errors import SpecError, UsageError
from madnas.measure.latency_table import LatencyTable, load_table
from madnas.measure.latency_table.pieces import WORK, pieces, work
from madnas.measure.latency_table.table import Measured
from madnas.network.count import count
from madnas.network.named import get
from madnas.program.draw import draw
from madnas.program.problem import Problem
from madnas.program.space import load_space
from tests.cli.shell import MADNAS

RATES = np.array([20e-6, 3e-10, 1e-10, 2e-10, 4e-11, 0.0, 6e-11, 2e-10, 1e-10])
"""Seconds per unit of work on an imagined device."""

MACS = {"mobilenet-se": 300e6, "basic-cifar": 40e6, "bottleneck": 500e6, "mlp": 1e6}
SETTING = {"device": "cpu", "precision": "fp32", "batch_size": 1, "layout": "channels-first", "threads": 1,
           "clock": "thread"}  # fmt: skip


def imagined(spec, noise=0.0, seed=0, rates=RATES):
    """The network as the imagined device measures it."""
    random = np.random.default_rng(seed)
    parts = []
    for piece in pieces(spec):
        seconds = float(rates @ np.array(work(piece)))
        parts += [seconds * float(np.exp(noise * random.standard_normal())) for _ in range(piece.repeat)]
    total = sum(parts)
    return Measured(spec, tuple(parts), total, 1.1 * total, 9)


def table_of(name, noise=0.0, probes=60, rates=RATES):
    space, most = load_space(name), MACS[name]
    shallow = draw(space, probes // 2, (most / 32, most), (2, 2), 0, "shallow")
    deep = draw(space, probes // 2, (most / 8, most), (1, 12), 0, "deep")
    held_out = draw(space, 12, (most / 8, most), (1, 12), 1, "held-out")
    return LatencyTable(
        name, int(most), SETTING, {"hardware": "imagined"},
        tuple(imagined(spec, noise, seed, rates) for seed, spec in enumerate([*shallow, *deep])),
        tuple(imagined(spec, rates=rates) for spec in held_out),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return table_of("mobilenet-se")


@pytest.mark.parametrize("name", MACS)
def test_known_rates_are_found_again(name):
    error = table_of(name).error
    assert error.p95 < 0.01 and error.n >= 10


def test_noise_of_single_pieces_averages_out():
    noisy = table_of("basic-cifar", noise=0.1).error
    assert 0 < noisy.median < 0.05


def test_work_is_what_the_network_costs():
    spec = get("deepmad-29m")
    total = np.zeros(len(WORK))
    for piece in pieces(spec):
        total += piece.repeat * np.array(work(piece), dtype=np.float64)
    amounts = dict(zip(WORK, total, strict=True))
    counts = count(spec)
    assert amounts["weights"] == counts.params
    assert amounts["outputs"] == counts.activations
    assert sum(amounts[kind] for kind in ("depthwise", "vectors", "1x1", "k x k")) == counts.macs
    assert amounts["calls"] == 1 + sum(spec.depths) + 1
    assert amounts["1x1 in lanes"] >= amounts["1x1"]


def test_arrays_are_predicted_as_single_networks_are(table):
    space = load_space("mobilenet-se")
    problem = Problem(space, {"macs": int(MACS["mobilenet-se"])})
    specs = draw(space, 40, (MACS["mobilenet-se"] / 8, MACS["mobilenet-se"]), (1, 12), 7, "net")
    names = [variable.name for variable in problem.variables]
    rows = [[_chosen(spec, name) for name in names] for spec in specs]
    columns = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)]
    many = table.predict_many(problem.network(columns))
    assert many.shape == (40,)
    covered = 0
    for spec, seconds in zip(specs, many, strict=True):
        if np.isnan(seconds):
            with pytest.raises(UsageError):
                table.predict(spec)
        else:
            covered += 1
            assert table.predict(spec) == pytest.approx(seconds, rel=1e-9)
    assert covered > 20


def _chosen(spec, name):
    if name == "stem":
        return spec.stem.out
    key, number = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return getattr(spec.groups[number - 1], key)


def test_a_deeper_network_takes_as_much_longer_as_its_blocks(table):
    spec = table.held_out[0].spec
    deeper = replace(spec, groups=(*spec.groups[:-1], replace(spec.groups[-1], depth=spec.groups[-1].depth + 3)))
    following = list(pieces(spec))[-2]
    assert not following.shape.opens
    expected = 3 * float(RATES @ np.array(work(following)))
    assert table.predict(deeper) - table.predict(spec) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("name", "words"),
    [("resnet18", "stem: stem 7x7"), ("deepmad-29m-288", "at 288x288")],
)
def test_what_the_table_does_not_cover_is_refused(table, name, words):
    with pytest.raises(UsageError, match=words):
        table.predict(get(name))


def test_blocks_that_differ_are_refused():
    with pytest.raises(UsageError, match="'dense' differ"):
        list(pieces(get("densenet-121")))


def test_widths_far_from_measured_ones_are_refused(table):
    spec = table.held_out[0].spec
    wide = replace(spec.groups[-1], out=4000, hidden=20000)
    with pytest.raises(UsageError, match=r"groups\[4\]: channels .* the latency table covers"):
        table.predict(replace(spec, groups=(*spec.groups[:-1], wide)))


def test_file_and_back(table, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table.document()))
    again = load_table(path)
    spec = table.held_out[3].spec
    assert again.predict(spec) == table.predict(spec)
    assert again.error == table.error and again.spread == pytest.approx(0.1)
    assert (again.device, again.precision, again.batch_size) == ("imagined", "fp32", 1)


def test_error_is_computed_from_the_file_and_not_believed(table, tmp_path):
    document = table.document()
    document["held_out_error"]["median"] = 0.0
    document["held_out"] = [one | {"seconds": 2 * one["seconds"]} for one in document["held_out"]]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(document))
    assert load_table(path).error.median == pytest.approx(0.5, abs=0.01)


def broken(table, **changes):
    document = table.document()
    for key, value in changes.items():
        if value is None:
            del document[key]
        else:
            document[key] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda table: "{", "not a JSON document"),
        (lambda table: "[]", "schema"),
        (lambda table: broken(table, schema="madnas/latency-table/2"), "expected 'madnas/latency-table/1'"),
        (lambda table: broken(table, probes=[]), "probes: at least one"),
        (lambda table: broken(table, setting={"device": "cpu"}), "setting.precision: missing"),
        (lambda table: broken(table, setting=SETTING | {"batch_size": "many"}), "setting.batch_size"),
        (lambda table: broken(table, setting=SETTING | {"batch_size": 0}), "setting.batch_size"),
        (lambda table: broken(table, environment={"hardware": 7}), "environment.hardware"),
        (lambda table: broken(table, macs="many"), "macs"),
        (lambda table: broken(table, macs=-1), "macs"),
        (lambda table: broken(table, space=None), "space"),
        (lambda table: broken(table, surprise=1), "surprise"),
        (lambda table: table_with_part(table, -1.0), "parts_seconds"),
        (lambda table: table_with_part(table, float("nan")), "parts_seconds|NaN"),
    ],
)
def test_broken_files_are_refused(table, tmp_path, make, words):
    path = tmp_path / "table.json"
    path.write_text(make(table))
    with pytest.raises(SpecError, match=words):
        load_table(path)


def table_with_part(table, seconds):
    document = table.document()
    document["probes"][0]["parts_seconds"][2] = seconds
    return json.dumps(document)


def test_a_missing_file_is_one_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_table(tmp_path / "none.json")


def test_predicting_needs_no_torch(table, tmp_path):
    import subprocess

    path = tmp_path / "table.json"
    path.write_text(json.dumps(table.document()))
    code = f"""
import sys
from madnas.measure.latency_table import load_table
table = load_table({str(path)!r})
table.predict(table.held_out[0].spec)
print("torch" in sys.modules)
"""
    done = subprocess.run([MADNAS[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
