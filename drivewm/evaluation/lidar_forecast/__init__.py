"""LiDAR forecasting: one record of scores a window, a report from their sums, tables from the report."""

from drivewm.evaluation.lidar_forecast.record import LidarRecord, record_lidar_forecast
from drivewm.evaluation.lidar_forecast.report import lidar_report
from drivewm.evaluation.lidar_forecast.text import lidar_text

__all__ = ["LidarRecord", "lidar_report", "lidar_text", "record_lidar_forecast"]
