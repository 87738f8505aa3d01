"""Pictures of coloured shapes: circles, squares and triangles on noise, none of which overlap."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

NAMES = ("circle", "square", "triangle")
"""What a shape's kind means."""

CORNERS = 24
"""Of the polygon that stands for a circle."""

LEAST, MOST = 0.18, 0.42
"""Breadth of a shape, over the side of the picture."""

ALONE = (0.4, 0.7)
"""The same for one that moves alone."""

TRIES = 50
"""Places that are tried for a shape; one that finds none is left out."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape in a picture.

    Attributes:
        kind: index in :data:`NAMES`.
        x, y: its centre in pixels.
        radius: half its breadth in pixels.
        angle: in radians.
        colour: red, green, blue.
    """

    kind: int
    x: float
    y: float
    radius: float
    angle: float
    colour: tuple[int, int, int]

    @property
    def polygon(self) -> list[tuple[float, float]]:
        """Its corners (x, y) in pixels."""
        corners = (CORNERS, 4, 3)[self.kind]
        angles = [self.angle + 2 * math.pi * corner / corners for corner in range(corners)]
        return [(self.x + self.radius * math.cos(angle), self.y + self.radius * math.sin(angle)) for angle in angles]

    def mask(self, width: int, height: int) -> NDArray[np.bool_]:
        """Which pixels are its own (height, width)."""
        picture = Image.new("1", (width, height))
        ImageDraw.Draw(picture).polygon(self.polygon, fill=1)
        return np.array(picture)

    def moved(self, x: float, y: float) -> "Shape":
        """The same shape so many pixels further on."""
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture.

    Attributes:
        ground: noise that the shapes lie on (height, width, 3).
        shapes: none of which overlap.
    """

    ground: Pixels
    shapes: tuple[Shape, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.ground.shape[1], self.ground.shape[0]

    def image(self) -> Pixels:
        """The picture (height, width, 3)."""
        found = self.ground.copy()
        for shape in self.shapes:
            found[shape.mask(*self.size)] = shape.colour
        return found

    def labels(self) -> Pixels:
        """0 for the ground, else a shape's kind + 1 (height, width)."""
        found = np.zeros(self.ground.shape[:2], np.uint8)
        for shape in self.shapes:
            found[shape.mask(*self.size)] = shape.kind + 1
        return found


def draw_scene(
    chance: np.random.Generator,
    width: int,
    height: int,
    most: int = 4,
    kind: int | None = None,
    breadth: tuple[float, float] = (LEAST, MOST),
) -> Scene:
    """A picture with one to ``most`` shapes.

    Args:
        chance: what everything is drawn from.
        width: of the picture in pixels.
        height: likewise.
        most: shapes.
        kind: of all of them; absent: each its own.
        breadth: least and largest one of a shape, over the shorter side of the picture.
    """
    ground = chance.integers(0, 70, (height, width, 3), dtype=np.uint8)
    shapes: list[Shape] = []
    for _ in range(int(chance.integers(1, most + 1))):
        own = int(chance.integers(len(NAMES))) if kind is None else kind
        radius = chance.uniform(*breadth) * min(width, height) / 2
        colour = chance.integers(0, 256, 3)
        colour[chance.integers(3)] = 255  # brighter than any ground
        red, green, blue = (int(one) for one in colour)
        for _ in range(TRIES):
            x, y = chance.uniform(radius, width - radius), chance.uniform(radius, height - radius)
            if all(math.hypot(x - one.x, y - one.y) > radius + one.radius + 2 for one in shapes):
                angle = chance.uniform(0, 2 * math.pi)
                shapes.append(Shape(own, x, y, radius, angle, (red, green, blue)))
                break
    return Scene(ground, tuple(shapes))


def draw_motion(chance: np.random.Generator, side: int, frames: int, kind: int) -> list[Pixels]:
    """Pictures of one shape that moves over the ground, in a straight line.

    Args:
        chance: what everything is drawn from.
        side: of the pictures in pixels.
        frames: how many.
        kind: of the shape.
    """
    scene = draw_scene(chance, side, side, 1, kind, ALONE)
    (shape,) = scene.shapes
    end = chance.uniform(shape.radius, side - shape.radius, 2)
    steps = [share / max(1, frames - 1) for share in range(frames)]
    moved = [shape.moved((end[0] - shape.x) * share, (end[1] - shape.y) * share) for share in steps]
    return [replace(scene, shapes=(one,)).image() for one in moved]
