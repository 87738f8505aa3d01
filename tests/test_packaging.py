"""What is installed is the whole program: every module and every YAML file, under ``madnas`` and nowhere else.

Runs without network: the wheel is built by the setuptools that the ``test`` extra asks for, from a copy of the sources.
"""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import madnas

ROOT = Path(__file__).parents[1]
FOLDERS = {"madnas": "madnas", "cli": "madnas/cli", "recipes": "madnas/recipes"}
"""Folder of the checkout -> where it is installed."""


def sources(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """Every source file with one of the suffixes, with its place in an installation."""
    for folder, target in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and "__pycache__" not in path.parts:
                yield path, f"{target}/{path.relative_to(ROOT / folder).as_posix()}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as pip would build it, from a copy so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as in site-packages."""
    target = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def run_there(installed: Path, code: str) -> str:
    """Run code on the unpacked wheel rather than on the checkout, and return what it prints."""
    code = f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_is_in_the_wheel(wheel: Path):
    expected = {target for _, target in sources(".py")}
    assert {"madnas/theory/entropy.py", "madnas/cli/__init__.py", "madnas/recipes/__init__.py"} <= expected
    assert {name for name in names(wheel) if name.endswith(".py")} == expected


def test_every_package_folder_has_an_init_and_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {Path(target).parent for _, target in sources(".py")}
    assert sorted(listed) == sorted(".".join(folder.parts) for folder in folders)
    targets = {target for _, target in sources(".py")}
    assert {(folder / "__init__.py").as_posix() for folder in folders} <= targets


def test_every_yaml_is_in_the_wheel(wheel: Path):
    expected = {target for _, target in sources(".yaml", ".yml")}
    for folder in ("madnas/recipes/design/", "madnas/recipes/space/"):
        assert any(name.startswith(folder) for name in expected), f"no YAML below {folder}"
    assert {name for name in names(wheel) if name.endswith((".yaml", ".yml"))} == expected


def test_nothing_else_reaches_site_packages(wheel: Path):
    tops = {name.partition("/")[0] for name in names(wheel)}
    assert tops == {"madnas", f"madnas-{madnas.__version__}.dist-info"}


def test_types_are_marked(wheel: Path):
    assert "madnas/py.typed" in names(wheel)


def test_entry_point_leads_to_a_module_of_the_wheel(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        entries = ConfigParser()
        entries.read_string(archive.read(path).decode())
    assert dict(entries["console_scripts"]) == {"madnas": "madnas.__main__:main"}
    assert "madnas/cli/main.py" in names(wheel)


def test_installed_recipes_are_readable(installed: Path):
    listing = run_there(
        installed,
        "from importlib.resources import files\n"
        "import madnas.cli\n"
        "print(madnas.cli.__file__)\n"
        "for folder in ('design', 'space'):\n"
        "    for file in (files('madnas.recipes') / folder).iterdir():\n"
        "        print(folder, file.name, bool(file.read_text()))\n",
    ).splitlines()
    assert listing[0] == str(installed / "madnas" / "cli" / "__init__.py")
    expected = {
        f"{folder} {path.name} True" for folder in ("design", "space") for path in (ROOT / "recipes" / folder).iterdir()
    }
    assert set(listing[1:]) == expected


def test_checkout_recipes_are_readable():
    """The same through the installation that runs the tests, editable or not."""
    from importlib.resources import files

    there = {file.name for file in (files("madnas.recipes") / "design").iterdir() if file.name.endswith(".yaml")}
    assert there == {path.name for path in (ROOT / "recipes" / "design").glob("*.yaml")}


def test_versions_agree():
    """Installed metadata, package, citation and changelog: the one in the package is the source."""
    assert version("madnas") == madnas.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == madnas.__version__
    assert madnas.__version__ in (ROOT / "CHANGELOG.md").read_text()
