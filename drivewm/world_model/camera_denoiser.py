"""The denoiser of camera views: attention within each view, and tokens that know which rays they are of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivewm.geometry.cameras import pixel_rays
from drivewm.layers.codes import CodePredictor
from drivewm.layers.position import fourier_features
from drivewm.world_model.camera_memory import CameraMemory
from drivewm.world_model.denoiser import Denoiser
from drivewm.world_model.exchange import Before, Sightlines
from drivewm.world_model.memory import Memory
from drivewm.world_model.scales import Scales

_BANDS, _FARTHEST_M = 4, 4.0


class CameraDenoiser(Denoiser):
    """See `Denoiser`; the views of a frame know of each other by the exchange alone, so that cost is linear in them.

    Args:
        scales: tokens `(V, h, w)`.
        code_dim: length of their code vectors.
        image_size: width and height of a view [px].
        dim, depth, heads: size of the transformer.
        memory: keyword arguments of `CameraMemory`.
    """

    flat = False

    def __init__(
        self,
        scales: Scales,
        code_dim: int,
        image_size: tuple[int, int],
        dim: int,
        depth: int,
        heads: int,
        memory: dict | None = None,
    ) -> None:
        super().__init__()
        self.scales, self.image_size = scales, image_size
        self.views, *cells = scales.shape
        self.cells = tuple(cells)
        self.memory = CameraMemory(scales, code_dim, dim, **(memory or {}))
        self.embeddings = nn.ModuleList(CodePredictor(s.vocab_size, code_dim, dim) for s in scales.specs)
        self.null_view = nn.Parameter(torch.zeros(dim))
        self.ray = nn.Sequential(nn.Linear(12 * _BANDS, dim), nn.SiLU(), nn.Linear(dim, dim))
        self._add_blocks(dim, depth, heads)

    def places(self, memory: Memory) -> Sightlines:
        """See `Denoiser`."""
        return Sightlines(memory.rig, self.image_size, self.cells)

    def recalled(self, memory: Memory) -> tuple[Tensor, Before] | None:
        """See `Denoiser`."""
        if (own := memory.recalled) is None:
            return None
        return own.features, Before(Sightlines(own.rig, self.image_size, self.cells), own.T_earlier_target)

    def embed(self, tokens: Tensor, memory: Memory) -> Tensor:
        """See `Denoiser`."""
        (table,) = self.embeddings
        return self._enter(table, tokens, memory.view, memory.covered) + self.ray(self._rays(memory))

    def attend(self, depth: int, x: Tensor, condition: Tensor, memory: Memory) -> Tensor:
        """See `Denoiser`; each view by itself."""

        def views(part: Tensor) -> Tensor:
            return part.unflatten(1, (self.views, -1)).flatten(0, 1)

        condition = condition.repeat_interleave(self.views, dim=0)
        past = (views(part) for part in (memory.keys, memory.values, memory.visible))
        return self.blocks[depth](views(x), condition, *past).unflatten(0, (-1, self.views)).flatten(1, 2)

    def logits(self, hidden: Tensor, tokens: Tensor, memory: Memory) -> Tensor:
        """See `Denoiser`; a first guess is what is known, or was seen last."""
        (table,) = self.embeddings
        return self._leave(table, hidden, tokens, memory.view, memory.covered)

    def _rays(self, memory: Memory) -> Tensor:
        """Codes `(J, N, ...)` of the rays of the tokens' centres in the ego frame: where from, and where to."""
        stride = self.image_size[0] // self.cells[1]
        origins, rays = pixel_rays(memory.rig.K, memory.rig.T_ego_cam, self.image_size, stride)
        rays = rays.flatten(-2).transpose(-1, -2)
        rays = torch.cat([_FARTHEST_M * rays, origins[..., None, :].expand_as(rays)], dim=-1)
        return fourier_features(rays, _BANDS, _FARTHEST_M).flatten(1, 2)
