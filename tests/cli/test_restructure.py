"""``madnas restructure`` as a user meets it: a network's way from search to the collapsed form, and wrong input."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import load_file

from madnas.cli.main import run
from madnas.models.norms import unsettle
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.specfile import dump_spec, load_spec
from madnas.restructure.stages import blocks_of
from madnas.targets import find, module_of
from tests.cli.shell import document, refused
from tests.models.examples import EXAMPLES

QUICK = ["--set", "image_size=8", "--set", "epochs=2", "--set", "warmup_epochs=0", "--set", "pad=1"]

SMALL = """schema: madnas/network/1
name: small
input: [1, 8, 8]
stem: {out: 8, kernel: 3, stride: 1}
groups:
  - {block: inverted-residual, out: 16, depth: 1, expand: 6, kernel: 3, stride: 2}
  - {block: inverted-residual, out: 16, depth: 2, expand: 6, kernel: 3}
  - {block: inverted-pair, out: 16, depth: 1, expand: 6, kernel: 3}
head: {classes: 10}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search, and its sub-network trained."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "small.yaml").write_text(SMALL)
    search = ["restructure", "search", str(folder / "small.yaml"), "-o", str(folder / "search"), *QUICK]
    assert run([*search, "--lambda", "1e-3,1", "--npu", "none"]) == 0
    assert run(["train", str(folder / "search/lambda-1/expanded.yaml"), "-o", str(folder / "run"), *QUICK]) == 0
    return folder


@pytest.fixture(scope="module")
def collapsed(searched):
    """The trained sub-network, collapsed; tests that change it take a copy."""
    collapse = ["restructure", "collapse", str(searched / "run"), "-o", str(searched / "collapsed"), "--untimed"]
    assert run(collapse) == 0
    return searched / "collapsed"


def test_a_search_leaves_a_report_and_descriptions(searched):
    folder = searched / "search"
    report = (folder / "report.md").read_text()
    assert "lambda 0.001" in report and "alphas.png" in report
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("alphas.png", "front.png"))
    header, *rows = (folder / "front.csv").read_text().splitlines()
    assert header.startswith("lambda,top1,linear_blocks") and len(rows) == 2
    spec = load_spec(folder / "lambda-1/subnetwork.yaml")
    assert spec.input == (1, 8, 8)
    strong = [json.loads(line) for line in (folder / "lambda-1/metrics.jsonl").read_text().splitlines()]
    alphas = [line["alphas"] for line in strong if line["event"] == "alphas"]
    assert len(alphas) == 2 and len(alphas[0]) == 4
    linear = [0.8 <= value <= 1.3 for value in alphas[-1].values()]
    kinds = [group.block for group in spec.groups for _ in range(group.depth)]
    assert [kind.startswith("act-conv") for kind in kinds] == linear
    assert any(linear)  # a penalty of this weight leaves the loss no choice


def test_a_finished_search_is_told_again(searched, capsys):
    again = ["restructure", "search", str(searched / "small.yaml"), "-o", str(searched / "search"), *QUICK]
    found = document(capsys, *again, "--lambda", "1e-3,1", "--npu", "none")
    assert [one["lambda"] for one in found["results"]] == [0.001, 1]
    assert found["results"][1]["units"]["after"] < found["results"][0]["units"]["before"]
    assert "npu" not in found["results"][0]


def test_a_search_says_what_an_npu_gains(searched, capsys):
    pytest.importorskip("ethosu.vela", reason="needs the extra npu")
    again = ["restructure", "search", str(searched / "small.yaml"), "-o", str(searched / "search"), *QUICK]
    found = document(capsys, *again, "--lambda", "1e-3,1")
    speeds = [one["npu"] for one in found["results"]]
    assert speeds[0]["before"] == speeds[1]["before"] and speeds[0]["before"]["npu"] == "ethos-u55-256"
    assert speeds[1]["after"]["macs"] == found["results"][1]["macs"]["after"]
    assert speeds[1]["ratio"] > speeds[0]["ratio"] >= 1
    lines = (searched / "search/front.csv").read_text().splitlines()
    assert lines[0].endswith(",npu_inferences_per_second")
    assert float(lines[2].rpartition(",")[2]) == pytest.approx(speeds[1]["after"]["inferences_per_second"], rel=1e-5)
    report = (searched / "search/report.md").read_text()
    assert f"{speeds[1]['ratio']:.2f}" in report and "Ethos_U55_High_End_Embedded, Shared_Sram" in report


