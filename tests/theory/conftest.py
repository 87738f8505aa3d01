"""Tests that ask for ``published`` run once per published DeepMAD network of ``tests/golden/tinynas_scores.yaml``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from madnas.network.spec import Group, Head, NetworkSpec, Stem

GOLDEN = Path(__file__).parents[1] / "golden" / "tinynas_scores.yaml"


@dataclass(frozen=True)
class Published:
    """A published network and the values printed for it, as text with all their digits."""

    spec: NetworkSpec
    printed: dict[str, str]

    def agrees(self, key: str, value: float) -> bool:
        """Whether a value shows every digit that was printed."""
        decimals = len(self.printed[key].partition(".")[2])
        return f"{value:.{decimals}f}" == self.printed[key]


def _published(name: str, entry: dict[str, Any]) -> Published:
    inverted = entry["block"] == "inverted-residual"
    act, se = ("silu", "deepmad") if inverted else ("relu", "none")
    groups = tuple(
        Group(entry["block"], out, depth, hidden, None, kernel, stride, act, se, "pool")
        for out, hidden, kernel, stride, depth in entry["groups"]
    )
    size = entry["input"]
    head = Head(1000, entry.get("head"), act)
    return Published(NetworkSpec(name, (3, size, size), groups, head, Stem(entry["stem"], act=act)), entry["printed"])


PUBLISHED = {name: _published(name, entry) for name, entry in yaml.safe_load(GOLDEN.read_text()).items()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "published" in metafunc.fixturenames:
        metafunc.parametrize("published", PUBLISHED.values(), ids=PUBLISHED.keys())


@pytest.fixture
def all_published() -> dict[str, Published]:
    return PUBLISHED
