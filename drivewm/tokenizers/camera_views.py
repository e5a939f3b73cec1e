"""The views of several cameras at some frames: their images, and which rays their pixels see along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from drivewm.structures import History, SceneClip


@dataclass
class CameraViews:
    """V views of frames; `...` is `(B, T)` or `(J,)`.

    Attributes:
        K: `(..., V, 3, 3)` [px], see `geometry.cameras`.
        T_ego_cam: `(..., V, 4, 4)` in each frame's own ego frame.
        valid: `(..., V)` bool, false for views that are absent.
        images: `(..., V, 3, H, W)` uint8 RGB, or None where only the cameras are known, as of frames to come.
    """

    K: Tensor
    T_ego_cam: Tensor
    valid: Tensor
    images: Tensor | None = None

    @classmethod
    def of(cls, frames: SceneClip | History) -> CameraViews:
        """The views `(B, T)` of a clip."""
        return cls(frames.K, frames.T_ego_cam, frames.images_valid, frames.images)

    @property
    def lead(self) -> tuple[int, ...]:
        """`...` of the shapes."""
        return tuple(self.valid.shape[:-1])

    def __getitem__(self, frames) -> CameraViews:
        """Some of the frames, as a tensor of that shape is indexed."""
        return self._map(lambda tensor: tensor[frames])

    def flatten(self, first: int = 0, last: int = 1) -> CameraViews:
        """`(B, T)` frames as B * T; `flatten(0, 2)` gives each view for itself."""
        return self._map(lambda tensor: tensor.flatten(first, last))

    def _map(self, function: Callable[[Tensor], Tensor]) -> CameraViews:
        images = None if self.images is None else function(self.images)
        return CameraViews(function(self.K), function(self.T_ego_cam), function(self.valid), images)