def test_without_vela_the_report_says_what_to_install(searched, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite", None)
    again = ["restructure", "search", str(searched / "small.yaml"), "-o", str(searched / "search"), *QUICK]
    assert run([*again, "--lambda", "1e-3,1"]) == 0
    assert "pip install 'madnas[npu]'" in capsys.readouterr().err
    assert "pip install 'madnas[npu]'" in (searched / "search/report.md").read_text()
    assert "pip install 'madnas[npu]'" in refused(capsys, *again, "--npu", "ethos-u65-512")


def test_a_collapse_says_what_an_npu_gains(tmp_path, capsys):
    pytest.importorskip("ethosu.vela", reason="needs the extra npu")
    small, out = tmp_path / "small.yaml", tmp_path / "out"
    small.write_text(dump_spec(EXAMPLES["repvgg"]))
    collapse = ["restructure", "collapse", str(small), "--untimed", "-o", str(out)]
    assert "no NPU 'ethos-u55-127'" in refused(capsys, *collapse, "--npu", "ethos-u55-127")
    found = document(capsys, *collapse, "--npu", "ethos-u55-128")
    assert found["npu"]["before"]["npu"] == "ethos-u55-128"
    assert found["npu"]["after"]["macs"] == found["after"]["macs"]
    assert found["npu"]["ratio"] > 1
    page = (out / "report.md").read_text()
    assert "inferences/s on ethos-u55-128" in page and "on the CPU" not in page


def test_a_collapse_says_what_an_npu_leaves_to_the_cpu(tmp_path, capsys):
    pytest.importorskip("ethosu.vela", reason="needs the extra npu")
    small, out = tmp_path / "small.yaml", tmp_path / "out"
    small.write_text(dump_spec(replace(EXAMPLES["convnext"], groups=EXAMPLES["convnext"].groups[:1])))
    words = ["restructure", "collapse", str(small), "--untimed", "--npu", "ethos-u55-256", "-o", str(out)]
    assert run(words) == 0
    assert "times), without 6 operators on the CPU (6 MEAN)" in " ".join(capsys.readouterr().out.split())
    assert "times, without 6 operators on the CPU (6 MEAN) |" in (out / "report.md").read_text()


def test_the_collapsed_network_predicts_what_the_run_does(searched, tmp_path, capsys):
    collapse = ["restructure", "collapse", str(searched / "run"), "-o", str(tmp_path / "collapsed"), "--untimed"]
    found = document(capsys, *collapse)
    assert found["errors"]["float64"]["relative"] <= 1e-12
    assert any(one["border"] for one in found["merged"]) and found["latency"] == {}
    assert {path.name for path in (tmp_path / "collapsed").iterdir()} == {
        "network.yaml", "weights.safetensors", "certificate.json", "report.md"}  # fmt: skip
    assert json.loads((tmp_path / "collapsed/certificate.json").read_text()) == found
    rebuilt = module_of(find(str(tmp_path / "collapsed/network.yaml"))).eval()
    rebuilt.load_state_dict(load_file(tmp_path / "collapsed/weights.safetensors"))
    assert sum(one.numel() for one in rebuilt.parameters()) == found["after"]["params"]
    before = document(capsys, "train", "--eval", str(searched / "run"))
    weights = str(tmp_path / "collapsed/weights.safetensors")
    recipe = ["--recipe", str(searched / "run/recipe.yaml")]
    after = document(capsys, "train", str(tmp_path / "collapsed/network.yaml"), "--eval", weights, *recipe)
    assert after["top1"] == before["top1"]
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-4)


def test_what_is_there_is_not_replaced(searched, collapsed, tmp_path, capsys):
    shutil.copytree(collapsed, tmp_path / "there")
    collapse = ["restructure", "collapse", str(searched / "run"), "-o", str(tmp_path / "there"), "--untimed"]
    assert "exists already" in refused(capsys, *collapse)
    assert run([*collapse, "--force"]) == 0


def test_split_with_units_by_their_effect(tmp_path, capsys):
    convnext = """schema: madnas/network/1
name: convs
input: [1, 8, 8]
stem: {out: 8, kernel: 2, stride: 2, norm: layer}
groups: [{block: convnext, out: 16, depth: 2, expand: 4, kernel: 3, stride: 2, act: gelu}]
head: {classes: 10, norm: layer}
"""
    (tmp_path / "convs.yaml").write_text(convnext)
    assert run(["train", str(tmp_path / "convs.yaml"), "-o", str(tmp_path / "run"), *QUICK]) == 0
    capsys.readouterr()
    split = ["restructure", "split", str(tmp_path / "run"), "--units", "effect", "--activation", "exp-clamped"]
    found = document(capsys, *split, "-o", str(tmp_path / "split"))
    assert [part["kept"] for part in found["parts"]] == [38, 38]
    spec = load_spec(tmp_path / "split/network.yaml")
    assert (spec.groups[0].hidden, spec.groups[0].branch) == (38, "exp-clamped")
    network = module_of(find(str(tmp_path / "split/network.yaml")))
    network.load_state_dict(load_file(tmp_path / "split/weights.safetensors"))


