"""Sightlines: where the tokens of camera views look, and which of them see a point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.geometry.cameras import pixel_rays
from drivewm.tokenizers.camera_views import CameraViews

DISTANCES_M = (2.0, 4.0, 6.0, 9.0, 13.0, 19.0, 28.0, 40.0)
"""Along its ray, at which a token looks for other streams."""
_NEAREST_M = 0.5


@dataclass(frozen=True)
class Sightlines:
    """The tokens of V views of J frames, in rows of V * h * w.

    Attributes:
        rig: the cameras `(J, V)`; views that are absent see nothing.
        size: width and height of a view [px].
        cells: tokens `(h, w)` of a view.
    """

    rig: CameraViews
    size: tuple[int, int]
    cells: tuple[int, int]

    flat = False

    def points(self, flat: bool, device: torch.device) -> Tensor:
        """Along the rays of the tokens' centres: `(J, P, K, 3)`."""
        origins, rays = pixel_rays(self.rig.K, self.rig.T_ego_cam, self.size, self.size[0] // self.cells[1])
        distance = torch.tensor(DISTANCES_M, device=device)
        points = origins[..., None, None, :] + distance[:, None] * rays.flatten(-2).transpose(-1, -2)[..., None, :]
        return points.flatten(1, 2)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """See `Places`; of several views that see a point, the one in whose middle it is."""
        width, height = self.size
        with torch.autocast(points.device.type, enabled=False):
            T_cam_ego = torch.linalg.inv(self.rig.T_ego_cam.float())
            flat = points.float().expand(len(T_cam_ego), -1, -1, -1).flatten(1, 2).transpose(1, 2)[:, None]
            seen = self.rig.K.float() @ (T_cam_ego[..., :3, :3] @ flat + T_cam_ego[..., :3, 3:])
            u, v = (seen[..., axis, :] / seen[..., 2, :].clamp_min(_NEAREST_M) for axis in (0, 1))
            inside = (seen[..., 2, :] > _NEAREST_M) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
            inside = inside & self.rig.valid[..., None]
            off_centre = torch.maximum((u / width - 0.5).abs(), (v / height - 0.5).abs())
            view = off_centre.masked_fill(~inside, torch.inf).argmin(1, keepdim=True)
            row, column = (
                (pixel.gather(1, view)[:, 0] / side * cells).long()
                for pixel, side, cells in ((v, height, self.cells[0]), (u, width, self.cells[1]))
            )
        there = inside.any(1)
        index = torch.where(there, (view[:, 0] * self.cells[0] + row) * self.cells[1] + column, 0)
        shape = (len(index), *points.shape[1:3])
        return index.view(shape), there.view(shape)
