"""What follows the last map: pooling, norm, linear layers, classifier; with the interface of timm's heads."""

from collections import OrderedDict

from timm.layers import ClassifierHead, LayerNorm2d, SelectAdaptivePool2d
from torch import Tensor, nn

from madnas.errors import UsageError
from madnas.models.convnext_block import init_truncated
from madnas.models.layers import activation, linear
from madnas.network.expand import head_layers
from madnas.network.layer import Layer
from madnas.network.spec import NetworkSpec

POOLINGS = ("avg", "max", "avgmax", "")
"""timm's poolings that leave the number of channels as it is, and none."""


def build_head(
    spec: NetworkSpec, in_chs: int, num_classes: int, global_pool: str | None, drop_rate: float
) -> "ClassifierHead | DeepHead":
    """The head of a network.

    Args:
        spec: the network.
        in_chs: channels of the last map, or features of an MLP.
        num_classes: outputs of the classifier; 0 leaves it out.
        global_pool: timm's name of the pooling, ``""`` for none. Default: the mean, but the maximum where more than one
            pixel remains, as in VGG.
        drop_rate: dropout behind every hidden linear layer, and in any case before the classifier.
    """
    if global_pool is None:
        global_pool = "avg" if spec.head.pool == 1 else "max"
    if spec.head.norm == "layer" or spec.head.hidden or spec.head.pool > 1:
        return DeepHead(spec, in_chs, num_classes, global_pool, drop_rate)
    return ClassifierHead(in_chs, num_classes, pool_type="" if spec.is_mlp else global_pool, drop_rate=drop_rate)


class DeepHead(nn.Module):
    """Pooling to one or more pixels, layer norm, hidden linear layers, classifier; what of it the description has.

    Args:
        spec: the network.
        in_chs: channels of the last map, or features of an MLP.
        num_classes: outputs of the classifier; 0 leaves it out.
        pool_type: timm's name of the pooling. Without pooling only the norm is applied, and there is no classifier.
        drop_rate: dropout behind every hidden layer, and in any case before the classifier.

    Attributes:
        num_features: what the classifier sees.
    """

    def __init__(self, spec: NetworkSpec, in_chs: int, num_classes: int, pool_type: str, drop_rate: float) -> None:
        super().__init__()
        *hidden, classifier = head_layers(spec, in_chs)
        self.side = spec.head.pool
        self.flat = spec.is_mlp
        self.num_features = classifier.in_chs
        self.norm = LayerNorm2d(in_chs) if spec.head.norm == "layer" else nn.Identity()
        self.flatten = nn.Flatten(1)
        self.hidden = nn.Sequential(
            OrderedDict((layer.name, _hidden(layer, spec.head.act, drop_rate)) for layer in hidden)
        )
        self.drop = nn.Identity() if hidden else nn.Dropout(drop_rate)
        self.reset(num_classes, pool_type)

    def reset(self, num_classes: int, pool_type: str | None = None) -> None:
        """Replace the classifier and, unless it is None, the pooling; 0 classes remove the classifier.

        Raises:
            UsageError: a pooling that is unknown, or doubles the channels; a classifier without pooling.
        """
        if pool_type is not None:
            if pool_type not in POOLINGS:
                raise UsageError(f"no pooling {pool_type!r} for this head; one of {', '.join(map(repr, POOLINGS))}")
            self.global_pool = SelectAdaptivePool2d(self.side, "" if self.flat else pool_type)
        if num_classes and self.unpooled:
            raise UsageError("a classifier of this network needs a pooling", hint="num_classes=0 leaves it out")
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    @property
    def unpooled(self) -> bool:
        """Whether the last map comes out as a map."""
        return self.global_pool.is_identity() and not self.flat

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, num_classes)``, or to what the classifier sees."""
        x = self.norm(self.global_pool(x))
        if self.unpooled:
            return x
        x = self.drop(self.hidden(self.flatten(x)))
        return x if pre_logits else self.fc(x)

    def init_own(self) -> None:
        """Initialise a head with a layer norm as ConvNeXt does."""
        if isinstance(self.norm, LayerNorm2d):
            init_truncated(self)


def _hidden(layer: Layer, act: str, drop_rate: float) -> nn.Sequential:
    return nn.Sequential(OrderedDict(linear=linear(layer), act=activation(act), drop=nn.Dropout(drop_rate)))
