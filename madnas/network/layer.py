"""One convolution or linear layer as plain data: the unit that everything else sums over."""

from dataclasses import dataclass

from madnas.theory.entropy import layer_width
from madnas.theory.numerics import Number

Resolution = tuple[int, int]
"""Height and width of a feature map, in pixels."""


def strided(resolution: Resolution, stride: int) -> Resolution:
    """Size of the map after a 'same'-padded layer of this stride (rounded up, as convolutions with odd kernels do)."""
    return -(-resolution[0] // stride), -(-resolution[1] // stride)


def patched(resolution: Resolution, stride: int) -> Resolution:
    """Size of the map after a layer or pooling of non-overlapping ``stride x stride`` patches (rounded down)."""
    return resolution[0] // stride, resolution[1] // stride


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or a linear layer with the norm that follows it.

    Channel counts and kernels may be numbers, numpy arrays (many candidates at once) or Pyomo expressions.

    Attributes:
        name: unique inside its block.
        in_chs: input channels.
        out_chs: output channels.
        resolution: height and width of the *output* map; ``(1, 1)`` for linear layers and squeeze-excitation.
        kernel: side of the square kernel.
        stride: 1 or 2; of patches, the kernel.
        groups: convolution groups; the very object ``in_chs`` for a depthwise convolution.
        bias: whether the layer has a bias.
        norm: whether a norm follows (2 parameters per output channel).
        extra: other trainable parameters that belong to it: a norm before it, a scale after it.
        main: on the main path, so that it counts for depth, rho and entropy (not projections of shortcuts, not SE).
    """

    name: str
    in_chs: Number
    out_chs: Number
    resolution: Resolution
    kernel: Number = 1
    stride: int = 1
    groups: Number = 1
    bias: bool = False
    norm: bool = True
    main: bool = True
    extra: Number = 0

    @property
    def width(self) -> Number:
        """Inputs per output, ``c k^2 / g`` (DeepMAD, Section 4.1)."""
        return layer_width(self.in_chs, self.kernel, self.groups)

    @property
    def params(self) -> Number:
        """Trainable parameters: weights, bias, the norm's scale and shift, and what else belongs to the layer."""
        return self.out_chs * (self.width + int(self.bias) + 2 * int(self.norm)) + self.extra

    @property
    def outputs(self) -> Number:
        """Elements of the output map."""
        return self.out_chs * (self.resolution[0] * self.resolution[1])

    @property
    def macs(self) -> Number:
        """Multiply-adds for one image; one multiply-add is 1, bias and norm are not counted (fvcore's convention)."""
        return self.outputs * self.width


Layers = tuple[Layer, ...]
"""The layers of one block."""
