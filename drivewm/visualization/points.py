"""Point clouds: bird's-eye pictures, predicted over true, PLY files; with open3d also PCD files and a viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation

from drivewm.host import replacing, write_bytes
from drivewm.visualization.bev import height_colors
from drivewm.visualization.canvas import BevCanvas

TRUE_COLOR, PREDICTED_COLOR = (38, 70, 150), (226, 88, 20)
_AGREED_COLOR = (120, 124, 132)
_DARK = (20, 24, 32)
POINT_FORMATS = ("ply", "pcd")


def draw_points(
    points: np.ndarray,
    *,
    colors: np.ndarray | None = None,
    range_m: float = 50.0,
    size_px: int = 500,
    title: str = "",
) -> np.ndarray:
    """Points `(N, 3 + C)` [m] from above on a dark ground, high ones on top: `(H, W, 3)` uint8.

    `colors (N, 3)` uint8 are by height if not given.
    """
    canvas = _canvas(range_m, size_px)
    if colors is None:
        colors = 80 + (height_colors(points[:, 2]) * 0.68).astype(np.uint8)
    upwards = np.argsort(points[:, 2], kind="stable")
    canvas.pixels(points[upwards, :2], colors[upwards])
    if title:
        canvas.text(title, (9, 8))
    return canvas.image()


def overlay_points(
    predicted: np.ndarray, true: np.ndarray, *, range_m: float = 50.0, size_px: int = 500, title: str = ""
) -> np.ndarray:
    """Predicted and true points, both `(N, 3 + C)` [m], from above on white: `(H, W, 3)` uint8.

    Grey where both are within about a pixel, orange where only the prediction is, blue where only the truth is.
    """
    canvas = _canvas(range_m, size_px, (255, 255, 255))
    there = [_raster(points, range_m, size_px) for points in (predicted, true)]
    near = [binary_dilation(cells, np.ones((3, 3), bool)) for cells in there]
    colors = np.full((size_px, size_px, 3), 255, np.uint8)
    colors[there[1] & ~near[0]] = TRUE_COLOR
    colors[there[0] & ~near[1]] = PREDICTED_COLOR
    colors[(there[0] & near[1]) | (there[1] & near[0])] = _AGREED_COLOR
    canvas.raster(colors)
    lines = (("both", _AGREED_COLOR), ("only true", TRUE_COLOR), ("only predicted", PREDICTED_COLOR))
    for line, (text, color) in enumerate(lines):
        canvas.text(text, (9, size_px - 68 + 22 * line), color=color, bold=True)
    if title:
        canvas.text(title, (9, 8))
    return canvas.image()


def _raster(points: np.ndarray, range_m: float, size_px: int) -> np.ndarray:
    """Cells `(size_px, size_px)` bool `[x, y]` that hold a point."""
    cell = np.floor((points[:, :2] + range_m) / (2 * range_m) * size_px).astype(np.int64)
    cell = cell[((cell >= 0) & (cell < size_px)).all(-1)]
    cells = np.zeros((size_px, size_px), bool)
    cells[tuple(cell.T)] = True
    return cells


def write_points(path: str | Path, points: np.ndarray, colors: np.ndarray | None = None) -> Path:
    """Write points `(N, 3 + C)` [m] with `colors (N, 3)` uint8 (by height if not given) in the binary format that the
    suffix names, one of `POINT_FORMATS`.

    Raises:
        ValueError: for another suffix, or for PCD without any point, which open3d does not write.
        ImportError: for PCD without open3d; PLY does not need it.
    """
    path, colors = Path(path), _colors(points, colors)
    if path.suffix == ".ply":
        return write_bytes(path, _ply(points, colors))
    if path.suffix != ".pcd":
        raise ValueError(f"{path}: points are written as .{' or .'.join(POINT_FORMATS)}")
    if len(points) == 0:
        raise ValueError(f"{path}: there is no point to write, and open3d writes no PCD without; .ply may be empty")
    cloud, open3d = _open3d_cloud(points, colors)
    with replacing(path) as temporary:
        if not open3d.io.write_point_cloud(str(temporary), cloud):
            raise OSError(f"{path}: open3d could not write it")
    return path


def _ply(points: np.ndarray, colors: np.ndarray) -> bytes:
    vertices = np.empty(len(points), [(axis, "<f4") for axis in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    for i, axis in enumerate("xyz"):
        vertices[axis] = points[:, i]
    for i, channel in enumerate(("red", "green", "blue")):
        vertices[channel] = colors[:, i]
    properties = [f"property float {axis}" for axis in "xyz"] + [
        f"property uchar {c}" for c in ("red", "green", "blue")
    ]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *properties, "end_header", ""]
    return "\n".join(header).encode("ascii") + vertices.tobytes()


def show(points: np.ndarray, colors: np.ndarray | None = None) -> None:
    """Open an interactive window on points `(N, 3 + C)` [m]. ImportError, with the remedy, without open3d."""
    cloud, open3d = _open3d_cloud(points, _colors(points, colors))
    open3d.visualization.draw_geometries([cloud])


def _colors(points: np.ndarray, colors: np.ndarray | None) -> np.ndarray:
    return height_colors(points[:, 2]) if colors is None else np.asarray(colors, np.uint8)


def _open3d_cloud(points: np.ndarray, colors: np.ndarray):
    """The points as open3d has them, and open3d."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(
            "PCD files and the interactive viewer need open3d (pip install drivewm[view]; on Linux also the system "
            "library libusb-1.0-0); PLY files and draw_points do without"
        ) from error
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(np.asarray(points[:, :3], np.float64)))
    cloud.colors = open3d.utility.Vector3dVector(np.asarray(colors, np.float64) / 255)
    return cloud, open3d


def _canvas(range_m: float, size_px: int, background: tuple[int, int, int] = _DARK) -> BevCanvas:
    return BevCanvas((-range_m, -range_m, range_m, range_m), size_px / (2 * range_m), background)
