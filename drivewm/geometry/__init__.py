"""Frames, grids, boxes and rays. Everything is in SI units and radians; transforms are named `T_dst_src`."""

from drivewm.geometry.voxel_grid import OCC3D_GRID, VoxelGrid

__all__ = ["OCC3D_GRID", "VoxelGrid"]
