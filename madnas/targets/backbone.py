"""Maps of a restructured network, in timm's form: its graph, ended where its description ends the stages."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from timm.models._features import FeatureInfo, feature_take_indices  # timm exports them nowhere else
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from madnas.errors import UsageError
from madnas.measure.module_count import inference
from madnas.models.features import feature_info
from madnas.models.weights import load_weights
from madnas.network.restructured import Description, load
from madnas.network.specfile import parse_spec
from madnas.restructure.merge import finish
from madnas.targets.restructured import rebuild


class RestructuredMaps(nn.Module):
    """Backbone out of a restructured network.

    Attributes:
        graph: what computes the maps; parameters have the names that they have in the whole network.
        feature_info: timm's description of the maps.
    """

    def __init__(self, graph: fx.GraphModule, info: FeatureInfo) -> None:
        super().__init__()
        self.graph = graph
        self.feature_info = info

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map ``(B, C, H, W)`` to the maps ``(B, C', H', W')``."""
        return list(self.graph(x))


def restructured(
    path: str,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    weights: str | Path | None = None,
    **kwargs: Any,
) -> nn.Module:
    """A restructured network, or its maps.

    Args:
        path: of its description.
        features_only: give the list of the stages' last maps instead of logits.
        out_indices: of the stages; default: all.
        weights: file of the whole network's; default: fresh ones.
        **kwargs: none: a restructured network is what it is.

    Raises:
        UsageError: an argument that it has no use for; weights of another network; a stage whose last map was merged
            away; the maps of a network without a description.
        SpecError: a file that is no description.
    """
    if kwargs:
        raise UsageError(f"{path}: a restructured network takes no {', '.join(kwargs)}", "set it before restructuring")
    description = load(path)
    model = rebuild(description)
    if weights is not None:
        load_weights(model, Path(weights), path)
    if not features_only:
        return model
    return _maps(description, model, out_indices)


def _maps(description: Description, model: nn.Module, out_indices: int | Sequence[int] | None) -> RestructuredMaps:
    if description.spec is None or not isinstance(model, fx.GraphModule):
        raise UsageError(
            f"{description.name}: nothing says which of its maps end a stage",
            "restructure a network of madnas, or take torchvision's create_feature_extractor",
        )
    spec = parse_spec(description.spec, description.name)
    info = feature_info(spec)
    indices = list(out_indices) if isinstance(out_indices, Sequence) else out_indices
    take, _ = feature_take_indices(len(info), indices)
    with inference(model, description.input) as x:
        ShapeProp(model).propagate(x)
    ends = [_end(model.graph, str(info[index]["module"]), len(spec.groups)) for index in take]
    for index, end in zip(take, ends, strict=True):
        chs, side = end.meta["tensor_meta"].shape[1:3]
        if (chs, -(-description.input[1] // side)) != (info[index]["num_chs"], info[index]["reduction"]):
            raise UsageError(
                f"{description.name}: the last map of {info[index]['module']} was merged away",
                "leave it out of out_indices",
            )
    (output,) = (node for node in model.graph.nodes if node.op == "output")
    output.args = (tuple(ends),)
    for node in reversed(list(model.graph.nodes)):  # what works in place is never dead by itself
        if node in ends:
            break
        if node is not output:
            model.graph.erase_node(node)
    return RestructuredMaps(finish(model), FeatureInfo(info, tuple(take)))


def _end(graph: fx.Graph, part: str, groups: int) -> fx.Node:
    """The last node of a part of the network: those of later ones follow."""
    order = ["stem", "stem_pool", *(f"groups.{index}" for index in range(groups))]
    place = order.index(part)
    end = None
    for node, name in _owned(graph):
        if name is not None and (name not in order or order.index(name) > place):
            break
        end = node
    assert end is not None, part
    return end


def _owned(graph: fx.Graph) -> Iterator[tuple[fx.Node, str | None]]:
    """Nodes with the part that they belong to, where a module of it is called."""
    for node in graph.nodes:
        name = None
        if node.op == "call_module":
            head, *rest = str(node.target).split(".")
            name = f"{head}.{rest[0]}" if head == "groups" else head
        elif node.op == "output":
            name = "output"
        yield node, name
