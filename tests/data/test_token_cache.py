"""The token cache: gives back what was encoded, resumes, refuses what is not its own or damaged."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.data import DataError, DatasetExistsError, DriveClips, Index, MissingFileError, build_index, collate
from drivewm.data.augment import mirror, turn
from drivewm.data.files import read_lidar, read_occupancy, write_lidar, write_occupancy
from drivewm.data.token_cache import TokenCache, write_token_cache
from drivewm.data.token_inputs import LabelInputs, SweepInputs, ViewInputs
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D, SceneClip, TokenSpec
from tests.data.handmade_cameras import YAW

SPECS = (TokenSpec("occupancy", (8, 8), 300), TokenSpec("occupancy", (2, 4), 19))
SWEEP_SPECS = (TokenSpec("lidar", (6, 4), 500),)
SIX = tuple(YAW)
VIEW_SPECS = (TokenSpec("camera", (6, 2, 2), 255),)
SWEEP_GRID = VoxelGrid.centered((24, 16, 4), 2.0)


def encode(clip: SceneClip) -> list[np.ndarray]:
    """A rule that stands for a tokenizer: sums over blocks of voxels, not symmetric in y. Indices `(B * T, x, y)`."""
    labels = clip.occupancy.flatten(0, 1).numpy()
    weights = np.arange(labels.shape[2])[:, None] * labels.astype(np.int64)
    return [
        weights.reshape(len(labels), x, labels.shape[1] // x, y, -1).sum((2, 4)) % spec.vocab_size
        for spec in SPECS
        for x, y in [spec.shape]
    ]


def encode_sweeps(clip: SceneClip) -> list[np.ndarray]:
    """Of LiDAR: intensities and ages [0.1 s] summed over columns, the heavier the further to the left."""
    points, valid = clip.points.flatten(0, 1).double().numpy(), clip.points_valid.flatten(0, 1).numpy()
    times = clip.points_time_s.flatten(0, 1).numpy()
    (spec,), tokens = SWEEP_SPECS, np.zeros((len(points), 24), np.int64)
    for own, frame, keep, time in zip(tokens, points, valid, times, strict=True):
        kept = keep & SWEEP_GRID.to_index(frame)[1]
        cells = np.floor((frame[kept, :2] - SWEEP_GRID.origin_m[:2]) / (8.0, 8.0)).astype(int)
        weights = (1 + frame[kept, 3] - np.round(10 * time[kept])) * (100 + np.round(frame[kept, 1]))
        np.add.at(own, cells[:, 0] * 4 + cells[:, 1], np.round(weights).astype(np.int64))
    return [tokens.reshape(-1, *spec.shape) % spec.vocab_size]


def write(folder, index, **options):
    size = {"shard_size": 10, "at_once": 4, **options}
    write_token_cache(folder, labels_of(index), SPECS, "weights", encode, **size)
    return folder


def labels_of(index):
    return LabelInputs(index, index.grid)


def write_sweeps(folder, index, num_sweeps=1, **options):
    size = {"shard_size": 10, "at_once": 4, **options}
    inputs = SweepInputs(index, SWEEP_GRID, num_sweeps)
    write_token_cache(folder, inputs, SWEEP_SPECS, "weights", encode_sweeps, **size)
    return folder


def encode_views(clip: SceneClip) -> list[np.ndarray]:
    """Of cameras: brightness of the quarters of each view, the heavier the further to the left and the later the view
    is named; the mask where a view is absent."""
    images, (spec,) = clip.images.flatten(0, 1).long().sum(2).numpy(), VIEW_SPECS
    weights = (1 + np.arange(images.shape[-1])) * (1 + np.arange(images.shape[1]))[:, None, None]
    quarters = (images * weights).reshape(*images.shape[:2], 2, images.shape[2] // 2, 2, -1).sum((3, 5))
    valid = clip.images_valid.flatten(0, 1).numpy()[..., None, None]
    return [np.where(valid, quarters % spec.vocab_size, spec.mask_id)]


def write_views(folder, index, size=(32, 16), **options):
    inputs = ViewInputs(index, SIX, size)
    write_token_cache(folder, inputs, VIEW_SPECS, "weights", encode_views, shard_size=10, at_once=4, **options)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory, town_index):
    return write(tmp_path_factory.mktemp("cache") / "tokens", town_index)


@pytest.fixture
def copy(cache, tmp_path):
    """One of one's own to damage."""
    return shutil.copytree(cache, tmp_path / "tokens")


