"""``madnas design``: what its flags and recipes ask for."""

import pytest

from madnas.cli.design_request import Request, problems
from madnas.errors import UsageError
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.specfile import parse_spec
from tests.cli.shell import document


def asked(**flags):
    """The problems of some flags."""
    return [problem for _, problem in problems(Request(**flags))]


def one(**flags):
    (problem,) = asked(**flags)
    return problem


class TestFlags:
    def test_one_number_is_no_image(self):
        with pytest.raises(UsageError, match="224x1x1 is no image"):
            asked(params="29M", input_shape="224")
        assert one(space="mlp", params="1M", input_shape="784").space.input == (784, 1, 1)

    @pytest.mark.parametrize("text", ["4,5G", "29,5M", "1,25g"])
    def test_a_decimal_comma_is_no_list(self, text):
        with pytest.raises(UsageError, match="decimal comma"):
            asked(macs=text, params="29M")

    def test_budgets_are_parsed_exactly(self):
        problem = one(macs="4.5G", params="29M", activations="0.1M", max_layers=70)
        assert problem.budgets == {
            "macs": 4_500_000_000,
            "params": 29_000_000,
            "activations": 100_000,
            "layers": 70,
        }

    def test_defaults_are_those_of_the_space(self):
        problem = one(macs="1G")
        assert (problem.space.name, problem.rho, problem.beta) == ("mobilenet-se", 0.5, 10.0)
        assert one(macs="1G", space="bottleneck").rho == 0.3
        assert problem.weights == (1, 1, 1, 1, 8)
        assert problem.guidelines == {1, 2, 3}

    def test_space_can_be_changed(self):
        problem = one(
            macs="1G",
            space="mobilenet-se",
            input_shape="1x32x64",
            classes=7,
            kernel="3,5",
            channel_multiple=16,
            head=640,
        )
        space = problem.space
        assert (space.input, space.classes, space.kernels, space.multiple) == ((1, 32, 64), 7, (3, 5), 16)
        assert space.head.conv == 640
        assert one(macs="1G", resolution=160).space.input == (3, 160, 160)
        assert one(macs="1G", input_shape="1x8x8", resolution=160).space.input == (1, 160, 160)
        assert one(params="1M", space="mlp", input_shape="784").space.input == (784, 1, 1)
        assert one(macs="1G", input_shape="3X64,32").space.input == (3, 64, 32)

    def test_objective_can_be_changed(self):
        problem = one(macs="1G", stage_weights=("1,0,2,3.5,8",), depth_penalty=3.0, without_guideline=(3,))
        assert (problem.weights, problem.beta, problem.guidelines) == ((1, 0, 2, 3.5, 8), 3.0, {1, 2})
        assert one(macs="1G", without_guideline=(1, 2)).weights == (0, 0, 0, 0, 1)

    def test_rho_can_be_switched_off(self):
        assert one(macs="1G", rho="none").rho is None
        assert one(macs="1G", rho="NONE").rho is None

    def test_like_takes_both_budgets_and_options_replace_them(self):
        costs = count(get("resnet50"))
        assert one(like="resnet50").budgets == {"macs": costs.macs, "params": costs.params}
        assert one(like="resnet50", params="10M").budgets == {"macs": costs.macs, "params": 10_000_000}
        assert one(like="resnet50", max_layers=50).budgets["layers"] == 50

    def test_recipe_and_what_replaces_its_values(self):
        problem = one(recipe="r18-alpha16")
        assert (problem.space.name, problem.rho, problem.weights[-1]) == ("bottleneck", 0.3, 16)
        assert problem.budgets == {"macs": 1_820_000_000, "params": 11_690_000}
        changed = one(recipe="r18-alpha16", macs="1G", rho="0.7", stage_weights=("1,1,1,1,2",), resolution=192)
        assert changed.budgets == {"macs": 1_000_000_000, "params": 11_690_000}
        assert (changed.rho, changed.weights[-1], changed.space.input) == (0.7, 2, (3, 192, 192))
        assert one(recipe="b0-without-guideline2").guidelines == {1, 3}
        assert one(recipe="b0-without-guideline2", without_guideline=(3,)).guidelines == {1, 2}
        assert one(recipe="29m-288").space.strides == (2, 2, 2, 1, 2)

    def recipe(self, folder, text):
        """Path of a recipe file with a row, the CIFAR space and some more lines."""
        path = folder / "recipe.yaml"
        path.write_text(f"schema: madnas/design-recipe/1\nrow: mine\nspace: basic-cifar\n{text}")
        return str(path)

    def test_flags_complete_a_recipe_without_budgets(self, tmp_path):
        path = self.recipe(tmp_path, "rho: 0.2\n")
        problem = one(recipe=path, params="200K")
        assert (problem.space.name, problem.budgets, problem.rho) == ("basic-cifar", {"params": 200_000}, 0.2)
        costs = count(get("resnet20"))
        assert one(recipe=path, like="resnet20").budgets == {"macs": costs.macs, "params": costs.params}
        with pytest.raises(UsageError, match="at least one budget"):
            one(recipe=path)

    def test_like_replaces_the_recipes_macs_and_params_and_flags_replace_those(self):
        costs = count(get("resnet50"))
        assert one(recipe="r18-rho0.3", like="resnet50").budgets == {"macs": costs.macs, "params": costs.params}
        assert one(recipe="r18-rho0.3", like="resnet50", max_layers=99, macs="1G").budgets == {
            "macs": 10**9,
            "params": costs.params,
            "layers": 99,
        }

    def test_recipe_without_rho_has_the_spaces_as_a_command_without_it(self, tmp_path):
        path = self.recipe(tmp_path, "params: 200K\n")
        assert one(recipe=path).rho == one(space="basic-cifar", params="200K").rho == 0.3
        assert one(recipe=path, space="mobilenet-se").rho == 0.5
        assert one(recipe=path, rho="none").rho is None
        assert one(recipe=self.recipe(tmp_path, "params: 200K\nrho: none\n")).rho is None
        assert one(recipe=self.recipe(tmp_path, "params: 200K\nrho: none\n"), rho="0.4").rho == 0.4

    def test_recipe_and_flags_that_say_the_same_are_the_same_problem(self, tmp_path):
        path = self.recipe(
            tmp_path,
            "macs: 2e7\nparams: 200K\nactivations: 1M\nmax_layers: 40\nrho: 0.2\nresolution: 48\nkernels: [3]\n"
            "multiple: 8\nhead_conv: 64\nclasses: 10\nstage_weights: [1, 2, 4]\ndepth_penalty: 5\n"
            "without_guidelines: [3]\n",
        )
        flags = one(
            macs="20M", params="200K", activations="1M", max_layers=40, rho="0.2", resolution=48, kernel="3",
            channel_multiple=8, head=64, classes=10, stage_weights=("1,2,4",), depth_penalty=5.0,
            without_guideline=(3,), space="basic-cifar",
        )  # fmt: skip
        assert one(recipe=path) == flags

    def test_input_replaces_the_recipes_resolution(self):
        assert one(recipe="29m-288", input_shape="1x96x64").space.input == (1, 96, 64)
        assert one(recipe="29m-288", resolution=96).space.input == (3, 96, 96)

    def test_another_space_keeps_the_recipes_other_values(self):
        problem = one(recipe="29m-288", space="mobilenet")
        assert (problem.space.name, problem.space.strides) == ("mobilenet", (2, 2, 2, 1, 2))
        assert (problem.space.input, problem.space.head.conv) == ((3, 288, 288), 1792)
        assert one(recipe="r18-alpha16", space="mobilenet").weights == (1, 1, 1, 1, 16)
        assert one(recipe="r18-alpha16", space="basic-cifar", stage_weights=("1,2,4",)).weights == (1, 2, 4)

    @pytest.mark.parametrize(
        ("recipe", "message"),
        [
            ("29m-288", "--space: recipe 29m-288 has strides for 5 groups, basic-cifar has 3"),
            ("r18-alpha16", "--space: recipe r18-alpha16 has 5 stage weights, basic-cifar has 3 stages"),
        ],
    )
    def test_another_space_that_the_recipes_values_do_not_fit(self, recipe, message):
        with pytest.raises(UsageError, match=message):
            one(recipe=recipe, space="basic-cifar")

    def test_lists_sweep_in_the_order_of_the_flags(self):
        points = problems(Request(macs="1G,2G", rho="0.3,none", params="9M"))
        assert [swept for swept, _ in points] == [
            {"macs": 10**9, "rho": 0.3},
            {"macs": 10**9, "rho": None},
            {"macs": 2 * 10**9, "rho": 0.3},
            {"macs": 2 * 10**9, "rho": None},
        ]
        for swept, problem in points:
            assert (problem.budgets, problem.rho) == (
                {"macs": swept["macs"], "params": 9_000_000},
                swept["rho"],
            )

    def test_stage_weights_sweep_when_repeated(self):
        points = problems(Request(macs="1G", stage_weights=("1,1,1,1,1", "1,1,1,1,8")))
        assert [swept["stage_weights"][-1] for swept, _ in points] == [1, 8]
        assert [problem.weights[-1] for _, problem in points] == [1, 8]

    def test_a_list_of_one_is_no_sweep(self):
        assert problems(Request(macs="1G", rho="0.3"))[0][0] == {}

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            ({}, "at least one budget"),
            ({"rho": "0.3"}, "at least one budget"),
            ({"macs": "1G,"}, "--macs: an empty value in '1G,'"),
            ({"macs": ""}, "--macs: an empty value"),
            ({"macs": "1G,0"}, "--macs: must be above 0"),
            ({"macs": "1G", "rho": "0.1,nine"}, "--rho: 'nine' is not a number"),
            ({"macs": "1G", "rho": "1e400"}, "--rho: must be above 0"),
            ({"macs": "1G", "max_layers": 0}, "--max-layers: must be above 0, got 0"),
            ({"macs": "1G", "kernel": "3,x"}, "--kernel: 'x' is not a whole number"),
            ({"macs": "1G", "kernel": "3,5.0"}, "--kernel: '5.0' is not a whole number"),
            ({"macs": "1G", "input_shape": "3x2x2x2"}, "--input: cannot read '3x2x2x2'"),
            ({"macs": "1G", "input_shape": "axbxc"}, "--input: 'a' is not a whole number"),
            ({"macs": "1G", "input_shape": "3x-1x5"}, "input: "),
            ({"macs": "1G", "stage_weights": ("1,1,x,1,8",)}, "--stage-weights: 'x' is not a number"),
            ({"macs": "1G", "without_guideline": (0,)}, "--without-guideline: 0 is not one of 1, 2, 3"),
            ({"macs": "1G", "kernel": "3", "space": "mlp"}, "kernels: linear has no kernel"),
            ({"macs": "1G", "kernel": "3,3"}, "kernels: each once, found 3, 3"),
            (
                {"macs": "1G", "stage_weights": ("1,1,1,1,8",), "without_guideline": (1,)},
                "stage weights do nothing without Guideline 1",
            ),
            (
                {"recipe": "r18-alpha16", "without_guideline": (1,)},
                "stage weights do nothing without Guideline 1",
            ),
            (
                {"recipe": "b0-without-guideline1", "stage_weights": ("1,1,1,1,8", "1,1,1,1,9")},
                "stage weights do nothing without Guideline 1",
            ),
            (
                {"macs": "1G", "depth_penalty": 3.0, "without_guideline": (3, 2)},
                "depth penalty does nothing without Guideline 2",
            ),
            ({"macs": ",".join(["1G"] * 40), "rho": ",".join(["0.1"] * 40)}, "more than 1000 designs|twice|same"),
            ({"macs": "1G", "head": 10**20}, "head"),
            ({"macs": "1G", "classes": 10**20}, "classes"),
            ({"macs": "1G", "channel_multiple": 10**20}, "multiple"),
        ],
        ids=str,
    )
    def test_mistakes_name_the_flag(self, flags, message):
        from madnas.errors import MadnasError

        with pytest.raises(MadnasError, match=message) as caught:
            problems(Request(**flags))
        assert caught.value.exit_code == 2

    def test_flags_of_the_command_reach_the_problem(self, capsys):
        """Each flag once, from the shell's side."""
        found = document(
            capsys, "design", "--flops", "20M", "--params", "250K", "--activations", "1M", "--max-layers", "30",
            "--rho", "0.4", "--space", "basic-cifar", "--input", "1x28x28", "--classes", "10", "--kernel", "3",
            "--channel-multiple", "8", "--head", "128", "--stage-weights", "1,2,4", "--depth-penalty", "5",
            "--without-guideline", "3", "--name", "mine", "--gap", "1", "--max-nodes", "50", "--solver", "casadi",
        )  # fmt: skip
        provenance, spec = found["spec"]["provenance"], parse_spec(found["spec"], "json")
        assert found["budgets"].keys() == {"macs", "params", "activations", "layers"}
        assert (found["rho_limit"], provenance["stage_weights"], provenance["depth_penalty"]) == (0.4, [1, 2, 4], 5)
        assert provenance["guidelines"] == [1, 2]
        assert (spec.name, spec.input, spec.head.classes, spec.head.conv) == ("mine", (1, 28, 28), 10, 128)
        assert all(group.out % 8 == 0 for group in spec.groups)
        assert found["solver"]["name"].startswith("IPOPT (CasADi")


def test_unknown_request_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown space"):
        problems(Request(macs="1G", space="nowhere"))
