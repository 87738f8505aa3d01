"""From a word to what can be scored: a description, or a module of timm's or torchvision's without one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError
from madnas.network.expand import at_resolution
from madnas.network.layer import Resolution
from madnas.network.named import UnknownName, unknown_name
from madnas.network.spec import NetworkSpec
from madnas.network.target import resolve
from madnas.network.timm_names import PREFIX, timm_spec
from madnas.restructure.description import is_description, load, rebuild

if TYPE_CHECKING:
    from torch import nn

    from madnas.scores.subject import Subject

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


def subject(target: Target, resolution: Resolution | None = None) -> "Subject":
    """The target as something that scores can be computed of.

    Args:
        target: what was found.
        resolution: height and width of its input, in pixels; default: its own.

    Raises:
        UsageError: a resolution for an MLP.
    """
    from madnas.scores.subject import Subject, subject_of

    if target.spec is not None:
        return subject_of(resized(target.spec, target.word, resolution))
    channels, *size = input_of(target)
    return Subject(target.word, lambda: module_of(target), (channels, *(resolution or size)))


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


def module_of(target: Target, classes: int | None = None, images: tuple[int, int, int] | None = None) -> "nn.Module":
    """The target's module with fresh weights.

    Args:
        target: what was found.
        classes: outputs; default: its own.
        images: shape of its input; default: its own. timm's models take any number of channels, and torchvision's 3.
    """
    if target.spec is not None:
        from madnas.models import build

        return build(target.spec)
    if target.library == RESTRUCTURED:
        return rebuild(load(target.model))
    given: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if target.library == "torchvision":
        import torchvision

        plain = without_training_heads(target.model)
        model: nn.Module = torchvision.models.get_model(target.model, weights=None, **given, **plain)
        return model
    import timm

    if images is not None:
        given["in_chans"] = images[0]
    return timm.create_model(target.model, **given)


def backbone_of(target: Target) -> "nn.Module":
    """What of a target gives its maps, with fresh weights.

    Raises:
        UsageError: it has none, or its library does not say which.
    """
    if target.spec is not None:
        from madnas.models import build

        return build(target.spec, features_only=True)
    if target.library != "timm":
        raise UsageError("only timm's models and described networks say what of them is a backbone")
    import timm

    try:
        model: nn.Module = timm.create_model(target.model, features_only=True)
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:  # timm's ways to say no
        raise UsageError("timm gives no maps of it") from error
    return model


def without_training_heads(model: str) -> dict[str, bool]:
    """Arguments that leave out the heads which torchvision's Inceptions have for training alone."""
    return {"aux_logits": False, "init_weights": True} if model in ("googlenet", "inception_v3") else {}


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