@pytest.mark.parametrize("split", ["train", "val"])
def test_clips_hold_the_tokens_of_their_frames(cache, town_index, split):
    clips = DriveClips(town_index, split, 2, 3, tokens=cache)
    for item in (0, len(clips) - 1):
        clip = clips[item]["clip"]
        for grids, frames in (
            (clip.tokens, clip),
            (clip.mirrored_tokens, replace(clip, occupancy=clip.occupancy.flip(3))),
        ):
            assert [g.spec for g in grids] == list(SPECS)
            assert all(np.array_equal(g.indices[0].numpy(), e) for g, e in zip(grids, encode(frames), strict=True))


def test_without_mirrored_frames_clips_are_encoded_anew_once_mirrored(cache, tmp_path, town_index):
    folder = write(tmp_path / "tokens", town_index, mirrored=False)
    clip, both = (DriveClips(town_index, "train", 2, 3, tokens=f)[0]["clip"] for f in (folder, cache))
    assert all(torch.equal(a.indices, b.indices) for a, b in zip(clip.tokens, both.tokens, strict=True))
    assert clip.mirrored_tokens is None and mirror(clip, torch.tensor([True])).tokens is None
    assert not TokenCache.open(folder, town_index).mirrored


@pytest.mark.parametrize("num_sweeps", [1, 2])
def test_clips_hold_the_tokens_of_their_sweeps(tmp_path, town_index, num_sweeps):
    """Clips pad points to their own longest frame, the cache to that of those encoded together."""
    folder = write_sweeps(tmp_path / "tokens", town_index, num_sweeps=num_sweeps)
    options = dict(load_points=True, load_occupancy=False, num_sweeps=num_sweeps, tokens=folder)
    clips = DriveClips(town_index, "train", 2, 3, **options)
    batch = collate([clips[0], clips[13], clips[26]])["clip"]
    other_side = batch.points * torch.tensor([1.0, -1.0, 1.0, 1.0])
    for (grid,), clip in ((batch.tokens, batch), (batch.mirrored_tokens, replace(batch, points=other_side))):
        (expected,) = encode_sweeps(clip)
        assert grid.spec == SWEEP_SPECS[0] and len(np.unique(expected)) > 50
        assert np.array_equal(grid.indices.flatten(0, 1).numpy(), expected)
    mirrored = mirror(batch, torch.tensor([False, True, True]))
    assert np.array_equal(mirrored.tokens[0].indices.flatten(0, 1).numpy(), encode_sweeps(mirrored)[0])
    again = pickle.loads(pickle.dumps(clips))[13]["clip"]
    assert torch.equal(again.tokens[0].indices, batch.tokens[0].indices[1:2])
    options["num_sweeps"] = 3 - num_sweeps
    with pytest.raises(DataError, match=rf"num_sweeps: found {num_sweeps}, expected {3 - num_sweeps}, as the data set"):
        DriveClips(town_index, "train", 2, 3, **options)


def test_sweeps_need_no_labels_and_their_grid_is_the_tokenizers(tmp_path, root):
    for scene in (root / "gts").glob("scene-*"):
        shutil.rmtree(scene)
    index = build_index(root, out=tmp_path / "bare")
    folder = write_sweeps(tmp_path / "tokens", index)
    assert TokenCache.open(folder, index).inputs.grid == SWEEP_GRID != index.grid
    split = index.split_names[0]
    clip = DriveClips(index, split, 1, 0, load_points=True, tokens=folder)[0]["clip"]
    assert np.array_equal(clip.tokens[0].indices[0].numpy(), encode_sweeps(clip)[0])


def test_a_data_set_whose_sweeps_differ_is_refused(tmp_path, root):
    index = build_index(root)
    folder = write_sweeps(tmp_path / "tokens", index)
    path = index.path(0, "frame_lidar_file")
    points = read_lidar(path)
    points[0, 2] += 0.01
    write_lidar(path, points)
    with pytest.raises(DataError, match="cache.json: data_set: found"):
        TokenCache.open(folder, Index.open(index.folder))


