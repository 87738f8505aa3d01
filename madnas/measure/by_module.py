"""Counting as OpenMMLab's programs do, module by module, which is how detection papers get their FLOPs."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from madnas.measure.module_count import inference

RELUS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU)
"""Activations that their counter has a rule for; SiLU and GELU it passes over."""

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True, slots=True)
class ModuleElements:
    """What the modules of a network do for one image.

    Products that are no module of their own, such as attention's, are not in it.

    Attributes:
        macs: multiply-adds of convolutions and linear layers.
        biases: elements that convolutions add a bias to.
        norms: elements of batch norms.
        activations: elements of the activations in :data:`RELUS`, those left out aside.
        pools: elements that poolings take.
    """

    macs: int = 0
    biases: int = 0
    norms: int = 0
    activations: int = 0
    pools: int = 0

    @property
    def openmmlab(self) -> int:
        """The FLOPs of mmcv 1.x: multiply-adds and biases, 2 for an element of a batch norm, 1 of the others."""
        return self.macs + self.biases + 2 * self.norms + self.activations + self.pools


def count_elements(
    model: nn.Module, input_shape: tuple[int, ...], unseen: tuple[nn.Module, ...] = ()
) -> ModuleElements:
    """Count a network module by module; nothing is computed if it is on the meta device.

    Args:
        model: any module that takes one tensor; it is left in the mode that it came in.
        input_shape: shape of one input without the batch.
        unseen: modules that the counter does not see, because the program counted had functions in their place.

    >>> count_elements(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()), (3, 4, 4))
    ModuleElements(macs=3456, biases=128, norms=128, activations=128, pools=0)
    """
    found: dict[str, int] = {}

    def see(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        for kind, number in _rule(module, inputs[0], output).items():
            found[kind] = found.get(kind, 0) + number

    handles = [part.register_forward_hook(see) for part in model.modules() if not any(part is one for one in unseen)]
    try:
        with inference(model, input_shape) as x:
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return ModuleElements(**found)


def _rule(module: nn.Module, x: Tensor, output: Any) -> dict[str, int]:
    if isinstance(module, nn.Conv2d):
        biases = 0 if module.bias is None else output.numel()
        return {"macs": output.numel() * module.weight[0].numel(), "biases": biases}
    if isinstance(module, nn.Linear):
        return {"macs": output.numel() * module.in_features}
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return {"norms": x.numel()}
    if isinstance(module, RELUS):
        return {"activations": x.numel()}
    return {"pools": x.numel()} if isinstance(module, POOLS) else {}
