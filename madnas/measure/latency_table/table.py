"""A latency table: measured networks of a space, what their pieces take, and how well that predicts other networks.

The file holds what was measured; rates are fitted when it is read, and the held-out error is computed from the file.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from madnas.errors import SpecError, UsageError
from madnas.files import read_text
from madnas.measure.latency_table.fit import FEWEST, Rates, fit, stacked
from madnas.measure.latency_table.pieces import Piece, Shape, pieces, work
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import parse_spec, spec_to_tree
from madnas.network.yamlfile import validate
from madnas.theory.numerics import Number, is_array
from madnas.units import parse_seconds

SCHEMA = "madnas/latency-table/1"
MAX_BYTES = 200_000_000
"""Of a file that is read; a table of a hundred networks has a quarter of a megabyte."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A network that was measured.

    Attributes:
        spec: its description.
        parts_seconds: least time of each piece for one batch, in the order of :func:`pieces`, groups block by block.
        seconds: least time of the whole network for one batch.
        median_seconds: median time of it.
        n: rounds.
    """

    spec: NetworkSpec
    parts_seconds: tuple[float, ...]
    seconds: float
    median_seconds: float
    n: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How far predictions are from networks that were measured and not used for the fit, as shares of the measured.

    Attributes:
        median: of the absolute deviations.
        p95: their 95th percentile.
        bias: median deviation, with its sign.
        n: networks; those that the table does not cover are left out.
        left_out: number of these.
    """

    median: float
    p95: float
    bias: float
    n: int
    left_out: int


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of a space's pieces on one device.

    Attributes:
        space: name of the space.
        macs: up to which multiply-adds of a network it was measured.
        setting: ``device``, ``precision``, ``batch_size``, ``layout``, ``threads``, ``clock``.
        environment: hardware, driver, versions, command, commit.
        probes: networks whose pieces the rates are fitted to.
        held_out: networks that say how good predictions are.
    """

    space: str
    macs: int
    setting: dict[str, Any]
    environment: dict[str, Any]
    probes: tuple[Measured, ...]
    held_out: tuple[Measured, ...] = field(default=())

    @property
    def device(self) -> str:
        """Name of the hardware."""
        return str(self.environment["hardware"])

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``fp16``."""
        return str(self.setting["precision"])

    @property
    def batch_size(self) -> int:
        """Images of the batch whose latency is predicted."""
        return int(self.setting["batch_size"])

    @cached_property
    def rates(self) -> dict[Shape, Rates]:
        """Seconds per unit of work, for every shape of piece that was measured often enough.

        The least times of a network's pieces are scaled so that they add up to the network's own least time: short
        pieces find an undisturbed moment more easily than a long network.
        """
        found: dict[Shape, list[tuple[Piece, float]]] = defaultdict(list)
        for measured in self.probes:
            scale = measured.seconds / sum(measured.parts_seconds)
            for piece, seconds in zip(_blocks(measured.spec), measured.parts_seconds, strict=True):
                found[piece.shape].append((piece, scale * seconds))
        return {
            shape: fit(
                stacked([work(piece) for piece, _ in members]),
                np.array([piece.chs for piece, _ in members], dtype=np.float64),
                np.array([seconds for _, seconds in members]),
            )
            for shape, members in found.items()
            if len(members) >= FEWEST
        }

    def predict(self, spec: NetworkSpec) -> float:
        """Seconds that one batch of :attr:`batch_size` images takes on an otherwise idle device.

        Raises:
            UsageError: a block, size or width that the table does not cover.
        """
        total = 0.0
        for piece in pieces(spec):
            if piece.repeat:
                seconds, covered = self._seconds(piece.shape, work(piece), piece.chs)
                if not covered:
                    raise UsageError(
                        f"{spec.name}: {piece.place}: {self._why_not(piece)}",
                        "measure a table of its own: madnas benchmark latency-table --space ... --macs ...",
                    )
                total += piece.repeat * float(seconds)
        return total

    def predict_or_none(self, spec: NetworkSpec) -> float | None:
        """:meth:`predict`; None for a network that the table does not cover."""
        try:
            return self.predict(spec)
        except UsageError:
            return None

    def predict_many(self, spec: NetworkSpec) -> np.ndarray:
        """:meth:`predict` for many networks at once.

        Args:
            spec: a description that holds arrays of one length instead of numbers, as ``Space.network`` makes one.

        Returns:
            seconds (N,), and not a number for networks that the table does not cover.
        """
        seconds, covered = self.extrapolate(spec)
        return np.where(covered, seconds, np.nan)

    def extrapolate(self, spec: NetworkSpec) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`predict_many`, going on beyond the measured channels; shapes that are not in the table take nothing.

        Args:
            spec: a description that holds arrays of one length, or numbers; channels need not be whole.

        Returns:
            seconds (N,), and whether the table covers the network (N,).
        """
        total, all_covered = np.zeros(1), np.ones(1, dtype=bool)
        for piece in pieces(spec):
            seconds, covered = self.repeated(piece)
            total, all_covered = total + seconds, all_covered & covered
        return total, all_covered

    def repeated(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of a piece of many networks with all its repeats (N,), and whether the table covers it (N,)."""
        seconds, covered = self._of_kernels(piece)
        repeat = np.asarray(piece.repeat)
        return repeat * seconds, covered | (repeat == 0)

    def _of_kernels(self, piece: Piece) -> tuple[Any, Any]:
        amounts, chs = work(piece), piece.chs
        if not is_array(piece.kernel):
            return self._seconds(piece.shape, amounts, chs)
        kernels = np.rint(piece.kernel)  # a program's are whole only nearly
        total, all_covered = np.zeros(kernels.shape), np.zeros(kernels.shape, dtype=bool)
        for kernel in np.unique(kernels):
            seconds, covered = self._seconds(_with_kernel(piece.shape, int(kernel)), amounts, chs)
            total = np.where(kernels == kernel, seconds, total)
            all_covered = np.where(kernels == kernel, covered, all_covered)
        return total, all_covered

    def _seconds(self, shape: Shape, amounts: Sequence[Number], chs: Sequence[Number]) -> tuple[Any, Any]:
        """What a piece of some work and channels takes, and whether its shape and channels are covered."""
        rates = self.rates.get(shape)
        if rates is None:
            return 0.0, np.bool_(False)
        covered: Any = np.bool_(True)
        for one, low, high in zip(chs, rates.low, rates.high, strict=True):
            covered = covered & (one >= low) & (one <= high)
        return spent(rates, amounts), covered

    def _why_not(self, piece: Piece) -> str:
        rates = self.rates.get(piece.shape)
        if rates is None:
            return f"{piece.shape} is not in the latency table of space {self.space}"
        ranges = ", ".join(f"{low:.0f} to {high:.0f}" for low, high in zip(rates.low, rates.high, strict=True))
        return f"channels {' - '.join(map(str, piece.chs))} of {piece.shape}; the latency table covers {ranges}"

    @cached_property
    def error(self) -> HeldOut:
        """How far predictions are from the held-out networks."""
        pairs = [(self.predict_or_none(one.spec), one.seconds) for one in self.held_out]
        off = [predicted / seconds - 1 for predicted, seconds in pairs if predicted is not None]
        left_out = len(self.held_out) - len(off)
        if not off:
            return HeldOut(float("nan"), float("nan"), float("nan"), 0, left_out)
        sizes = np.abs(off)
        return HeldOut(
            float(np.median(sizes)), float(np.quantile(sizes, 0.95)), float(np.median(off)), len(off), left_out
        )

    @property
    def spread(self) -> float:
        """How far the median time of a network is above the least one: what else the machine did, as a share."""
        return float(np.median([one.median_seconds / one.seconds - 1 for one in (*self.probes, *self.held_out)]))

    def describe(self) -> dict[str, Any]:
        """Where predictions come from, and how far they are from networks that were measured and not fitted."""
        error = self.error
        return {
            "device": self.device, "precision": self.precision, "batch_size": self.batch_size,
            "held_out_median": round(error.median, 4), "held_out_p95": round(error.p95, 4), "held_out_n": error.n,
        }  # fmt: skip

    def document(self) -> dict[str, Any]:
        """The table as JSON-able data, held-out error included."""
        return {
            "schema": SCHEMA,
            "space": self.space,
            "macs": self.macs,
            "setting": self.setting,
            "environment": self.environment,
            "spread": self.spread,
            "held_out_error": {name: None if value != value else value for name, value in asdict(self.error).items()},
            "probes": [_tree(one) for one in self.probes],
            "held_out": [_tree(one) for one in self.held_out],
        }


