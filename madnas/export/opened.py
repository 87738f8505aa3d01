"""What is exported: any TARGET with weights, restructured networks included."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from madnas.models.norms import unsettle
from madnas.models.weights import load_weights
from madnas.network.restructured import is_description, load
from madnas.targets.restructured import rebuild
from madnas.train.opened import open_network


@dataclass(frozen=True, slots=True)
class Network:
    """A network that is ready to be exported.

    Attributes:
        name: as the user named it.
        module: in eval mode.
        input: (C, H, W).
        weights: the file they come from; None for random ones.
    """

    name: str
    module: nn.Module
    input: tuple[int, int, int]
    weights: str | None


def open_for_export(word: str, weights: Path | None) -> Network:
    """A network as a user names it.

    Args:
        word: a TARGET, the folder of a run of ``madnas train``, or a file of ``madnas restructure``.
        weights: file of its weights; default: of a run the best, and random ones of everything else.

    Raises:
        UsageError: no such network, or weights of another one.
        SpecError: a file that is no network.
    """
    if not is_description(word):
        opened = open_network(word, weights)
        return Network(word, opened.model, opened.input, opened.source)
    description = load(word)
    module = rebuild(description).eval()
    if weights is None:
        unsettle(module, 0)
    else:
        load_weights(module, weights, word)
    return Network(word, module, description.input, None if weights is None else str(weights))