def test_clips_hold_the_tokens_of_their_views(tmp_path, camera_index):
    folder = write_views(tmp_path / "tokens", camera_index)
    options = dict(load_images=True, load_occupancy=False, cameras=SIX, image_size=(32, 16), tokens=folder)
    clips = DriveClips(camera_index, "train", 1, 1, **options)
    batch = collate([clips[0], clips[len(clips) - 1]])["clip"]
    everyone = mirror(batch, torch.ones(2, dtype=torch.bool))
    for (grid,), clip in ((batch.tokens, batch), (batch.mirrored_tokens, everyone)):
        (expected,) = encode_views(clip)
        assert grid.spec == VIEW_SPECS[0] and len(np.unique(expected)) > 10
        assert np.array_equal(grid.indices.flatten(0, 1).numpy(), expected)
    for name, other in (("cameras", SIX[::-1]), ("image_size", (16, 16))):
        with pytest.raises(DataError, match=rf"cache.json: {name}: found .*, expected .*, as the clips have"):
            DriveClips(camera_index, "train", 1, 1, **(options | {name: other}))


def test_caches_of_several_modalities_stand_side_by_side(cache, tmp_path, town_index):
    sweeps = write_sweeps(tmp_path / "tokens", town_index)
    clip = DriveClips(town_index, "train", 2, 3, tokens=[cache, sweeps])[4]["clip"]
    for modality, folder, specs in (("occupancy", cache, SPECS), ("lidar", sweeps, SWEEP_SPECS)):
        alone = DriveClips(town_index, "train", 2, 3, tokens=folder)[4]["clip"]
        own = clip.tokens_of(modality)
        assert [grid.spec for grid in own] == list(specs)
        assert all(torch.equal(a.indices, b.indices) for a, b in zip(own, alone.tokens, strict=True))
    assert clip.tokens_of("camera") == () and len(clip.mirrored_tokens) == 3
    with pytest.raises(DataError, match="modality: found occupancy, expected a cache of each modality at most"):
        DriveClips(town_index, "train", 2, 3, tokens=[cache, cache])


def test_tokens_of_words_are_not_cached(cache, tmp_path, town_index):
    shutil.copytree(cache, tmp_path / "words")
    header = tmp_path / "words" / "cache.json"
    header.write_text(header.read_text().replace('"occupancy"', '"words"'))
    with pytest.raises(ValueError, match="cached of occupancy, lidar, camera, got 'words'"):
        TokenCache.open(tmp_path / "words", town_index)


def test_labels_on_another_grid_are_refused(town_index):
    with pytest.raises(ValueError, match=r"index has the grid .*voxel_m=0\.8\), but the tokenizer .*voxel_m=2\.0"):
        LabelInputs(town_index, SWEEP_GRID)


def test_tokens_follow_their_clips(cache, town_index):
    clips = DriveClips(town_index, "train", 2, 3, tokens=cache)
    batch = collate([clips[0], clips[5], clips[9]])["clip"]
    one = clips[5]["clip"]
    assert torch.equal(batch.select(torch.tensor([1])).tokens[1].indices, one.tokens[1].indices)
    assert torch.equal(batch.history().tokens[0].indices, batch.tokens[0].indices[:, :2])

    rows = torch.tensor([True, False, True])
    mirrored = mirror(batch, rows)
    assert torch.equal(mirrored.tokens[0].indices.flatten(0, 1), torch.from_numpy(encode(mirrored)[0]))
    again = mirror(mirrored, rows)
    assert torch.equal(again.tokens[0].indices, batch.tokens[0].indices)
    assert turn(batch, torch.zeros(3)).tokens is None


def test_workers_open_it_themselves(cache, town_index):
    clips = DriveClips(town_index, "train", 2, 3, tokens=cache)
    sent = pickle.dumps(clips)
    assert len(sent) < 20_000
    assert torch.equal(pickle.loads(sent)[3]["clip"].tokens[0].indices, clips[3]["clip"].tokens[0].indices)


