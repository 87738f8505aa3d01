"""TARGET: whatever a command takes for a network, as a spec: a file of ours, of TinyNAS or Zen-NAS, or a name."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from madnas.errors import SpecError, UsageError
from madnas.files import read_text
from madnas.network.named import UnknownName, get, names, unknown_name
from madnas.network.plainnet import is_plainnet, parse_plainnet
from madnas.network.spec import SCHEMA, NetworkSpec
from madnas.network.specfile import parse_spec
from madnas.network.timm_names import PREFIX, timm_names, timm_spec
from madnas.network.tinynas import parse_tinynas
from madnas.network.yamlfile import did_you_mean, dotted, parse_yaml, shorten

SUFFIXES = (".yaml", ".yml", ".json", ".txt")
"""Endings that make a word a path even if there is no such file."""

FILES = "a spec file (.yaml), of 'design --json' output or of a TinyNAS or PlainNet file (.txt)"
"""Files that are accepted, after "the path of"."""

TINYNAS_KEY = re.compile(r"""['"](?:class|best_structures|structure_info)['"]\s*:""")


def resolve(target: str) -> NetworkSpec:
    """A network from what a user wrote: the path of a file, or a name.

    A word is a path if there is such a file, or if it has a folder or a file's suffix. What a file holds is told from
    its content.

    Raises:
        UsageError: neither; or the file cannot be read.
        SpecError: the file is no network; every problem.
    """
    if target.startswith(PREFIX) and not os.path.lexists(target):
        return _timm(target)
    if _is_path(target):
        return load(target)
    try:
        return get(target)
    except UnknownName as error:
        known = timm_spec(target)
        if known is not None:
            return known
        if os.path.isdir(target):
            raise UsageError(
                f"{target}: is a folder, not a network", hint=f"give a network's name or the path of {FILES}"
            ) from error
        raise unknown_name("network", target, names(), f"or give the path of {FILES}") from error


def _timm(target: str) -> NetworkSpec:
    known = timm_spec(target)
    if known is None:
        described = timm_names()
        raise UsageError(
            f"{target}: not among the {len(described)} timm networks that madnas has a description of"
            + did_you_mean(target.removeprefix(PREFIX), described),
            hint="those are the plain ones of the families ConvNeXt, ConvNeXt-V2, ResNet (also c, d, t), ResNeXt, "
            "SE-ResNet, SE-ResNeXt, Wide-ResNet, RegNetX, RegNetY, MobileNetV2, EfficientNet (also lite), DenseNet and "
            "VGG; 'madnas score' takes any",
        )
    return known


def load(path: str | Path) -> NetworkSpec:
    """A network from a file in any format that is known here: a spec, ``design --json``, TinyNAS, PlainNet.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is no network; every problem.
    """
    source = str(path)
    text = read_text(path)
    if not text.strip():
        raise SpecError(source, ["the file is empty"])
    if is_plainnet(text):
        return parse_plainnet(text, source, name=Path(path).stem)
    if not _is_bracketed(text):
        return _from_tree(parse_yaml(text, source), source)
    tree = _json(text, source)
    if tree is None:  # in brackets, but not JSON
        if TINYNAS_KEY.search(text):
            return parse_tinynas(text, source, name=Path(path).stem)
        return _from_tree(parse_yaml(text, source), source)
    if isinstance(tree, list) or "best_structures" in tree or "structure_info" in tree:
        return parse_tinynas(text, source, name=Path(path).stem)
    return _from_tree(tree, source)


def _is_path(target: str) -> bool:
    if os.sep in target or target.lower().endswith(SUFFIXES):
        return True
    # A folder may well be called like a network, for instance the one that its training run filled.
    return os.path.lexists(target) and not os.path.isdir(target)


def _is_bracketed(text: str) -> bool:
    """Whether a text, comments aside, begins as a Python literal or a JSON document does."""
    return re.match(r"(?:\s|#[^\n]*)*[\[{(]", text) is not None


def _from_tree(tree: dict[str, Any], source: str) -> NetworkSpec:
    if "spec" in tree and "groups" not in tree:
        spec = tree["spec"]
        return parse_spec(spec, f"{source}, spec") if isinstance(spec, dict) else _reject(source)
    if isinstance(tree.get("results"), list) and "groups" not in tree:
        raise SpecError(
            source, [f"holds {len(tree['results'])} results, not one network"], hint="save one of its specs"
        )
    if "schema" not in tree and "groups" not in tree:
        _reject(source)
    return parse_spec(tree, source)


def _reject(source: str) -> NoReturn:
    raise SpecError(source, [f"not a network: expected 'schema: {SCHEMA}'"], hint=f"give the path of {FILES}")


def _json(text: str, source: str) -> Any:
    """A JSON document, strictly; None if the text is something else."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        tree = dict(items)
        if len(tree) < len(items):
            twice = [name for name, number in Counter(name for name, _ in items).items() if number > 1]
            raise SpecError(source, [f"{dotted((name,))}: key given twice in one object" for name in twice])
        return tree

    def constant(name: str) -> NoReturn:
        raise SpecError(source, [f"{shorten(name)} is not a number that JSON knows"])

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError:
        return None
    except (ValueError, RecursionError) as error:  # thousands of digits or brackets
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number with too many digits"
        raise SpecError(source, [reason]) from error
