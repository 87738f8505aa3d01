"""A network as the chain that Zen-Score is defined on: no residual links, no squeeze-excitation, up to its last map."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn

from madnas.errors import UsageError
from madnas.measure.graph import LAYERS, MAP, concatenated, last_map, main_input, shape, trace
from madnas.scores.chain import EPS, chain_of
from madnas.scores.subject import Settings, Subject, made
from madnas.theory.zen import ALPHA


class StatNorm(nn.Module):
    """Batch norm in training mode, without scale, shift and memory, that keeps the variance that it divides by.

    The variance comes from the norm itself; computing it in a hook would read every map once more.

    Attributes:
        variances: mean over the channels of the biased variance, one entry for every pass (float64).
        elements: values per channel that each was taken over.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.variances: list[Tensor] = []
        self.elements = 0

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        out, _, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.0, self.eps)
        self.variances.append((inverse.double() ** -2 - self.eps).mean())
        self.elements = x.numel() // x.shape[1]
        return out


NORMS = (nn.BatchNorm2d, StatNorm)


class Rescale(nn.Module):
    """Divides a map by its root mean square, the same in every pass, so that no number grows out of its range.

    Attributes:
        scale: what it divides by; None before the first pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        if self.scale is None:
            self.scale = x.double().square().mean().sqrt().to(x.dtype)
        return x / self.scale


def bare(subject: Subject, normless: bool = False) -> nn.Module:
    """The chain of a network, without values, on the meta device or the CPU: its weights are still to be drawn.

    Tracing a module of a hundred layers takes longer than running it; networks of our own are built as a chain instead.

    Args:
        subject: a network of convolutions.
        normless: leave batch norms out and rescale behind every convolution; else there have to be batch norms, which
            become a :class:`StatNorm` each.

    Raises:
        UsageError: it is none, or has sums that are no residual links; says what.
    """
    if subject.spec is not None and not normless:
        parts = chain_of(subject.spec, lambda: StatNorm(EPS))  # on the CPU: torch's own meta device is slower
        if parts is not None:
            return nn.Sequential(*parts)
    traced = trace(_on_meta(subject), subject.input).eval()
    last = last_map(traced)
    while (kept := main_input(last)) is not None:
        last = kept
    for node in list(traced.graph.nodes):
        _cut(node)
    _end_at(last, traced)
    for part in traced.modules():
        _check(part)
    _check_chain(traced, (nn.BatchNorm2d, *LAYERS) if normless else (nn.BatchNorm2d,))
    for name, part in list(traced.named_modules()):
        if isinstance(part, nn.BatchNorm2d):
            after = [child for child in part.children() if not list(child.children())]  # of timm's BatchNormAct2d
            first = nn.Identity() if normless else StatNorm(part.eps)
            traced.set_submodule(name, nn.Sequential(first, *after) if after else first)
        elif normless and isinstance(part, nn.Conv2d):
            traced.set_submodule(name, nn.Sequential(part, Rescale()))
    rest = [node for node in traced.graph.nodes if node.op == "get_attr"]
    if rest:
        raise UsageError(f"has a parameter outside of its layers: {rest[0].target}")
    if not any(isinstance(part, nn.Conv2d) for part in traced.modules()):
        raise UsageError("has no convolutions")
    if not normless and not norms(traced):
        raise UsageError("has no batch norms")
    traced.recompile()
    return traced


def _on_meta(subject: Subject) -> nn.Module:
    """The subject's module without values."""
    try:
        with torch.device("meta"):
            return subject.make()
    except (NotImplementedError, RuntimeError):  # its makers look at values
        return made(subject, 0).to("meta")


def _check_chain(traced: fx.GraphModule, once: tuple[type[nn.Module], ...]) -> None:
    """Refuse what is left of other structures, and modules of these kinds that are used twice."""
    used: set[str] = set()
    for node in traced.graph.nodes:
        if len(node.all_input_nodes) > 1:
            raise UsageError(f"is no chain of layers: {node.name} takes several maps")
        if node.op not in ("placeholder", "output") and len(shape(node)) != MAP:
            raise UsageError(f"has something else than maps on its way, at {node.name}")
        if node.op == "call_module" and isinstance(traced.get_submodule(node.target), once):
            if node.target in used:
                raise UsageError(f"uses a norm or layer twice: {node.target}")
            used.add(node.target)


def _cut(node: fx.Node) -> None:
    """Take a residual sum's or a gate's place with what it adds to or scales."""
    kept = main_input(node)
    if kept is not None:
        node.replace_all_uses_with(kept)
    elif concatenated(node) is not None:
        raise UsageError("has concatenations and so is no chain of layers")


def _end_at(last: fx.Node, traced: fx.GraphModule) -> None:
    """Make a node the output, and drop what is behind it."""
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    output.args = (last,)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()


def _check(part: nn.Module) -> None:
    """Refuse what such a chain does not have."""
    if "norm" in type(part).__name__.lower() and not any(isinstance(one, NORMS) for one in part.modules()):
        raise UsageError(f"is normalised by {type(part).__name__}; this score is defined for batch norms")
    if isinstance(part, nn.Linear):
        raise UsageError("has linear layers before its last map; this score is defined for chains of convolutions")
    own = {name for name, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))}
    known = {"weight", "bias"} if isinstance(part, LAYERS) else set()
    if not isinstance(part, NORMS) and (own - known or "StdConv" in type(part).__name__):
        raise UsageError(f"has weights or constants of its own in {type(part).__name__}")


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Convolutions of GPUs in full float32: a difference of two nearby maps has no digits to spare."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def draw_perturbed(network: nn.Module, subject: Subject, settings: Settings, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a chain's weights, and images with their perturbed copies (B, C, H, W): all that a draw is made of."""
    draw_weights(network, torch.Generator(settings.device).manual_seed(seed))  # millions of them: on the device
    generator = settings.generator(seed)
    images, noise = settings.images(subject, generator), settings.images(subject, generator)
    return images, images + ALPHA * noise


def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight from N(0, 1) and set every bias to 0."""
    for part in network.modules():
        if isinstance(part, LAYERS):
            weight = part.weight.data
            if weight.ndim == MAP and weight.is_contiguous(memory_format=torch.channels_last):
                weight = weight.permute(0, 2, 3, 1)  # in the order of memory, which torch fills much faster
            weight.normal_(generator=generator)
            if part.bias is not None:
                part.bias.data.zero_()


def norms(network: nn.Module) -> list[StatNorm]:
    """The batch norms of a chain."""
    return [part for part in network.modules() if isinstance(part, StatNorm)]