def spent(rates: Rates, amounts: Sequence[Number]) -> Number:
    """Seconds that a batch takes in a piece, by its shape's rates from its work; of expressions, at least."""
    total: Number = 0.0
    for rate, amount in zip(rates.seconds, amounts, strict=True):
        if rate:
            total = total + float(rate) * amount
    return total


def load_limit(text: str, flag: str) -> "tuple[float | None, LatencyTable, str]":
    """A limit of predicted latency and the table that it is for.

    Args:
        text: ``0.3ms@table.json``; ``@table.json`` has no limit.
        flag: what errors call it.

    Returns:
        seconds or None, the table, and the path of its file.

    Raises:
        UsageError: neither form, or a file that cannot be read.
        SpecError: the file is no latency table.
    """
    limit, at, path = text.partition("@")
    if not at or not path:
        raise UsageError(f"{flag}: {text[:60]!r} names no table", "write 0.3ms@table.json")
    table = load_table(path)
    return parse_seconds(limit, flag) if limit.strip() else None, table, path


def load_table(path: str | Path) -> LatencyTable:
    """A latency table from its file.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is no latency table; every problem.
    """
    try:
        tree = json.loads(read_text(path, MAX_BYTES))
    except (ValueError, RecursionError):
        raise SpecError(str(path), ["not a JSON document"], HINT) from None
    return table_from(tree, str(path))


