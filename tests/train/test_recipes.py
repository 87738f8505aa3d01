"""Every shipped recipe says what its paper says; recipes are read strictly."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from madnas.errors import SpecError, UsageError
from madnas.train.optimise import build_schedule, set_rate, total_epochs
from madnas.train.recipe import TrainRecipe, dump_recipe, load_recipe, recipe_files

FOLDER = Path(__file__).parents[2] / "recipes" / "train"


def test_all_files_are_recipes():
    files = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.*"))
    assert files == sorted(recipe_files())
    assert len(files) == 25


@pytest.mark.parametrize("name", recipe_files())
def test_headers_say_what_it_is_how_to_run_it_and_what_to_expect(name):
    header = [line for line in recipe_files()[name].read_text().splitlines() if line.startswith("#")]
    for word in ("# Run: ", "# Expected: "):
        assert sum(line.startswith(word) for line in header) == 1
    assert name in header[1]


TABLE_12 = {
    "cifar/deepmad": {
        "warmup_epochs": 5, "cooldown_epochs": 0, "epochs": 1440, "opt": "sgd", "bn_momentum": 0.01,
        "weight_decay": 5e-4, "sched": "cosine", "smoothing": 0.1, "mixup": 0.2, "cutmix": 0,
        "mixup_switch_prob": 0.5, "crop_pct": 0.875, "reprob": 0.5, "lr": 0.2, "batch_size": 512, "amp_dtype": None,
    },
    "imagenet/deepmad": {
        "warmup_epochs": 20, "cooldown_epochs": 10, "epochs": 480, "opt": "sgd", "bn_momentum": 0.01,
        "weight_decay": 5e-5, "sched": "cosine", "smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0,
        "mixup_switch_prob": 0.5, "crop_pct": 0.95, "reprob": 0.2, "aa": "rand-m9-mstd0.5", "lr": 0.8,
        "batch_size": 2048, "amp_dtype": "float16",
    },
}  # fmt: skip


ZEN = {"opt": "sgd", "momentum": 0.9, "lr": 0.1, "batch_size": 256, "sched": "cosine", "aa": "original"}


RAN_E = {"opt": "rmsproptf", "opt_alpha": 0.9, "momentum": 0.9, "opt_eps": 0.001, "weight_decay": 5e-6,
         "batch_size": 768, "sched": "cosine", "warmup_epochs": 5, "smoothing": 0.1, "aa": "original", "mixup": 0,
         "cutmix": 0}  # fmt: skip


RAN_I = {"opt": "adamw", "opt_betas": (0.9, 0.999), "weight_decay": 0.05, "batch_size": 8 * 80, "drop_path": 0.1,
         "lr": pytest.approx(4e-3 * 640 / 4096), "min_lr": 1e-6, "warmup_epochs": 20, "sched": "cosine",
         "smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0, "aa": "rand-m9-mstd0.5-inc1", "reprob": 0.25,
         "remode": "pixel", "model_ema_decay": 0.9999}  # fmt: skip


OTHER_PAPERS = {
    "cifar/zennet": ZEN | {"epochs": 1440, "weight_decay": 5e-4},  # Appendix A of Zen-NAS
    "imagenet/zennet": ZEN | {"epochs": 480, "weight_decay": 4e-5, "kd_model_name": "tf_efficientnet_b3"},
    "cifar/nn-mass": {"lr": 0.05, "min_lr": 0, "sched": "cosine", "sched_on_updates": False, "epochs": 600},  # G.2
    "imagenet/nn-mass-mobilenet": {"opt": "momentum", "momentum": 0.9, "weight_decay": 4e-5, "epochs": 150,
                                   "batch_size": 256, "lr": 0.05, "sched_on_updates": False},  # G.3
    "mnist/nn-mass-mlp": {"epochs": 60, "dataset": "mnist"},  # G.1
    "imagenet/ran-e-100": RAN_E, "imagenet/ran-e-350": RAN_E,  # Appendix B of RAN
    "imagenet/ran-i-100": RAN_I, "imagenet/ran-i-300": RAN_I,  # Appendix C: ConvNeXt's settings, batch 80 on 8 GPUs
    "imagenet/resnet-fair": TABLE_12["imagenet/deepmad"],  # Section 5.4: "trained fairly"
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE_12 | OTHER_PAPERS)
def test_settings_are_those_of_the_papers(name):
    recipe, expected = load_recipe(name), (TABLE_12 | OTHER_PAPERS)[name]
    assert {key: getattr(recipe, key) for key in expected} == expected


def rate(recipe: TrainRecipe, step: int, per_epoch: int = 10) -> float:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    set_rate(build_schedule(optimizer, recipe, per_epoch), step, per_epoch)
    return float(optimizer.param_groups[0]["lr"])


def test_rates_are_those_of_the_papers():
    """At named steps: linear warm-up, half of the peak at half time, the cool-down at the end."""
    deepmad = load_recipe("imagenet/deepmad")
    assert total_epochs(deepmad) == 490
    assert rate(deepmad, 100) == pytest.approx(0.4, rel=1e-4)
    assert rate(deepmad, 2400) == pytest.approx((0.8 + 1e-5) / 2)
    assert rate(deepmad, 4850) == rate(deepmad, 4899) == pytest.approx(1e-5)
    cifar = load_recipe("cifar/deepmad")
    assert rate(cifar, 50) == pytest.approx(0.1 * (1 + math.cos(math.pi * 5 / 1440)))
    mobile = load_recipe("imagenet/nn-mass-mobilenet")  # Appendix G.3: lr_e for e = 1 ... 150
    for e in (1, 2, 75, 150):
        expected = 0.05 / 2 * (1 + math.cos((e - 1) / 150 * math.pi))
        assert rate(mobile, (e - 1) * 10) == rate(mobile, e * 10 - 1) == pytest.approx(expected)
    for name, warm, epochs in (("ran-i-100", 20, 100), ("ran-i-300", 20, 300), ("ran-e-100", 5, 100),
                               ("ran-e-350", 5, 350)):  # fmt: skip
        recipe = load_recipe(f"imagenet/{name}")
        assert total_epochs(recipe) == epochs
        assert rate(recipe, 10 * warm) == pytest.approx(recipe.lr)  # the cosine begins after the warm-up
        middle = warm + (epochs - warm) // 2
        assert rate(recipe, 10 * middle) == pytest.approx((recipe.lr + recipe.min_lr) / 2, rel=0.03)
    ran = load_recipe("imagenet/ran-e-100")
    assert ran.lr == pytest.approx(0.005 * 768 / 128)
    assert rate(load_recipe("mnist/nn-mass-mlp"), 599) == 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["lr=-1"], "lr: expected 1e-12 to 1000, found -1"),
        (["learning_rate=1"], "did you mean"),
        (["epochs=many"], "epochs"),
        (["warmup_epochs=12"], "12 leave nothing of 12 epochs"),
        (["grad_accum_steps=3"], "do not fall into 3 parts"),
        (["kd_soft=1"], "needs? a teacher"),
        (["scale=[1, 0.5]"], "scale: expected a range"),
        (["sched=constant", "warmup_epochs=2"], "warmup_epochs: has no effect with sched constant"),
        (["remode=pixel"], "remode: has no effect without reprob"),
        (["mixup_prob=0.5"], "mixup_prob: has no effect without mixup"),
        (["crop=none", "pad=3"], "pad: is for crop pad"),
        (["decay_milestones=[1]"], "decay_milestones: is for sched multistep"),
        (["kd_model_name=resnet18"], "kd_model_name: has no effect without kd_soft"),
        (["model_ema_decay=1"], "model_ema_decay: expected 0 to"),
        (["lr=0"], "lr: expected 1e-12 to 1000"),
        (["cutout=4", "reprob=0.1"], "blanked twice"),
        (["opt_betas=[0.9, 2]"], "opt_betas"),
        (["val_split=test"], "val_split: has no effect on digits"),
        (["interpolation=bicubic"], "interpolation: digits is kept on the device"),
        (["dataset=folder", "interpolation=random"], "interpolation: random is for crop resized"),
        (["lighting=0.1"], "lighting: has no effect on digits"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(SpecError, match=message):
        load_recipe("digits/quick", changes)


def test_what_a_change_made_idle_may_stay():
    """Else a recipe's own settings would have to be taken back one by one."""
    recipe = load_recipe("digits/quick", ["crop=none"])
    assert recipe.pad == 2
    with pytest.raises(SpecError, match="pad: is for crop pad"):
        load_recipe("digits/quick", ["crop=none", "pad=2"])


def test_a_recipe_is_written_and_read(tmp_path):
    for name in recipe_files():
        (tmp_path / "recipe.yaml").write_text(dump_recipe(load_recipe(name)))
        assert load_recipe(str(tmp_path / "recipe.yaml")) == load_recipe(name)


@pytest.mark.parametrize("change", ["lr", "=3", "lr: 3", "lr=[", "lr=&a 1"])
def test_changes_that_are_none(change):
    with pytest.raises(UsageError):
        load_recipe("digits/quick", [change])
