"""What a camera tokenizer keeps of a clip's views, beside the true ones and those at its grid's resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drivewm.evaluation.functional.images import psnr, through_grid, to_uint8, to_unit
from drivewm.structures import SceneClip
from drivewm.tokenizers import CameraTokenizer
from drivewm.visualization.files import write_png
from drivewm.visualization.mosaic import mosaic
from drivewm.visualization.panels import arrange


@torch.inference_mode()
def draw_views(tokenizer: CameraTokenizer, clip: SceneClip, out_dir: str | Path, item: int = 0) -> dict[str, Path]:
    """Draw the views at t0: true, from their tokens, and shrunk to the size of the token grid and enlarged again.

    Writes `views.png`, with the PSNR [dB] of each view.

    Args:
        tokenizer: in evaluation mode.
        clip: with images of the tokenizer's cameras; absent views are black.
        out_dir: created if missing.
        item: which clip of the batch.

    Returns:
        the file by name: "views".

    Raises:
        ValueError: the clip has no images, or of another size or number than the tokenizer's.
    """
    (sample,) = tokenizer(clip.select(torch.tensor([item])), mode="predict")
    t0 = clip.num_history - 1
    truth, tokens = (to_unit(sample[name][t0]) for name in ("truth", "reconstruction"))
    rows, columns = tokenizer.cells
    named = {
        "true": truth,
        f"{rows} x {columns} tokens of {tokenizer.specs[0].vocab_size} codes": tokens,
        f"bicubic from {rows} x {columns} colours": through_grid(truth[None], tokenizer.cells)[0],
    }
    valid, pictures = sample["valid"][t0], []
    for views in named.values():
        scores = psnr(views, truth)
        said = valid & scores.isfinite()  # nothing of absent views, nor of the true ones themselves
        captions = [f"{score:.1f} dB" if say else "" for score, say in zip(scores.tolist(), said.tolist(), strict=True)]
        shown = dict(zip(clip.cameras, _as_arrays(views), strict=True))
        pictures.append([mosaic(shown, dict(zip(clip.cameras, captions, strict=True)))])
    sheet = arrange(pictures, title=f"{clip.scene[item]}: the cameras at t0", row_titles=list(named))
    return {"views": write_png(Path(out_dir) / "views.png", sheet)}


def _as_arrays(views: Tensor) -> np.ndarray:
    """`(V, 3, H, W)` 0..1 as `(V, H, W, 3)` uint8."""
    return to_uint8(views).permute(0, 2, 3, 1).cpu().numpy()
