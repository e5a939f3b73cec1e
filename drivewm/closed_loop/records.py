"""The log of finished episodes: JSON Lines, appended one by one, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path

from drivewm.host import write_bytes

_REQUIRED = ("planner", "scenario", "variant", "identity", "status")


class OtherRunError(ValueError):
    """A folder holds episodes that were driven under other settings."""


class EpisodeLog:
    """Records by (planner, scenario, variant). A line that a kill cut short is dropped when the log is opened.

    Args:
        path: the .jsonl file; it may not exist yet.

    Raises:
        ValueError: if a complete line is not a record.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.records: dict[tuple[str, str, int], dict] = {}
        if self.path.exists():
            self._read()

    def append(self, record: dict) -> None:
        """Add one finished episode, on disk before this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records[record["planner"], record["scenario"], record["variant"]] = record

    def finished(self, planner: str, scenario: str, variant: int, identity: str) -> bool:
        """Whether this episode is in the log.

        Raises:
            OtherRunError: it was driven under another identity (another checkpoint, other settings).
        """
        record = self.records.get((planner, scenario, variant))
        if record is None:
            return False
        if record["identity"] != identity:
            raise OtherRunError(
                f"{self.path}: {planner} in {scenario}, variant {variant}, was driven as {record['identity']}, "
                f"now it is {identity}; another checkpoint or other settings need another folder"
            )
        return True

    def _read(self) -> None:
        text = self.path.read_bytes()
        complete = text[: text.rfind(b"\n") + 1]
        for number, line in enumerate(complete.splitlines(), start=1):
            try:
                record = json.loads(line)
                missing = [field for field in _REQUIRED if field not in record]
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{self.path}, line {number}: {error}, expected one JSON record a line") from None
            if missing:
                raise ValueError(f"{self.path}, line {number}: no {missing}, expected {list(_REQUIRED)}")
            self.records[record["planner"], record["scenario"], record["variant"]] = record
        if complete != text:
            write_bytes(self.path, complete)
