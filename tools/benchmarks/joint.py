"""World models over several modalities, with random weights at the CPU-size twin's size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Row, compare, scaling
from drivewm.geometry import VoxelGrid
from drivewm.layers.gathered_attention import gathered_attention, gathered_attention_torch
from drivewm.simulation import nuscenes_rig
from drivewm.structures import SceneClip
from drivewm.tokenizers import CameraTokenizer
from drivewm.world_model import WorldModel

SIZE, GRID = (400, 224), VoxelGrid.centered((100, 100, 8), 0.8)
NUM_HISTORY, NUM_FUTURE = 2, 2


def cameras_scaling(exchange: str) -> Row:
    """Views to tokens, a forecast of two frames, and their views and voxels decoded, by the number of cameras."""
    models, clips = {}, {}
    for views in (1, 3, 6):
        models[views], clips[views] = _model(views, exchange), _clip(views)

    @torch.inference_mode()
    def forecast(views: float) -> None:
        model, clip = models[int(views)], clips[int(views)]
        for stream in model.streams.values():
            stream.memo.clear()  # every plan sees a new frame
        model.forecasts(clip.history(), clip.future_poses(), clip.future_times_s())

    return scaling(list(models), forecast, goal=0.9)


def gathered() -> Row:
    """Forward and backward of what six views' tokens hear of two bird's-eye views in one exchange, four frames."""
    generator = torch.Generator().manual_seed(0)
    frames, rows, table, looks, heads, dim = 4, 2100, 1526, 17, 2, 64
    shapes = (frames, rows, heads, dim), (frames, table, heads, dim), (frames, table, heads, dim), (looks, heads, dim)
    q, keys, values, place = (torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes)
    index = torch.randint(table, (frames, rows, looks), generator=generator)
    there = torch.rand(frames, rows, looks, generator=generator) < 0.7
    there[..., 0] = True

    def gradients(attention: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        heard = attention(q, keys, values, index, there, place)
        return heard.detach(), *torch.autograd.grad(heard.square().sum(), (q, keys, values, place))

    def check(ours: tuple[Tensor, ...], gathered: tuple[Tensor, ...]) -> None:
        for fast, slow in zip(ours, gathered, strict=True):
            torch.testing.assert_close(fast, slow, rtol=1e-3, atol=1e-3)

    return compare(lambda: gradients(gathered_attention), lambda: gradients(gathered_attention_torch), check, goal=2.0)


def _model(views: int, exchange: str) -> WorldModel:
    torch.manual_seed(0)
    grid = dict(range_m=GRID.range_m, voxel_m=GRID.voxel_m)
    occupancy = dict(grid=grid, label_dim=8, channels=(64, 96), blocks=2, code_dim=32, vocab_size=512)
    camera = dict(type=CameraTokenizer, image_size=SIZE, views=views, backbone="convnext_atto", blocks=1, code_dim=32)
    camera |= dict(channels=(32, 48, 96, 128), vocab_size=1024)
    streams = dict(occupancy=dict(tokenizer=occupancy), camera=dict(tokenizer=camera))
    return WorldModel(streams=streams, exchange=dict(type=exchange), dim=128, depth=4, heads=2).eval()


def _clip(views: int) -> SceneClip:
    frames, rig = NUM_HISTORY + NUM_FUTURE, nuscenes_rig(*SIZE)[:views]
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(1, frames, views, 3, SIZE[1], SIZE[0]), dtype=np.uint8)
    occupancy = rng.integers(18, size=(1, frames, *GRID.shape), dtype=np.uint8)
    T_global_ego = torch.eye(4, dtype=torch.float64).repeat(1, frames, 1, 1)
    T_global_ego[0, :, 0, 3] = 2.0 * torch.arange(frames)
    K, T_ego_cam = (
        torch.from_numpy(np.stack([getattr(camera, name) for camera in rig])).float().expand(1, frames, -1, -1, -1)
        for name in ("intrinsics", "T_ego_camera")
    )
    return SceneClip(
        timestamp_us=500_000 * torch.arange(frames)[None],
        T_global_ego=T_global_ego,
        scene=("street",),
        sample_token=("street",),
        grid=GRID,
        occupancy=torch.from_numpy(occupancy),
        cameras=tuple(camera.name for camera in rig),
        images=torch.from_numpy(images),
        images_valid=torch.ones(1, frames, views, dtype=torch.bool),
        K=K,
        T_ego_cam=T_ego_cam,
        num_history=NUM_HISTORY,
    )
