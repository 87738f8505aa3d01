"""Updates: every recipe's at toy size, one step against a plain implementation, and what a network is given."""

import copy
import math
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from madnas.data.order import Order
from madnas.data.source import Batch, Facts, Process
from madnas.errors import UsageError
from madnas.experiments.skip_mlp import SkipMLPSpec
from madnas.models.weights import weights
from madnas.network.specfile import dump_spec
from madnas.targets import Target, find
from madnas.train.data import open_data
from madnas.train.engine import Engine
from madnas.train.model import build_model, fitted
from madnas.train.objective import Teacher, with_features
from madnas.train.recipe import TrainRecipe, load_recipe, recipe_files
from tests.train.shell import TINY, network

FACTS = Facts(8, 8, 4, (3, 16, 16), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


FEATURES = Facts(8, 8, 2, (2, 1, 1), None, None)


CLASSIFIERS = [name for name in recipe_files() if load_recipe(name).task == "classification"]
"""Recipes; those of other tasks are tried in ``tests/tasks``."""


def toy(name: str) -> TrainRecipe:
    """A recipe at toy size: 8 images of 16 pixels, float32; its epochs and everything else stay."""
    changes = ["batch_size=8", "amp_dtype=null"]
    if load_recipe(name).kd_model_name:
        changes.append("kd_model_name=test_efficientnet")
    return load_recipe(name, changes)


class Data:
    """Eight random samples."""

    def __init__(self, facts: Facts) -> None:
        chance = torch.Generator().manual_seed(0)
        self.facts = facts
        pixels = torch.rand(8, *facts.shape, generator=chance)
        self.images = pixels if facts.mean is None else (pixels * 255).round()
        self.labels = torch.randint(facts.classes, (8,), generator=chance)

    def batch(self) -> Batch:
        return Batch(self.images.clone(), self.labels, torch.arange(8))


def teacher_of(name: str, theirs: Any = None) -> Teacher:
    """A teacher with fresh weights; it was trained with the student's normalisation, or with another."""
    given = FACTS.mean, FACTS.std
    return Teacher(timm.create_model(name, num_classes=4), theirs or given, given)


def mlp(folder: Path) -> str:
    path = folder / "mlp.yaml"
    path.write_text(dump_spec(SkipMLPSpec(2, 2, 5, 3).network("mlp")))
    return str(path)


def engine_of(recipe: TrainRecipe, facts: Facts, target: str, teacher: Teacher | None = None) -> Engine:
    model = build_model(fitted(find(target), facts), facts, recipe, seed=0)
    return Engine(model, recipe, facts, Process(), 0, steps_per_epoch=10, teacher=teacher)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_recipe_runs_for_two_updates(name, tmp_path):
    recipe = toy(name)
    if name.startswith(("mnist", "synthetic")):
        facts, target = FEATURES, mlp(tmp_path)
    else:
        facts, target = FACTS, "resnet20"
    teacher = teacher_of(recipe.kd_model_name) if recipe.kd_model_name else None
    engine = engine_of(recipe, facts, target, teacher)
    before = copy.deepcopy(engine.model.state_dict())
    data = Data(facts)
    for step in (100, 101):
        found = engine.update(data.batch(), step)
        assert found.wrong == "" and math.isfinite(float(found.loss)) and found.rate > 0
    assert any(not torch.equal(value, before[key]) for key, value in engine.model.state_dict().items())


def plain_step(
    name: str, engine: Engine, images: Tensor, targets: Tensor, lr: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and new weights by the formulas of the optimisers, written out; the first update, all states 0."""
    recipe, model = engine.recipe, copy.deepcopy(engine.model).train()
    outputs = model(images)
    soft = targets
    if targets.ndim == 1:
        classes = outputs.shape[1]
        soft = F.one_hot(targets, classes) * (1 - recipe.smoothing) + recipe.smoothing / classes
    loss = -(soft * outputs.log_softmax(1)).sum(1).mean()
    loss.backward()
    if recipe.clip_grad is not None:
        norm = float(torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm())
        for weight in model.parameters():
            weight.grad *= min(1.0, recipe.clip_grad / norm)
    found = {}
    for key, weight in model.named_parameters():
        decays = weight.ndim > 1 or recipe.decay_norm_bias
        slope = weight.grad
        decay = recipe.weight_decay if decays else 0.0
        with torch.no_grad():
            if recipe.opt in ("sgd", "momentum"):
                slope = slope + decay * weight
                new = weight - lr * (slope * (1 + recipe.momentum) if recipe.opt == "sgd" else slope)
            elif recipe.opt == "adamw":
                new = weight * (1 - lr * decay) - lr * slope / (slope.abs() + 1e-8)
            elif recipe.opt == "adam":
                new = weight - lr * slope / (slope.abs() + 1e-8)
            else:  # RMSprop as TensorFlow's: the mean square begins at 1, epsilon is under the root
                slope = slope + decay * weight
                square = 1 + (1 - 0.9) * (slope**2 - 1)
                new = weight - lr * slope / (square + recipe.opt_eps).sqrt()
        found[key] = new
    return loss.detach(), found


@pytest.mark.parametrize("clip", [None, 0.01])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_step_is_that_of_a_plain_implementation(name, clip, tmp_path):
    """Same loss, same new weights; images are taken as they come out of augmentation and mixing."""
    changes = ["batch_size=8", "amp_dtype=null"]
    recipe = load_recipe(name)
    if recipe.kd_model_name:
        changes += ["kd_model_name=null", "kd_soft=0", "kd_feature=0"]
    if recipe.drop_path:
        changes.append("drop_path=0")
    if clip:
        changes.append(f"clip_grad={clip}")
    recipe = load_recipe(name, changes)
    features = name.startswith(("mnist", "synthetic"))
    facts = FEATURES if features else FACTS
    engine = engine_of(recipe, facts, mlp(tmp_path) if features else "resnet20")
    seen = {}
    prepare = engine._prepare

    def keep(batch, epoch, step, seed):
        seen["images"], seen["targets"] = prepare(batch, epoch, step, seed)
        return seen["images"], seen["targets"]

    engine._prepare = keep
    before = copy.deepcopy(engine)
    found = engine.update(Data(facts).batch(), 250)
    loss, expected = plain_step(name, before, seen["images"], seen["targets"], found.rate)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-5)
    for key, weight in engine.model.named_parameters():
        assert torch.allclose(weight.detach(), expected[key], rtol=1e-4, atol=1e-6), key


def test_images_are_normalised_lit_erased_and_mixed():
    """What :func:`test_one_step_is_that_of_a_plain_implementation` takes as given, one part after the other."""
    data = Data(FACTS)
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (FACTS.mean, FACTS.std))
    plain = (data.images / 255 - mean) / std

    def prepared(*changes: str) -> tuple[Tensor, Tensor]:
        off = ["batch_size=8", "lighting=0", "reprob=0", "mixup=0"]
        return engine_of(load_recipe("cifar/deepmad", [*off, *changes]), FACTS, "resnet20")._prepare(
            data.batch(), 0, 3, 7
        )

    images, targets = prepared()
    assert torch.allclose(images, plain, atol=1e-6) and torch.equal(targets, data.labels)
    lit, _ = prepared("lighting=0.1")
    shift = lit - images
    assert torch.allclose(shift, shift[:, :, :1, :1].expand_as(shift), atol=1e-6)
    assert (shift[:, :, 0, 0].abs().amax(1) > 0).all()
    erased, _ = prepared("reprob=1")
    assert (((erased == 0) | (erased == images)).all()) and not torch.equal(erased, images)
    mixed, shares = prepared("mixup=0.2")
    lam = float(((mixed - images.flip(0)) / (images - images.flip(0))).nanmedian())
    assert 0 < lam < 1
    assert torch.allclose(mixed, lam * images + (1 - lam) * images.flip(0), atol=1e-5)
    smooth = 0.1 / 4 + 0.9 * F.one_hot(data.labels, 4)
    assert torch.allclose(shares, lam * smooth + (1 - lam) * smooth.flip(0), atol=1e-5)


def test_distillation_adds_its_three_losses():
    recipe = load_recipe("imagenet/zennet", ["batch_size=8", "amp_dtype=null", "kd_model_name=test_efficientnet",
                                             "mixup=0", "reprob=0", "lighting=0", "smoothing=0", "kd_soft=0.7",
                                             "kd_feature=0.3", "kd_hard=0.5", "kd_temperature=2"])  # fmt: skip
    teacher = teacher_of("test_efficientnet", ((0.1, 0.2, 0.3), (0.6, 0.5, 0.4)))
    engine = engine_of(recipe, FACTS, "resnet20", teacher)
    data = Data(FACTS)
    images, targets = engine._prepare(data.batch(), 0, 0, 0)
    student = copy.deepcopy(engine.student).train()
    outputs, features = student(images)
    mean, std, its_mean, its_std = (
        torch.tensor(one).view(1, 3, 1, 1) for one in (FACTS.mean, FACTS.std, (0.1, 0.2, 0.3), (0.6, 0.5, 0.4))
    )
    model, shown = teacher.model, (images * std + mean - its_mean) / its_std
    assert not model.training
    theirs = model(shown)
    soft = -((theirs / 2).softmax(1) * (outputs / 2).log_softmax(1)).sum(1).mean() * 4
    their_features = model.forward_head(model.forward_features(shown), pre_logits=True)
    expected = (0.5 * F.cross_entropy(outputs, targets) + 0.7 * soft
                + 0.3 * F.smooth_l1_loss(features, their_features))  # fmt: skip
    assert float(engine.update(data.batch(), 0).loss) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_features_and_outputs_of_a_pass_share_their_dropout():
    model = timm.create_model("test_efficientnet", num_classes=4, drop_rate=0.5).train()
    outputs, features = with_features(model, torch.rand(4, 3, 32, 32))
    assert torch.equal(outputs, model.classifier(features))


def test_accumulation_is_the_mean_of_the_parts():
    """Without batch norms the gradient of a batch in four parts is that of the batch."""
    target = "timm/test_vit"
    facts = Facts(8, 8, 4, (3, 160, 160), (0.5,) * 3, (0.5,) * 3)
    changes = ["batch_size=8", "warmup_epochs=0", "smoothing=0"]
    results = []
    for parts in (1, 4):
        engine = engine_of(load_recipe("digits/quick", [*changes, f"grad_accum_steps={parts}"]), facts, target)
        found = engine.update(Data(facts).batch(), 0)
        results.append((found.loss, [weight.detach().clone() for weight in engine.model.parameters()]))
    assert float(results[0][0]) == pytest.approx(float(results[1][0]), rel=1e-5)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_the_moving_average_is_one():
    recipe = load_recipe("digits/quick", ["batch_size=8", "model_ema_decay=0.75"])
    engine = engine_of(recipe, FACTS, "resnet20")
    data, expected = Data(FACTS), None
    for step in range(3):
        engine.update(data.batch(), step)
        weight = engine.model.stem.conv.weight.detach()
        expected = weight.clone() if expected is None else 0.75 * expected + 0.25 * weight
    assert torch.allclose(engine.result.stem.conv.weight, expected)


def test_the_moving_average_warms_up():
    """The decay of update t is that of timm: 1 - 1 / t^(2/3), and never more than the recipe's."""
    recipe = load_recipe("digits/quick", ["batch_size=8", "model_ema_decay=0.75", "model_ema_warmup=true"])
    engine = engine_of(recipe, FACTS, "resnet20")
    data, expected = Data(FACTS), engine.model.stem.conv.weight.detach().clone()
    for step in range(12):
        engine.update(data.batch(), step)
        decay = min(0.75, max(0.0, 1 - (1 + max(0, step)) ** (-2 / 3)))
        expected = decay * expected + (1 - decay) * engine.model.stem.conv.weight.detach()
    assert torch.allclose(engine.result.stem.conv.weight, expected, atol=1e-6)


def test_gradients_that_overflow_in_float16_lower_the_scale_and_change_nothing(tmp_path):
    """The scaler's own search is no failure: only what stays not finite at the lowest scale is."""
    engine = engine_of(load_recipe("digits/quick", ["batch_size=8", "amp_dtype=float16"]), FACTS, network(tmp_path))
    engine.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    data, before = Data(FACTS), [weight.detach().clone() for weight in engine.model.parameters()]
    found = engine.update(data.batch(), 40)
    assert found.wrong == "" and engine.scaler.get_scale() == 2.0**99
    assert all(torch.equal(one, other) for one, other in zip(engine.model.parameters(), before, strict=True))
    engine.scaler.update(2.0**-1)
    next(engine.model.parameters()).data.fill_(float("nan"))
    for _ in range(2):  # refused, and ready for the next
        assert engine.update(data.batch(), 40).wrong == "loss"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_is_near_float32(tmp_path, dtype):
    losses = []
    for changes in ([], [f"amp_dtype={dtype}"]):
        engine = engine_of(load_recipe("digits/quick", ["batch_size=8", *changes]), FACTS, network(tmp_path))
        data = Data(FACTS)
        losses.append([float(engine.update(data.batch(), step).loss) for step in range(40, 43)])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]


def test_a_compiled_network_learns_the_same(tmp_path, monkeypatch):
    """With the tracing of ``torch.compile``, and without a compiler, which not every machine has."""
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: compiled(module, backend="aot_eager"))
    recipe = load_recipe("digits/quick", ["batch_size=8", "model_ema_decay=0.9"])
    engines = []
    for compile_it in (False, True):
        model = build_model(fitted(find(network(tmp_path)), FACTS), FACTS, recipe, seed=0)
        engines.append(Engine(model, recipe, FACTS, Process(), 0, steps_per_epoch=10, compiled=compile_it))
    data = Data(FACTS)
    for step in range(3):
        plain, fast = (float(engine.update(data.batch(), step).loss) for engine in engines)
        assert fast == pytest.approx(plain, rel=1e-5)
    weights_of = [engine.model.state_dict() for engine in engines]
    assert weights_of[0].keys() == weights_of[1].keys()
    for key, weight in weights_of[0].items():
        assert torch.allclose(weight, weights_of[1][key], rtol=1e-4, atol=1e-6), key


