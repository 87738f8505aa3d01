"""Recipes of experiments: one YAML file for a figure of the paper, with its settings and those of ``--quick``."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from madnas.data.names import is_dataset
from madnas.errors import UsageError

SCHEMA = "madnas/experiment-recipe/1"

LIMITS: dict[str, tuple[float, float]] = {
    "width": (1, 1024),
    "depths": (3, 1000),
    "links": (0, 100_000),
    "repeats": (1, 1000),
    "samples": (1, 100_000_000),
    "test_samples": (1, 100_000_000),
    "epochs": (1, 1_000_000),
    "batch_size": (1, 1_000_000),
    "learning_rate": (1e-9, 10),
    "isometry_samples": (1, 100_000),
}
"""Smallest and largest value of every number."""


@dataclass(frozen=True, slots=True)
class Quick:
    """What ``--quick`` changes; absent means no change."""

    depths: tuple[int, ...] | None = None
    links: tuple[int, ...] | None = None
    repeats: int | None = None
    samples: int | None = None
    test_samples: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    isometry_samples: int | None = None


@dataclass(frozen=True, slots=True)
class PaperFits:
    """R2 as the paper prints it, of accuracy and of LDI against ln NN-Mass and against ln parameters."""

    accuracy_mass: float | None = None
    accuracy_params: float | None = None
    isometry_mass: float | None = None
    isometry_params: float | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A grid of MLPs with random skip connections, and how they are trained.

    Attributes:
        figure: what of the paper it reproduces.
        dataset: ``seg<N>``, ``circle<N>``, ``mnist`` or ``digits``.
        depths: d, layers of the cell.
        links: t, the most neurons that supply skip connections to a layer.
        repeats: networks of every depth and t, with other links and weights.
        activation: of all layers.
        epochs: passes over the training samples.
        batch_size: samples of a step.
        learning_rate: of Adam, which has torch's other settings.
        width: w, neurons of a layer.
        samples, test_samples: how many; absent means all of real data and 60,000 / 12,000 of synthetic data.
        isometry_samples: training samples over which singular values are pooled.
        paper: the paper's R2.
        quick: settings of ``--quick``.
    """

    figure: str
    dataset: str
    depths: tuple[int, ...]
    links: tuple[int, ...]
    repeats: int
    activation: Literal["relu", "elu"]
    epochs: int
    batch_size: int
    learning_rate: float
    width: int = 8
    samples: int | None = None
    test_samples: int | None = None
    isometry_samples: int = 100
    paper: PaperFits = field(default_factory=PaperFits)
    quick: Quick = field(default_factory=Quick)

    def quickened(self) -> "Recipe":
        """The recipe with the settings of ``--quick``.

        Raises:
            UsageError: it has none.
        """
        if self.quick == Quick():
            raise UsageError(
                "--quick: the recipe has no settings for it", "add a section 'quick:', or give --epochs ..."
            )
        return replace(self, **{name: value for name, value in asdict(self.quick).items() if value is not None})

    def settings(self) -> dict[str, Any]:
        """What decides the results, as plain data."""
        skipped = {"figure", "paper", "quick"}
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in skipped}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def all_problems(recipe: Recipe) -> list[str]:
    """What is wrong with a recipe from a file, each with its key."""
    found = problems(recipe) + [f"quick.{text}" for text in problems(recipe.quick)]
    if not is_dataset(recipe.dataset):
        found.append(
            f"dataset: expected seg<N>, circle<N> (N from 2 to 999), mnist or digits, found {recipe.dataset[:60]!r}"
        )
    return found


def problems(values: Recipe | Quick) -> list[str]:
    """What is out of range, each with its key."""
    found = []
    for name, (least, most) in LIMITS.items():
        value = getattr(values, name, None)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        found += [f"{name}: expected {least:g} to {most:g}, found {n}" for n in numbers if not least <= n <= most]
        if isinstance(value, tuple) and (not value or len(set(value)) < len(value)):
            found.append(f"{name}: expected at least one value, each once")
    return found
