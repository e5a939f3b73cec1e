"""CameraMemory: what each view showed before, at each of its tokens."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from drivewm.geometry import se2
from drivewm.layers.codes import CodeTable
from drivewm.layers.conv import ResBlock
from drivewm.layers.position import fourier_features
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.world_model.memory import Memory, Recalled, Sources, with_null
from drivewm.world_model.scales import Scales

_BANDS, _LONGEST_S, _FARTHEST_M = 6, 8.0, 32.0


class CameraMemory(nn.Module):
    """Tokens of earlier views -> what a token looks at: the same place in the same view before.

    Without depth, what a view showed cannot be moved to where it will be; the network is told how the ego moved in
    between instead, and reads through convolutions what was shown around. What has been moved to its place comes
    through the exchange: from the memory of bird's-eye views, and from where a place was seen in the newest views.

    Args:
        scales: the tokens, `(V, h, w)` in a frame.
        code_dim: length of their code vectors.
        dim: C.
        frame_dim: width of the features of a frame.
    """

    def __init__(self, scales: Scales, code_dim: int, dim: int, frame_dim: int = 64) -> None:
        super().__init__()
        self.scales = scales
        self.embeddings = nn.ModuleList(CodeTable(spec.vocab_size, code_dim, frame_dim) for spec in scales.specs)
        self.trunk = nn.Sequential(ResBlock(frame_dim), ResBlock(frame_dim))
        self.fold = nn.Linear(frame_dim, dim)
        self.when = nn.Linear(8 * _BANDS, dim)
        self.keys_values = nn.Linear(dim, 2 * dim)
        self.null = nn.Parameter(torch.randn(2, dim) * 0.02)

    def encode(self, indices: Tensor) -> Tensor:
        """Tokens `(B, M, N)` -> features `(B, M, N, frame_dim + 1)`, the last of which is 0 where nothing is known."""
        (spec,), (table,) = self.scales.specs, self.embeddings
        maps = table(indices).reshape(-1, *spec.shape[1:], table.own.shape[1]).movedim(-1, 1)
        features = (self.trunk(maps.contiguous()) if len(maps) else maps).movedim(1, -1)
        known = (indices != spec.mask_id)[..., None].to(features.dtype)
        return torch.cat([features.reshape(*indices.shape, table.own.shape[1]), known], dim=-1)

    def gather(self, features: Tensor, sources: Sources) -> Memory:
        """Features `(J, M, N, ...)` of the sources, as the J targets remember them. M may be 0."""
        motion = se2.from_matrix(sources.T_target_source)
        motion = torch.stack([*motion.unbind(-1)[:2], motion[..., 2] * _FARTHEST_M / torch.pi], dim=-1)
        when = torch.cat([motion, sources.age_s[..., None] * _FARTHEST_M / _LONGEST_S], dim=-1)
        entries = self.fold(features[..., :-1]) + self.when(fourier_features(when, _BANDS, _FARTHEST_M))[:, :, None]
        visible = (features[..., -1] > 0) & sources.known[..., None]
        keys, values = self.keys_values(entries).transpose(1, 2).chunk(2, dim=-1)
        memory = with_null(keys, values, visible.transpose(1, 2), self.null, sources)
        return replace(memory, recalled=self._newest(entries, visible, sources)) if entries.shape[1] else memory

    def _newest(self, entries: Tensor, visible: Tensor, sources: Sources) -> Recalled:
        """The youngest of the M sources, `entries (J, M, N, C)`, of which anything is visible."""
        age_s = sources.age_s.masked_fill(~visible.any(-1), torch.inf)
        rows, newest = torch.arange(len(entries), device=entries.device), age_s.argmin(1)
        valid = visible[rows, newest].unflatten(1, (self.scales.shape[0], -1)).any(-1)
        rig = CameraViews(sources.rig.K, sources.rig.T_ego_cam, valid)
        return Recalled(entries[rows, newest], rig, torch.linalg.inv(sources.T_target_source[rows, newest]))
