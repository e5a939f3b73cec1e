"""Does a world model obey? One record a clip, a report from all of them, tables from the report."""

from drivewm.evaluation.obedience.record import (
    CONTINUED,
    RECORDED,
    SHUFFLED,
    ZERO,
    ObedienceSample,
    record_obedience,
)
from drivewm.evaluation.obedience.report import obedience_report
from drivewm.evaluation.obedience.text import obedience_text

__all__ = [
    "CONTINUED",
    "RECORDED",
    "SHUFFLED",
    "ZERO",
    "ObedienceSample",
    "obedience_report",
    "obedience_text",
    "record_obedience",
]
