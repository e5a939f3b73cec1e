"""Pictures: bird's eye, perspective voxels, points, closed-loop episodes, thoughts, charts, animations, report page.

Nothing here needs a display or open3d; the one interactive viewer (`points.show`) imports open3d itself.
"""