def table_from(tree: Any, source: str) -> LatencyTable:
    """A latency table from the document of its file.

    Args:
        tree: the document.
        source: what errors call it.

    Raises:
        SpecError: it is no latency table; every problem.
    """
    if not isinstance(tree, dict) or tree.get("schema") != SCHEMA:
        found = tree.get("schema") if isinstance(tree, dict) else None
        raise SpecError(source, [f"schema: expected {SCHEMA!r}, found {found!r}"], HINT)
    read = validate(tree, _Document, source)
    problems = [f"{name}: above 0, got {number}" for name, number in (
        ("macs", read.macs), ("setting.batch_size", read.setting.batch_size), ("setting.threads", read.setting.threads)
    ) if number < 1]  # fmt: skip
    if not isinstance(read.environment.get("hardware"), str):
        problems.append("environment.hardware: missing, or no text")
    if problems:
        raise SpecError(source, problems, HINT)
    probes, held_out = (
        tuple(_measured(one, f"{source}, {key}[{index}]") for index, one in enumerate(getattr(read, key)))
        for key in ("probes", "held_out")
    )
    if not probes:
        raise SpecError(source, ["probes: at least one"], HINT)
    return LatencyTable(read.space, read.macs, asdict(read.setting), read.environment, probes, held_out)


HINT = "madnas benchmark latency-table --space ... -o table.json measures one"


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a table was measured, as it stands in the file."""

    device: str
    precision: str
    batch_size: int
    layout: str
    threads: int
    clock: str


@dataclass(frozen=True, slots=True)
class _Network:
    """A measured network as it stands in the file."""

    spec: dict[str, Any]
    parts_seconds: list[float]
    seconds: float
    median_seconds: float
    n: int


@dataclass(frozen=True, slots=True)
class _Document:
    """The file; spread and held-out error are computed anew."""

    schema: str
    space: str
    macs: int
    setting: _Setting
    environment: dict[str, Any]
    probes: list[_Network]
    held_out: list[_Network]
    spread: Any = None
    held_out_error: Any = None


def _measured(read: _Network, source: str) -> Measured:
    spec = parse_spec(read.spec, source)
    times = (*read.parts_seconds, read.seconds, read.median_seconds)
    if len(read.parts_seconds) != len(_blocks(spec)) or not all(0 < time < float("inf") for time in times):
        raise SpecError(source, ["parts_seconds: one time above 0 for the stem, every block and the head"], HINT)
    if read.n < 1:
        raise SpecError(source, [f"n: at least one round, got {read.n}"], HINT)
    return Measured(spec, tuple(read.parts_seconds), read.seconds, read.median_seconds, read.n)


def _tree(measured: Measured) -> dict[str, Any]:
    return {
        "spec": spec_to_tree(measured.spec),
        "parts_seconds": list(measured.parts_seconds),
        "seconds": measured.seconds,
        "median_seconds": measured.median_seconds,
        "n": measured.n,
    }


def _blocks(spec: NetworkSpec) -> Sequence[Piece]:
    """The pieces of a network, one for every time that it is computed."""
    return [piece for piece in pieces(spec) for _ in range(piece.repeat)]


def _with_kernel(shape: Shape, kernel: int) -> Shape:
    return Shape(shape.part, shape.kind, shape.resolution, kernel, shape.stride, shape.options, shape.opens)
