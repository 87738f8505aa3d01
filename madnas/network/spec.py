"""NetworkSpec: a network as small, flat, plain data that a person can write by hand.

The dataclasses check nothing themselves, so that the same description can hold integers (a network), numpy arrays (a
batch of candidates) or Pyomo expressions (the variables of a program). Files come in through ``specfile.load_spec``,
which is strict.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from madnas.theory.numerics import Number

SCHEMA = "madnas/network/1"


LINEAR_BLOCKS = frozenset({"linear", "random-skip-linear"})
"""Blocks of MLPs."""


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution.

    Attributes:
        out: output channels.
        kernel: side of the square kernel.
        stride: stride.
        act: activation, where one follows.
        pool: whether ResNet's 3x3 stride-2 maximum pooling follows.
        norm: ``batch``: batch norm and activation follow. ``layer`` (ConvNeXt): patches, kernel and stride alike and no
            padding, with a bias; layer norm follows, and no activation. ``later``: nothing follows, because the blocks
            begin with norm and activation (Wide-ResNet).
        hidden: channels of convolutions before the last one (ResNet-D: 32, 32). The first takes kernel and stride, the
            others and the last are 3x3; norm and activation follow each.
    """

    out: Number
    kernel: int = 3
    stride: int = 2
    act: str = "relu"
    pool: bool = False
    norm: str = "batch"
    hidden: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A run of ``depth`` equal blocks; the first takes the stride and the change of channels.

    Attributes:
        block: kind of block, a name of the catalogue (``madnas.network.blocks``).
        out: output channels of every block; of a ``dense`` group: what it gives out, the input's included.
        depth: number of blocks.
        hidden: channels inside the block.
        expand: instead of ``hidden``: inner channels as a multiple of each block's own input channels.
        kernel: side of the block's square kernel.
        stride: stride of the first block; 2 begins a new stage.
        act: activation.
        se: squeeze-excitation: ``none``; ``deepmad`` (a quarter of ``hidden``, rounded down to a multiple of 8, batch
            norm); ``efficientnet`` (a quarter of the block's input, bias); ``senet`` (a sixteenth of ``out``, bias);
            ``zennet`` (a quarter of the channels that it scales, batch norm).
        shortcut: how the residual link changes shape: ``conv``, ``pad``, ``pool`` (DeepMAD), ``avg-down`` (ResNet-D),
            ``biased`` (Zen-NAS) or ``identity``; see the block.
        norm: of ``conv``: ``batch``, or ``none`` for a bias instead.
        pool: of ``conv``: a 2x2 maximum pooling takes the stride.
        growth: of ``dense``: channels that every layer appends.
        links: of random-skip cells: t, most channels that a layer takes from layers before the last one.
        seed: of random-skip cells: decides which channels these are.
        bare: of ``random-skip``: the first layer sees the image, and has no norm and activation before it.
        group_width: of ``bottleneck``: channels per group of its k x k convolution (ResNeXt, RegNet); a divisor of
            ``hidden``. Default: one group.
        grn: of ``convnext``: a global response norm over the inner channels, and no scale at the end (ConvNeXt-V2).
        branch: of ``convnext``: a 1x1 convolution beside the two (RAN, Section 4), and its activation: ``none``,
            ``gelu``, ``exp``, ``expm1`` or ``exp-clamped``. Default: no such branch.
    """

    block: str
    out: Number
    depth: Number
    hidden: Number | None = None
    expand: float | None = None
    kernel: Number | None = None
    stride: int = 1
    act: str = "relu"
    se: str = "none"
    shortcut: str | None = None
    norm: str = "batch"
    pool: bool = False
    growth: Number | None = None
    links: Number | None = None
    seed: int = 0
    bare: bool = False
    group_width: int | None = None
    grn: bool = False
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """What follows the last block: convolution or norm, if any, then pooling and linear layers.

    Attributes:
        classes: outputs of the classifier.
        conv: channels of a 1x1 convolution (conv-BN-act) before the pooling.
        act: activation of that convolution, of ``norm: batch``, and between linear layers.
        norm: ``none``; ``batch``: batch norm and activation before the pooling (blocks that begin with them);
            ``layer``: layer norm after it (ConvNeXt).
        hidden: outputs of linear layers before the classifier (VGG).
        pool: side of the map that the pooling gives; above 1 it is flattened (VGG: 7).
    """

    classes: int
    conv: Number | None = None
    act: str = "relu"
    norm: str = "none"
    hidden: tuple[int, ...] = ()
    pool: int = 1


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A whole network. An MLP, whose input is flattened, has no stem and ``linear`` blocks.

    Attributes:
        name: what the network is called in tables.
        input: channels, height and width of the input.
        groups: the network's body.
        head: pooling and classifier.
        stem: first convolution; a convolutional network without one begins with its first group.
        provenance: where the network comes from (budgets, solver, objective, bound ...); recomputed, never trusted.
    """

    name: str
    input: tuple[int, int, int]
    groups: tuple[Group, ...]
    head: Head
    stem: Stem | None = None
    provenance: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @property
    def is_mlp(self) -> bool:
        """Whether it has linear layers only, on the flattened input."""
        return self.stem is None and all(group.block in LINEAR_BLOCKS for group in self.groups)

    @property
    def depths(self) -> tuple[Number, ...]:
        """Depth in blocks of every group."""
        return tuple(group.depth for group in self.groups)


def to_tree(part: Any) -> dict[str, Any]:
    """A part of a spec as a plain mapping, in the order of its fields, without the keys that have their default."""
    values = {f.name: (getattr(part, f.name), f.default) for f in fields(part)}
    return {
        name: value
        for name, (value, default) in values.items()
        if value is not None
        # Types first: an array does not compare to one truth value.
        if name in ("kernel", "stride") or type(value) is not type(default) or value != default
    }
