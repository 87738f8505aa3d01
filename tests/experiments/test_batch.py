"""Many networks as one program do what each does alone."""

import pytest
import torch
from torch.nn import functional

from madnas.data.seeds import generator
from madnas.experiments.batch import SkipMLPBatch, activation_slope, with_ones
from madnas.experiments.skip_mlp import SkipMLP, SkipMLPSpec

LINKS = (0, 1, 3, 8, 14)


def networks(activation, depth=7, width=4):
    specs = [SkipMLPSpec(3, 4, depth, links, width, activation) for links in LINKS]
    return [SkipMLP(spec, generator(5, spec.links)).double() for spec in specs]


def samples(count=23):
    random = generator(0, "samples")
    inputs = torch.randn(count, 3, generator=random, dtype=torch.float64)
    return inputs, torch.randint(4, (count,), generator=random)


@pytest.mark.parametrize("activation", ["relu", "elu"])
class TestAlone:
    def test_forward(self, activation):
        alone = networks(activation)
        batch = SkipMLPBatch(alone, torch.float64)
        inputs, _ = samples()
        expected = torch.stack([network(inputs).T for network in alone])
        torch.testing.assert_close(batch.logits(with_ones(inputs)), expected, rtol=1e-12, atol=1e-12)

    def test_gradient_is_automatic_differentiations(self, activation):
        alone = networks(activation)
        batch = SkipMLPBatch(alone, torch.float64)
        inputs, labels = samples()
        losses = batch.accumulate_gradients(with_ones(inputs), labels)
        for index, network in enumerate(alone):
            loss = functional.cross_entropy(network(inputs), labels)
            loss.backward()
            assert losses[index].item() == pytest.approx(loss.item(), rel=1e-12)
            found = batch.first.grad[4 * index : 4 * index + 4]
            torch.testing.assert_close(found[:, :-1], network.first.weight.grad, rtol=1e-10, atol=1e-14)
            torch.testing.assert_close(found[:, -1], network.first.bias.grad, rtol=1e-10, atol=1e-14)
            for layer in range(1, 7):
                linear = network.hidden_layer(layer)
                found = batch.hidden.grad[layer - 1, index]
                torch.testing.assert_close(found[:, -1], linear.bias.grad, rtol=1e-10, atol=1e-14)
                torch.testing.assert_close(found[:, : linear.in_features], linear.weight.grad, rtol=1e-10, atol=1e-14)
                assert not found[:, linear.in_features : -1].any()  # padding
            torch.testing.assert_close(
                batch.classifier.grad[index, :, :-1], network.classifier.weight.grad, rtol=1e-10, atol=1e-14
            )

    def test_training(self, activation):
        alone, together = networks(activation), networks(activation)
        batch = SkipMLPBatch(together, torch.float64)
        optimiser = torch.optim.Adam(batch.parameters, lr=0.01, fused=True)
        optimisers = [torch.optim.Adam(network.parameters(), lr=0.01) for network in alone]
        inputs, labels = samples(60)
        before = batch.hidden.clone()
        for step in range(40):
            chosen = torch.randperm(60, generator=generator(step))[: 20 if step % 3 else 13]
            batch.accumulate_gradients(with_ones(inputs[chosen]), labels[chosen])
            optimiser.step()
            for network, own in zip(alone, optimisers, strict=True):
                own.zero_grad()
                functional.cross_entropy(network(inputs[chosen]), labels[chosen]).backward()
                own.step()
        batch.store(together)
        assert (batch.hidden - before).abs().max() > 0.05  # they did learn something
        for one, other in zip(alone, together, strict=True):
            for (name, expected), (_, found) in zip(one.named_parameters(), other.named_parameters(), strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10, msg=name)

    def test_who_else_is_in_the_batch_does_not_matter(self, activation):
        alone = networks(activation)
        inputs, labels = samples()
        small, large = SkipMLPBatch(alone[1:3], torch.float64), SkipMLPBatch(alone, torch.float64)
        torch.testing.assert_close(
            small.accumulate_gradients(with_ones(inputs), labels),
            large.accumulate_gradients(with_ones(inputs), labels)[1:3], rtol=1e-12, atol=1e-12,
        )  # fmt: skip
        torch.testing.assert_close(small.classifier.grad, large.classifier.grad[1:3], rtol=1e-10, atol=1e-14)

    def test_a_network_that_diverges_harms_no_other(self, activation):
        alone = networks(activation)
        with torch.no_grad():
            alone[2].first.weight.fill_(torch.nan)
        batch = SkipMLPBatch(alone, torch.float64)
        inputs, labels = samples()
        for _ in range(2):
            losses = batch.accumulate_gradients(with_ones(inputs), labels)
        assert losses.isnan().tolist() == [False, False, True, False, False]
        for index in (0, 1, 3, 4):
            assert batch.hidden.grad[:, index].isfinite().all()
            assert batch.first.grad[4 * index : 4 * index + 4].isfinite().all()

    def test_slope_is_the_activations_derivative(self, activation):
        inputs = torch.linspace(-3, 3, 50, dtype=torch.float64, requires_grad=True)
        outputs = getattr(functional, activation)(inputs)
        outputs.sum().backward()
        torch.testing.assert_close(activation_slope(outputs.detach(), activation), inputs.grad)


def test_no_links_at_all():
    alone = [SkipMLP(SkipMLPSpec(3, 4, 5, 0), generator(seed)).double() for seed in range(3)]
    inputs, _ = samples()
    found = SkipMLPBatch(alone, torch.float64).logits(with_ones(inputs))
    torch.testing.assert_close(found, torch.stack([network(inputs).T for network in alone]))
