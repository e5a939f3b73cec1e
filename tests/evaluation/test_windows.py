"""Published window sets: nuScenes' counts by arithmetic, and what each number of observed keyframes can reach."""

import numpy as np
import pytest

from drivewm.data import DataError, DriveClips
from drivewm.evaluation.functional.windows import PUBLISHED, published_windows, window_sets

VAL_SCENES, VAL_KEYFRAMES = 150, 6019


def _lengths(rng):
    """Scene lengths that add up to nuScenes' val, with 12 keyframes at least."""
    return 12 + rng.multinomial(VAL_KEYFRAMES - 12 * VAL_SCENES, np.full(VAL_SCENES, 1 / VAL_SCENES))


def test_nuscenes_val_has_the_published_numbers_of_windows():
    lengths = _lengths(np.random.default_rng(0))
    assert lengths.sum() == VAL_KEYFRAMES
    counts = {name: sum(len(published_windows(int(n))[name]) for n in lengths) for name in PUBLISHED}
    assert counts == {"all": 4519, "occworld": 4219, "first": 150}


@pytest.mark.parametrize("keyframes", [0, 9, 10, 11, 12, 13, 41])
def test_windows_as_the_code_bases_cut_them(keyframes):
    frames = list(range(keyframes))
    of_11 = [frames[i : i + 11] for i in range(keyframes - 10)]  # 5 + 6
    of_12 = [frames[i : i + 12] for i in range(keyframes - 11)][:-1]  # the last of them is left out
    found = {name: list(positions) for name, positions in published_windows(keyframes).items()}
    assert found["all"] == [window[4] for window in of_11]
    assert found["occworld"] == [window[4] for window in of_12]
    assert found["first"] == ([frames[:10][3]] if keyframes >= 10 else [])


@pytest.mark.parametrize(
    ("history", "future", "complete"),
    [
        (3, 6, {"all", "occworld", "first"}),
        (4, 6, {"all", "occworld", "first"}),
        (5, 6, {"all", "occworld"}),
        (4, 8, {"occworld", "first"}),
    ],
)
def test_one_pass_over_all_windows_covers_the_sets(town_index, history, future, complete):
    clips = DriveClips(town_index, "train", history, future)
    sets, there = window_sets(clips.metainfo["scenes"]), set(clips.sample_tokens)
    assert {name for name, tokens in sets.items() if tokens <= there} == complete
    assert all(clips[i]["clip"].sample_token == (clips.sample_tokens[i],) for i in (0, len(clips) - 1))


def test_single_windows_can_be_asked_for(town_index):
    clips = DriveClips(town_index, "train", 4, 6)
    wanted = [clips.sample_tokens[i] for i in (7, 2)]
    few = DriveClips(town_index, "train", 4, 6, sample_tokens=wanted)
    assert few.sample_tokens == wanted[::-1] and few.scene_names == [clips.scene_names[i] for i in (2, 7)]
    with pytest.raises(DataError, match=r"train: found no window of 4 \+ 6 keyframes at sample_token nowhere"):
        DriveClips(town_index, "train", 4, 6, sample_tokens=[*wanted, "nowhere"])
