"""The MLPs of NN-Mass (Section 3.1, Appendix G.1): a cell of d layers with random concatenated skip connections.

Which layers count in d is not said in so many words. Here the cell has d layers of w neurons, numbered 0 to d - 1, as
Eq. (2), (5) and (8) count them (w d neurons, skip connections into layers 2 to d - 1):

- layer 0 is fed by the network's input through a linear layer;
- layer i from 1 on is fed by layer i - 1, and from 2 on also by min(w (i - 1), t) neurons that are drawn at random from
  layers 0 to i - 2;
- the classifier reads layer d - 1 and is no part of the cell, like the linear layer at the end of the paper's CNNs.

With biases (h_i = W_i x_{i-1} + b_i) this gives the sizes that Section 4.2 prints for MNIST: X has 24 layers and t = 2,
8,378 parameters ("8.3K"); Y has 32 and t = 2, 9,082 ("9.0K"); Z has 16 and t = 8, 8,346 ("8.3K"). No other t fits, and
X and Y then have the same mass to 1 % (4.17 and 4.13), as they should. The figures are cut off rather than rounded, as
the masses of Table 1 are. Counting the classifier as layer d - 1 would round to the same figures (8,310, 9,014, 8,290),
but its ten neurons are not w, as Eq. (5) takes for granted. Without the biases that the paper's formula has, t = 3, 3
and 9 would fit.

Sizes and mass are those of the same network in :mod:`madnas.network` (:meth:`SkipMLPSpec.network`), which
``madnas score`` reads and :mod:`madnas.models` builds. Its links are another draw: from its spec's seed alone, the same
with every version of torch, while those of an experiment come from the generator that then draws the weights. They are
as many and as uniform, and nothing that is counted depends on which they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.network.zoo.skip import skip_mlp


@dataclass(frozen=True, slots=True)
class SkipMLPSpec:
    """The shape of a network.

    Attributes:
        inputs: features of a sample.
        classes: outputs.
        depth: d, layers of the cell, at least 3.
        links: t, the most neurons that supply skip connections to a layer.
        width: w, neurons of a layer.
        activation: ``relu`` or ``elu``.
    """

    inputs: int
    classes: int
    depth: int
    links: int
    width: int = 8
    activation: str = "relu"

    def links_into(self, layer: int) -> int:
        """Number of neurons that supply skip connections to a layer."""
        return max(0, min(self.width * (layer - 1), self.links))

    def network(self, name: str, seed: int = 0) -> NetworkSpec:
        """Such a network as a description that ``madnas score`` reads.

        Args:
            name: its name.
            seed: of its links, which are not those that :func:`draw_links` draws.

        >>> SkipMLPSpec(784, 10, depth=24, links=2).network("x").groups[0].links
        2
        """
        spec = skip_mlp(name, self.inputs, self.depth, self.width, self.links, self.classes, seed)
        return replace(spec, groups=tuple(replace(group, act=self.activation) for group in spec.groups))

    @property
    def mass(self) -> float:
        """NN-Mass (Eq. 2)."""
        return float(nn_mass(self.network("mass")).mass)

    @property
    def params(self) -> int:
        """Number of weights and biases, in closed form."""
        return int(count(self.network("params")).params)


def draw_links(spec: SkipMLPSpec, random: torch.Generator) -> tuple[Tensor, ...]:
    """Draw the neurons that supply skip connections to layers 1, 2, ..., d - 1.

    Returns:
        for each layer the drawn neurons, ascending; neuron j of layer l has the number w l + j.
    """
    drawn = []
    for layer in range(1, spec.depth):
        candidates = torch.randperm(spec.width * (layer - 1), generator=random)
        drawn.append(candidates[: spec.links_into(layer)].sort().values)
    return tuple(drawn)


class SkipMLP(nn.Module):
    """One network, as plain as it can be written: what :mod:`madnas.experiments.batch` computes for many at once.

    Weights start as those of :class:`torch.nn.Linear` do: uniform within 1 / sqrt(inputs of the layer).

    Args:
        spec: its shape.
        random: of the links and the weights.
    """

    def __init__(self, spec: SkipMLPSpec, random: torch.Generator) -> None:
        super().__init__()
        self.spec = spec
        self.links = draw_links(spec, random)
        self.first = _linear(spec.inputs, spec.width, random)
        self.hidden = nn.ModuleList(_linear(spec.width + len(links), spec.width, random) for links in self.links)
        self.classifier = _linear(spec.width, spec.classes, random)

    def states(self, inputs: Tensor) -> list[Tensor]:
        """Outputs of layers 0 to d - 1 for inputs (samples, features), each (samples, width)."""
        activation = functional.relu if self.spec.activation == "relu" else functional.elu
        states = [activation(self.first(inputs))]
        for layer, links in zip(self.hidden, self.links, strict=True):
            states.append(activation(layer(self.joined(states, links))))
        return states

    def hidden_layer(self, layer: int) -> nn.Linear:
        """Layer 1 to d - 1."""
        found = self.hidden[layer - 1]
        assert isinstance(found, nn.Linear)
        return found

    @staticmethod
    def joined(states: Sequence[Tensor], links: Tensor) -> Tensor:
        """What the layer after ``states`` reads: the last of them, and the linked neurons of those before."""
        if not len(links):
            return states[-1]
        return torch.cat([states[-1], torch.cat(tuple(states[:-1]), 1)[:, links]], 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (samples, classes) for inputs (samples, features)."""
        return self.classifier(self.states(inputs)[-1])


def _linear(inputs: int, outputs: int, random: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")  # leaves the global generator alone
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=random)
        layer.bias.uniform_(-bound, bound, generator=random)
    return layer
