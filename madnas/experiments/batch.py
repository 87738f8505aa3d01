"""Many MLPs with random skip connections as one tensor program.

All networks have the same depth and width; their links differ in number and place. A step of one such network is a
hundred operations on a few hundred numbers each, which costs a hundred times what the arithmetic does; here every
operation works on all networks at once.

The outputs of all layers of all networks are the rows of one table, samples in columns, with a row of zeros and a row
of ones at the end. What a layer reads is then a gather of rows: the previous layer, the linked neurons, zeros where a
network has fewer links than others, and the one that the bias multiplies. A layer is a gather and a batched product.
Weights of padding start at zero and get gradient zero, so every network trains exactly as it would alone.

The gradient is written out by hand: automatic differentiation would keep what every layer gathered, and copy the
table's gradient once for every layer. ``tests/experiments/test_batch.py`` compares it with automatic differentiation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from madnas.experiments.skip_mlp import SkipMLP


class SkipMLPBatch:
    """Networks of one depth, width and activation.

    Attributes:
        first: weights of all first layers (networks * width, features + 1), the bias last.
        hidden: weights of layers 1 to d - 1 (layers, networks, width, columns). Columns: the previous layer, the links
            of the network padded to the most that any has, the bias.
        classifier: weights of the classifiers (networks, classes, width + 1), the bias last.

    Args:
        networks: at least one.
        dtype: of the weights and all arithmetic.
        device: where.
    """

    def __init__(
        self, networks: Sequence[SkipMLP], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> None:
        spec = networks[0].spec
        assert all(
            (one.spec.depth, one.spec.width, one.spec.activation) == (spec.depth, spec.width, spec.activation)
            for one in networks
        )
        self.size, self.depth, self.width, self.activation = len(networks), spec.depth, spec.width, spec.activation
        self._links = [network.links for network in networks]
        self.slots = max(len(links) for network in self._links for links in network)
        first = torch.cat([_with_bias(network.first) for network in networks])
        hidden = torch.stack([self._layer(networks, layer) for layer in range(1, self.depth)])
        classifier = torch.stack([_with_bias(network.classifier) for network in networks])
        self.first, self.hidden, self.classifier = (weight.to(device, dtype) for weight in (first, hidden, classifier))
        self._sources = [self._rows_read_by(layer).to(device) for layer in range(1, self.depth + 1)]
        self._tables: dict[int, _Tables] = {}

    @property
    def parameters(self) -> list[Tensor]:
        """All weights: what an optimiser takes."""
        return [self.first, self.hidden, self.classifier]

    def logits(self, inputs: Tensor) -> Tensor:
        """Outputs of all networks, (networks, classes, samples).

        Args:
            inputs: (samples, features + 1), the last feature 1; the same for all networks.
        """
        return self._forward(self._tables_for(len(inputs)), inputs)

    def states(self, inputs: Tensor) -> Tensor:
        """Outputs of all layers, (layers, networks, width, samples); the next call with as many replaces them."""
        tables = self._tables_for(len(inputs))
        self._forward(tables, inputs)
        return tables.outputs

    def accumulate_gradients(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Set the weights' ``grad`` to the gradient of every network's mean cross-entropy.

        Args:
            inputs: (samples, features + 1), the last feature 1.
            labels: (samples,)

        Returns:
            loss of every network, (networks,), before the step.
        """
        tables = self._tables_for(len(inputs))
        scores = functional.log_softmax(self._forward(tables, inputs), dim=1)
        wanted = labels.expand(self.size, 1, -1)
        losses = -scores.gather(1, wanted).mean((1, 2))
        errors = scores.exp_()
        errors.scatter_add_(1, wanted, errors.new_full((1, 1, 1), -1.0).expand_as(wanted))
        self._backward(tables, inputs, errors.div_(len(inputs)))
        return losses

    def store(self, networks: Sequence[SkipMLP]) -> None:
        """Copy the weights into the networks that the batch was made from, in the same order."""
        for index, network in enumerate(networks):
            rows = slice(index * self.width, (index + 1) * self.width)
            _set(network.first, self.first[rows])
            _set(network.classifier, self.classifier[index])
            for layer, links in enumerate(network.links):
                used = [*range(self.width + len(links)), -1]
                _set(network.hidden_layer(layer + 1), self.hidden[layer, index][:, used])

    # Where things are

    def _layer(self, networks: Sequence[SkipMLP], layer: int) -> Tensor:
        """Weights of one hidden layer of all networks, (networks, width, columns)."""
        weights = torch.zeros(self.size, self.width, self.width + self.slots + 1)
        for weight, network in zip(weights, networks, strict=True):
            linear = network.hidden_layer(layer)
            weight[:, : linear.in_features] = linear.weight.detach()
            weight[:, -1] = linear.bias.detach()
        return weights

    def _rows_read_by(self, layer: int) -> Tensor:
        """Rows of the table that a layer of all networks reads, (networks * columns,); layer d is the classifier."""
        zeros = self.depth * self.size * self.width
        number = torch.arange(self.size)[:, None]
        previous = ((layer - 1) * self.size + number) * self.width + torch.arange(self.width)
        ones = torch.full((self.size, 1), zeros + 1)
        if layer == self.depth:
            return torch.cat([previous, ones], 1).flatten()
        linked = torch.full((self.size, self.slots), zeros)
        for index, network in enumerate(self._links):
            neurons = network[layer - 1]
            source, neuron = neurons // self.width, neurons % self.width
            linked[index, : len(neurons)] = (source * self.size + index) * self.width + neuron
        return torch.cat([previous, linked, ones], 1).flatten()

    def _tables_for(self, samples: int) -> "_Tables":
        if samples not in self._tables:
            if len(self._tables) > 3:  # the sizes of training, its last batch, testing, its last batch
                self._tables.clear()
            self._tables[samples] = _Tables(self, samples)
        return self._tables[samples]

    # Forward and backward

    def _forward(self, tables: "_Tables", inputs: Tensor) -> Tensor:
        outputs = tables.outputs
        torch.mm(self.first, inputs.mT, out=outputs[0].view(-1, len(inputs)))
        self._activate(outputs[0])
        for layer in range(1, self.depth):
            torch.bmm(self.hidden[layer - 1], self._read(tables, layer), out=outputs[layer])
            self._activate(outputs[layer])
        return torch.bmm(self.classifier, self._read(tables, self.depth))

    def _backward(self, tables: "_Tables", inputs: Tensor, errors: Tensor) -> None:
        """Set the gradients, given those of the logits."""
        first, hidden, classifier = (_gradient_of(weight) for weight in self.parameters)
        tables.gradient_rows.zero_()
        torch.bmm(errors, self._read(tables, self.depth).mT, out=classifier)
        self._send(tables, self.depth, self.classifier, errors)
        for layer in range(self.depth - 1, 0, -1):
            errors = self._through_activation(tables, layer)
            torch.bmm(errors, self._read(tables, layer).mT, out=hidden[layer - 1])
            self._send(tables, layer, self.hidden[layer - 1], errors)
        errors = self._through_activation(tables, 0)
        torch.mm(errors.view(-1, len(inputs)), inputs, out=first)

    def _read(self, tables: "_Tables", layer: int) -> Tensor:
        """What a layer of all networks reads, (networks, columns, samples)."""
        rows = self._sources[layer - 1]
        gathered = tables.gathered[: len(rows)]
        torch.index_select(tables.output_rows, 0, rows, out=gathered)
        return gathered.view(self.size, -1, gathered.shape[1])

    def _send(self, tables: "_Tables", layer: int, weights: Tensor, errors: Tensor) -> None:
        """Add the gradient of what a layer read to the gradients of where it came from."""
        rows = self._sources[layer - 1]
        sent = tables.gathered[: len(rows)]
        torch.bmm(weights.mT, errors, out=sent.view(self.size, -1, sent.shape[1]))
        tables.gradient_rows.index_add_(0, rows, sent)

    def _through_activation(self, tables: "_Tables", layer: int) -> Tensor:
        """Gradient of a layer's pre-activations, (networks, width, samples)."""
        return tables.gradients[layer].mul_(activation_slope(tables.outputs[layer], self.activation))

    def _activate(self, states: Tensor) -> None:
        functional.relu_(states) if self.activation == "relu" else functional.elu_(states)


