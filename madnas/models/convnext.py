"""Between our ConvNeXts and timm's: the same network, its weights under other names."""

from collections.abc import Iterator
from typing import Any

from timm.layers import DropPath, GlobalResponseNormMlp, NormMlpClassifierHead, create_act_layer
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from madnas.errors import UsageError
from madnas.models.convnext_block import LAYER_SCALE
from madnas.models.network import MadNet
from madnas.network.shapes import hidden_chs
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.specfile import ACTIVATIONS, check_spec

STRIDES = (1, 2, 2, 2)
RATIO = 4
PATCH = 4
EPSILON = 1e-6

RENAMED = {"depthwise": "conv_dw", "norm": "norm", "expand": "mlp.fc1", "project": "mlp.fc2"}
"""Parts of a block here and in timm, ..."""

GRN = {"grn": "mlp.grn"}
"""... and of ConvNeXt-V2's besides; they have no scale."""


def to_timm(network: NetworkSpec | nn.Module) -> ConvNeXt:
    """A ConvNeXt of ours as timm's.

    Args:
        network: a description, which gives a module with new weights; or a module that was built from one, whose
            weights, precision, device and mode the result has.

    Raises:
        UsageError: it is not a ConvNeXt as timm builds it.

    >>> from madnas.network.named import get
    >>> sum(parameter.numel() for parameter in to_timm(get("convnext-t")).parameters())
    28589128
    """
    if isinstance(network, NetworkSpec):
        return _timm_module(check_spec(network))
    if not isinstance(network, MadNet):
        raise UsageError(f"expected a NetworkSpec or a module built from one, not {type(network).__name__}")
    names, state = _renaming(network.spec), network.state_dict()
    if network.num_classes == 0:
        names = {ours: theirs for ours, theirs in names.items() if not ours.startswith("head.fc.")}
    theirs = _timm_module(
        network.spec,
        in_chans=network.in_chans,
        num_classes=network.num_classes,
        global_pool=network.head.global_pool.pool_type,
        drop_rate=network.drop_rate,
    )
    if names.keys() != state.keys():
        raise UsageError(f"{network.spec.name}: the module lacks parts of the network, or has others")
    reference = state["stem.conv.weight"]
    theirs.to(device=reference.device, dtype=reference.dtype)
    theirs.load_state_dict({names[ours]: tensor for ours, tensor in state.items()})
    _copy_rates(network, theirs)
    return theirs.train(network.training)


def from_timm(model: nn.Module, name: str | None = None) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The description of timm's ConvNeXt, and its weights for the module that is built from it.

    Args:
        model: timm's module.
        name: what the network is called. Default: what timm calls it.

    Raises:
        UsageError: it is none that is described here: an overlapping stem, dilation ...

    >>> spec, state = from_timm(to_timm(check_spec(SMALL)))
    >>> [group.out for group in spec.groups], state["groups.1.0.downsample.conv.weight"].shape
    ([4, 8, 12, 16], torch.Size([8, 4, 2, 2]))
    """
    if not isinstance(model, ConvNeXt):
        raise UsageError(f"expected timm's ConvNeXt, not {type(model).__name__}")
    cfg = getattr(model, "pretrained_cfg", {}) or {}
    name = name or cfg.get("architecture") or "convnext"
    problems = list(_foreign(model))
    if problems:
        raise UsageError(f"{name}: no ConvNeXt as it is described here: {'; '.join(problems)}")
    groups = tuple(_group(stage, stride) for stage, stride in zip(model.stages, STRIDES, strict=True))
    _, *size = cfg.get("input_size") or (3, 224, 224)
    stem = Stem(groups[0].out, PATCH, PATCH, norm="layer")
    spec = NetworkSpec(name, (model.in_chans, *size), groups, Head(model.num_classes, norm="layer"), stem)
    theirs = model.state_dict()
    state = {ours: theirs[other] for ours, other in _renaming(spec).items()}
    for ours, tensor in state.items():
        if ".expand.weight" in ours or ".project.weight" in ours:  # of 1x1 convolutions, where it has these
            state[ours] = tensor.flatten(1)
    return check_spec(spec), state


SMALL = NetworkSpec(
    "small",
    (3, 32, 32),
    tuple(Group("convnext", 4 * n, 1, None, RATIO, 7, STRIDES[n - 1], "gelu") for n in range(1, 5)),
    Head(10, norm="layer"),
    Stem(4, PATCH, PATCH, norm="layer"),
)
"""A small ConvNeXt, for examples."""


def _timm_module(spec: NetworkSpec, **kwargs: Any) -> ConvNeXt:
    problems = list(_misfits(spec))
    if problems:
        raise UsageError(f"{spec.name}: no ConvNeXt as timm builds it: {'; '.join(problems)}")
    return ConvNeXt(
        **{"in_chans": spec.input[0], "num_classes": spec.head.classes} | kwargs,
        depths=spec.depths,
        dims=tuple(group.out for group in spec.groups),
        kernel_sizes=tuple(group.kernel or 0 for group in spec.groups),
        act_layer=spec.groups[0].act,
        use_grn=spec.groups[0].grn,
        ls_init_value=None if spec.groups[0].grn else LAYER_SCALE,
    )


def _copy_rates(ours: Any, theirs: Any) -> None:
    """Copy the rates of stochastic depth."""
    for group, stage in zip(ours.groups, theirs.stages, strict=True):
        for block, other in zip(group, stage.blocks, strict=True):
            other.drop_path = DropPath(block.drop_path.drop_prob)


def _misfits(spec: NetworkSpec) -> Iterator[str]:
    """Yield what timm's ConvNeXt cannot be."""
    if [group.block for group in spec.groups] != ["convnext"] * len(STRIDES):
        yield f"it has {len(STRIDES)} groups of 'convnext' blocks"
        return
    if tuple(group.stride for group in spec.groups) != STRIDES:
        yield f"the strides of its groups are {', '.join(map(str, STRIDES))}"
    if any(hidden_chs(group, group.out) != RATIO * group.out for group in spec.groups):
        yield f"its blocks are {RATIO} times as wide inside"
    if any(group.branch is not None for group in spec.groups):
        yield "it has no branches beside its inner layers"
    if len({group.grn for group in spec.groups}) != 1:
        yield "it has global response norms in all blocks or in none"
    if len({group.act for group in spec.groups}) != 1:
        yield "it has one activation"
    stem = spec.stem
    if stem is None or (stem.norm, stem.kernel, stem.pool, stem.out) != ("layer", PATCH, False, spec.groups[0].out):
        yield f"its stem has patches of {PATCH} pixels, the first group's channels and norm 'layer'"
    head = spec.head
    if (head.norm, head.conv, head.hidden, head.pool) != ("layer", None, (), 1):
        yield "its head is norm 'layer' and the classifier"


