"""The Zen-Score of a description in closed form: no module, no forward pass, some ten thousand networks in a second."""

from math import log, sqrt

from madnas.errors import UsageError
from madnas.network.blocks import shortcut_of
from madnas.network.expand import segments
from madnas.network.layer import Layer, Resolution
from madnas.network.spec import Group, NetworkSpec
from madnas.theory.numerics import Number, is_array
from madnas.theory.zen import ALPHA, LARGEST, convolved_variance, largest, response, taps

CHAINS = frozenset({"conv", "basic", "bottleneck", "inverted-residual", "separable", "mobile-pair", "preact"})
"""Blocks that are chains of convolutions with batch norms once residual links are removed."""


RECTIFIERS = frozenset({"relu", "relu6"})
"""Activations whose maps the closed form can pool."""


def zen_closed(spec: NetworkSpec) -> Number:
    """An estimate of the Zen-Score in closed form, of one network or of a batch of candidates.

    It follows mean, variance and the distance of two perturbed maps through the chain that Zen-Score is defined on.
    Left out: what depthwise layers and few channels make non-normal, and how neighbouring pixels depend on each other.

    Raises:
        UsageError: the score is not defined for this network; says why.

    >>> from madnas.network.named import get
    >>> 58 < zen_closed(get("resnet18")) < 61
    True
    """
    _check(spec)
    pools = _pools(spec)
    acts = {spec.stem.act} if spec.stem is not None else set()
    if pools and not (acts | {group.act for group in spec.groups}) <= RECTIFIERS:
        raise UsageError("has a maximum pooling, and other activations than rectifiers")
    if any(is_array(group.depth) for group in spec.groups):
        return _of_batch(spec)
    chain = _Chain(spec.input[1:])
    for segment in segments(spec):
        act, ends = _activations(spec, segment.part)
        main = [layer for layer in segment.layers if layer.main]
        for _ in range(segment.repeat):
            if segment.part in pools and segment.part != "stem":
                chain.pool(2, 0, 2)
                pools.discard(segment.part)
            for layer in main:
                chain.layer(layer, ends if layer is main[-1] else act)
        if segment.part == "stem" and "stem" in pools:
            chain.pool(3, 1, 2)
    return chain.score()


def _check(spec: NetworkSpec) -> None:
    """Refuse a network that is no chain of convolutions with a batch norm each."""
    if spec.is_mlp or any(group.block not in CHAINS for group in spec.groups):
        raise UsageError("is no chain of convolutions with batch norms")
    if any(group.block == "conv" and group.norm != "batch" for group in spec.groups):
        raise UsageError("has layers without batch norms")
    first = all(group.block == "preact" for group in spec.groups)  # then norms come before the convolutions
    wanted = ("later", "batch") if first else ("batch", "none")
    if (wanted[0] if spec.stem is None else spec.stem.norm, spec.head.norm) != wanted:
        raise UsageError("has no batch norm for each of its convolutions, in stem or head")
    if not first and any(group.block == "preact" for group in spec.groups):
        raise UsageError("mixes blocks with norms before and behind their convolutions")


def _of_batch(spec: NetworkSpec) -> Number:
    """The estimate of every candidate of a batch, which have no poolings."""
    from madnas.network.zen_batch import Run, zen_of_runs

    runs: list[Run] = []
    before, start, behind = spec.input[1:], 0, None
    for segment in segments(spec):
        main = tuple(layer for layer in segment.layers if layer.main)
        if main:
            act, ends = _activations(spec, segment.part)
            acts = (behind, *[act] * (len(main) - 1), ends)
            runs.append(Run(main, acts, before, segment.repeat, start))
            before, start, behind = main[-1].resolution, start + segment.repeat * len(main), ends
    number = max(len(group.depth) for group in spec.groups if is_array(group.depth))
    return zen_of_runs(runs, number)


def _pools(spec: NetworkSpec) -> set[str]:
    """Parts with a maximum pooling: behind the stem, or before a group's first block."""
    found = {f"group{number}" for number, group in enumerate(spec.groups, 1) if group.pool}
    return found | ({"stem"} if spec.stem is not None and spec.stem.pool else set())


def _activations(spec: NetworkSpec, part: str) -> tuple[str, str]:
    """Activation behind a part's layers, and behind the last of every block."""
    if part == "stem":
        assert spec.stem is not None
        after = spec.stem.act if spec.stem.norm == "batch" else spec.groups[0].act
        return spec.stem.act, after
    if part == "head":
        return spec.head.act, spec.head.act
    group = spec.groups[int(part.removeprefix("group")) - 1]
    return group.act, "identity" if _ends_linear(group) else group.act


def _ends_linear(group: Group) -> bool:
    return group.block == "separable" or (group.block == "inverted-residual" and shortcut_of(group) == "identity")


class _Chain:
    """What is known of the map so far: its size, per element mean, variance and mean square of the difference."""

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.mean, self.variance, self.square = 0.0, 1.0, ALPHA**2
        self.taken, self.moved = 0.0, 0.0

    def layer(self, layer: Layer, act: str) -> None:
        """Go through a convolution, its batch norm and an activation."""
        (a, a2), (b, b2) = (taps(side, layer.kernel, layer.stride) for side in self.resolution)
        chs = layer.in_chs // layer.groups
        variance = convolved_variance(chs, a * b, a2 * b2, self.mean, self.variance)
        distance = min(sqrt(chs * a * b * self.square / variance), LARGEST)
        after = response(act)
        self.taken += 0.5 * log(variance)
        self.mean, self.variance, self.square = after.mean, after.variance, after.square(distance)
        self.resolution = layer.resolution
        self.moved = log(layer.outputs * after.size(distance))
        self.distance = distance

    def pool(self, kernel: int, padding: int, stride: int) -> None:
        """Go through a maximum pooling of rectified maps; its window moves with one of its pixels."""
        self.mean, self.variance, above = largest(kernel**2)
        self.square = above * self.distance**2
        self.resolution = tuple((side + 2 * padding - kernel) // stride + 1 for side in self.resolution)  # type: ignore[assignment]

    def score(self) -> float:
        return self.moved + self.taken
