"""The token cache: gives back what was encoded, resumes, refuses what is not its own or damaged."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from drivewm.data import DataError, DatasetExistsError, DriveClips, Index, MissingFileError, build_index, collate
from drivewm.data.augment import mirror, turn
from drivewm.data.files import read_occupancy, write_occupancy
from drivewm.data.token_cache import TokenCache, write_token_cache
from drivewm.structures import OCC3D, TokenSpec

SPECS = (TokenSpec("occupancy", (8, 8), 300), TokenSpec("occupancy", (2, 4), 19))


def encode(labels: np.ndarray) -> list[np.ndarray]:
    """A rule that stands for a tokenizer: sums over blocks of voxels, not symmetric in y."""
    weights = np.arange(labels.shape[2])[:, None] * labels.astype(np.int64)
    return [
        weights.reshape(len(labels), x, labels.shape[1] // x, y, -1).sum((2, 4)) % spec.vocab_size
        for spec in SPECS
        for x, y in [spec.shape]
    ]


def write(folder, index, **options):
    write_token_cache(folder, index, SPECS, "weights", encode, **{"shard_size": 10, "at_once": 4, **options})
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
        for grids, frames in ((clip.tokens, clip.occupancy), (clip.mirrored_tokens, clip.occupancy.flip(3))):
            expected = encode(frames[0].numpy())
            assert [g.spec for g in grids] == list(SPECS)
            assert all(np.array_equal(g.indices[0].numpy(), e) for g, e in zip(grids, expected, strict=True))


def test_tokens_follow_their_clips(cache, town_index):
    clips = DriveClips(town_index, "train", 2, 3, tokens=cache)
    batch = collate([clips[0], clips[5], clips[9]])["clip"]
    one = clips[5]["clip"]
    assert torch.equal(batch.select(torch.tensor([1])).tokens[1].indices, one.tokens[1].indices)
    assert torch.equal(batch.history().tokens[0].indices, batch.tokens[0].indices[:, :2])

    rows = torch.tensor([True, False, True])
    mirrored = mirror(batch, rows)
    expected = [encode(frames.numpy())[0] for frames in mirrored.occupancy]
    assert torch.equal(mirrored.tokens[0].indices, torch.from_numpy(np.stack(expected)))
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

    def dying(labels):
        calls.append(len(labels))
        if len(calls) == 9:
            raise KeyboardInterrupt
        return encode(labels)

    folder = tmp_path / "tokens"
    with pytest.raises(KeyboardInterrupt):
        write_token_cache(folder, town_index, SPECS, "weights", dying, shard_size=10, at_once=4)
    assert not folder.exists() and len(list((tmp_path / "tokens.partial").glob("*.npy"))) == 2
    write_token_cache(folder, town_index, SPECS, "weights", dying, shard_size=10, at_once=4)
    assert sum(calls[9:]) == 2 * (town_index.num_frames - 10)
    files = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert not (tmp_path / "tokens.partial").exists()


def test_what_another_tokenizer_began_is_begun_anew(tmp_path, town_index):
    def dying(labels):
        if (tmp_path / "tokens.partial" / "grid0_00000.npy").exists():
            raise KeyboardInterrupt
        return [np.zeros((len(labels), *spec.shape), np.int64) for spec in SPECS]

    with pytest.raises(KeyboardInterrupt):
        write_token_cache(tmp_path / "tokens", town_index, SPECS, "others", dying, shard_size=10)
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

    def zeros(labels):
        return [np.zeros((len(labels), 1, 1), np.int64)]

    spec = [TokenSpec("occupancy", (1, 1), 2)]
    write_token_cache(tmp_path / "own", index, spec, "weights", zeros)
    TokenCache.open(tmp_path / "own", Index.open(index.folder))
    path = index.path(0, "frame_occupancy_file")
    semantics, mask = read_occupancy(path, index.grid)
    semantics[0, 0, 0] = (semantics[0, 0, 0] + 1) % OCC3D.num_classes
    write_occupancy(path, semantics, mask)
    with pytest.raises(DataError, match="cache.json: data_set: found"):
        TokenCache.open(tmp_path / "own", Index.open(index.folder))
