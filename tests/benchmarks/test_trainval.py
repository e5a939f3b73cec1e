"""The made-up tables: the devkit and our index read them alike, and the real size has the real numbers of rows."""

import json

from benchmarks import trainval
from drivewm.data import build_index


def test_tables_are_read_by_the_devkit_and_by_the_index(tmp_path):
    from nuscenes import NuScenes

    trainval.write_tables(tmp_path, scenes=3, samples=77)
    index, nusc = build_index(tmp_path, trainval.VERSION), NuScenes(trainval.VERSION, str(tmp_path), verbose=False)
    assert index.num_frames == len(nusc.sample) == 77 and index.split_names == ("train", "val")
    assert len(index["box_label"]) == len(nusc.sample_annotation) == 3 * 76 * 18
    assert len(nusc.sample_data) == len(nusc.ego_pose) == 77 * 77
    for sample in nusc.sample[:5]:
        assert sorted(sample["data"]) == sorted(trainval.SWEEPS)
    for table in ("sample", "sample_data", "sample_annotation"):
        rows = {row["token"]: row for row in getattr(nusc, table)}
        assert all(rows[row["next"]]["prev"] == row["token"] for row in rows.values() if row["next"])
    channels = {row["token"]: row["channel"] for row in nusc.sample_data}
    assert all(channels[row["next"]] == row["channel"] for row in nusc.sample_data if row["next"])
    for table in ("sample_data", "scene"):  # as the real files have them
        assert len(json.loads((tmp_path / trainval.VERSION / f"{table}.json").read_text())) == len(getattr(nusc, table))


def test_the_full_size_is_that_of_trainval():
    """850 scenes, 34,149 samples, 2,631,083 sample_data, 1,166,187 annotations, 64,386 instances."""
    rows = trainval.SAMPLES * sum(count for _, count in trainval.SWEEPS.values())
    assert abs(rows / 2_631_083 - 1) < 0.01
    tracks = trainval.SCENES * trainval.TRACKS_PER_SCENE
    assert abs(tracks / 64_386 - 1) < 0.01
    assert abs(tracks * trainval.SAMPLES_PER_TRACK / 1_166_187 - 1) < 0.01
