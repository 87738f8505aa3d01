"""Where a node of a traced network is among the network's modules."""

from collections.abc import Iterable, Sequence

from torch import fx


def lies_in(modules: Sequence[str], name: str) -> bool:
    """Whether one of some modules is this one, or lies in it."""
    return any(one == name or one.startswith(f"{name}.") for one in modules)


def owner_of(nodes: Iterable[fx.Node], only: Sequence[str]) -> str | None:
    """The outermost of some modules in which all of these nodes are; None if there is none."""
    places = [place_of(node) for node in nodes]
    return next((one for one in sorted(only, key=len) if all(lies_in([place], one) for place in places)), None)


def place_of(node: fx.Node) -> str:
    """The module that a node calls, or in whose code it is."""
    if node.op == "call_module":
        return str(node.target)
    around = node.meta.get("nn_module_stack") or {"": ("", None)}
    return str(list(around.values())[-1][0])
