"""What the sensors of one scene of the town see, and its labels: written as files, remembered as records."""

from __future__ import annotations

import numpy as np

from drivewm.data.lidarseg import lidarseg_labels
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.records import LIDAR, FrameRecord, SensorData, SensorRecord, pose_fields
from drivewm.data.town_boxes import annotate
from drivewm.data.town_plan import ScenePlan, TownOptions
from drivewm.geometry import se3
from drivewm.simulation import CameraImage, LidarConfig, LidarSweep, Moment, TownSimulator, nuscenes_rig

ANNOTATION_RADIUS_M = 60.0


class TownRecorder:
    """Records an episode.

    Args:
        writer: of the data set.
        options: of the data set.
        plan: of the scene.
        simulator: in the scene's episode, with the cameras `nuscenes_rig(*options.sensors.image_size)`.

    Attributes:
        sensors: by their channels, with all files so far.
        frames: keyframes so far.
    """

    def __init__(self, writer: NuScenesWriter, options: TownOptions, plan: ScenePlan, simulator: TownSimulator) -> None:
        self._writer, self._options, self._scene = writer, options, plan.name
        self._seed, self._simulator = (options.seed, plan.number), simulator
        self.frames: list[FrameRecord] = []
        self.sensors = {LIDAR: SensorRecord(LIDAR, *pose_fields(LidarConfig().T_ego_lidar), data=[])}
        if options.sensors.cameras:
            for camera in nuscenes_rig(*options.sensors.image_size):
                calibration, K = pose_fields(camera.T_ego_camera), camera.intrinsics.tolist()
                self.sensors[camera.name] = SensorRecord(camera.name, *calibration, [], K, camera.width, camera.height)

    def sweep(self, begin: Moment, end: Moment, stamp_us: int) -> None:
        """Takes the LiDAR's revolution from one moment to another, which is no keyframe; it belongs to the next one.

        Its stamp [microseconds] is that of its end.
        """
        self._sweep(begin, end, stamp_us, is_key_frame=False)

    def keyframe(self, begin: Moment, stamp_us: int) -> None:
        """Takes a keyframe: the LiDAR's revolution from `begin` to now, the cameras' images, labels and boxes."""
        simulator, grid = self._simulator, self._options.grid
        sweep = self._sweep(begin, simulator.moment(), stamp_us, is_key_frame=True)
        mask_camera = None
        if self._options.sensors.cameras:
            mask_camera = simulator.mask_camera(self._images(stamp_us), grid)
        labels = simulator.occupancy(grid), simulator.mask_lidar(sweep, grid), mask_camera
        self._writer.write_labels(self._scene, len(self.frames), *labels)
        boxes = annotate(simulator.boxes(ANNOTATION_RADIUS_M), sweep, simulator.T_global_ego())
        self.frames.append(FrameRecord(stamp_us, boxes))

    def _sweep(self, begin: Moment, end: Moment, stamp_us: int, is_key_frame: bool) -> LidarSweep:
        # Each sweep has noise of its own: a keyframe's is the same whether other sweeps are written or not.
        rng = np.random.default_rng([*self._seed, stamp_us])
        sweep = self._simulator.lidar_in_motion(begin, end, rng)
        numbers = lidarseg_labels(sweep.point_class) if is_key_frame else None
        files = self._writer.write_sweep(self._scene, stamp_us, sweep.points, is_key_frame, numbers)
        self._remember(LIDAR, stamp_us, end.ego, is_key_frame, files)
        return sweep

    def _images(self, stamp_us: int) -> dict[str, CameraImage]:
        images, wanted = self._simulator.images(), self._options.sensors
        for channel, image in images.items():
            depth, semantic = image.depth if wanted.depth else None, image.semantic if wanted.semantic else None
            files = self._writer.write_image(self._scene, channel, stamp_us, image.rgb, depth, semantic)
            self._remember(channel, stamp_us, self._simulator.ego.pose, True, files)
        return images

    def _remember(self, channel: str, stamp_us: int, ego: np.ndarray, is_key_frame: bool, files: dict) -> None:
        pose = pose_fields(se3.from_se2(ego))
        data = SensorData(stamp_us, *pose, frame=len(self.frames), is_key_frame=is_key_frame, **files)
        self.sensors[channel].data.append(data)
