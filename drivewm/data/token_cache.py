"""TokenCache: the tokens of all keyframes of a data set, computed once by a frozen tokenizer.

A folder with `cache.json` and shards, each a .npy of the tokens of many keyframes; `docs/data_format.md` documents it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from drivewm.data.augment import mirror
from drivewm.data.errors import DataError, DatasetExistsError, MissingFileError
from drivewm.data.files import read_json
from drivewm.data.index import Index
from drivewm.data.token_inputs import LabelInputs, SweepInputs, TokenInputs, ViewInputs
from drivewm.geometry import VoxelGrid
from drivewm.host import replace_folder, replacing, write_json
from drivewm.structures import SceneClip, TokenGrid, TokenSpec

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TokenCache:
    """An open cache, memory-mapped and found undamaged.

    Attributes:
        folder: where it lies.
        inputs: what the tokens are of; it has those of `inputs.frames`.
        tokenizer: digest of the tokenizer's weights.
        specs: of the grids of a frame.
        mirrored: does it hold the tokens of the mirrored frames as well?
        shard_size: keyframes in a shard; the last may have fewer.
        shards: of each spec, `(N, 1 or 2, *shape)` unsigned integers each; of 2 the second is mirrored.
    """

    folder: Path
    inputs: TokenInputs
    tokenizer: str
    specs: tuple[TokenSpec, ...]
    mirrored: bool
    shard_size: int
    shards: tuple[tuple[np.ndarray, ...], ...] = field(repr=False)

    def __reduce__(self):  # a worker maps the files itself
        return TokenCache.open, (self.folder, self.inputs.index, self.inputs.num_sweeps)

    @classmethod
    def open(cls, folder: str | Path, index: Index, num_sweeps: int = 1) -> TokenCache:
        """Opens a cache of the data set that `index` describes, if of LiDAR then of so many sweeps a keyframe.

        Raises:
            MissingFileError, DataError: it is incomplete, damaged, of another schema version, grid, number of sweeps or
                data set.
            ValueError: it is of another modality than these.
        """
        folder = Path(folder)
        path = folder / "cache.json"
        header = read_json(path, dict)
        _agree(path, header, {"schema_version": SCHEMA_VERSION}, index)
        specs = tuple(TokenSpec(**spec) for spec in header["specs"])
        inputs = _inputs(specs[0].modality, header, index, num_sweeps)
        _agree(path, header, inputs.describe(), index)
        shards = tuple(tuple(_open_shard(folder, **shard) for shard in shards) for shards in header["shards"])
        mirrored, size = header["mirrored"], header["shard_size"]
        return cls(folder, inputs, header["tokenizer"], specs, mirrored, size, shards)

    def of(self, frames: slice) -> tuple[tuple[TokenGrid, ...], tuple[TokenGrid, ...] | None]:
        """Tokens `(1, T, *shape)` of T keyframes of `inputs`, and those of the mirrored frames."""
        rows = np.searchsorted(self.inputs.frames, np.arange(frames.start, frames.stop, frames.step))
        variants = []
        for spec, shards in zip(self.specs, self.shards, strict=True):
            indices = np.stack([shards[row // self.shard_size][row % self.shard_size] for row in rows])
            variants.append([TokenGrid(v[None], spec) for v in torch.from_numpy(indices.astype(np.int64)).unbind(1)])
        plain, *mirrored = zip(*variants, strict=True)
        return plain, mirrored[0] if mirrored else None


def write_token_cache(
    folder: str | Path,
    inputs: TokenInputs,
    specs: Sequence[TokenSpec],
    tokenizer: str,
    encode: Callable[[SceneClip], Sequence[np.ndarray]],
    overwrite: bool = False,
    mirrored: bool = True,
    shard_size: int = 1024,
    at_once: int = 16,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:
    """Encodes all keyframes that have what tokens are made of.

    Shards are written into a folder beside, which takes its name when all are there; a run that was killed is gone on
    with if it was of the same tokenizer and inputs.

    Args:
        folder: the cache to be.
        inputs: what is encoded.
        specs: of the token grids that `encode` gives.
        tokenizer: digest of the tokenizer's weights.
        encode: N clips of one frame -> indices `(N, *shape)` of each spec.
        overwrite: replace a cache that is there already.
        mirrored: encode mirrored keyframes as well, where that can be: twice the work.
        shard_size: keyframes in a shard.
        at_once: keyframes that are encoded together.
        progress: wraps the sequence of shards, such as `tqdm`.

    Raises:
        DatasetExistsError: the folder is there and is not to be replaced.
        DataError: no keyframe has labels, a sweep or views, or one of them is broken.
    """
    folder = Path(folder)
    if folder.exists() and not (overwrite and (folder / "cache.json").is_file()):
        raise DatasetExistsError(
            folder, "token cache", "something that exists", "a new folder, or a cache to overwrite"
        )
    if not len(inputs.frames):
        column = inputs.index.folder / f"{inputs.column}.npy"
        raise DataError(column, "column", f"no {inputs.modality}", "keyframes to make tokens of")
    header = {
        "schema_version": SCHEMA_VERSION,
        **inputs.describe(),
        "tokenizer": tokenizer,
        "specs": [asdict(spec) | {"shape": list(spec.shape)} for spec in specs],
        "mirrored": mirrored and inputs.mirrorable,
        "shard_size": shard_size,
    }
    building = folder.with_name(folder.name + ".partial")
    begun = building / "begun.json"
    if not begun.is_file() or read_json(begun, dict) != header:
        shutil.rmtree(building, ignore_errors=True)
        write_json(begun, header, indent=1)
    names = [[f"grid{i}_{n:05d}.npy" for n in range(-(-len(inputs.frames) // shard_size))] for i in range(len(specs))]
    for n in progress(range(len(names[0]))):
        if all((building / own[n]).is_file() for own in names):
            continue
        frames = inputs.frames[n * shard_size : (n + 1) * shard_size]
        grids = _encode_shard(inputs, frames, encode, at_once, header["mirrored"])
        for grid, spec, own in zip(grids, specs, names, strict=True):
            with replacing(building / own[n]) as part:
                np.save(part, grid.astype(np.min_scalar_type(spec.mask_id)), allow_pickle=False)
    header["shards"] = [[{"file": name, "sha256": _sha256(building / name)} for name in own] for own in names]
    write_json(building / "cache.json", header, indent=1)
    begun.unlink()
    replace_folder(building, folder)


def _inputs(modality: str, header: dict, index: Index, num_sweeps: int) -> TokenInputs:
    """Labels are on the grid of the data set; the grid of sweeps and the views are the tokenizer's own affair."""
    if modality == LabelInputs.modality:
        return LabelInputs(index, index.grid)
    if modality == SweepInputs.modality:
        return SweepInputs(index, VoxelGrid(**header["grid"]), num_sweeps)
    if modality == ViewInputs.modality:
        return ViewInputs(index, tuple(header["cameras"]), tuple(header["image_size"]))
    raise ValueError(f"tokens are cached of occupancy, lidar, camera, got {modality!r}")


