"""Shapes of road users: a few primitives each, in units of the bounding box, so that any size gives a body."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drivewm.geometry import se2


class Block(NamedTuple):
    """A box: centre and size as shares of the bounding box's length, width and height; z counts from the ground."""

    x: float
    y: float
    z: float
    length: float
    width: float
    height: float


class Post(NamedTuple):
    """An upright cylinder: x and y as shares of length and width, both ends of the height, the radius of the smaller
    of length and width."""

    x: float
    y: float
    low: float
    high: float
    radius: float


class Ball(NamedTuple):
    """An upright ellipsoid: measures as those of a post."""

    x: float
    y: float
    low: float
    high: float
    radius: float


Shape = tuple[Block | Post | Ball, ...]


def _wheels(*axles: float, diameter: float, size: float, inset: float = 0.44) -> Shape:
    """A pair of wheels at each axle: `diameter` in heights, `size` in lengths, `inset` from the middle in widths."""
    return tuple(
        Block(axle, side * inset, diameter / 2, size, 0.12, diameter) for axle in axles for side in (-1.0, 1.0)
    )


CAR: Shape = (
    Block(0.0, 0.0, 0.36, 1.0, 1.0, 0.38),
    Block(-0.06, 0.0, 0.77, 0.56, 0.88, 0.46),
    *_wheels(-0.31, 0.31, diameter=0.40, size=0.14),
)
TRUCK: Shape = (
    Block(0.39, 0.0, 0.46, 0.22, 0.94, 0.66),
    Block(-0.13, 0.0, 0.60, 0.74, 1.0, 0.80),
    *_wheels(-0.36, -0.20, 0.36, diameter=0.30, size=0.11),
)
BUS: Shape = (Block(0.0, 0.0, 0.55, 1.0, 1.0, 0.90), *_wheels(-0.27, 0.33, diameter=0.30, size=0.09))
TRAILER: Shape = (
    Block(-0.09, 0.0, 0.62, 0.82, 1.0, 0.76),
    Block(0.41, 0.0, 0.22, 0.18, 0.12, 0.06),  # the drawbar
    Post(0.36, 0.0, 0.0, 0.20, 0.03),
    *_wheels(-0.28, -0.14, diameter=0.28, size=0.12),
)
EXCAVATOR: Shape = (
    Block(-0.12, -0.36, 0.14, 0.62, 0.26, 0.28),  # tracks
    Block(-0.12, 0.36, 0.14, 0.62, 0.26, 0.28),
    Block(-0.22, 0.0, 0.42, 0.44, 0.86, 0.28),  # house
    Block(-0.10, 0.24, 0.76, 0.24, 0.36, 0.40),  # cab
    Block(0.14, -0.12, 0.80, 0.44, 0.14, 0.14),  # boom and stick
    Block(0.40, -0.12, 0.42, 0.07, 0.14, 0.84),
    Block(0.43, -0.12, 0.10, 0.13, 0.36, 0.20),  # bucket
)


def _thin_wheels(diameter: float, size: float, width: float) -> Shape:
    """Two wheels behind each other, each a cross of two blocks: nearly round. Measures as for `_wheels`."""
    sizes = ((size, diameter * 0.62), (size * 0.62, diameter))
    return tuple(Block(x, 0.0, diameter / 2, along, width, up) for x in (-0.33, 0.33) for along, up in sizes)


