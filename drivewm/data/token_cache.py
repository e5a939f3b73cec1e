"""TokenCache: the tokens of all keyframes of a data set, computed once by a frozen tokenizer.

A folder with `cache.json` and shards, each a .npy of the tokens of many keyframes; `docs/data_format.md` documents it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from drivewm.data.augment import is_mirrorable
from drivewm.data.errors import DataError, DatasetExistsError, MissingFileError
from drivewm.data.files import read_json
from drivewm.data.index import Index, fingerprint
from drivewm.host import replace_folder, replacing, write_json
from drivewm.structures import TokenGrid, TokenSpec

SCHEMA_VERSION = 1
_SAMPLED_LABELS = 16


@dataclass(frozen=True)
class TokenCache:
    """An open cache, memory-mapped and found undamaged.

    Attributes:
        folder: where it lies.
        index: of its data set.
        tokenizer: digest of the tokenizer's weights.
        specs: of the grids of a frame.
        mirrored: does it hold the tokens of the mirrored frames as well?
        shard_size: keyframes in a shard; the last may have fewer.
        shards: of each spec, `(N, 1 or 2, *shape)` unsigned integers each; of 2 the second is mirrored.
        frames: `(N,)` the keyframes that it has: those with labels.
    """

    folder: Path
    index: Index = field(repr=False)
    tokenizer: str
    specs: tuple[TokenSpec, ...]
    mirrored: bool
    shard_size: int
    shards: tuple[tuple[np.ndarray, ...], ...] = field(repr=False)
    frames: np.ndarray = field(repr=False)

    def __reduce__(self):  # a worker maps the files itself
        return TokenCache.open, (self.folder, self.index)

    @classmethod
    def open(cls, folder: str | Path, index: Index) -> TokenCache:
        """Opens a cache of the data set that `index` describes.

        Raises:
            MissingFileError, DataError: it is incomplete, damaged, of another schema version, grid or data set.
        """
        folder = Path(folder)
        path = folder / "cache.json"
        header = read_json(path, dict)
        for name, expected in _describe(index).items():
            if header.get(name) != expected:
                raise DataError(
                    path, name, header.get(name), f"{expected}, as {index.folder} has", "Extract them again"
                )
        specs = tuple(TokenSpec(**spec) for spec in header["specs"])
        shards = tuple(tuple(_open_shard(folder, **shard) for shard in shards) for shards in header["shards"])
        mirrored, size = header["mirrored"], header["shard_size"]
        return cls(folder, index, header["tokenizer"], specs, mirrored, size, shards, _labelled(index))

    def of(self, frames: slice) -> tuple[tuple[TokenGrid, ...], tuple[TokenGrid, ...] | None]:
        """Tokens `(1, T, *shape)` of T keyframes with labels, and those of the mirrored frames."""
        rows = np.searchsorted(self.frames, np.arange(frames.start, frames.stop, frames.step))
        variants = []
        for spec, shards in zip(self.specs, self.shards, strict=True):
            indices = np.stack([shards[row // self.shard_size][row % self.shard_size] for row in rows])
            variants.append([TokenGrid(v[None], spec) for v in torch.from_numpy(indices.astype(np.int64)).unbind(1)])
        plain, *mirrored = zip(*variants, strict=True)
        return plain, mirrored[0] if mirrored else None


def write_token_cache(
    folder: str | Path,
    index: Index,
    specs: Sequence[TokenSpec],
    tokenizer: str,
    encode: Callable[[np.ndarray], Sequence[np.ndarray]],
    overwrite: bool = False,
    shard_size: int = 1024,
    at_once: int = 16,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:
    """Encodes all keyframes that have labels, and where the grid allows it all mirrored ones.

    Shards are written into a folder beside, which takes its name when all are there; a run that was killed is gone on
    with if it was of the same tokenizer and data set.

    Args:
        folder: the cache to be.
        index: of the data set.
        specs: of the grids that `encode` gives.
        tokenizer: digest of the tokenizer's weights.
        encode: occupancy `(N, X, Y, Z)` uint8 -> indices `(N, *shape)` of each spec.
        overwrite: replace a cache that is there already.
        shard_size: keyframes in a shard.
        at_once: keyframes that are encoded together.
        progress: wraps the sequence of shards, such as `tqdm`.

    Raises:
        DatasetExistsError: the folder is there and is not to be replaced.
        DataError: no keyframe has labels, or a label is broken.
    """
    folder = Path(folder)
    if folder.exists() and not (overwrite and (folder / "cache.json").is_file()):
        raise DatasetExistsError(
            folder, "token cache", "something that exists", "a new folder, or a cache to overwrite"
        )
    frames, mirrored = _labelled(index), is_mirrorable(index.grid) if index.grid else False
    if not len(frames):
        raise DataError(index.folder / "frame_occupancy_file.npy", "column", "no labels", "keyframes to make tokens of")
    header = _describe(index) | {
        "tokenizer": tokenizer,
        "specs": [asdict(spec) | {"shape": list(spec.shape)} for spec in specs],
        "mirrored": mirrored,
        "shard_size": shard_size,
    }
    building = folder.with_name(folder.name + ".partial")
    begun = building / "begun.json"
    if not begun.is_file() or read_json(begun, dict) != header:
        shutil.rmtree(building, ignore_errors=True)
        write_json(begun, header, indent=1)
    names = [[f"grid{i}_{n:05d}.npy" for n in range(-(-len(frames) // shard_size))] for i in range(len(specs))]
    for n in progress(range(len(names[0]))):
        if all((building / own[n]).is_file() for own in names):
            continue
        grids = _encode_shard(index, frames[n * shard_size : (n + 1) * shard_size], encode, mirrored, at_once)
        for grid, spec, own in zip(grids, specs, names, strict=True):
            with replacing(building / own[n]) as part:
                np.save(part, grid.astype(np.min_scalar_type(spec.vocab_size - 1)), allow_pickle=False)
    header["shards"] = [[{"file": name, "sha256": _sha256(building / name)} for name in own] for own in names]
    write_json(building / "cache.json", header, indent=1)
    begun.unlink()
    replace_folder(building, folder)


def _encode_shard(index: Index, frames: np.ndarray, encode, mirrored: bool, at_once: int) -> list[np.ndarray]:
    """Indices `(N, 1 or 2, *shape)` of each spec."""
    parts = []
    for start in range(0, len(frames), at_once):
        chunk = frames[start : start + at_once]
        labels = np.concatenate([index.labels(slice(frame, frame + 1), None)[0] for frame in chunk])
        variants = [encode(labels), encode(np.ascontiguousarray(labels[:, :, ::-1]))] if mirrored else [encode(labels)]
        parts.append([np.stack(grids, axis=1) for grids in zip(*variants, strict=True)])
    return [np.concatenate(grids) for grids in zip(*parts, strict=True)]


def _labelled(index: Index) -> np.ndarray:
    """Keyframes with labels."""
    return np.flatnonzero(index["frame_occupancy_file"] != b"")


def _describe(index: Index) -> dict:
    """What a cache must agree with: the tables, the keyframes and a few of the labels, which tables say nothing of."""
    digest = hashlib.sha256(json.dumps(fingerprint(index.data_root, index.tables), sort_keys=True).encode())
    digest.update(index["frame_token"].tobytes())
    frames = _labelled(index)
    for frame in frames[:: -(-len(frames) // _SAMPLED_LABELS) or 1]:
        digest.update(index.labels(slice(frame, frame + 1), None)[0].tobytes())
    grid = index.grid and {"range_m": list(index.grid.range_m), "voxel_m": index.grid.voxel_m}
    return {"schema_version": SCHEMA_VERSION, "grid": grid, "data_set": digest.hexdigest()}


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
