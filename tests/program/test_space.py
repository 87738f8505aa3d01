"""Search spaces: the files that come with madnas, what is wrong with a user's, and which kernels fit where."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from madnas.errors import SpecError, UsageError
from madnas.network.specfile import check_spec
from madnas.program.problem import Problem
from madnas.program.space import MOST_VALUES, Space, StemSpace, customise, load_space, multiples, space_files
from tests.program.spaces import SHIPPED, TINY, edited, keeps_ratios, tiny_space

FOLDER = Path(__file__).parents[2] / "recipes" / "space"


def test_every_file_is_shipped_and_known():
    files = sorted(FOLDER.rglob("*.yaml"))
    assert len(files) == 6
    assert {path.stem for path in files} == set(SHIPPED) == set(space_files())
    assert all(path.samefile(space_files()[path.stem]) for path in files)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_space_loads(name):
    space = load_space(name)
    assert space.name == name
    assert space.summary
    assert space.rho is not None
    assert space == load_space(str(FOLDER / f"{name}.yaml")) == customise(space)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("end", [0, -1], ids=["smallest", "largest"])
def test_corners_of_a_shipped_space_are_networks(name, end):
    problem = Problem(load_space(name), {"params": 1})
    spec = problem.network([variable.values[end] for variable in problem.variables])
    assert check_spec(spec) == spec


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_space_holds_a_network_that_keeps_its_ratios(name):
    problem = Problem(load_space(name), {"params": 1})
    space = problem.space
    out = max(64, space.out[0])
    values = {"stem": space.stem.out[1] if space.stem else None, "head": None}
    values |= {f"out{i}": out for i in range(1, 6)} | {f"depth{i}": 1 for i in range(1, 6)}
    values |= {f"kernel{i}": 3 for i in range(1, 6)}
    values |= {f"hidden{i}": int(out * (space.hidden_ratio or (1, 1))[1]) for i in range(1, 6)}
    row = [values[variable.name] for variable in problem.variables]
    assert all(value in variable.values for value, variable in zip(row, problem.variables, strict=True))
    assert keeps_ratios(problem, problem.network(row))
    assert all(ratio.holds(row[ratio.top], row[ratio.bottom]) for ratio in problem.ratios)


@pytest.mark.parametrize("name", TINY)
def test_tiny_spaces_of_these_tests_are_valid(name, tmp_path):
    assert Problem(tiny_space(name, tmp_path), {"params": 1}).grid_size() < 20_000


PROBLEMS = {
    "unknown block": ("bottleneck", {"block": "botleneck"}, r"block: unknown 'botleneck'; one of .*bottleneck"),
    "no strides": ("bottleneck", {"strides": []}, "strides: one stride, 1 or 2"),
    "stride 3": ("bottleneck", {"strides": [2, 3]}, "strides: one stride, 1 or 2"),
    "stem missing": ("bottleneck", {"stem": ...}, "stem: needed by every block but 'linear'"),
    "stem of an MLP": ("mlp", {"stem": {"out": [8, 8]}}, "stem: needed by every block but 'linear'"),
    "shortcut unknown": ("bottleneck", {"shortcut": "identity"}, "shortcut: 'identity' is not one of bottleneck's"),
    "shortcut uncountable": ("bottleneck", {"shortcut": "conv"}, "shortcut: a space needs one of pool"),
    "default shortcut uncountable": ("basic", {"shortcut": ...}, "shortcut: a space needs one of pool, pad"),
    "no hidden, bottleneck": ("bottleneck", {"hidden_ratio": ...}, "hidden_ratio: needed by bottleneck"),
    "no hidden, mobile": ("mobilenet", {"hidden_ratio": ...}, "hidden_ratio: needed by inverted-residual"),
    "hidden of an MLP": ("mlp", {"hidden_ratio": [1, 2]}, "hidden_ratio: linear has no hidden width"),
    "hidden reversed": ("bottleneck", {"hidden_ratio": [1.0, 0.1]}, "hidden_ratio: smallest and largest"),
    "hidden zero": ("bottleneck", {"hidden_ratio": [0, 1.0]}, "hidden_ratio: smallest and largest"),
    "se on bottleneck": ("bottleneck", {"se": "deepmad"}, "se: 'deepmad' is not one of bottleneck's in a space: none"),
    "se unknown": (
        "mobilenet-se",
        {"se": "efficientnet"},
        "se: 'efficientnet' is not one of inverted-residual's in a space: none, deepmad",
    ),
    "not designable": ("basic", {"block": "convnext"}, "block: a network of 'convnext' cannot be designed; one of"),
    "no kernels": ("bottleneck", {"kernels": []}, "kernels: odd numbers from 1 to 31"),
    "even kernel": ("bottleneck", {"kernels": [3, 4]}, "kernels: odd numbers from 1 to 31"),
    "huge kernel": ("bottleneck", {"kernels": [33]}, "kernels: odd numbers from 1 to 31"),
    "kernel twice": ("bottleneck", {"kernels": [3, 3, 5]}, "kernels: each once, found 3, 3, 5"),
    "kernel of an MLP": ("mlp", {"kernels": [3]}, "kernels: linear has no kernel"),
    "multiple 0": ("bottleneck", {"multiple": 0}, "multiple: at least 1"),
    "map ratio 0": ("bottleneck", {"kernel_map_ratio": 0}, "kernel_map_ratio: above 0"),
    "growth below 1": ("bottleneck", {"growth": 0.5}, "growth: at least 1"),
    "rho 0": ("bottleneck", {"rho": 0}, "rho: above 0"),
    "penalty negative": ("bottleneck", {"depth_penalty": -1}, "depth_penalty: at least 0"),
    "penalty huge": ("bottleneck", {"depth_penalty": 1e7}, "depth_penalty: at least 0 and at most 1e\\+06"),
    "input 0": ("bottleneck", {"input": [3, 0, 224]}, "input: channels, height and width from 1 to 16384"),
    "input huge": ("bottleneck", {"input": [3, 224, 16385]}, "input: channels, height and width from 1 to 16384"),
    "classes 0": ("bottleneck", {"classes": 0}, "classes: at least 1"),
    "out reversed": ("bottleneck", {"out": [64, 8]}, "out: smallest and largest value, above 0 and in this order"),
    "out zero": ("bottleneck", {"out": [0, 8]}, "out: smallest and largest value, above 0 and in this order"),
    "out huge": ("bottleneck", {"out": [8, 1_000_001]}, "out: at most 1000000"),
    "out without multiple": ("bottleneck", {"out": [9, 15]}, "out: no multiple of 8 in its range"),
    "out, too many values": ("basic", {"out": [1, 10_001], "multiple": 1}, "out: 10001 values in steps of 1; at most"),
    "stem.out huge": ("bottleneck", {"stem.out": [8, 10**60]}, r"stem\.out: at most 1000000"),
    "head.conv huge": ("mobilenet", {"head.conv": [8, 10**60]}, r"head\.conv: at most 1000000"),
    "head.conv, too many values": ("mobilenet", {"head.conv": [8, 10**6]}, r"head\.conv: 125000 values"),
    "hidden from nothing": ("bottleneck", {"hidden_ratio": [1e-9, 1.0]}, r"hidden_ratio: from 0\.01 to 100"),
    "hidden to everything": ("bottleneck", {"hidden_ratio": [0.1, 1e9]}, r"hidden_ratio: from 0\.01 to 100"),
    "hidden, too many values": ("mobilenet", {"hidden_ratio": [1, 63]}, "hidden_ratio: 10080 values in steps of 8"),
    "hidden too wide": (
        "bottleneck",
        {"out": [1024, 20480], "stem.out": [1024, 1024], "multiple": 1024, "hidden_ratio": [1, 50]},
        "hidden_ratio: up to 1024000 channels; at most 1000000",
    ),
    "depth huge, range not listed": ("bottleneck", {"depth": [1, 10**60]}, "depth: at most 500 blocks"),
    "many groups": ("bottleneck", {"strides": [2] * 17}, "strides: 17 groups; at most 16 can be designed"),
    "stem.stride 0": ("bottleneck", {"stem.stride": 0}, r"stem\.stride: 1 or 2"),
    "stem.out reversed": ("bottleneck", {"stem.out": [32, 8]}, r"stem\.out: smallest and largest value"),
    "stem.out without multiple": ("bottleneck", {"stem.out": [9, 15]}, r"stem\.out: no multiple of 8"),
    "depth reversed": ("bottleneck", {"depth": [3, 1]}, "depth: smallest and largest value"),
    "first_depth zero": ("bottleneck", {"first_depth": [0, 1]}, "first_depth: smallest and largest value"),
    "depth huge": ("bottleneck", {"depth": [1, 501]}, "depth: at most 500 blocks"),
    "head.conv 0": ("mobilenet", {"head.conv": 0}, r"head\.conv: at least 1"),
    "head.conv reversed": ("mobilenet", {"head.conv": [64, 8]}, r"head\.conv: smallest and largest value"),
    "stage_weights negative": ("bottleneck", {"stage_weights": [1, 1, 1, 1, -8]}, "stage_weights: from 0 to"),
    "stage_weights 0": ("bottleneck", {"stage_weights": [0, 0, 0, 0, 0]}, "stage_weights: .* and not all 0"),
    "stage_weights": ("bottleneck", {"stage_weights": [1, 8]}, "stage_weights: 2 weights for 5 stages"),
    "typo": ("bottleneck", {"kernells": [3]}, "kernells: unknown key; did you mean 'kernels'"),
    "typo inside": ("bottleneck", {"stem.kernal": 3}, r"stem\.kernal: unknown key; did you mean 'kernel'"),
    "block missing": ("bottleneck", {"block": ...}, "block: missing"),
    "text for a number": ("bottleneck", {"multiple": "8"}, r"multiple: expected an integer, found '8'"),
    "three values for two": ("bottleneck", {"out": [8, 16, 24]}, "out"),
    "no schema": ("bottleneck", {"schema": ...}, "schema: expected 'madnas/space/1', found None"),
    "other schema": ("bottleneck", {"schema": "madnas/network/1"}, "schema: expected 'madnas/space/1'"),
}


@pytest.mark.parametrize(("base", "changes", "message"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_problem_is_named_with_its_key(base, changes, message, tmp_path):
    path = edited(base, tmp_path, changes)
    with pytest.raises(SpecError, match=message) as caught:
        load_space(path)
    keys = {problem.partition(":")[0] for problem in caught.value.problems}
    assert len(keys) == 1  # no complaint about anything else
    assert str(caught.value).startswith(path)


def test_all_problems_come_at_once(tmp_path):
    with pytest.raises(SpecError) as caught:
        load_space(edited("bottleneck", tmp_path, {"strides": [3], "kernels": [2], "classes": 0, "out": [64, 8]}))
    keys = {problem.partition(":")[0] for problem in caught.value.problems}
    assert keys == {"strides", "kernels", "classes", "out"}


def test_as_many_values_as_may_be():
    """A width may have so many values, in the finest steps too, in every group that a program may have."""
    wide = replace(load_space("basic"), out=(1, MOST_VALUES), strides=(1,) * 16, multiple=1)
    assert len(customise(wide).choices()["out16"]) == MOST_VALUES
    assert customise(load_space("mobilenet-se"), multiple=1)
    assert customise(load_space("mlp"), multiple=1)


def test_kernels_are_3_where_none_are_given(tmp_path):
    space = load_space(edited("bottleneck", tmp_path, {"kernels": ...}))
    assert {space.kernels_of(group) for group in range(5)} == {(3,)}


def test_a_copied_mlp_needs_neither_weights_nor_penalty(tmp_path):
    copied = Problem(load_space(edited("mlp", tmp_path, {"depth_penalty": ..., "stage_weights": ...})), {"params": 1})
    shipped = Problem(load_space("mlp"), {"params": 1})
    assert (copied.beta, copied.weights) == (shipped.beta, shipped.weights) == (0.0, (1.0,))


def test_a_space_is_read_and_checked_without_what_is_built_on_it():
    code = "import sys; from madnas.program.space import load_space; load_space('mlp'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.startswith("madnas.program.")} == {"madnas.program.space"}


def test_unknown_name_suggests_and_lists():
    with pytest.raises(UsageError, match="unknown space 'botleneck'; did you mean 'bottleneck'") as caught:
        load_space("botleneck")
    assert all(name in str(caught.value.hint) for name in SHIPPED)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(UsageError, match=r"mine\.yaml: cannot be read: no such file"):
        load_space(str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("")
    with pytest.raises(SpecError, match="the file is empty"):
        load_space(str(tmp_path / "mine.yaml"))


def test_file_without_suffix_is_read(tmp_path):
    path = tmp_path / "mine"
    path.write_text((FOLDER / "mlp.yaml").read_text())
    assert load_space(str(path)) == load_space("mlp")


KERNELS = {
    # Input maps 112, 56, 28, 14, 14 (bottleneck) and 112, 56, 28, 14, 7; 7 / 1.5 = 4.67 leaves only 3.
    "bottleneck, 224": ("bottleneck", 224, [(3, 5)] * 5),
    "mobilenet-se, 224": ("mobilenet-se", 224, [(3, 5, 7)] * 4 + [(3,)]),
    # Maps 16, 8, 4, 2, 1: limits 10.67, 5.33, 2.67, ...: where nothing fits, the smallest kernel stays.
    "mobilenet-se, 32": ("mobilenet-se", 32, [(3, 5, 7), (3, 5), (3,), (3,), (3,)]),
    # 15 is rounded up to 8, 4, 2, 1, 1.
    "mobilenet-se, 15": ("mobilenet-se", 15, [(3, 5), (3,), (3,), (3,), (3,)]),
    "basic-cifar, 32": ("basic-cifar", 32, [(3,)] * 3),
}


@pytest.mark.parametrize(("name", "side", "kernels"), KERNELS.values(), ids=KERNELS.keys())
def test_kernels_fit_the_input_map(name, side, kernels):
    space = customise(load_space(name), resolution=side)
    assert [space.kernels_of(group) for group in range(len(space.strides))] == kernels


def test_kernel_limit_is_inclusive_and_takes_the_shorter_side():
    space = replace(load_space("basic-cifar"), kernels=(7, 5, 3), kernel_map_ratio=2.0, input=(3, 10, 40))
    assert space.kernels_of(0) == (3, 5)  # 10 / 2, the limit itself
    assert space.kernels_of(2) == (3,)  # 5 / 2
    assert replace(space, kernels=(11, 9)).kernels_of(0) == (9,)


def test_depth_ranges():
    space = load_space("bottleneck")
    assert [space.depth_range(group) for group in range(3)] == [(1, 3), (1, 60), (1, 60)]
    assert replace(space, first_depth=None).depth_range(0) == (1, 60)


def test_stages_are_counted_from_stride_to_stride():
    assert {name: load_space(name).stages for name in SHIPPED} == {
        "basic": 5,
        "basic-cifar": 3,
        "bottleneck": 5,
        "mlp": 1,
        "mobilenet": 5,
        "mobilenet-se": 5,
    }


@pytest.mark.parametrize(
    ("bounds", "multiple", "expected"),
    [((8, 32), 8, [8, 16, 24, 32]), ((9, 31), 8, [16, 24]), ((1, 3), 1, [1, 2, 3]), ((9, 15), 8, []), ((7, 7), 7, [7])],
)
def test_multiples_of_a_closed_range(bounds, multiple, expected):
    assert list(multiples(bounds, multiple)) == expected


class TestCustomise:
    def test_replaces_what_is_given_and_nothing_else(self):
        space = load_space("mobilenet-se")
        changed = customise(
            space, resolution=288, classes=10, kernels=(3,), multiple=4, strides=(2, 2, 2, 1, 2), head_conv=64
        )
        assert changed == replace(
            space,
            input=(3, 288, 288),
            classes=10,
            kernels=(3,),
            multiple=4,
            strides=(2, 2, 2, 1, 2),
            head=replace(space.head, conv=64),
        )

    def test_shape_and_resolution(self):
        space = load_space("mobilenet-se")
        assert customise(space, input=(1, 32, 64)).input == (1, 32, 64)
        assert customise(space, input=(1, 32, 64), resolution=48).input == (1, 48, 48)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"resolution": 0}, "input: "),
            ({"input": (0, 8, 8)}, "input: "),
            ({"classes": 0}, "classes: at least 1"),
            ({"kernels": (2,)}, "kernels: "),
            ({"kernels": (3, 3)}, "kernels: each once, found 3, 3"),
            ({"multiple": 0}, "multiple: at least 1"),
            ({"multiple": 4096}, "out: no multiple of 4096"),
            ({"head_conv": 0}, r"head\.conv: at least 1"),
            ({"head_conv": -5}, r"head\.conv: at least 1"),
            ({"strides": (2, 5)}, "strides: "),
        ],
        ids=str,
    )
    def test_impossible_changes_are_refused(self, changes, message):
        with pytest.raises(SpecError, match=f"(?s)space mobilenet-se: .*{message}"):
            customise(load_space("mobilenet-se"), **changes)

    def test_new_strides_need_their_own_number_of_weights(self):
        space = replace(load_space("bottleneck"), stage_weights=(1.0, 1.0, 1.0, 1.0, 8.0))
        with pytest.raises(SpecError, match="stage_weights: 5 weights for 4 stages"):
            customise(space, strides=(2, 2, 2, 1, 1))


class TestWhatCannotBecomeANetwork:
    """A space that passes its check gives variables with values, and networks that a spec file can hold."""

    CASES = {  # noqa: RUF012
        "no hidden width": ("bottleneck", {"out": [8, 8], "stem.out": [8, 8], "hidden_ratio": [0.1, 0.5]}),
        "no head width": ("mobilenet", {"head.conv": [1001, 1003]}),
        "SE without hidden": ("mobilenet-se", {"block": "separable", "shortcut": "identity", "hidden_ratio": ...}),
        "strided linear": ("mlp", {"strides": [1, 2], "stage_weights": [1, 1]}),
        "activation": ("bottleneck", {"act": "rellu"}),
        "activation of the stem": ("bottleneck", {"stem.act": "rellu"}),
        "activation of the head": ("mobilenet", {"head.act": "rellu"}),
        "kernel of the stem, even": ("bottleneck", {"stem.kernel": 4}),
        "kernel of the stem, negative": ("bottleneck", {"stem.kernel": -3}),
        "stride of the stem": ("bottleneck", {"stem.stride": 3}),
    }

    @pytest.mark.parametrize(("base", "changes"), CASES.values(), ids=CASES.keys())
    def test_is_refused(self, base, changes, tmp_path):
        with pytest.raises(SpecError):
            load_space(edited(base, tmp_path, changes))


def test_a_space_in_code_needs_no_file():
    stem = StemSpace((8, 16))
    space = Space("mine", "basic", (2, 2), (8, 32), shortcut="pool", stem=stem)
    assert (space.stages, space.depth_range(0), space.kernels_of(1)) == (3, (1, 60), (3,))
