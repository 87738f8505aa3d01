"""MadNet: the module of a whole network, with timm's names and interfaces."""

from collections import OrderedDict
from dataclasses import replace

import torch
from timm.layers import ClassifierHead
from timm.models import checkpoint_seq
from timm.models._features import feature_take_indices  # timm exports it nowhere else
from torch import Tensor, nn

from madnas.models.blocks import BLOCKS
from madnas.models.cells import CELLS, Cell, build_cell
from madnas.models.convnext_block import PatchStem
from madnas.models.dilate import check_output_stride, dilate
from madnas.models.features import feature_info
from madnas.models.head import DeepHead, build_head
from madnas.models.layers import ConvNormAct, NormAct, init_weights
from madnas.network.expand import openings, stem_layers
from madnas.network.layer import Layer
from madnas.network.spec import NetworkSpec


class MadNet(nn.Module):
    """A network built from its description; fully convolutional (any input size) unless it is an MLP.

    Parameters are named by the description: ``stem.conv.weight``, ``groups.0.1.conv2.conv.weight`` (second block of the
    first group), ``head_conv.bn.bias``, ``head.fc.weight``. A group is a sequence of blocks, or a
    :class:`~madnas.models.cells.Cell`, whose layers see all earlier ones.

    Args:
        spec: the description, one that :func:`~madnas.network.specfile.check_spec` accepts.
        num_classes: outputs of the classifier; 0 leaves it out. Default: the description's.
        in_chans: channels of the input. Default: the description's.
        global_pool: timm's name of the pooling before the classifier; ``""`` leaves it out. Default: the mean, or the
            maximum in heads that keep several pixels (VGG).
        drop_rate: dropout before the classifier, and behind the head's hidden layers.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 over the blocks. Only residual
            links have it.
        zero_init_last: start the last batch norm of every residual branch at 0, so that blocks start as their shortcut
            [Goyal et al. 2017, "Accurate, Large Minibatch SGD", Section 5.1]; of branches that end with one.
        output_stride: input side / side of the last map; strides beyond it become dilation. Default: the strides' own.

    Attributes:
        spec: the description.
        num_features: channels that ``forward_features`` gives out.
        feature_info: per stage its last map: channels, reduction (input side / map side) and name of the module. As in
            timm, the head's convolution or norm is no part of the last stage's map. Empty for an MLP.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        num_classes: int | None = None,
        in_chans: int | None = None,
        global_pool: str | None = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        zero_init_last: bool = True,
        output_stride: int | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = spec.head.classes if num_classes is None else num_classes
        self.in_chans = spec.input[0] if in_chans is None else in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False

        self.stem, self.stem_pool = _build_stem(spec, self.in_chans)
        self.groups = _build_groups(replace(spec, input=(self.in_chans, *spec.input[1:])), drop_path_rate)
        if output_stride is not None:
            check_output_stride(spec, output_stride)
            dilate(self.groups, spec, output_stride)
        self._build_head(global_pool)
        self.feature_info = feature_info(spec, output_stride)
        self.init_weights(zero_init_last)

    def _build_head(self, global_pool: str | None) -> None:
        """Create ``head_conv``, ``final_norm`` and ``head`` over the last group's channels."""
        head, chs = self.spec.head, self.spec.groups[-1].out
        self.head_conv: nn.Module = nn.Identity()
        if head.conv is not None:
            self.head_conv = ConvNormAct(Layer("conv", chs, head.conv, (1, 1)), head.act)
            chs = head.conv
        self.final_norm: nn.Module = NormAct(chs, head.act) if head.norm == "batch" else nn.Identity()
        self.num_features = chs
        self.head = build_head(self.spec, chs, self.num_classes, global_pool, self.drop_rate)

    @property
    def head_hidden_size(self) -> int:
        """Features that the classifier sees, per image; twice ``num_features`` with ``catavgmax`` pooling."""
        if isinstance(self.head, DeepHead):
            return self.head.num_features
        return self.num_features * int(self.head.global_pool.feat_mult())

    def init_weights(self, zero_init_last: bool = True) -> None:
        """Initialise all convolutions, what has a rule of its own, and with ``zero_init_last`` residual branches."""
        self.apply(init_weights)
        for rule in ("init_own", *(["zero_init_last"] if zero_init_last else [])):
            for module in self.modules():
                if hasattr(module, rule):
                    getattr(module, rule)()

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Patterns that sort parameters by depth, for timm's layer-wise learning rates."""
        return {"stem": r"^stem", "blocks": r"^groups\.(\d+)" if coarse else r"^groups\.(\d+)\.(\d+)"}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute every block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = enable
        for group in self.groups:
            if isinstance(group, Cell):
                group.grad_checkpointing = enable

    def get_classifier(self, name_only: bool = False) -> nn.Module | str:
        """The last linear layer, or its name in the ``state_dict``."""
        return "head.fc" if name_only else self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier; 0 classes remove it.

        Args:
            num_classes: outputs of the new classifier.
            global_pool: new pooling; None keeps the present one.
        """
        reference = next(self.parameters())
        self.num_classes = num_classes
        self.head.reset(num_classes, pool_type=global_pool)
        self.head.to(device=reference.device, dtype=reference.dtype)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Maps of chosen stages, in timm's form.

        Args:
            x: ``(B, C, H, W)``.
            indices: stages; None for all, n for the last n, negative ones count from the end.
            norm: apply the head's batch norm and activation, where it has them, to the last stage's map.
            stop_early: leave out what follows the last chosen stage.
            output_fmt: only ``NCHW``.
            intermediates_only: give only the maps.

        Returns:
            Output of ``forward_features`` (of the last stage computed, with ``stop_early``) and the maps; or the maps.
        """
        assert output_fmt == "NCHW", "output_fmt must be NCHW"
        take, last = feature_take_indices(len(self.feature_info), indices)
        taps = {info["module"]: index for index, info in enumerate(self.feature_info) if index in take}
        maps: list[Tensor] = []
        for name, part in self._parts():
            x = self._run(part, x)
            if name in taps:
                final = taps[name] == len(self.feature_info) - 1
                maps.append(self.final_norm(x) if norm and final else x)
                if stop_early and taps[name] == last:
                    return maps if intermediates_only else (x, maps)
        return maps if intermediates_only else (self._finish(x), maps)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what the chosen stages do not need, so that no parameter of a backbone goes unused.

        Args:
            indices: stages, as in :meth:`forward_intermediates`.
            prune_norm: drop the head's batch norm even if all stages stay.
            prune_head: drop the head's convolution and the classifier even if all stages stay.

        Returns:
            The chosen stages, counted from 0.
        """
        take, last = feature_take_indices(len(self.feature_info), indices)
        kept = [name for name, _ in self._parts()].index(self.feature_info[last]["module"])
        shortened = last < len(self.feature_info) - 1
        if shortened:
            self.groups = self.groups[: max(0, kept - 1)]
            self.stem_pool = self.stem_pool if kept > 0 else nn.Identity()
        if shortened or prune_norm:
            self.final_norm = nn.Identity()
        if shortened or prune_head:
            self.head_conv = nn.Identity()
            self.num_features = self.feature_info[last]["num_chs"]
            self.num_classes = 0
            self.head = ClassifierHead(self.num_features, 0, pool_type="", drop_rate=self.drop_rate)
        return list(take)

    def _parts(self) -> list[tuple[str, nn.Module]]:
        """The body in its order: stem, pooling, groups; named as in the ``state_dict``."""
        groups = [(f"groups.{index}", group) for index, group in enumerate(self.groups)]
        return [("stem", self.stem), ("stem_pool", self.stem_pool), *groups]

    def _run(self, part: nn.Module, x: Tensor) -> Tensor:
        if self.grad_checkpointing and isinstance(part, nn.Sequential):
            return checkpoint_seq(part, x)
        return part(x)

    def forward_features(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the last map ``(B, num_features, H', W')``, head convolution or norm included."""
        for _, part in self._parts():
            x = self._run(part, x)
        return self._finish(x)

    def _finish(self, x: Tensor) -> Tensor:
        return self.final_norm(self.head_conv(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map the last map to logits ``(B, num_classes)``, or to the ``head_hidden_size`` features of its input."""
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to logits ``(B, num_classes)``."""
        return self.forward_head(self.forward_features(x))


def _build_stem(spec: NetworkSpec, in_chans: int) -> tuple[nn.Module, nn.Module]:
    """Stem and its pooling; an MLP flattens its input, and a CNN without a stem takes it as it is."""
    stem = spec.stem
    if stem is None:
        return (nn.Flatten(1) if spec.is_mlp else nn.Identity()), nn.Identity()
    *before, last = stem_layers(stem, in_chans, (1, 1))
    conv: nn.Module
    conv = PatchStem(last) if stem.norm == "layer" else ConvNormAct(last, stem.act if stem.norm == "batch" else None)
    if before:
        convs = {layer.name: ConvNormAct(layer, stem.act) for layer in before}
        conv = nn.Sequential(OrderedDict(convs | {last.name: conv}))
    return conv, nn.MaxPool2d(3, stride=2, padding=1) if stem.pool else nn.Identity()


def _build_groups(spec: NetworkSpec, drop_path_rate: float) -> nn.Sequential:
    rates = iter(torch.linspace(0, drop_path_rate, sum(spec.depths), device="cpu").tolist())
    groups = nn.Sequential()
    for opening in openings(spec):
        group, chs = opening.group, opening.in_chs
        own = [next(rates) for _ in range(group.depth)]
        if group.block in CELLS:
            groups.append(build_cell(group, chs, opening.index))
        else:
            blocks = (BLOCKS[group.block](group, group.out if i else chs, i, rate) for i, rate in enumerate(own))
            groups.append(nn.Sequential(*blocks))
    return groups
