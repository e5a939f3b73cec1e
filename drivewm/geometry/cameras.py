"""Pinhole cameras: pictures cut to another size with their intrinsics, and the rays of pixels.

`K (3, 3)` [px]: (u, v, 1) * depth = K @ (x, y, z) with x right, y down, z forward. Pixel (i, j), row and column, covers
u in [j, j + 1) and v in [i, i + 1): its centre is at a half, so a picture that is scaled scales K and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class PictureCut:
    """How a picture becomes one of another size without distortion.

    Both axes are scaled alike, by the factor that makes the picture cover the new size; where the aspect ratio differs,
    what is too much is cut off, half of it on either side.

    Attributes:
        size: width and height of the picture [px].
        new_size: of the one that it becomes.

    Raises:
        ValueError: a size below 1.
    """

    size: tuple[int, int]
    new_size: tuple[int, int]

    def __post_init__(self) -> None:
        for name in ("size", "new_size"):
            value = tuple(int(n) for n in getattr(self, name))
            if len(value) != 2 or min(value) < 1:
                raise ValueError(f"PictureCut.{name} must be a width and a height >= 1, got {getattr(self, name)}")
            object.__setattr__(self, name, value)

    @property
    def scale(self) -> float:
        """Pixels of the new picture for one of the old."""
        return max(new / old for new, old in zip(self.new_size, self.size, strict=True))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What is kept of the old picture: left, top, right, bottom [px of the old]."""
        width, height = (new / self.scale for new in self.new_size)
        left, top = (self.size[0] - width) / 2, (self.size[1] - height) / 2
        return left, top, left + width, top + height

    def intrinsics(self, K: np.ndarray) -> np.ndarray:
        """`K (..., 3, 3)` of the new picture, from that of the old."""
        factor, (width, height), (new_width, new_height) = self.scale, self.size, self.new_size
        K = np.diag([factor, factor, 1.0]) @ K
        K[..., :2, 2] -= (factor * width - new_width) / 2, (factor * height - new_height) / 2
        return K


def pixel_rays(K: Tensor, T_ego_cam: Tensor, size: tuple[int, int], stride: int = 1) -> tuple[Tensor, Tensor]:
    """Where the rays of pixels start and point to, in the ego frame; float32 whatever the autocast type.

    Args:
        K: `(..., 3, 3)` [px].
        T_ego_cam: `(..., 4, 4)` camera poses.
        size: width and height of the pictures [px].
        stride: one ray through the middle of each patch of so many pixels along both axes; the size must be a multiple.

    Returns:
        Origins `(..., 3)` [m] and unit directions `(..., 3, H / stride, W / stride)`.

    Raises:
        ValueError: the size is no multiple of the stride.
    """
    width, height = size
    if width % stride or height % stride:
        raise ValueError(f"pictures of {width} x {height} are not made of patches of {stride} x {stride} pixels")
    with torch.autocast(K.device.type, enabled=False):
        v, u = (torch.arange(stride / 2, n, stride, device=K.device) for n in (height, width))
        v, u = torch.meshgrid(v, u, indexing="ij")
        pixels = torch.stack([u, v, torch.ones_like(u)]).flatten(1)
        rays = T_ego_cam[..., :3, :3].float() @ torch.linalg.inv(K.float()) @ pixels
        rays = rays * rays.square().sum(-2, keepdim=True).rsqrt()
    return T_ego_cam[..., :3, 3].float(), rays.unflatten(-1, (height // stride, width // stride))


def ray_maps(K: Tensor, T_ego_cam: Tensor, size: tuple[int, int], stride: int = 1) -> Tensor:
    """Pluecker coordinates `(..., 6, H / stride, W / stride)` of the rays of `pixel_rays`: direction, and moment [m].

    The moment, origin x direction, is the same whichever point of the ray is taken for its origin, so they say which
    ray it is and nothing about the camera behind it.
    """
    origins, rays = pixel_rays(K, T_ego_cam, size, stride)
    moments = torch.linalg.cross(origins[..., None, None].expand_as(rays), rays, dim=-3)
    return torch.cat([rays, moments], dim=-3)
