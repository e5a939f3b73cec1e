"""Compute the tokens of all keyframes of a data set once, for training on them without the tokenizer's encoder."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from drivewm.data import DataError, Index
from drivewm.data.clip_images import choose_cameras
from drivewm.data.token_cache import write_token_cache
from drivewm.data.token_inputs import LabelInputs, SweepInputs, TokenInputs, ViewInputs
from drivewm.engine import load_config, load_model, weights_digest
from drivewm.structures import SceneClip
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.tokenizers.point_cloud import PointCloud

FRAMES = {
    LabelInputs.modality: lambda clip: clip.occupancy,
    SweepInputs.modality: PointCloud.of,
    ViewInputs.modality: CameraViews.of,
}
"""What a tokenizer of a modality encodes of a clip."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="of a tokenizer or of a world model, e.g. configs/tokenizers/lidar_twin.py")
    parser.add_argument("checkpoint", help="a .pth file, or the last_checkpoint file of a work dir")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cache")
    parser.add_argument("--index", help="of the data set (default: that of the config's training set)")
    parser.add_argument("--batch-size", type=int, default=16, help="keyframes encoded together (default: 16)")
    parser.add_argument(
        "--mirrored",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="encode the mirrored keyframes as well; training that mirrors clips would have to encode them",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--overwrite", action="store_true", help="replace a cache that is there")
    args = parser.parse_args()
    try:
        extract(args)
    except (DataError, ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error


def extract(args: argparse.Namespace) -> None:
    dataset = load_config(args.config).train_dataloader.dataset
    index = Index.open(args.index or dataset.index, None if args.index else dataset.get("data_root"))
    model = load_model(args.config, args.checkpoint).to(args.device)
    tokenizer = getattr(model, "tokenizer", model)
    frames_of, inputs = FRAMES[tokenizer.specs[0].modality], inputs_of(tokenizer, index, dataset)

    @torch.no_grad()
    def encode(clip: SceneClip) -> list[np.ndarray]:
        grids = tokenizer.encode(frames_of(clip.to(args.device)))
        return [grid.indices[:, 0].cpu().numpy() for grid in grids]

    digest = weights_digest(tokenizer.state_dict())
    write_token_cache(
        args.out,
        inputs,
        tokenizer.specs,
        digest,
        encode,
        overwrite=args.overwrite,
        mirrored=args.mirrored,
        at_once=args.batch_size,
        progress=lambda shards: tqdm(shards, unit="shard"),
    )
    print(f"{args.out}: tokens of {index.num_frames} keyframes")


def inputs_of(tokenizer: torch.nn.Module, index: Index, dataset: dict) -> TokenInputs:
    """What the tokenizer sees of a data set that is read as `dataset` says."""
    modality = tokenizer.specs[0].modality
    if modality == LabelInputs.modality:
        return LabelInputs(index, tokenizer.grid)
    if modality == SweepInputs.modality:
        return SweepInputs(index, tokenizer.grid, dataset.get("num_sweeps", 1))
    scenes = np.arange(index.num_scenes)
    return ViewInputs(index, *choose_cameras(index, scenes, dataset.get("cameras"), tokenizer.image_size))


if __name__ == "__main__":
    main()
