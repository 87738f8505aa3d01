"""Networks under names of their own in timm, for programs that take a name alone (``segmentation_models_pytorch``)."""

import os
import re
from typing import Any

import timm
from timm.models import register_model
from torch import nn

from madnas.errors import UsageError
from madnas.models.registry import build
from madnas.network.named import get, names
from madnas.network.spec import NetworkSpec
from madnas.network.target import resolve

__all__ = ["register", "timm_name"]

PREFIX = "madnas_"
VALID = re.compile(r"[A-Za-z0-9_-]+")
"""timm takes what follows a point for a tag of weights, and a slash or colon for a place."""

_SPECS: dict[str, NetworkSpec | str] = {}


def timm_name(name: str) -> str:
    """timm's name of a named network.

    >>> timm_name("zennet-0.1ms")
    'madnas_zennet_0_1ms'
    """
    return PREFIX + re.sub(r"[-.]", "_", name)


def register(name: str, spec: NetworkSpec | str | os.PathLike[str]) -> str:
    """Give a network a name in timm.

    ``timm.create_model(name)`` then builds it, and so does whatever hands a name to timm:
    ``segmentation_models_pytorch.Unet("tu-NAME")``. The named networks are registered already, as
    :func:`timm_name` says.

    Args:
        name: letters, digits, ``_`` and ``-``.
        spec: a description, the path of its file, or the name of a known network; read now.

    Returns:
        The name.

    Raises:
        UsageError: timm has such a model, another one; or the name is none that timm takes.
        MadnasError: no such network, or a file that does not describe one.

    >>> register("my_net", "resnet18"), timm.is_model("my_net")
    ('my_net', True)
    """
    if not VALID.fullmatch(name):
        raise UsageError(f"{name!r}: not a name that timm takes", "use letters, digits, _ and -")
    found = spec if isinstance(spec, NetworkSpec) else resolve(os.fspath(spec))
    if name in _SPECS and _spec(name) == found:
        return name
    if timm.is_model(name):
        raise UsageError(f"timm has another model named {name}", "choose another name")
    _enter(name, found)
    return name


def _spec(name: str) -> NetworkSpec:
    spec = _SPECS[name]
    return get(spec) if isinstance(spec, str) else spec


def _enter(name: str, spec: NetworkSpec | str) -> None:
    _SPECS[name] = spec

    def entrypoint(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        return build(_spec(name), pretrained=pretrained, **kwargs)

    entrypoint.__name__ = entrypoint.__qualname__ = name
    entrypoint.__doc__ = f"``timm.create_model({name!r})``; arguments are those of :func:`madnas.models.build`."
    register_model(entrypoint)
    __all__.remove(name)  # timm adds it, but it is no attribute of this module


for _name in names():
    _enter(timm_name(_name), _name)
