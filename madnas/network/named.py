"""Named networks: the registry of the published networks and the baselines that they are compared with.

A network is a function from its name to its spec, registered by :func:`named` in a module of ``madnas.network.zoo``.
Structures follow the papers as the reference implementations build them (torchvision, timm, the authors' releases);
deviations are noted where they are. Params, MACs, layers, rho and entropy are checked against published values in
``tests/network/``.
"""

import re
from collections.abc import Callable, Iterable

from madnas.errors import UsageError
from madnas.network.spec import NetworkSpec
from madnas.network.yamlfile import did_you_mean, shorten

Maker = Callable[[str], NetworkSpec]

_NETWORKS: dict[str, Maker] = {}
_FAMILIES: dict[re.Pattern[str], Maker] = {}

LISTED = 100
"""Names up to which an error lists all."""

ALIASES = {"deepmad-29m-224": "deepmad-29m"}

IMAGENET = (3, 224, 224)


class UnknownName(UsageError):
    """A name that nothing has."""


def unknown_name(kind: str, name: str, known: Iterable[str], also: str | None = None) -> UnknownName:
    """The error for an unknown name, with the known ones that look like it, or all of them.

    Args:
        kind: what is named: ``network``, ``space`` ...
        name: what was asked for.
        known: what there is.
        also: what else could have been given, for the hint: ``or give the path of a file``.
    """
    known = sorted(known)
    similar = did_you_mean(name, known)
    message = f"unknown {kind} {shorten(name)!r}{similar}"
    hint = f"known: {', '.join(known)}" if known and len(known) <= LISTED else None
    return UnknownName(message, "; ".join(part for part in (hint, also) if part) or None)


def named(*names: str, family: str | None = None) -> Callable[[Maker], Maker]:
    """Register a function from a network's name to its spec.

    Args:
        names: its names, lower case; those of a family are examples for lists and suggestions.
        family: pattern of further names, all of which the function gets.

    Raises:
        ValueError: a name that is registered already.
    """

    def register(maker: Maker) -> Maker:
        for name in names:
            if _folded(name) in {_folded(other) for other in _NETWORKS}:
                raise ValueError(f"two networks named {name!r}")
            _NETWORKS[name] = maker
        if family is not None:
            _FAMILIES[re.compile(family)] = maker
        return maker

    return register


def names() -> list[str]:
    """Names of all networks, sorted; of a family, examples."""
    _load()
    return sorted(_NETWORKS)


def get(name: str) -> NetworkSpec:
    """A network by its name. Case does not matter, nor do ``-`` and ``_``: ``ResNet-18`` is ``resnet18``.

    Raises:
        UnknownName: no such network; with suggestions.
        UsageError: a family's name with an impossible width.
    """
    _load()
    lower = name.lower().replace("_", "-")
    folded = _folded(ALIASES.get(lower, lower))
    for known, maker in _NETWORKS.items():
        if folded == _folded(known):
            return maker(known)
    for pattern, maker in _FAMILIES.items():
        if pattern.fullmatch(lower):
            return maker(lower)
    raise unknown_name("network", name, names())


def _load() -> None:
    """Import the modules that register networks."""
    import madnas.network.zoo  # noqa: F401


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
