"""Images of clips against a data set whose images are known: landmarks fall where K and T_ego_cam say."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from drivewm.data import DataError, DriveClips, Index, MissingFileError, build_index, collate
from drivewm.data.augment import mirror
from drivewm.data.pictures import read_picture, write_jpeg
from drivewm.geometry.cameras import PictureCut
from drivewm.structures import SceneClip
from tests.data import handmade, handmade_cameras
from tests.data.handmade import edit
from tests.data.handmade_cameras import GREY, SIZE, landmark

FRONT, LEFT, RIGHT = "CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return handmade_cameras.write(tmp_path_factory.mktemp("cameras") / "set")


@pytest.fixture(scope="module")
def index(written) -> Index:
    return build_index(written)


@pytest.fixture
def root(written, tmp_path) -> Path:
    """A data set of one's own to damage, without an index."""
    copy = Path(shutil.copytree(written, tmp_path / "set", ignore=shutil.ignore_patterns("index")))
    return copy


def images_of(index: Index, split: str = "train", **options) -> DriveClips:
    return DriveClips(index, split, 1, 1, load_images=True, load_occupancy=False, **options)


def found_at(image: torch.Tensor) -> np.ndarray:
    """Centre of the blob [px] in an image `(3, H, W)`."""
    weight = (image.double().mean(0) - GREY - 20).clamp_min(0).numpy()
    rows, columns = np.indices(weight.shape) + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def expected_at(clip: SceneClip, view: int, t: int, point: np.ndarray) -> np.ndarray:
    """Where a point of the world falls, by what the clip says of its cameras."""
    T_global_cam = clip.T_global_ego[0, t].numpy() @ clip.T_ego_cam[0, t, view].double().numpy()
    seen = clip.K[0, t, view].double().numpy() @ np.linalg.inv(T_global_cam)[:3] @ np.append(point, 1.0)
    return seen[:2] / seen[2]


@pytest.mark.parametrize("size", [None, (80, 45), (80, 40), (100, 90), (40, 22), (320, 180), (16, 16)])
def test_a_landmark_falls_where_its_image_shows_it(index, size):
    clips = images_of(index, image_size=size)
    for item in range(len(clips)):
        clip = clips[item]["clip"]
        assert clip.images.shape[3:] == (3, *(size or SIZE)[::-1]) and clip.images_valid.all()
        assert clip.cameras == (FRONT, LEFT, RIGHT)
        for t in range(2):
            for v, camera in enumerate(clip.cameras):
                k = round((clip.timestamp_us[0, t].item() % 100_000_000) / handmade.STEP_US)
                expected = expected_at(clip, v, t, landmark(camera, k))
                np.testing.assert_allclose(found_at(clip.images[0, t, v]), expected, atol=0.2)


def test_the_pose_holds_the_motion_between_the_stamps(index):
    clip = images_of(index, cameras=(FRONT,))[0]["clip"]
    moved = clip.T_ego_cam[0, 0, 0].double().numpy()[:3, 3] - handmade_cameras.T_ego_cam(FRONT)[:3, 3]
    assert moved[0] == pytest.approx(-10.0 * 0.04, abs=0.02)  # 10 m/s, and it fired 40 ms before the frame's stamp


def test_views_come_in_the_order_asked_for(index):
    both = images_of(index, cameras=(RIGHT, FRONT), image_size=(40, 24))[0]["clip"]
    every = images_of(index, image_size=(40, 24))[0]["clip"]
    assert both.cameras == (RIGHT, FRONT)
    for name in ("images", "K", "T_ego_cam"):
        assert torch.equal(getattr(both, name), getattr(every, name)[:, :, [2, 0]]), name


@pytest.mark.parametrize("size", [(80, 45), (52, 40)])
def test_a_mirrored_clip_shows_mirrored_landmarks(index, size):
    clip = SceneClip.cat([images_of(index, image_size=size)[i]["clip"] for i in (0, 1)])
    new = mirror(clip, torch.tensor([False, True]))
    for name in ("images", "K", "T_ego_cam", "images_valid"):
        assert torch.equal(getattr(new, name)[0], getattr(clip, name)[0]), name
    T_global_ego = clip.T_global_ego[1, 0].numpy()
    for v, camera in enumerate((FRONT, RIGHT, LEFT)):  # what stands in the place of front, left, right
        x, y, z, _ = np.linalg.inv(T_global_ego) @ np.append(landmark(camera, 1), 1.0)
        mirrored = new.T_global_ego[1, 0].numpy() @ np.array([x, -y, z, 1.0])
        rows = new.select(torch.tensor([1]))
        np.testing.assert_allclose(found_at(rows.images[0, 0, v]), expected_at(rows, v, 0, mirrored[:3]), atol=0.2)
    rotation = new.T_ego_cam[..., :3, :3]
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(()))
    back = mirror(new, torch.tensor([False, True]))
    assert torch.equal(back.images, clip.images) and torch.allclose(back.K, clip.K)


def test_a_camera_without_its_counterpart_cannot_be_mirrored(index):
    clip = images_of(index, cameras=(FRONT, LEFT))[0]["clip"]
    with pytest.raises(ValueError, match="CAM_FRONT_LEFT but without CAM_FRONT_RIGHT"):
        mirror(clip, torch.tensor([True]))


