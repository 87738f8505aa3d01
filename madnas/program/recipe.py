"""Design recipes: one YAML file per row of the paper's tables, a design problem that anybody can re-run."""

from dataclasses import dataclass
from pathlib import Path

from madnas.errors import SpecError
from madnas.program.problem import Problem
from madnas.program.space import customise, load_space
from madnas.units import parse_quantity

SCHEMA = "madnas/design-recipe/1"


@dataclass(frozen=True, slots=True)
class DesignRecipe:
    """A design problem as a file.

    Attributes:
        row: the row of the paper's table that it reproduces.
        space: name or path of a space.
        macs, params, activations, max_layers: budgets, as on the command line (``4.5G``).
        rho: limit of the effectiveness.
        resolution, strides, head_conv, classes: changes to the space.
        stage_weights: alpha.
        without_guidelines: guidelines of DeepMAD that are switched off (Table 8).
        published: the network that the authors published for this row.
    """

    row: str
    space: str
    macs: str | int | None = None
    params: str | int | None = None
    activations: str | int | None = None
    max_layers: int | None = None
    rho: float | None = None
    resolution: int | None = None
    strides: tuple[int, ...] | None = None
    head_conv: int | None = None
    classes: int | None = None
    stage_weights: tuple[float, ...] | None = None
    without_guidelines: tuple[int, ...] = ()
    published: str | None = None

    def problem(self) -> Problem:
        """The design problem of this recipe."""
        quantities = {"macs": self.macs, "params": self.params, "activations": self.activations}
        budgets = {name: parse_quantity(str(text), name) for name, text in quantities.items() if text is not None}
        if self.max_layers is not None:
            budgets["layers"] = self.max_layers
        space = customise(
            load_space(self.space),
            resolution=self.resolution,
            strides=self.strides,
            head_conv=self.head_conv,
            classes=self.classes,
        )
        guidelines = frozenset({1, 2, 3}) - set(self.without_guidelines)
        return Problem(space, budgets, self.rho, self.stage_weights, guidelines=guidelines)


def recipe_files() -> dict[str, Path]:
    """The design recipes that come with madnas, by name."""
    from importlib.resources import files

    folder = Path(str(files("madnas.recipes") / "design"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(name_or_path: str) -> DesignRecipe:
    """A recipe by name, or from a user's own YAML file.

    Raises:
        UsageError: neither a known name nor a readable file.
        SpecError: the file is not a design recipe; every problem with its key.
    """
    from madnas.network.named import unknown_name
    from madnas.network.yamlfile import read_yaml, validate

    known = recipe_files()
    path = known.get(name_or_path)
    if path is None:
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml") and not path.exists():
            raise unknown_name("recipe", name_or_path, known, "or give the path of a recipe file (.yaml)")
    tree = read_yaml(path)
    schema = tree.pop("schema", None)
    if schema != SCHEMA:
        raise SpecError(str(path), [f"schema: expected {SCHEMA!r}, found {schema!r}"])
    recipe: DesignRecipe = validate(tree, DesignRecipe, str(path))
    wrong = set(recipe.without_guidelines) - {1, 2, 3}
    if wrong:
        raise SpecError(str(path), [f"without_guidelines: {sorted(wrong)[0]} is not one of 1, 2, 3"])
    return recipe
