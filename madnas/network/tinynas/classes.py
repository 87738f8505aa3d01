"""TinyNAS's classes of blocks and its words, and what they are here."""

from dataclasses import dataclass

CONV = "ConvKXBNRELU"


@dataclass(frozen=True, slots=True)
class SuperBlock:
    """A TinyNAS class and what it is here."""

    block: str
    act: str
    se: str = "none"


SUPER_BLOCKS = {
    "SuperResK1KXK1": SuperBlock("bottleneck", "relu"),
    "SuperResKXKX": SuperBlock("basic", "relu"),
    "SuperResK1DWK1": SuperBlock("inverted-residual", "silu"),
    "SuperResK1DWSEK1": SuperBlock("inverted-residual", "silu", "deepmad"),
}
"""Every class that can be read, besides the plain convolution."""

SPELLINGS = {"SuperResConvK1KXK1": "SuperResK1KXK1", "SuperResConvKXKX": "SuperResKXKX"}
"""Names of classes in the first release."""

ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "swish": "silu", "sigmoid": "sigmoid"}
"""TinyNAS's names of activations, and ours."""

STRIDED_BASIC = (
    "TinyNAS strides the second convolution of SuperResKXKX, madnas the first of 'basic': "
    "MACs differ; layers, rho and entropy do not"
)


def squeezes_otherwise(hidden: int) -> bool:
    """Whether squeeze-excitation has another width there: TinyNAS rounds the quarter before the multiple of 8."""
    return max(1, round(hidden / 4) // 8) != max(1, hidden // 4 // 8)