def test_types_are_as_small_as_the_vocabulary_allows(cache, town_index):
    opened = TokenCache.open(cache, town_index)
    assert [shards[0].dtype for shards in opened.shards] == [np.uint16, np.uint8]
    assert sum(map(len, opened.shards[0])) == town_index.num_frames and len(opened.shards[0]) > 2


def test_a_killed_run_is_gone_on_with(cache, tmp_path, town_index):
    calls = []

    def dying(clip):
        calls.append(len(clip))
        if len(calls) == 9:
            raise KeyboardInterrupt
        return encode(clip)

    folder, own = tmp_path / "tokens", (labels_of(town_index), SPECS, "weights", dying)
    with pytest.raises(KeyboardInterrupt):
        write_token_cache(folder, *own, shard_size=10, at_once=4)
    assert not folder.exists() and len(list((tmp_path / "tokens.partial").glob("*.npy"))) == 2
    write_token_cache(folder, *own, shard_size=10, at_once=4)
    assert sum(calls[9:]) == 2 * (town_index.num_frames - 10)
    files = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert not (tmp_path / "tokens.partial").exists()


def test_what_another_tokenizer_began_is_begun_anew(tmp_path, town_index):
    def dying(clip):
        if (tmp_path / "tokens.partial" / "grid0_00000.npy").exists():
            raise KeyboardInterrupt
        return [np.zeros((len(clip), *spec.shape), np.int64) for spec in SPECS]

    with pytest.raises(KeyboardInterrupt):
        write_token_cache(tmp_path / "tokens", labels_of(town_index), SPECS, "others", dying, shard_size=10)
    cache = TokenCache.open(write(tmp_path / "tokens", town_index), town_index)
    assert cache.tokenizer == "weights" and cache.shards[0][0].any()


def test_what_exists_is_replaced_only_when_asked(copy, tmp_path, town_index):
    with pytest.raises(DatasetExistsError):
        write(copy, town_index)
    write(copy, town_index, overwrite=True, shard_size=20)
    assert TokenCache.open(copy, town_index).shard_size == 20
    (tmp_path / "thesis").mkdir()
    with pytest.raises(DatasetExistsError):
        write(tmp_path / "thesis", town_index, overwrite=True)


def test_damage_is_noticed(copy, town_index):
    shard = sorted(copy.glob("grid1_*.npy"))[1]
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=rf"{shard.name}: sha256: found \w+, expected \w+"):
        DriveClips(town_index, "train", 2, 3, tokens=copy)
    shard.unlink()
    with pytest.raises(MissingFileError, match=shard.name):
        DriveClips(town_index, "train", 2, 3, tokens=copy)
    (copy / "cache.json").unlink()
    with pytest.raises(MissingFileError, match="cache.json"):
        TokenCache.open(copy, town_index)


def test_another_grid_or_version_is_refused(copy, town_index):
    path = copy / "cache.json"
    header = json.loads(path.read_bytes())
    for name, value in {"grid": {**header["grid"], "voxel_m": 0.4}, "schema_version": 99}.items():
        path.write_text(json.dumps(header | {name: value}))
        with pytest.raises(DataError, match=f"cache.json: {name}: found .*(0.4|99).*, expected .*, as .*index has"):
            TokenCache.open(copy, town_index)


def test_another_data_set_is_refused_even_if_only_its_labels_differ(cache, root, tmp_path):
    index = build_index(root, cache_occupancy=False)
    with pytest.raises(DataError, match="cache.json: (grid|data_set): found"):
        TokenCache.open(cache, index)

    def zeros(clip):
        return [np.zeros((len(clip), 1, 1), np.int64)]

    spec = [TokenSpec("occupancy", (1, 1), 2)]
    write_token_cache(tmp_path / "own", labels_of(index), spec, "weights", zeros)
    TokenCache.open(tmp_path / "own", Index.open(index.folder))
    path = index.path(0, "frame_occupancy_file")
    semantics, mask = read_occupancy(path, index.grid)
    semantics[0, 0, 0] = (semantics[0, 0, 0] + 1) % OCC3D.num_classes
    write_occupancy(path, semantics, mask)
    with pytest.raises(DataError, match="cache.json: data_set: found"):
        TokenCache.open(tmp_path / "own", Index.open(index.folder))
