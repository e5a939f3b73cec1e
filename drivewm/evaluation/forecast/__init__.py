"""4D occupancy forecasting: one record a window, a report from their sums, tables from the report."""

from drivewm.evaluation.forecast.record import ForecastRecord, record_forecast
from drivewm.evaluation.forecast.report import forecast_report, score_forecasts
from drivewm.evaluation.forecast.text import forecast_text

__all__ = ["ForecastRecord", "forecast_report", "forecast_text", "record_forecast", "score_forecasts"]
