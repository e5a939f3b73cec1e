"""The images of a clip: some cameras' views at each frame, cut to one size together with their intrinsics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from drivewm.data.errors import DataError
from drivewm.data.index import Index
from drivewm.data.pictures import read_picture
from drivewm.geometry import se3
from drivewm.geometry.cameras import PictureCut


def choose_cameras(
    index: Index, scenes: np.ndarray, cameras: Sequence[str] | None, size: tuple[int, int] | None
) -> tuple[tuple[str, ...], tuple[int, int]]:
    """Which cameras' images to load, and at which size.

    Args:
        index: of the data set.
        scenes: `(S,)` whose cameras count.
        cameras: their channels; None: all that any of the scenes has, by name.
        size: width and height [px]; None: as they are published.

    Returns:
        channels and size.

    Raises:
        DataError: the data set has no cameras, none of its scenes has one that is asked for, or images are to be as
            they are published but differ in size.
    """
    if not index.has_images:
        hint = "An index that was built before images were read has none: build it again, tools/create_index.py"
        raise DataError(index.folder, "image_file", "no column", "the images of a data set with cameras", hint)
    frames, ptr = index["scene_frame_ptr"], index["frame_image_ptr"]
    spans = [(int(ptr[frames[s]]), int(ptr[frames[s + 1]])) for s in scenes]
    rows = np.concatenate([np.arange(0), *(np.arange(a, b) for a, b in spans)])
    channels = index["image_channel"][rows]
    there = sorted(name.decode() for name in np.unique(channels))
    cameras = tuple(there if cameras is None else cameras)
    for camera in cameras:
        if camera not in there:
            raise DataError(index.folder, "cameras", repr(camera), f"some of {', '.join(there) or 'none at all'}")
    if not cameras or len(set(cameras)) < len(cameras):
        raise DataError(index.folder, "cameras", cameras, "one or more different cameras")
    if size is not None:
        return cameras, PictureCut(size, size).size
    chosen = np.isin(channels, [camera.encode() for camera in cameras])
    sizes = np.unique(index["image_size"][rows[chosen]], axis=0)
    if len(sizes) > 1:
        raise DataError(index.folder, "image_size", f"several: {sizes.tolist()}", "one size, or image_size to cut to")
    return cameras, tuple(sizes[0].tolist())


def load_images(
    index: Index, frames: Sequence[int], cameras: Sequence[str], size: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """Images of T frames and V cameras as fields of a `SceneClip` with B = 1.

    A camera that has no image at a frame is an absent view: black, not valid, its K and pose the identity.

    Args:
        index: of a data set with cameras.
        frames: which.
        cameras, size: as `choose_cameras` gives them.

    Returns:
        `images (1, T, V, 3, H, W)` uint8, `images_valid (1, T, V)` bool, `K (1, T, V, 3, 3)` float32 and
        `T_ego_cam (1, T, V, 4, 4)` float32, in the ego frame at the frame's stamp.

    Raises:
        DataError: an image that the tables list is missing, broken, or of another size than they say.
    """
    lead, (width, height) = (1, len(frames), len(cameras)), size
    images, valid = np.zeros((*lead, 3, height, width), np.uint8), np.zeros(lead, bool)
    K, T_ego_cam = np.tile(np.eye(3), (*lead, 1, 1)), np.tile(np.eye(4), (*lead, 1, 1))
    for t, frame in enumerate(frames):
        begin, end = index["frame_image_ptr"][frame : frame + 2]
        row_of = {index["image_channel"][row].decode(): row for row in range(int(begin), int(end))}
        T_ego_global = se3.inverse(index["frame_T_global_ego"][frame])
        for v, camera in enumerate(cameras):
            if camera not in row_of:
                continue
            row = row_of[camera]
            cut = PictureCut(tuple(index["image_size"][row].tolist()), size)
            images[0, t, v] = read_picture(index.path(row, "image_file"), cut).transpose(2, 0, 1)
            K[0, t, v] = cut.intrinsics(index["image_K"][row])
            # Cameras fire before or after the frame's stamp, and the ego has moved in between.
            T_ego_cam[0, t, v] = T_ego_global @ index["image_T_global_ego"][row] @ index["image_T_ego_cam"][row]
            valid[0, t, v] = True
    arrays = {"images": images, "images_valid": valid, "K": K.astype(np.float32)}
    arrays["T_ego_cam"] = T_ego_cam.astype(np.float32)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
