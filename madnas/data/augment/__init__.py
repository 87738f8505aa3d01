"""Augmentation of whole batches on the device; statistically that of timm's transforms, image by image."""
