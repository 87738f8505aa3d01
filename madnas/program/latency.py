"""Predicted latency in the program: what a table covers of a space, and the prediction as an expression, from below.

A table's prediction is a sum over the pieces of a network, each a sum of work with rates of at least 0: in logarithms
of the widths and for given depths and kernels a convex function, as MACs are. Two parts of it are none, and give way to
functions that are never above them where a network can be, so that the relaxation stays one:

- channels rounded up to a vector unit's lanes become the channels themselves;
- rates differ from kernel to kernel, and a relaxation's kernel lies between two. There the prediction is the polynomial
  in the kernel that runs through the predictions of all that are allowed: exact at each of them.

Candidates of whole numbers are judged by the prediction itself (``LatencyTable.extrapolate``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from madnas.errors import UsageError
from madnas.measure.latency_table.fit import Rates
from madnas.measure.latency_table.pieces import Piece, pieces, work
from madnas.measure.latency_table.table import spent
from madnas.network.spec import NetworkSpec
from madnas.program.space import Space
from madnas.theory.numerics import Number

if TYPE_CHECKING:
    from madnas.measure.latency_table import LatencyTable

Kernels = Sequence[Sequence[int]]
"""Allowed kernels of every group; none of blocks without one."""


def least_seconds(table: "LatencyTable", spec: NetworkSpec, kernels: Kernels) -> Number:
    """Seconds of a network of expressions: at every network of whole numbers, no more than the table predicts.

    Args:
        table: what predicts.
        spec: channels, depths and kernels are Pyomo expressions.
        kernels: allowed ones of every group.
    """
    sizes = sorted({kernel for of_group in kernels for kernel in of_group}) or [0]
    by_kernel = {size: list(pieces(_with_kernel(spec, size))) for size in sizes}
    total: Number = 0.0
    for place, group in enumerate(_groups(spec)):
        allowed = kernels[group] if group is not None else ()
        found = {size: by_kernel[size][place] for size in allowed or sizes[:1]}
        known = {size: rates for size, piece in found.items() if (rates := table.rates.get(piece.shape)) is not None}
        if not known:
            continue
        values = {size: spent(rates, work(found[size])) for size, rates in known.items()}
        at = spec.groups[group].kernel if group is not None and len(values) > 1 else None
        total = total + next(iter(found.values())).repeat * _through(values, at)
    return total


def _through(values: dict[int, Number], at: Number) -> Number:
    """At ``at``, the polynomial that runs through values at some kernels, in Lagrange's form; of one, its value."""
    if len(values) == 1:
        return next(iter(values.values()))
    total: Number = 0.0
    for kernel, value in values.items():
        weight: Number = 1.0
        for other in values:
            if other != kernel:
                weight = weight * (at - other) / (kernel - other)
        total = total + weight * value
    return total


def _with_kernel(spec: NetworkSpec, kernel: int) -> NetworkSpec:
    """The network with one kernel in every group that has one."""
    groups = tuple(group if group.kernel is None else replace(group, kernel=kernel) for group in spec.groups)
    return replace(spec, groups=groups)


def _groups(spec: NetworkSpec) -> Iterator[int | None]:
    """The group of every piece of a network, in their order; None of stem and head."""
    if spec.stem is not None:
        yield None
    for group in range(len(spec.groups)):
        yield from (group, group)  # the block that opens it, and those that follow
    yield None


def covered_choices(table: "LatencyTable", space: Space) -> dict[str, Sequence[int]]:
    """The choices of a space without values that are in no network which the table covers.

    Raises:
        UsageError: it covers no network of the space; names the block or the width.
    """
    choices = dict(space.choices())
    smallest = {name: values[0] for name, values in choices.items()}
    wide: dict[str, list[tuple[float, float]]] = {}
    previous = "stem" if space.stem is not None else None
    for group in range(len(space.strides)):
        number = group + 1
        known = _opening_rates(table, space, smallest, group, choices.get(f"kernel{number}", (None,)))
        if f"kernel{number}" in choices:
            choices[f"kernel{number}"] = [kernel for kernel in known if kernel is not None]
        rates = list(known.values())
        if previous is not None:
            _note(wide, previous, rates, 0)
        _note(wide, f"out{number}", rates, 2)
        if f"hidden{number}" in choices:
            most = max(one.high[1] for one in rates)
            wide.setdefault(f"hidden{number}", []).append((0.0, float(most)))
        previous = f"out{number}"
    for name, ranges in wide.items():
        low, high = max(one for one, _ in ranges), min(one for _, one in ranges)
        choices[name] = tuple(value for value in choices[name] if low <= value <= high)
        if not choices[name]:
            raise _uncovered(table, space, f"of {name}, which it covers from {low:.0f} to {high:.0f}")
    return choices


def _opening_rates(
    table: "LatencyTable", space: Space, chosen: dict[str, int], group: int, kernels: Sequence[int | None]
) -> "dict[int | None, Rates]":
    """Rates of the block that opens a group, of the kernels that the table has.

    Raises:
        UsageError: it has none.
    """
    opens = 2 * group + (space.stem is not None)
    found: dict[int | None, Piece] = {}
    for kernel in kernels:
        given = chosen if kernel is None else chosen | {f"kernel{group + 1}": kernel}
        found[kernel] = list(pieces(space.network(given, space.name)))[opens]
    known = {kernel: table.rates[piece.shape] for kernel, piece in found.items() if piece.shape in table.rates}
    if not known:
        raise _uncovered(table, space, f"with {next(iter(found.values())).shape}")
    return known


def _note(wide: dict[str, list[tuple[float, float]]], name: str, rates: "list[Rates]", end: int) -> None:
    """Note the range of a width at an end of a block, the widest of any kernel."""
    low = min(float(one.low[end]) for one in rates)
    wide.setdefault(name, []).append((low, max(float(one.high[end]) for one in rates)))


def _uncovered(table: "LatencyTable", space: Space, what: str) -> UsageError:
    return UsageError(
        f"the latency table of space {table.space} covers no network of space {space.name} {what}",
        f"measure one: madnas benchmark latency-table --space {space.name} --macs ...",
    )