def _renaming(spec: NetworkSpec) -> dict[str, str]:
    """timm's name of every tensor, by ours."""
    parts = {"stem.conv": "stem.0", "stem.norm": "stem.1", "head.norm": "head.norm", "head.fc": "head.fc"}
    names = {}
    for i, group in enumerate(spec.groups):
        if i > 0:
            parts |= {f"groups.{i}.0.downsample.{ours}": f"stages.{i}.downsample.{n}" for n, ours in enumerate(DOWN)}
        for j in range(group.depth):
            ours, theirs = f"groups.{i}.{j}", f"stages.{i}.blocks.{j}"
            own = RENAMED | GRN if group.grn else RENAMED
            parts |= {f"{ours}.{part}": f"{theirs}.{other}" for part, other in own.items()}
            if not group.grn:
                names[f"{ours}.gamma"] = f"{theirs}.gamma"
    return names | {f"{ours}.{key}": f"{parts[ours]}.{key}" for ours in parts for key in ("weight", "bias")}


DOWN = ("norm", "conv")
"""Parts of a downsampling, in timm's order."""


def _foreign(model: Any) -> Iterator[str]:
    """Yield what of timm's ConvNeXt is not described here."""
    blocks = [block for stage in model.stages for block in stage.blocks]
    if model.stem[0].stride != (PATCH, PATCH):
        yield f"its stem has no patches of {PATCH} pixels"
    kinds = {(isinstance(block.mlp, GlobalResponseNormMlp), block.gamma is None) for block in blocks}
    if kinds not in ({(False, False)}, {(True, True)}):
        yield "its blocks have neither all a scale (ConvNeXt) nor all a global response norm (ConvNeXt-V2)"
    if any(block.conv_dw.dilation != (1, 1) for block in blocks):
        yield "it is dilated"
    if any(block.conv_dw.bias is None for block in blocks):
        yield "its convolutions have no bias"
    norms = [part for part in model.modules() if isinstance(part, nn.LayerNorm)]
    if len(norms) != len(blocks) + len(STRIDES) + 1 or any(norm.eps != EPSILON for norm in norms):
        yield f"it has norms other than layer norms with an epsilon of {EPSILON:g}"
    if not isinstance(model.head, NormMlpClassifierHead) or model.head.hidden_size:
        yield "its head is not layer norm and classifier"
    if model.num_classes == 0:
        yield "it has no classifier"
    if any(_act_name(block.mlp.act) is None for block in blocks):
        yield "it has another activation"


def _act_name(act: nn.Module) -> str | None:
    return next((name for name in ACTIVATIONS if type(create_act_layer(name, inplace=True)) is type(act)), None)


def _group(stage: Any, stride: int) -> Group:
    block = stage.blocks[0]
    conv, act = block.conv_dw, _act_name(block.mlp.act)
    assert act is not None
    grn = isinstance(block.mlp, GlobalResponseNormMlp)
    return Group(
        "convnext", conv.out_channels, len(stage.blocks), None, RATIO, conv.kernel_size[0], stride, act, grn=grn
    )
