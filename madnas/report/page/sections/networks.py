"""A described network: its costs, its picture and its groups."""

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import parse_spec
from madnas.report.page.collect import Found
from madnas.report.page.draw import draw_network
from madnas.report.page.html import Section, Table
from madnas.report.page.values import shown
from madnas.units import short_quantity


def network_section(found: Found) -> Section:
    """A described network alone."""
    spec = found.content
    if not isinstance(spec, NetworkSpec):
        spec = parse_spec(spec, found.source)
    return described(spec, found.source, f"Network {spec.name}")


def described(spec: NetworkSpec, source: str, title: str) -> Section:
    """A section about a network: its costs in words, its picture, its groups."""
    costs, structure = count(spec), analyse(spec)
    words = [
        f"{short_quantity(costs.params)} params, {short_quantity(costs.macs)} MACs, {int(costs.layers)} layers on the "
        f"main path, average width {float(structure.width):.1f}, ρ {float(structure.rho):.4f}, weighted entropy "
        f"{float(structure.weighted_entropy()):,.1f} nats, input {'x'.join(map(str, spec.input))}."
    ]
    return Section(
        title, source, words, [(draw_network(spec), f"widths and entropies of {spec.name}")], [_groups(spec)]
    )


def _groups(spec: NetworkSpec) -> Table:
    columns = ("part", "block", "stride", "kernel", "hidden", "out", "blocks")
    rows = []
    if spec.stem is not None:
        rows.append(["stem", "conv", str(spec.stem.stride), str(spec.stem.kernel), "", str(spec.stem.out), "1"])
    for number, group in enumerate(spec.groups, 1):
        hidden = f"x {group.expand:g}" if group.expand is not None else shown(group.hidden)
        block = group.block + (f" + SE ({group.se})" if group.se != "none" else "")
        kernel = shown(group.kernel)
        rows.append([f"group {number}", block, str(group.stride), kernel, hidden, str(group.out), str(group.depth)])
    if spec.head.conv is not None:
        rows.append(["head", "conv", "1", "1", "", str(spec.head.conv), "1"])
    rows.append(["head", "linear", "", "", "", str(spec.head.classes), ""])
    return Table(columns, rows)
