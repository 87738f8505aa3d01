"""Functions that work in place: what they change has all of its names, and perhaps views, which change with it."""

from typing import Any

from torch import fx

from madnas.measure.npu.lowering import RULES, SHARING
from madnas.measure.npu.shapes import nothing


def function_name(node: fx.Node) -> str:
    """Name of the function of torch that a node calls; empty if it calls none."""
    return str(getattr(getattr(node.target, "_schema", None), "name", "")).partition("::")[2]


def out_of_place(name: str) -> str | None:
    """The function that computes what one that works in place does; None of one that does not."""
    return name.removesuffix("_") if name.endswith("_") and not name.endswith("__") else None


def functional(program: Any) -> Any:
    """An exported program that changes nothing of which there is a view, so that its calls can be converted one by one.

    A change of what has one name only stays as it is, because functionalising takes longer than exporting.
    """
    return program.run_decompositions({}) if _changes_views(program.graph) else program


def _changes_views(graph: fx.Graph) -> bool:
    """Whether something works in place on a view, or on what there is a view of."""
    first: dict[fx.Node, fx.Node] = {}  # the name that a value had before it was changed
    shared: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        read = [first.get(one, one) for one in node.all_input_nodes]
        if _changes(node):
            if not shared.isdisjoint(read[:1]):
                return True
            first[node] = read[0]
        elif _may_share(node):
            shared.update([node, *read])
    return False


def _changes(node: fx.Node) -> bool:
    rule = RULES.get(out_of_place(function_name(node)) or "")
    return rule is not None and rule is not nothing


def _may_share(node: fx.Node) -> bool:
    """Whether a result may be a view of an argument; also of a function without a rule: constants go through any."""
    name = function_name(node)
    return name in SHARING or name not in RULES