def test_split_of_timms_networks_is_a_target(tmp_path, capsys):
    assert run(["restructure", "split", "timm/mixer_s32_224", "-o", str(tmp_path / "split"), "--untimed"]) == 0
    capsys.readouterr()
    network = module_of(find(str(tmp_path / "split/network.yaml")))
    with torch.no_grad():
        assert network(torch.randn(1, 3, 224, 224)).shape == (1, 1000)


def test_replaying_the_papers_stages(tmp_path, capsys):
    a, b, c = (str(tmp_path / f"{one}.yaml") for one in "abc")
    edit = ["restructure", "edit"]
    assert run([*edit, "ran-e-supernet", "--collapse-blocks", "5,7,9,12,15", "--name", "ran-e-a", "-o", a]) == 0
    assert run([*edit, a, "--collapse-blocks", "2,3", "--name", "ran-e-b", "-o", b]) == 0
    assert run([*edit, b, "--kernels", "6:5,8:5,13:7,16:5,17:5", "--name", "ran-e-c", "-o", c]) == 0
    out = capsys.readouterr().out
    assert "costs MACs" in out
    for path, name in ((a, "ran-e-a"), (b, "ran-e-b"), (c, "ran-e-c")):
        assert blocks_of(load_spec(path)) == blocks_of(get(name))
    truth = [*edit, "ran-e-supernet", "--collapse-blocks", "2,3,4,5,10,11", "--kernels", "6:5,7:5,12:7,16:5,17:5"]
    found = document(capsys, *truth, "-o", str(tmp_path / "gt.yaml"))
    assert blocks_of(load_spec(str(tmp_path / "gt.yaml"))) == blocks_of(get("ran-e-gt"))
    assert [round(found["after"][what] / 1e6, 3) for what in ("params", "macs")] == [4.487, 434.396]
    found = document(capsys, *edit, "ran-e-supernet", "--collapse-blocks", "2")
    assert found["after"]["macs"] < found["before"]["macs"] == count(get("ran-e-supernet")).macs


WRONG = {
    "no such network": (["collapse", "nosuch"], "unknown network 'nosuch'"),
    "nothing linear": (["collapse", "timm/convnextv2_atto"], "nothing in the network is linear"),
    "no such module": (["collapse", "resnet20", "--only", "layer9"], "no module 'layer9'"),
    "not linear": (["collapse", "mobilenetv2", "--only", "groups.2.0"], "groups.2.0: not linear: there is"),
    "no weights": (["collapse", "resnet20", "--checkpoint", "no.safetensors"], "no such file"),
    "no alphas": (["collapse", "resnet20", "--round-alphas"], "no alpha from 0.8 to 1.3"),
    "no pairs": (["split", "resnet20"], "nowhere in the network"),
    "a fraction of all": (["split", "convnext-t", "--fraction", "1"], "--fraction: more than 0 and less than 1"),
    "a fraction of none": (["split", "convnext-t", "--fraction", "0"], "--fraction: more than 0 and less than 1"),
    "a fraction of more": (["split", "convnext-t", "--fraction", "1.5"], "--fraction: more than 0 and less than 1"),
    "a fraction of less": (["split", "convnext-t", "--fraction", "-0.4"], "--fraction: more than 0 and less than 1"),
    "a fraction of no number": (["split", "convnext-t", "--fraction", "nan"], "--fraction: more than 0"),
    "no images": (["split", "convnext-t", "--units", "effect"], "--recipe names the data"),
    "idle recipe": (["split", "convnext-t", "--recipe", "digits/quick"], "only --units effect looks at images"),
    "lambda of words": (["search", "ran-e-digits", "--lambda", "many"], "--lambda 'many': expected numbers"),
    "lambda of nothing": (["search", "ran-e-digits", "--lambda", "nan"], "--lambda 'nan': more than 0"),
    "lambda twice": (["search", "ran-e-digits", "--lambda", "1,1"], "each once"),
    "nothing to search": (["search", "resnet20"], "resnet20: no block can be searched"),
    "no description": (["search", "timm/mixer_s32_224"], "only networks with a description"),
    "no change": (["edit", "ran-e-supernet"], "what is to change?"),
    "blocks of words": (["edit", "ran-e-supernet", "--collapse-blocks", "two"], "expected numbers of blocks"),
    "a block twice": (["edit", "ran-e-supernet", "--collapse-blocks", "5,5"], "block 5 is given twice"),
    "a kernel twice": (["edit", "ran-e-supernet", "--kernels", "6:5,6:7"], "block 6 is given twice"),
    "kernels of words": (["edit", "ran-e-supernet", "--kernels", "5"], "expected BLOCK:KERNEL pairs"),
    "no such block": (["edit", "ran-e-supernet", "--kernels", "99:5"], "no block 99"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "restructure", *arguments)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network(tmp_path, searched, capsys):
    error = refused(capsys, "restructure", "collapse", "resnet20", "--checkpoint",
                    str(searched / "run/best.safetensors"))  # fmt: skip
    assert "weights of another network" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("merged:", "melted:"), "melted: unknown key"),
        (("classes: 10", "classes: 0"), "classes: expected"),
        (("groups.1", "groups.7"), "can be merged as described"),
    ],
)
def test_a_changed_description(collapsed, tmp_path, change, message, capsys):
    path = tmp_path / "network.yaml"
    path.write_text((collapsed / "network.yaml").read_text().replace(*change))
    assert message in refused(capsys, "score", str(path))


