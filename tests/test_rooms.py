"""Rooms import each other in one direction only: the one that CONTRIBUTING.md lists, so that no ring can be."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
HEADING = "## Who may import whom"

BACK = {
    ("madnas/models/registry.py", "targets"): "importing madnas.models is what makes timm know restructured networks "
    "too; the room above is loaded when one is asked for",
}
"""Imports against the direction, with the reason."""


def levels() -> dict[str, int]:
    """Rooms with the number of their line in the guide, from below."""
    block = GUIDE.read_text(encoding="utf-8").split(HEADING)[1].split("```")[1]
    return {room: number for number, line in enumerate(block.strip().splitlines()) for room in line.split()}


LEVELS = levels()


def room_of(parts: tuple[str, ...]) -> str | None:
    """The room of a file or module by its parts below ``madnas``; None for what lies beside the rooms."""
    found = ["/".join(parts[:end]) for end in range(1, len(parts) + 1) if "/".join(parts[:end]) in LEVELS]
    return found[-1] if found else None


def imported(text: str) -> Iterator[tuple[str, ...]]:
    """Parts of all modules, and of what is taken out of them, that a file imports from madnas, in functions too."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == "madnas":
                yield tuple(rest)


def against(path: str, text: str) -> set[tuple[str, str]]:
    """Imports of a file that do not go down, as (file, room)."""
    own = room_of(Path(path).with_suffix("").parts[:1] if path.startswith("cli/") else Path(path).parts[1:-1])
    level = -1 if own is None else LEVELS[own]
    rooms = {room for parts in imported(text) if (room := room_of(parts)) is not None and room != own}
    return {(path, room) for room in rooms if LEVELS[room] >= level}


def sources() -> list[Path]:
    found = sorted(path for folder in ("madnas", "cli") for path in (ROOT / folder).rglob("*.py"))
    assert len(found) > 300
    return found


def test_all_rooms_are_listed():
    folders = {path.parent.name for path in (ROOT / "madnas").glob("*/__init__.py")}
    assert {room for room in LEVELS if "/" not in room} == folders | {"cli"}
    assert all((ROOT / "madnas" / room / "__init__.py").exists() for room in LEVELS if "/" in room)


def test_imports_go_down():
    found = set()
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name != "madnas/__main__.py":  # the way in
            found |= against(name, path.read_text(encoding="utf-8"))
    assert found == BACK.keys()


def test_an_import_upwards_is_found_wherever_it_stands():
    for text in (
        "from madnas.models import build",
        "from madnas import models",
        "import madnas.models.blocks as blocks",
        "def late():\n    from madnas.models.blocks import Basic",
        "if TYPE_CHECKING:\n    from madnas.models.blocks import Basic",
    ):
        assert against("madnas/network/x.py", text) == {("madnas/network/x.py", "models")}, text
        assert against("madnas/units.py", text) and not against("madnas/train/x.py", text), text
        assert not against("madnas/models/x.py", text) and not against("cli/x.py", text), text
    assert against("madnas/scores/x.py", "from madnas.train.run import train")  # of one line
    inner = "from madnas.measure import benchmark"
    assert against("madnas/measure/x.py", inner) and not against("madnas/measure/benchmark/x.py", inner)
    assert not against("madnas/measure/benchmark/x.py", "from madnas.measure.clock import clock_of")
    assert not against("madnas/network/x.py", "from madnas.errors import UsageError\nimport madnas")