def _encode_shard(inputs: TokenInputs, frames: np.ndarray, encode, at_once: int, mirrored: bool) -> list[np.ndarray]:
    """Indices `(N, 1 or 2, *shape)` of each spec."""
    parts = []
    for start in range(0, len(frames), at_once):
        clips = inputs.clips(frames[start : start + at_once])
        variants = [encode(clips)]
        if mirrored:
            variants.append(encode(mirror(clips, torch.ones(len(clips), dtype=torch.bool))))
        parts.append([np.stack(grids, axis=1) for grids in zip(*variants, strict=True)])
    return [np.concatenate(grids) for grids in zip(*parts, strict=True)]


def _agree(path: Path, header: dict, expected: dict, index: Index) -> None:
    for name, value in expected.items():
        if header.get(name) != value:
            expectation = f"{value}, as the data set of {index.folder} has"
            raise DataError(path, name, header.get(name), expectation, "Extract them again")


def _open_shard(folder: Path, file: str, sha256: str) -> np.ndarray:
    path = folder / file
    if not path.is_file():
        raise MissingFileError(path, "file", "nothing", "a shard of tokens")
    if (found := _sha256(path)) != sha256:
        raise DataError(
            path, "sha256", found, f"{sha256}, as cache.json says", "It is damaged: extract the tokens again"
        )
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