_RIDERS_LEGS: Shape = (Post(0.04, 0.24, 0.16, 0.52, 0.11), Post(0.0, -0.24, 0.22, 0.52, 0.11))
MOTORCYCLE: Shape = (
    *_thin_wheels(0.38, 0.33, 0.12),
    *_RIDERS_LEGS,
    Block(0.0, 0.0, 0.36, 0.62, 0.45, 0.30),
    Block(0.24, 0.0, 0.56, 0.05, 1.0, 0.04),  # handlebar
    Block(-0.10, 0.0, 0.68, 0.20, 0.62, 0.38),  # rider
    Ball(-0.06, 0.0, 0.84, 1.0, 0.18),
)
PARKED_MOTORCYCLE: Shape = (
    *_thin_wheels(0.54, 0.33, 0.14),
    Block(0.0, 0.0, 0.54, 0.64, 0.45, 0.44),
    Block(0.24, 0.0, 0.92, 0.05, 1.0, 0.08),
)
BICYCLE: Shape = (
    *_thin_wheels(0.38, 0.33, 0.12),
    *_RIDERS_LEGS,
    Block(0.0, 0.0, 0.36, 0.60, 0.08, 0.20),
    Block(0.22, 0.0, 0.56, 0.04, 0.9, 0.03),
    Block(-0.08, 0.0, 0.66, 0.18, 0.66, 0.36),
    Ball(-0.04, 0.0, 0.83, 1.0, 0.19),
)
PARKED_BICYCLE: Shape = (
    *_thin_wheels(0.62, 0.34, 0.12),
    Block(0.0, 0.0, 0.60, 0.60, 0.10, 0.16),
    Block(0.24, 0.0, 0.96, 0.04, 1.0, 0.06),
    Block(-0.16, 0.0, 0.86, 0.10, 0.25, 0.06),
)
PERSON: Shape = (
    Post(0.27, 0.17, 0.0, 0.48, 0.14),  # a stride
    Post(-0.27, -0.17, 0.0, 0.48, 0.14),
    Block(0.0, 0.0, 0.52, 0.5, 0.62, 0.10),  # hips
    Block(0.0, 0.0, 0.70, 0.38, 0.66, 0.27),
    Post(0.14, -0.40, 0.44, 0.82, 0.09),  # arms
    Post(-0.14, 0.40, 0.44, 0.82, 0.09),
    Post(0.0, 0.0, 0.83, 0.88, 0.10),
    Ball(0.0, 0.0, 0.85, 1.0, 0.19),
)
CONE: Shape = (
    Block(0.0, 0.0, 0.03, 1.0, 1.0, 0.06),
    Post(0.0, 0.0, 0.06, 0.40, 0.36),
    Post(0.0, 0.0, 0.40, 0.75, 0.22),
    Post(0.0, 0.0, 0.75, 1.0, 0.10),
)
BARRIER: Shape = (Block(0.0, 0.0, 0.12, 1.0, 1.0, 0.24), Block(0.0, 0.0, 0.62, 1.0, 0.42, 0.76))
BIN: Shape = (Block(0.0, 0.0, 0.46, 0.9, 0.9, 0.92), Block(0.0, 0.0, 0.96, 1.0, 1.0, 0.08))


def blocks_of(shape: Shape, boxes: np.ndarray) -> np.ndarray:
    """The blocks of a shape in boxes `(N, 7)`: `(K * N, 7)`, one block of all boxes after the other."""
    parts = [np.zeros((0, 7))]
    for block in shape:
        if isinstance(block, Block):
            part = boxes.copy()
            part[:, :2] = _at(boxes, block.x, block.y)
            part[:, 2] = boxes[:, 2] + (block.z - 0.5) * boxes[:, 5]
            part[:, 3:6] = (block.length, block.width, block.height) * boxes[:, 3:6]
            parts.append(part)
    return np.concatenate(parts)


def posts_of(shape: Shape, boxes: np.ndarray) -> np.ndarray:
    """The posts of a shape in boxes `(N, 7)` as cylinders `(K * N, 5)`, one post of all boxes after the other."""
    parts = [np.zeros((0, 5))]
    for post in shape:
        if isinstance(post, Post):
            bottom = boxes[:, 2] - boxes[:, 5] / 2
            low, high = (bottom + share * boxes[:, 5] for share in (post.low, post.high))
            parts.append(np.column_stack([_at(boxes, post.x, post.y), low, high, post.radius * boxes[:, 3:5].min(1)]))
    return np.concatenate(parts)


def balls_of(shape: Shape, boxes: np.ndarray) -> np.ndarray:
    """The balls of a shape in boxes `(N, 7)` as ellipsoids `(K * N, 5)`, one ball of all boxes after the other."""
    parts = [np.zeros((0, 5))]
    for ball in shape:
        if isinstance(ball, Ball):
            middle = boxes[:, 2] + ((ball.low + ball.high) / 2 - 0.5) * boxes[:, 5]
            tall = (ball.high - ball.low) / 2 * boxes[:, 5]
            place = _at(boxes, ball.x, ball.y)
            parts.append(np.column_stack([place, middle, ball.radius * boxes[:, 3:5].min(1), tall]))
    return np.concatenate(parts)


def _at(boxes: np.ndarray, x: float, y: float) -> np.ndarray:
    """Points `(N, 2)` at a share of the length and the width of each box."""
    return se2.transform_points(boxes[:, [0, 1, 6]], ((x, y) * boxes[:, 3:5])[:, None])[:, 0]
