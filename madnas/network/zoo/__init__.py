"""The named networks, one module per family; importing this package registers them all."""

from madnas.network.zoo import convnext, deepmad, dense, mobile, ran, regnet, resnet, skip, vgg, zennet

__all__ = ["convnext", "deepmad", "dense", "mobile", "ran", "regnet", "resnet", "skip", "vgg", "zennet"]
