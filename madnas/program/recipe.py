"""Design recipes: one YAML file per row of the paper's tables, a design problem that anybody can re-run.

The command line is a recipe too, one whose values are the flags: what a flag can say, a file can say, and
:meth:`DesignRecipe.problem` is the one place where either becomes a problem.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from madnas.errors import SpecError, UsageError
from madnas.network.library import load, shipped
from madnas.program.problem import Problem
from madnas.program.space import Space, customise, load_space
from madnas.units import parse_quantity

SCHEMA = "madnas/design-recipe/1"

GUIDELINES = frozenset({1, 2, 3})
"""DeepMAD's guidelines, all of which hold unless a recipe switches them off."""


@dataclass(frozen=True, slots=True)
class DesignRecipe:
    """A design problem as a file; what is absent is the space's default.

    Attributes:
        row: the row of the paper's table that it reproduces.
        space: name or path of a space.
        macs, params, activations, max_layers: budgets, as on the command line (``4.5G``).
        latency: limit of the predicted latency and the table that predicts it: ``0.3ms@table.json``.
        rho: limit of the effectiveness; ``none`` for no limit.
        resolution, input, strides, kernels, multiple, head_conv, classes: changes to the space.
        stage_weights: alpha.
        depth_penalty: beta.
        without_guidelines: guidelines of DeepMAD that are switched off (Table 8).
        published: the network that the authors published for this row.
    """

    row: str
    space: str
    macs: str | int | float | None = None
    params: str | int | float | None = None
    activations: str | int | float | None = None
    max_layers: int | None = None
    latency: str | None = None
    rho: float | Literal["none"] | None = None
    resolution: int | None = None
    input: tuple[int, int, int] | None = None
    strides: tuple[int, ...] | None = None
    kernels: tuple[int, ...] | None = None
    multiple: int | None = None
    head_conv: int | None = None
    classes: int | None = None
    stage_weights: tuple[float, ...] | None = None
    depth_penalty: float | None = None
    without_guidelines: tuple[int, ...] = ()
    published: str | None = None

    def problem(self) -> Problem:
        """The design problem of this recipe.

        Raises:
            UsageError: an unknown space, no budget, a value that cannot be, or that does nothing.
            SpecError: the changed space is not a possible one.
        """
        self._refuse_idle()
        space = self._space()
        rho = space.rho if self.rho is None else self.rho
        budgets, table = self._budgets(), None
        if self.latency is not None:
            from madnas.measure.latency_table.table import load_limit

            limit, table, _ = load_limit(self.latency, "--latency")
            if limit is None:
                raise UsageError(
                    "--latency: a table without a limit is for --method evolution", "write 0.3ms@table.json"
                )
            budgets["latency"] = limit
        return Problem(
            space,
            budgets,
            rho=None if rho == "none" else rho,
            stage_weights=self.stage_weights,
            depth_penalty=self.depth_penalty,
            guidelines=GUIDELINES - set(self.without_guidelines),
            table=table,
        )

    def _space(self) -> Space:
        return customise(
            load_space(self.space),
            input=self.input,
            resolution=self.resolution,
            classes=self.classes,
            kernels=self.kernels,
            multiple=self.multiple,
            strides=self.strides,
            head_conv=self.head_conv,
        )

    def _budgets(self) -> dict[str, float]:
        quantities = {"macs": self.macs, "params": self.params, "activations": self.activations}
        budgets: dict[str, float] = {
            name: parse_quantity(str(text), name) for name, text in quantities.items() if text is not None
        }
        return budgets if self.max_layers is None else budgets | {"layers": self.max_layers}

    def _refuse_idle(self) -> None:
        """Refuse values that would do nothing."""
        if 1 in self.without_guidelines and self.stage_weights is not None:
            raise UsageError(
                "stage weights do nothing without Guideline 1: the last stage counts alone",
                "leave out the stage weights, or keep the guideline",
            )
        if 2 in self.without_guidelines and self.depth_penalty is not None:
            raise UsageError(
                "a depth penalty does nothing without Guideline 2: it is the guideline's weight",
                "leave out the depth penalty, or keep the guideline",
            )


def recipe_files() -> dict[str, Path]:
    """The design recipes that come with madnas, by name."""
    return shipped("design")


def load_recipe(name_or_path: str) -> DesignRecipe:
    """A recipe by name, or from a user's own YAML file.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: the file is not a design recipe; every problem with its key.
    """
    recipe, source = load(name_or_path, "recipe", recipe_files(), {SCHEMA: DesignRecipe})
    wrong = set(recipe.without_guidelines) - GUIDELINES
    if wrong:
        raise SpecError(source, [f"without_guidelines: {min(wrong)} is not one of 1, 2, 3"])
    return recipe