def test_norms_are_synchronised_over_processes(monkeypatch):
    """torch computes these on GPUs only; that the model has them can be seen anywhere."""
    monkeypatch.setattr("madnas.train.engine.DistributedDataParallel", lambda module, **settings: module)
    recipe = load_recipe("digits/quick", ["batch_size=8"])
    for world, kind in ((1, nn.BatchNorm2d), (2, nn.SyncBatchNorm)):
        model = build_model(fitted(find("resnet20"), FACTS), FACTS, recipe, seed=0)
        engine = Engine(model, recipe, FACTS, Process(0, world), 0, steps_per_epoch=10, sync_bn=True)
        norms = [one for one in engine.model.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
        assert norms and all(type(one) is kind or (world == 1 and isinstance(one, kind)) for one in norms)


def test_a_networks_own_rules_reach_the_optimiser():
    """timm asks the model which weights never decay, and how deep its layers lie."""
    facts = Facts(8, 8, 4, (3, 160, 160), (0.5,) * 3, (0.5,) * 3)
    engine = engine_of(load_recipe("digits/quick", ["batch_size=8", "layer_decay=0.5"]), facts, "timm/test_vit")
    names = {id(weight): name for name, weight in engine.model.named_parameters()}
    groups = {names[id(weight)]: group for group in engine.optimizer.param_groups for weight in group["params"]}
    assert groups["pos_embed"]["weight_decay"] == 0
    assert groups["head.weight"]["weight_decay"] == 5e-4
    scales = {name: group["lr_scale"] for name, group in groups.items()}
    assert scales["head.weight"] == 1 and scales["patch_embed.proj.weight"] < 0.1


def test_settings_of_the_network():
    recipe = load_recipe("digits/quick", ["bn_momentum=0.01", "bn_eps=0.002", "channels_last=true", "drop_path=0.3"])
    model = build_model(fitted(find("resnet18"), FACTS), FACTS, recipe, 0)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {(part.momentum, part.eps) for part in norms} == {(0.01, 0.002)}
    assert model.groups[0][0].conv1.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert "DropPath" in {type(part).__name__ for part in model.modules()}
    same = build_model(fitted(find("resnet18"), FACTS), FACTS, recipe, 0)
    assert torch.equal(next(model.parameters()), next(same.parameters()))


def test_an_mlp_sees_the_whole_image(tmp_path):
    """It is made for features, and so for no side of an image."""
    target = find(mlp(tmp_path))
    source = open_data(load_recipe("digits/quick", ["image_size=null"]), tmp_path, 0, target, 0, torch.device("cpu"))
    assert source.facts.shape == (1, 8, 8)
    assert fitted(target, source.facts).spec.input == (64, 1, 1)


def test_networks_that_do_not_fit():
    features = Facts(8, 8, 2, (2, 1, 1), None, None)
    with pytest.raises(UsageError, match="takes images, and the data are 2 features"):
        fitted(find("resnet20"), features)
    grey = Facts(8, 8, 2, (1, 32, 32), (0.5,), (0.5,))
    with pytest.raises(UsageError, match="does not run on images of 1 x 32 x 32"):
        build_model(fitted(find("torchvision/resnet18"), grey), grey, load_recipe("digits/quick"), 0)
    with pytest.raises(UsageError, match="torchvision models take no"):
        build_model(fitted(find("torchvision/resnet18"), FACTS), FACTS, load_recipe("digits/quick", ["drop=0.1"]), 0)
    mlp = fitted(Target("mlp", SkipMLPSpec(2, 2, 5, 3).network("mlp")), Facts(8, 8, 10, (1, 4, 4), (0.5,), (0.5,)))
    assert mlp.spec is not None and mlp.spec.input == (16, 1, 1)


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'cifar/deepmad'"):
        load_recipe("cifar/depmad")
    recipe = load_recipe("digits/quick", ["opt=sdg"])
    with pytest.raises(UsageError, match="opt: sdg cannot be made"):
        engine_of(recipe, FACTS, "resnet20")


def test_weights_load_in_timm(tmp_path):
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    facts = Facts(8, 8, 10, (1, 8, 8), (0.5,), (0.5,))
    recipe = load_recipe("digits/quick", ["channels_last=false"])  # timm's layout, for equal bits
    model = build_model(fitted(find(str(spec)), facts), facts, recipe, 3)
    path = tmp_path / "best.safetensors"
    path.write_bytes(weights(model))
    loaded = timm.create_model("madnas", spec=str(spec), checkpoint_path=str(path))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded.eval()(images), model.eval()(images))


def test_orders_of_epochs_differ():
    order = Order(10, 5, 0)
    epochs = [list(islice((order.batch(step).tolist() for step in range(2 * e, 2 * e + 2)), 2)) for e in range(3)]
    assert len({str(one) for one in epochs}) == 3
