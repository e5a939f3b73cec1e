"""Pictures and animations on disk: PNG, GIF and MP4, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from PIL import Image

from drivewm.host import replacing, write_bytes


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """Write a picture `(H, W, 3)` uint8."""
    return write_bytes(path, png_bytes(image))


def png_bytes(image: np.ndarray) -> bytes:
    """A picture `(H, W, 3)` uint8 as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(_checked(image)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def write_gif(path: str | Path, frames: Sequence[np.ndarray], fps: float, hold_last_s: float = 1.0) -> Path:
    """Write pictures `(H, W, 3)` uint8 of one size as an endless animation.

    One palette is shared by all frames, so that nothing flickers and only what changes is stored.

    Args:
        fps: frames a second; GIF rounds to hundredths of a second.
        hold_last_s: how long the last frame stays [s], so that the loop's end is seen.
    """
    images = [Image.fromarray(_checked(frame)) for frame in _same_size(frames)]
    palette = _palette(images[:: max(1, len(images) // 8)])
    indexed = [im.quantize(palette=palette, dither=Image.Dither.NONE) for im in images]
    duration = [round(1000 / fps)] * len(indexed)
    duration[-1] = max(duration[-1], round(1000 * hold_last_s))
    buffer = io.BytesIO()
    indexed[0].save(
        buffer, "GIF", save_all=True, append_images=indexed[1:], duration=duration, loop=0, optimize=False, disposal=1
    )
    return write_bytes(path, buffer.getvalue())


def write_mp4(path: str | Path, frames: Sequence[np.ndarray], fps: float) -> Path:
    """Write pictures `(H, W, 3)` uint8 of one size as H.264, which browsers play (odd sizes lose a pixel)."""
    frames = _same_size(frames)
    video = dict(format="FFMPEG", fps=fps, codec="libx264", pixelformat="yuv420p", macro_block_size=1, quality=8)
    video |= dict(ffmpeg_log_level="error")  # few frames are no reason to warn
    with replacing(path) as temporary, imageio.get_writer(temporary, **video) as writer:
        for frame in frames:
            even = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
            writer.append_data(_checked(even))
    return Path(path)


def _palette(images: Sequence[Image.Image]) -> Image.Image:
    """255 colours for all images. Colours count by the root of their number, or a red pedestrian turns grey."""
    coarse = np.concatenate([np.asarray(image)[::2, ::2].reshape(-1, 3) | 0x03 for image in images])
    colors, counts = np.unique(coarse, axis=0, return_counts=True)
    sample = np.repeat(colors, np.ceil(np.sqrt(counts)).astype(np.int64), axis=0)
    return Image.fromarray(sample[None]).quantize(255, method=Image.Quantize.MEDIANCUT)


def _checked(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"a picture must be uint8 of shape (H, W, 3), got {image.dtype} of {image.shape}")
    return np.ascontiguousarray(image)


def _same_size(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    frames = list(frames)
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise ValueError(f"an animation needs frames of one size, got {sorted(shapes) or 'no frame'}")
    return frames
