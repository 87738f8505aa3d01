"""Structural scores of a network by the theory's formulas: entropy per stage, rho, width, objective."""

from collections.abc import Iterable
from dataclasses import dataclass

from madnas.network.expand import Segment, segments
from madnas.network.spec import NetworkSpec
from madnas.theory.effectiveness import average_width, effectiveness, log_effectiveness
from madnas.theory.entropy import cnn_entropy, log_variance, mlp_entropy
from madnas.theory.numerics import Number, sqrt
from madnas.theory.objective import default_depth_penalty, default_stage_weights, objective


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the layers between two stride-2 steps.

    Attributes:
        resolution: side of the output map, the root of its area (pixels).
        out_chs: channels of the output map.
        depth: layers on the main path in this stage.
        log_widths: sum of ln w over this stage's main path.
        entropy: entropy of the output map in nats, over all layers up to it (Eq. 4; Eq. 1 for an MLP).
    """

    resolution: Number
    out_chs: Number
    depth: Number
    log_widths: Number
    entropy: Number

    @property
    def rho(self) -> Number:
        """Effectiveness of this stage alone."""
        return effectiveness(self.depth, self.log_widths)

    def tree(self) -> dict[str, int | float]:
        """The stage as plain data: side of its output map in pixels, channels, layers, rho, entropy in nats."""
        return {
            "resolution": float(self.resolution),
            "out": int(self.out_chs),
            "layers": int(self.depth),
            "rho": float(self.rho),
            "entropy": float(self.entropy),
        }


@dataclass(frozen=True, slots=True)
class Structure:
    """The structural scores of a network, of a batch of candidates, or of a program's variables."""

    stages: tuple[Stage, ...]
    group_depths: tuple[Number, ...]

    @property
    def depth(self) -> Number:
        """Layers on the main path, L."""
        return sum(stage.depth for stage in self.stages)

    @property
    def log_widths(self) -> Number:
        """Sum of ln w over the main path."""
        return sum(stage.log_widths for stage in self.stages)

    @property
    def width(self) -> Number:
        """Average width of the network (Eq. 3)."""
        return average_width(self.depth, self.log_widths)

    @property
    def rho(self) -> Number:
        """Effectiveness of the network (Eq. 2)."""
        return effectiveness(self.depth, self.log_widths)

    @property
    def log_rho(self) -> Number:
        """Logarithm of the effectiveness, the form that a program constrains."""
        return log_effectiveness(self.depth, self.log_widths)

    @property
    def entropies(self) -> tuple[Number, ...]:
        """Entropy of every stage's output, in nats."""
        return tuple(stage.entropy for stage in self.stages)

    def weighted_entropy(self, weights: tuple[float, ...] | None = None) -> Number:
        """Stage entropies summed with alpha (default: 1, ..., 1, 8), in nats."""
        weights = weights or default_stage_weights(len(self.stages))
        return sum(a * h for a, h in zip(weights, self.entropies, strict=True))

    def objective(self, weights: tuple[float, ...] | None = None, depth_penalty: float | None = None) -> Number:
        """The objective of Eq. (5), in nats; by default beta is 10, or 0 for a single stage, as in an MLP."""
        weights = weights or default_stage_weights(len(self.stages))
        if depth_penalty is None:
            depth_penalty = default_depth_penalty(len(self.stages))
        return objective(self.entropies, weights, self.group_depths[1:], depth_penalty)


def analyse(spec: NetworkSpec) -> Structure:
    """Structural scores of a network from closed form; works on numbers, arrays and Pyomo expressions."""
    return analyse_segments(segments(spec), spec.depths, spec.is_mlp)


def analyse_segments(found: Iterable[Segment], depths: tuple[Number, ...] = (), is_mlp: bool = False) -> Structure:
    """The same of a network's segments, those of a batch of candidates included; a segment may repeat 0 times.

    Args:
        found: the segments; the last one of every stage says what the stage gives out.
        depths: depth in blocks of every group, for the penalty of uneven depths.
        is_mlp: whether it has linear layers only.
    """
    stages: list[Stage] = []
    before: Number = 0.0
    for members in _by_stage(found):
        depth: Number = 0
        log_widths: Number = 0.0
        for segment in members:
            main = [layer for layer in segment.layers if layer.main]
            depth += segment.repeat * len(main)
            log_widths += segment.repeat * log_variance(layer.width for layer in main)
        out_chs, resolution = members[-1].out_chs, main[-1].resolution
        before = before + log_widths
        if is_mlp:
            side: Number = 1.0
            entropy = mlp_entropy(out_chs, before)
        else:
            side = sqrt(resolution[0] * resolution[1])
            entropy = cnn_entropy(side, out_chs, before)
        stages.append(Stage(side, out_chs, depth, log_widths, entropy))
    return Structure(tuple(stages), depths)


def _by_stage(found: Iterable[Segment]) -> list[list[Segment]]:
    """Segments that have layers on the main path, stage by stage."""
    stages: dict[int, list[Segment]] = {}
    for segment in found:
        if any(layer.main for layer in segment.layers):
            stages.setdefault(segment.stage, []).append(segment)
    return [stages[index] for index in sorted(stages)]
