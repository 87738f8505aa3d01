"""The way in: a network's description becomes a module, directly or by ``timm.create_model("madnas", spec=...)``."""

import os
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from madnas.errors import UsageError
from madnas.models.features import feature_info
from madnas.models.network import MadNet
from madnas.network.restructured import is_description
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import check_spec
from madnas.network.target import resolve

default_cfgs = generate_default_cfgs({"madnas": {"first_conv": "stem.conv", "classifier": "head.fc"}})

FIRST_CONVS = {
    "conv": "groups.0.0.conv.conv",
    "repvgg": "groups.0.0.conv.conv",
    "random-skip": "groups.0.0.conv",
    "random-skip-mobile": "groups.0.0.expand.conv",
}
"""Name of the first convolution of a network without a stem, by its first kind of block; an MLP has none."""


TIMMS = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
"""What timm hands on even where there is none."""


def build(spec: NetworkSpec, **kwargs: Any) -> nn.Module:
    """Build the module of a network.

    Args:
        spec: the description.
        **kwargs: those of :class:`~madnas.models.network.MadNet` (``num_classes``, ``in_chans``, ``drop_rate``,
            ``drop_path_rate``, ``output_stride`` ...) and timm's ``features_only`` (with ``out_indices``), which gives
            the list of the stages' last maps instead of logits, and ``pretrained``, ``pretrained_cfg``,
            ``pretrained_cfg_overlay``.

    Returns:
        A :class:`~madnas.models.network.MadNet`, or timm's wrapper around one for ``features_only``.

    Raises:
        UsageError: ``spec`` is no ``NetworkSpec``, or one of many networks; an MLP was asked for maps.
        SpecError: it is no network that can be built; every problem with its dotted key.

    >>> from madnas.network.spec import Group, Head, NetworkSpec, Stem
    >>> spec = NetworkSpec("tiny", (3, 32, 32), (Group("basic", out=16, depth=2, kernel=3),), Head(10), Stem(16))
    >>> sum(parameter.numel() for parameter in build(spec).parameters())
    9978
    """
    spec = _checked(spec)
    if spec.is_mlp and kwargs.get("features_only"):
        raise UsageError(f"{spec.name}: an MLP has no feature maps", hint="leave out features_only")
    overlay = {"input_size": tuple(spec.input), "num_classes": spec.head.classes}
    if spec.stem is None:
        overlay["first_conv"] = FIRST_CONVS.get(spec.groups[0].block)
    elif spec.stem.hidden:
        overlay["first_conv"] = "stem.hidden1.conv"
    overlay.update(kwargs.pop("pretrained_cfg_overlay", None) or {})
    model: nn.Module = build_model_with_cfg(
        MadNet,
        "madnas",
        kwargs.pop("pretrained", False),
        pretrained_cfg_overlay=overlay,
        feature_cfg={"feature_cls": "getter", "out_indices": tuple(range(len(feature_info(spec))))},
        spec=spec,
        **kwargs,
    )
    return model


@register_model
def madnas(
    pretrained: bool = False, spec: NetworkSpec | str | os.PathLike[str] | None = None, **kwargs: Any
) -> nn.Module:
    """``timm.create_model("madnas", spec=...)``.

    Args:
        pretrained: load the weights that ``pretrained_cfg_overlay`` names; madnas itself has none.
        spec: a description, the path of its file, or the name of a known network; or the file of a network that
            ``madnas restructure`` made.
        **kwargs: those of :func:`build`; of a restructured network ``features_only``, ``out_indices`` and ``weights``,
            the file of the whole network's.

    Raises:
        MadnasError: ``spec`` is missing, of another type, unknown, or a file that does not describe a network.
    """
    if isinstance(spec, str | os.PathLike) and is_description(os.fspath(spec)):
        from madnas.targets.backbone import restructured

        if pretrained:
            raise UsageError(f"{spec}: a restructured network has no pretrained weights", "give weights=, a file")
        own = {name: value for name, value in kwargs.items() if name not in TIMMS or value is not None}
        return restructured(os.fspath(spec), **own)
    if isinstance(spec, str | os.PathLike):
        spec = resolve(os.fspath(spec))
    return build(spec, pretrained=pretrained, **kwargs)  # type: ignore[arg-type]  # build rejects None by name


def _checked(spec: object) -> NetworkSpec:
    """The network in plain integers, if it is a single one that can be built."""
    if not isinstance(spec, NetworkSpec):
        raise UsageError(
            f"a network's spec must be a NetworkSpec, a file or a name, not {type(spec).__name__}",
            hint='for example timm.create_model("madnas", spec="net.yaml")',
        )
    try:
        return check_spec(spec)
    except (TypeError, ValueError) as error:  # arrays of candidates, a program's variables
        raise UsageError(f"{spec.name}: no module can be built: {error}") from error
