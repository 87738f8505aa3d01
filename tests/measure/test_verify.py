"""Closed form = what is counted on the built module, exactly."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from madnas.measure import verify as verify_module
from madnas.measure.module_count import count_module
from madnas.measure.verify import Mismatch, verify
from madnas.models import build
from madnas.network import named
from madnas.network.blocks import CATALOGUE
from madnas.network.count import count
from madnas.network.spec import LINEAR_BLOCKS, NetworkSpec
from tests.models.examples import EXAMPLES
from tests.strategies import CONVOLUTIONAL, mlps, networks

DETERMINISTIC = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def assert_counts_agree(spec: NetworkSpec) -> None:
    closed = count(spec)
    built = count_module(build(spec), spec.input)
    assert (closed.params, closed.macs, closed.activations) == (built.params, built.macs, built.activations)


@pytest.mark.parametrize("spec", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_networks_by_hand(spec: NetworkSpec) -> None:
    assert_counts_agree(spec)


@DETERMINISTIC
@given(spec=networks())
def test_random_networks(spec: NetworkSpec) -> None:
    assert_counts_agree(spec)


@pytest.mark.parametrize("examples", [6, pytest.param(60, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("kind", CONVOLUTIONAL)
def test_random_networks_of_one_kind(kind: str, examples: int) -> None:
    @settings(DETERMINISTIC, max_examples=examples)
    @given(spec=networks(kinds=(kind,)))
    def check(spec: NetworkSpec) -> None:
        assert_counts_agree(spec)

    check()


@DETERMINISTIC
@given(spec=mlps())
def test_random_mlps(spec: NetworkSpec) -> None:
    assert_counts_agree(spec)


def test_random_networks_are_of_every_kind() -> None:
    assert {*CONVOLUTIONAL, *LINEAR_BLOCKS} == set(CATALOGUE)


QUICK = (
    *("resnet20", "resnet18", "mobilenetv2", "efficientnet-b0", "deepmad-r18", "deepmad-29m"),
    *("convnext-t", "densenet-121", "nnmass-cifar-3.8m", "vgg11", "wrn-16-8"),
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in named.names()]
)
def test_named_networks_at_their_full_size(name: str) -> None:
    assert verify(named.get(name)).mismatches == ()


def test_verification_of_a_sound_network() -> None:
    assert verify(EXAMPLES["inverted-pool"]).mismatches == ()


def test_verification_names_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EXAMPLES["conv"]
    stem = replace(spec.stem, out=spec.stem.out + 1)
    monkeypatch.setattr(verify_module, "build", lambda _: build(replace(spec, stem=stem)))
    closed, other = count(spec), count(replace(spec, stem=stem))
    assert verify(spec).mismatches == (
        Mismatch("params", closed.params, other.params),
        Mismatch("macs", closed.macs, other.macs),
        Mismatch("activations", closed.activations, other.activations),
    )


def test_verification_of_a_module_that_differs_in_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EXAMPLES["conv"]
    monkeypatch.setattr(verify_module, "build", lambda _: build(spec).requires_grad_(False))
    assert [mismatch.quantity for mismatch in verify(spec).mismatches] == ["params"]
