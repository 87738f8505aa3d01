"""Image files in colours."""

from PIL import Image

DEEP = ("I", "F")
"""Beginnings of Pillow's modes of more than 8 bits: whole numbers (``I``, ``I;16``, ...) and real ones."""


def in_colours(image: Image.Image) -> Image.Image:
    """An image as red, green and blue of 8 bits each.

    Raises:
        ValueError: one grey channel of more than 8 bits. Pillow would make white of all that is above 255, in silence.
            (16-bit files with colours it reads as 8 bits, rightly.)
    """
    if image.mode.startswith(DEEP):
        raise ValueError(
            f"a grey image of more than 8 bits (Pillow's mode {image.mode}): which levels are black and white is not "
            "known; convert it to 8 bits"
        )
    return image.convert("RGB")