class _Tables:
    """Outputs of all layers and their gradients, for one number of samples."""

    def __init__(self, batch: SkipMLPBatch, samples: int) -> None:
        rows = batch.depth * batch.size * batch.width
        shape = (batch.depth, batch.size, batch.width, samples)
        self.output_rows = batch.hidden.new_zeros(rows + 2, samples)
        self.output_rows[rows + 1] = 1
        self.outputs = self.output_rows[:rows].view(shape)
        self.gradient_rows = torch.empty_like(self.output_rows)
        self.gradients = self.gradient_rows[:rows].view(shape)
        # Reused, because the allocator hands large blocks back to the system, which then clears every page anew.
        columns = max(len(sources) for sources in batch._sources)
        self.gathered = batch.hidden.new_empty(columns, samples)


def activation_slope(outputs: Tensor, activation: str) -> Tensor:
    """Derivative of an activation where it gave these outputs.

    ReLU: 1 above 0, else 0. ELU: 1 above 0; below, where it gives h = e^z - 1, its derivative is e^z = h + 1.

    >>> activation_slope(torch.tensor([2.0, 0.0]), "relu").tolist()
    [1.0, 0.0]
    >>> activation_slope(torch.tensor([2.0, -0.75]), "elu").tolist()
    [1.0, 0.25]
    """
    return outputs.sign() if activation == "relu" else (outputs + 1).clamp_max_(1)


def with_ones(inputs: Tensor) -> Tensor:
    """Inputs (samples, features) with a last feature that is 1, which the first layer's bias multiplies."""
    return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)


def _with_bias(linear: torch.nn.Linear) -> Tensor:
    return torch.cat([linear.weight.detach(), linear.bias.detach()[:, None]], 1)


def _set(linear: torch.nn.Linear, weights: Tensor) -> None:
    with torch.no_grad():
        linear.weight.copy_(weights[:, :-1])
        linear.bias.copy_(weights[:, -1])


def _gradient_of(weight: Tensor) -> Tensor:
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad
