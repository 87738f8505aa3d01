"""What the papers' rows are about: networks, and whatever is computed of each, once."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache, cached_property

import torch
from torch import nn

from madnas.measure.by_module import ModuleElements, count_elements
from madnas.measure.module_count import ModuleCounts, count_module, count_params
from madnas.network.count import count
from madnas.network.expand import at_resolution
from madnas.network.layer import Resolution
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.network.zoo.skip import skip_cnn, skip_mlp
from madnas.papers.detector import PROPOSALS, SIDE, TABLE_WIDTH, two_stage_costs
from madnas.program.design import Design, design
from madnas.program.recipe import load_recipe
from madnas.scaling.family import depth_choices, width_choices
from madnas.targets import find, input_of, module_of
from madnas.tasks.costs import DetectorCosts


class Network:
    """A row's network: a TARGET.

    Args:
        word: the row's text for it.
        size: height and width of the images, in pixels; default: those that it is made for.
        bare: without squeeze-excitation.
    """

    def __init__(self, word: str, size: Resolution | None = None, bare: bool = False) -> None:
        self.word, self.size, self.bare = word, size, bare

    def describe(self) -> NetworkSpec | None:
        """The description of what the word names, where there is one."""
        return find(self.word).spec

    @cached_property
    def spec(self) -> NetworkSpec | None:
        """The row's description, where there is one."""
        spec = self.describe()
        if spec is None:
            return None
        if self.bare:
            spec = replace(spec, groups=tuple(replace(group, se="none") for group in spec.groups))
        return spec if self.size is None else at_resolution(spec, *self.size)

    @property
    def described(self) -> NetworkSpec:
        """The description of a network that has to have one."""
        assert self.spec is not None, self.word
        return self.spec

    @cached_property
    def input(self) -> tuple[int, ...]:
        """Shape of an image."""
        if self.spec is not None:
            return self.spec.input
        channels, *size = input_of(find(self.word))
        return channels, *(self.size or size)

    def build(self) -> nn.Module:
        """The module with fresh weights."""
        from madnas.models import build

        return module_of(find(self.word)) if self.spec is None else build(self.spec)

    @cached_property
    def module(self) -> nn.Module:
        """The module with weights that are the same every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build().eval()

    @cached_property
    def shapes(self) -> nn.Module:
        """The module without weights: nothing is computed of it but shapes."""
        with torch.device("meta"):
            return self.build().eval()

    @cached_property
    def counts(self) -> ModuleCounts:
        """Counted on the module by fvcore."""
        return count_module(self.module, self.input)

    @cached_property
    def elements(self) -> ModuleElements:
        """Counted module by module."""
        return count_elements(self.shapes, self.input)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return count_params(self.shapes) if self.spec is None else int(count(self.spec).params)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers, for one image."""
        return self.counts.macs if self.spec is None else int(count(self.spec).macs)


@cache
def solved(recipe: str) -> Design:
    """A design recipe's network, solved once for all rows that are about it."""
    return design(load_recipe(recipe).problem())


class Designed(Network):
    """What a design recipe gives, solved for the row."""

    @property
    def design(self) -> Design:
        """The solved recipe."""
        return solved(self.word)

    def describe(self) -> NetworkSpec:
        """The designed network."""
        return self.design.spec


class Collapsed(Network):
    """A TARGET that is deployed collapsed."""

    @cached_property
    def module(self) -> nn.Module:
        """The collapsed module."""
        from madnas.models.norms import unsettle
        from madnas.restructure.collapse import collapse

        module = super().module
        unsettle(module, 0)
        return collapse(module, self.input).model

    @property
    def shapes(self) -> nn.Module:
        """The same."""
        return self.module

    @property
    def params(self) -> int:
        """Of the collapsed module."""
        return self.counts.params

    @property
    def macs(self) -> int:
        """Of the collapsed module."""
        return self.counts.macs


class Backbone(Network):
    """What of a TARGET gives a detector its maps: without the head, and without attention's products in its MACs."""

    def build(self) -> nn.Module:
        """The module that gives the maps."""
        from madnas.models import build

        if self.spec is not None:
            return build(self.spec, features_only=True)
        import timm

        model: nn.Module = timm.create_model(find(self.word).model, features_only=True, img_size=self.input[1:])
        return model

    @property
    def params(self) -> int:
        """Of the backbone."""
        return count_params(self.shapes)

    @property
    def macs(self) -> int:
        """Of the backbone."""
        return self.elements.macs


class DesignedBackbone(Backbone, Designed):
    """The backbone of what a design recipe gives."""


class TwoStage(Network):
    """RAN's detector over a TARGET, with as many proposals as the text says."""

    @cached_property
    def costs(self) -> DetectorCosts:
        """Of the detector, with the head that Table 3's params have."""
        return two_stage_costs(self.word, TABLE_WIDTH, SIDE)

    @property
    def params(self) -> int:
        """Of the detector."""
        return self.costs.params

    @property
    def macs(self) -> int:
        """Of the detector."""
        return self.costs.macs(PROPOSALS)


class Scaled(Network):
    """A named network and the multipliers of its widths and depths: ``convnext-t, 0.666, 1.65``."""

    @cached_property
    def sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The groups' widths and depths, scaled and rounded."""
        name, wide, deep = self.word.split(", ")
        base = get(name)
        (widths,) = width_choices(base, Fraction(wide), Fraction(wide))
        (depths,) = depth_choices(base, Fraction(deep), Fraction(deep))
        return widths.sizes[-len(base.groups) :], depths.sizes


class SkipCnn(Network):
    """A CNN of NN-Mass by its cells' layers, channels and links: ``4; 2, 3, 4; 3, 4, 5``."""

    def describe(self) -> NetworkSpec:
        """The CNN for CIFAR-10."""
        (depth,), widths, links = _numbers(self.word)
        return skip_cnn(self.word, depth, widths, links)


class SkipMlp(Network):
    """An MLP of NN-Mass by its layers, neurons and links: ``24; 8; 2``."""

    def describe(self) -> NetworkSpec:
        """The MLP for MNIST: 784 pixels, 10 classes."""
        (depth,), (width,), (links,) = _numbers(self.word)
        return skip_mlp(self.word, 784, depth, width, links, 10)


class Several(Network):
    """Several TARGETs, each with its top-1 error in percent: ``resnet18 30.4, resnet34 26.77``."""

    @cached_property
    def errors(self) -> dict[str, float]:
        """Errors by name."""
        pairs = (pair.split() for pair in self.word.split(", "))
        return {name: float(error) for name, error in pairs}


def _numbers(text: str) -> Iterator[tuple[int, ...]]:
    for part in text.split("; "):
        yield tuple(int(number) for number in part.split(", "))


KINDS: dict[str, type[Network]] = {
    "network": Network,
    "design": Designed,
    "collapsed": Collapsed,
    "backbone": Backbone,
    "designed_backbone": DesignedBackbone,
    "two_stage": TwoStage,
    "scaled": Scaled,
    "skip_cnn": SkipCnn,
    "skip_mlp": SkipMlp,
    "networks": Several,
}
"""By the keys of :data:`madnas.papers.printed.SUBJECTS`."""
