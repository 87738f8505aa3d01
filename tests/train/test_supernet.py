"""The search for linear blocks: what it begins with, what is minimised, and that it goes on where it stopped."""

import json
from dataclasses import replace

import pytest

from madnas.errors import UsageError
from madnas.models import build
from madnas.models.restructurable import alphas_of
from madnas.network.count import count
from madnas.network.named import get
from madnas.restructure.search_space import numbers_of, restructurable, savings, subnetwork
from madnas.restructure.stages import blocks_of
from madnas.targets import find
from madnas.train.engine import Engine
from madnas.train.supernet import search, searchable
from tests.train.shell import crash_at, finish, job

DIGITS = get("ran-e-digits")


def test_inverted_bottlenecks_get_slopes():
    found = restructurable(get("ran-e-supernet"))
    kinds = [block.block for block in blocks_of(found)]
    assert kinds == ["afrb"] * 9 + ["afrb-pair"] + ["afrb"] * 6 + ["conv", "depthwise"]
    assert list(alphas_of(build(restructurable(DIGITS)))) == list(numbers_of(restructurable(DIGITS)))[:-1]


def test_what_has_no_such_blocks_is_an_error():
    with pytest.raises(UsageError, match="resnet20: no block can be searched"):
        restructurable(get("resnet20"))
    with pytest.raises(UsageError, match="only networks with a description"):
        searchable(find("timm/mixer_s32_224"))


def test_weights_of_an_aware_search_are_what_a_collapse_saves():
    spec = restructurable(get("ran-e-supernet"))
    weights = savings(spec)
    numbers = numbers_of(spec)
    costly = {number for name, number in numbers.items() if weights.get(name) == 0}
    assert {8, 9, 13, 14, 15} & costly  # expansion 4
    heavy = max(weights, key=weights.get)
    assert numbers[heavy] == 3  # "the first two IBNs are very heavy in MACs" (Fig. 4)
    assert sum(weights.values()) / len(weights) == pytest.approx(1)


def test_slopes_decide_what_is_collapsed():
    searched = restructurable(DIGITS)
    names = list(numbers_of(searched))
    alphas = dict(zip(names, (0.79, 0.8, 1.0, 1.3, 1.31, -0.2, 0.5), strict=False))
    found = subnetwork(DIGITS, searched, alphas)
    kinds = [block.block for block in blocks_of(found)]
    assert kinds == ["inverted-residual", *["act-conv"] * 3, "inverted-pair", *["inverted-residual"] * 2, "conv"]
    assert blocks_of(found)[0].act == "hard_swish"
    expanded = subnetwork(DIGITS, searched, alphas, expanded=True)
    assert [block.block for block in blocks_of(expanded)][1:4] == ["act-expand"] * 3
    assert count(expanded).params > count(found).params


def afrb_job(folder, *changes, **settings):
    one = job(folder, *changes, **settings)
    groups = restructurable(DIGITS).groups[:3]
    spec = replace(DIGITS, name="small", input=(1, 8, 8), groups=groups)
    return replace(one, target=replace(one.target, spec=spec))


@pytest.mark.parametrize("parts", [1, 2])
def test_the_penalty_is_equation_3(tmp_path, monkeypatch, parts):
    """Once per update, however many parts a batch has; nothing else changes."""
    losses = {}
    propose = Engine.propose

    def keep(self, batch, step):
        found = propose(self, batch, step)
        if step == 0:
            alphas = list(self.alphas.values())
            losses[self.recipe.alpha_weight] = float(found.loss), sum((alpha - 1) ** 2 for alpha in alphas)
        return found

    monkeypatch.setattr(Engine, "propose", keep)
    for number, weight in enumerate((0, 0.5)):
        changes = [f"grad_accum_steps={parts}", f"alpha_weight={weight}", "epochs=1"]
        finish(afrb_job(tmp_path, *changes, name=f"run{number}"))
    (without, none), (penalised, distance) = losses[0], losses[0.5]
    assert none == 0
    assert penalised - without == pytest.approx(0.5 * distance, rel=1e-5)


def test_without_slopes_the_penalty_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="alpha_weight: the network has no restructurable blocks"):
        finish(job(tmp_path, "alpha_weight=1"))


def test_a_search_goes_on_where_it_stopped(tmp_path):
    def base(name):
        one = job(tmp_path, name=name, recovery_interval=3)
        spec = replace(DIGITS, input=(1, 8, 8), groups=DIGITS.groups[:3])
        return replace(one, target=replace(one.target, spec=spec))

    (whole,) = search(base("whole"), [0.1])
    one = base("stopped")
    first = replace(
        one,
        target=searchable(one.target),
        recipe=replace(one.recipe, alpha_weight=0.1),
        folder=one.folder / "lambda-0.1",
    )
    one.folder.mkdir()
    crash_at(first, 7)
    (again,) = search(one, [0.1])
    assert again.trajectories == whole.trajectories
    assert again.spec == whole.spec
    lines = (first.folder / "metrics.jsonl").read_bytes()
    assert lines == (whole.folder / "metrics.jsonl").read_bytes()
    assert sum(json.loads(line)["event"] == "alphas" for line in lines.splitlines()) == 2
    with pytest.raises(UsageError, match="another"):
        search(replace(one, seed=1), [0.1])


def test_a_sweep_goes_on_in_the_search_where_it_stopped(tmp_path):
    """One strength is finished, the next one was stopped in its middle."""

    def base(name):
        one = job(tmp_path, name=name, recovery_interval=3)
        return replace(one, target=replace(one.target, spec=replace(DIGITS, input=(1, 8, 8), groups=DIGITS.groups[:2])))

    whole = search(base("whole"), [0.1, 1.0])
    one = base("stopped")
    search(one, [0.1])
    recipe = replace(one.recipe, alpha_weight=1.0)
    crash_at(replace(one, target=searchable(one.target), recipe=recipe, folder=one.folder / "lambda-1"), 7)
    again = search(one, [0.1, 1.0])
    assert [found.trajectories for found in again] == [found.trajectories for found in whole]
    assert [found.top1 for found in again] == [found.top1 for found in whole]
