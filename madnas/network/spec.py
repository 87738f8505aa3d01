"""NetworkSpec: a network as small, flat, plain data that a person can write by hand.

The dataclasses check nothing themselves, so that the same description can hold integers (a network), numpy arrays (a
batch of candidates) or Pyomo expressions (the variables of a program). Files come in through ``specfile.load_spec``,
which is strict.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from madnas.theory.numerics import Number

SCHEMA = "madnas/network/1"


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution, conv-BN-act. ``pool: true`` adds ResNet's 3x3 stride-2 maximum pooling."""

    out: Number
    kernel: int = 3
    stride: int = 2
    act: str = "relu"
    pool: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A run of ``depth`` equal blocks; the first takes the stride and the change of channels.

    Attributes:
        block: kind of block, a name of the catalogue (``madnas.network.blocks``).
        out: output channels of every block.
        depth: number of blocks.
        hidden: channels inside the block.
        expand: instead of ``hidden``: inner channels as a multiple of each block's own input channels.
        kernel: side of the block's square kernel.
        stride: stride of the first block; 2 begins a new stage.
        act: activation.
        se: squeeze-excitation: ``none``; ``deepmad`` (a quarter of ``hidden``, rounded down to a multiple of 8, batch
            norm); ``efficientnet`` (a quarter of the block's input, bias).
        shortcut: how the residual link changes shape: ``conv``, ``pad``, ``pool`` (DeepMAD) or ``identity``; see the
            block.
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


@dataclass(frozen=True, slots=True)
class Head:
    """What follows the last block: a 1x1 convolution (conv-BN-act), if any, then global pooling and a linear layer."""

    classes: int
    conv: Number | None = None
    act: str = "relu"


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A whole network. ``stem`` is absent for an MLP, whose input is flattened.

    Attributes:
        name: what the network is called in tables.
        input: channels, height and width of the input.
        groups: the network's body.
        head: pooling and classifier.
        stem: first convolution.
        provenance: where the network comes from (budgets, solver, objective, bound ...); recomputed, never trusted.
    """

    name: str
    input: tuple[int, int, int]
    groups: tuple[Group, ...]
    head: Head
    stem: Stem | None = None
    provenance: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)

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