def test_a_camera_absent_from_a_sample_is_a_view_that_is_not_valid(root):
    gone = sorted((root / "samples" / LEFT).glob("scene-3001*"))[0]
    edit(root, "sample_data", lambda rows: rows.remove(next(r for r in rows if r["filename"].endswith(gone.name))))
    edit(root, "sample_data", lambda rows: [row.update(prev="", next="") for row in rows])
    clip = images_of(build_index(root))[0]["clip"]
    assert clip.images_valid[0].tolist() == [[True, False, True], [True, True, True]]
    assert not clip.images[0, 0, 1].any() and torch.equal(clip.K[0, 0, 1], torch.eye(3))
    assert torch.equal(clip.T_ego_cam[0, 0, 1], torch.eye(4))


def test_rigs_with_other_cameras(index):
    assert images_of(index, "val").cameras == (FRONT,)
    with pytest.raises(DataError, match="cameras: found 'CAM_FRONT_LEFT', expected some of CAM_FRONT"):
        images_of(index, "val", cameras=(FRONT, LEFT))
    one, three = images_of(index, "val")[0]["clip"], images_of(index)[0]["clip"]
    with pytest.raises(ValueError, match="must agree in cameras"):
        SceneClip.cat([one, three])
    with pytest.raises(DataError, match="one or more different cameras"):
        images_of(index, cameras=(FRONT, FRONT))


def test_a_data_set_without_cameras_says_so(tmp_path):
    with pytest.raises(DataError, match="found no column, expected the images of a data set with cameras.*build it"):
        images_of(build_index(handmade.write(tmp_path / "set")))


def break_image(change: str):
    def break_it(path: Path) -> None:
        if change == "missing":
            path.unlink()
        elif change == "cut short":
            path.write_bytes(path.read_bytes()[:400])
        elif change == "text":
            path.write_text("not an image")
        else:
            write_jpeg(path, np.zeros((90, 80, 3), np.uint8))

    return break_it


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "file: found nothing, expected a camera's image"),
        ("cut short", "content: found a broken image (.*), expected a complete JPEG or PNG"),
        ("text", "content: found a broken image (.*), expected a complete JPEG or PNG"),
        ("size", "size: found 80 x 90, expected 160 x 90, as the tables say"),
    ],
)
def test_a_broken_image_names_its_file(root, change, words, workers):
    path = sorted((root / "samples" / FRONT).glob("scene-3001*"))[1]
    clips = images_of(build_index(root), image_size=(40, 24))
    break_image(change)(path)
    with pytest.raises(MissingFileError if change == "missing" else DataError, match=f"{path.name}: {words}"):
        list(DataLoader(clips, num_workers=workers, collate_fn=collate))


@pytest.mark.parametrize(
    ("table", "field", "value", "words"),
    [
        ("calibrated_sensor", "camera_intrinsic", [[1.0, 2.0], [3.0, 4.0]], r"shape \(2, 2\), expected 3 x 3"),
        ("calibrated_sensor", "camera_intrinsic", [], r"shape \(0,\), expected 3 x 3"),
        ("calibrated_sensor", "camera_intrinsic", [[1.0], [3.0, 4.0]], "another length or type, expected 3 x 3"),
        ("calibrated_sensor", "camera_intrinsic", (-np.eye(3)).tolist(), "positive focal lengths"),
        ("sample_data", "width", 0, "whole numbers of pixels, 1 or more"),
        ("sample_data", "filename", "../outside.jpg", "a relative path inside of the data root"),
    ],
)
def test_wrong_tables_are_refused(root, table, field, value, words):
    def change(rows):
        next(r for r in rows if r.get("camera_intrinsic") or "CAM_" in r.get("filename", ""))[field] = value

    edit(root, table, change)
    with pytest.raises(DataError, match=f"{table}.json: .*{field}.*{words}"):
        build_index(root)


def test_two_images_of_a_camera_for_one_sample(root):
    def repeat(rows):
        row = next(r for r in rows if "CAM_FRONT/" in r["filename"])
        rows.append(row | {"token": "again", "prev": "", "next": ""})

    edit(root, "sample_data", repeat)
    with pytest.raises(DataError, match="two images of CAM_FRONT for sample"):
        build_index(root)


def test_images_of_several_sizes_need_one_to_be_cut_to(root):
    def other(rows):
        for row in (r for r in rows if "CAM_FRONT/" in r["filename"]):
            row.update(width=80, height=90)

    edit(root, "sample_data", other)
    for path in (root / "samples" / FRONT).glob("*"):
        write_jpeg(path, np.zeros((90, 80, 3), np.uint8))
    index = build_index(root)
    with pytest.raises(DataError, match=r"image_size: found several: \[\[80, 90\], \[160, 90\]\]"):
        images_of(index)
    assert images_of(index, image_size=(64, 32))[0]["clip"].images.shape == (1, 2, 3, 3, 32, 64)


def test_a_large_jpeg_is_decoded_small(tmp_path):
    """The short cut through a smaller decoding gives what the whole picture gives, and in its place."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)).resize((1600, 900), Image.BICUBIC)
    path, cut = tmp_path / "picture.jpg", PictureCut((1600, 900), (400, 224))
    write_jpeg(path, np.asarray(smooth))
    assert cut.box == (0.0, 2.0, 1600.0, 898.0)
    whole = np.asarray(Image.open(path).convert("RGB").resize((400, 224), Image.BICUBIC, box=cut.box))
    assert np.abs(read_picture(path, cut).astype(int) - whole).max() <= 3
