"""From what a word names to its module, with fresh weights; torch is loaded when one is built."""

from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError
from madnas.network.restructured import load
from madnas.targets.find import RESTRUCTURED, Target

if TYPE_CHECKING:
    from torch import nn


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
        from madnas.targets.restructured import rebuild

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