def test_weights_of_a_larger_network(tmp_path, capsys):
    """Every tensor of ResNet-18 is in ResNet-34, with the same shape."""
    from safetensors.torch import save_file

    save_file(module_of(find("resnet34")).state_dict(), tmp_path / "weights.safetensors")
    collapse = ["restructure", "collapse", "resnet18", "--checkpoint", str(tmp_path / "weights.safetensors")]
    assert "weights of another network" in refused(capsys, *collapse)


def test_old_weights_that_do_not_count_batches(tmp_path, capsys):
    """As torchvision's first ones, or with a count where frozen norms have none."""
    from safetensors.torch import save_file

    state = module_of(find("resnet20")).state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    collapse = ["restructure", "collapse", "resnet20", "--untimed", "--checkpoint"]
    for name, one in (("old", old), ("odd", state | {"norm.num_batches_tracked": torch.ones(1)})):
        save_file(one, tmp_path / f"{name}.safetensors")
        found = document(capsys, *collapse, str(tmp_path / f"{name}.safetensors"))
        assert found["weights"].endswith(f"{name}.safetensors")


def test_the_epsilon_of_the_run_is_kept(tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(SMALL)
    run_folder, collapsed = str(tmp_path / "run"), tmp_path / "collapsed"
    assert run(["train", str(tmp_path / "small.yaml"), "-o", run_folder, *QUICK, "--set", "bn_eps=0.1"]) == 0
    capsys.readouterr()
    assert run(["restructure", "collapse", run_folder, "-o", str(collapsed), "--untimed"]) == 0
    capsys.readouterr()
    before = document(capsys, "train", "--eval", run_folder)
    weights = str(collapsed / "weights.safetensors")
    after = document(capsys, "train", str(collapsed / "network.yaml"), "--eval", weights, *QUICK)
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)
    assert "is restructured already" in refused(capsys, "restructure", "collapse", str(collapsed / "network.yaml"))


def test_files_of_something_else_are_not_replaced_by_a_search(tmp_path, capsys):
    (tmp_path / "report.md").write_text("mine")
    search = ["restructure", "search", "ran-e-digits", "-o", str(tmp_path)]
    assert "has files of something else" in refused(capsys, *search)
    assert (tmp_path / "report.md").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["test_convnext", "test_convnext2", "test_mambaout", "tf_mobilenetv3_small_minimal_100"]
)
def test_collapsed_networks_of_timm_are_built_again(name, tmp_path, capsys):
    """Scales behind linear layers, padding as TensorFlow does: the description and the weights are the network."""
    from safetensors.torch import save_file

    model = timm.create_model(name).eval()
    unsettle(model, 0)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    collapse = ["restructure", "collapse", f"timm/{name}", "--checkpoint", str(tmp_path / "weights.safetensors")]
    found = document(capsys, *collapse, "--untimed", "-o", str(tmp_path / "collapsed"))
    assert any(one["name"].rpartition(".")[2] in ("fc2", "conv_dw", "conv_stem") for one in found["merged"])
    network = module_of(find(str(tmp_path / "collapsed/network.yaml"))).eval()
    network.load_state_dict(load_file(tmp_path / "collapsed/weights.safetensors"))
    images = torch.randn(1, *model.pretrained_cfg["input_size"])
    with torch.no_grad():
        expected = model(images)
        assert (network(images) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_timms_own_weights_of_a_network_that_is_described_here(tmp_path, capsys):
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "weights.safetensors")
    collapse = ["restructure", "collapse", "timm/resnet18", "--checkpoint", str(tmp_path / "weights.safetensors")]
    assert run([*collapse, "--untimed", "-o", str(tmp_path / "collapsed")]) == 0
    capsys.readouterr()
    network = module_of(find(str(tmp_path / "collapsed/network.yaml")))
    network.load_state_dict(load_file(tmp_path / "collapsed/weights.safetensors"))
