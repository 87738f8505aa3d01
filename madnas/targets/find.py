"""From a word to what it names: a description, or a model of timm's or torchvision's without one."""

from dataclasses import dataclass

from madnas.errors import UsageError
from madnas.network.expand import at_resolution
from madnas.network.layer import Resolution
from madnas.network.named import UnknownName, unknown_name
from madnas.network.restructured import is_description, load
from madnas.network.spec import NetworkSpec
from madnas.network.target import resolve
from madnas.network.timm_names import PREFIX, timm_spec

TORCHVISION = "torchvision/"
RESTRUCTURED = "restructured"
SIDE = 224
"""Of torchvision's images, which its models do not say."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a word names.

    Attributes:
        word: what the user wrote.
        spec: its description, if it has one.
        library: ``timm``, ``torchvision`` or ``restructured`` (a file of madnas restructure), else.
        model: its name there, or the file.
    """

    word: str
    spec: NetworkSpec | None
    library: str = ""
    model: str = ""


def find(word: str) -> Target:
    """What a word names: a file, a name of ours, of timm or of torchvision, in this order.

    Raises:
        UsageError: nothing, or a file that cannot be read.
        SpecError: a file that is no network.
    """
    if word.startswith(TORCHVISION):
        return _torchvision(word)
    if word.startswith(PREFIX) and timm_spec(word) is None:
        return _timm(word)
    if is_description(word):
        return Target(word, None, RESTRUCTURED, word)
    try:
        return Target(word, resolve(word))
    except UnknownName:
        for library in (_timm, _torchvision):
            try:
                return library(word)
            except UnknownName:
                continue
        raise


def as_library(word: str) -> Target:
    """What a word names, as its library builds it where it says ``timm/``: with the names of its checkpoints.

    Raises:
        UsageError: nothing.
    """
    return _timm(word) if word.startswith(PREFIX) else find(word)


def _timm(word: str) -> Target:
    import timm

    name = word.removeprefix(PREFIX)
    plain, _, tag = name.partition(".")
    if not timm.is_model(plain):
        raise unknown_name("timm model", name, timm.list_models())
    if tag and name not in timm.list_pretrained(f"{plain}.*"):
        raise unknown_name("timm model", name, timm.list_pretrained(f"{plain}.*"))
    return Target(word, None, "timm", name)


def _torchvision(word: str) -> Target:
    import torchvision

    name = word.removeprefix(TORCHVISION)
    known = torchvision.models.list_models(torchvision.models)
    if name not in known:
        raise unknown_name("torchvision model", name, known)
    return Target(word, None, "torchvision", name)


def input_of(target: Target) -> tuple[int, int, int]:
    """Channels, height and width of the images that a target is made for."""
    if target.spec is not None:
        return target.spec.input
    if target.library == RESTRUCTURED:
        return load(target.model).input
    if target.library == "timm":
        import timm

        cfg = timm.get_pretrained_cfg(target.model)
        if cfg is not None:
            channels, height, width = cfg.input_size
            return channels, height, width
    return 3, SIDE, SIDE


def resized(spec: NetworkSpec, word: str, resolution: Resolution | None) -> NetworkSpec:
    """A description at another resolution.

    Raises:
        UsageError: an MLP, which has none.
    """
    if resolution is None:
        return spec
    if spec.is_mlp:
        raise UsageError(f"--resolution: {word} is an MLP, whose input has no resolution")
    return at_resolution(spec, *resolution)
