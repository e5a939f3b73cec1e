"""Stages that are done once: a finished one is reused, a killed one resumes, a changed one starts anew."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivewm.host import write_json


@dataclass(frozen=True)
class Stage:
    """A step of the demo.

    Attributes:
        name: of the stage, its folder and its marker.
        title: what it does, for people.
        options: all that decides its result, as JSON; those of the stages before are taken in by themselves.
        outputs: what it leaves, relative to its folder; a stage is reused only if all are there.
        run: does it, in the folder given. The folder keeps what a killed run left, for the stage to go on from.
    """

    name: str
    title: str
    options: Mapping[str, Any]
    outputs: tuple[str, ...]
    run: Callable[[Path], None]


class StageRunner:
    """Runs stages in order, each in a folder of its own, with markers in `stages/`.

    `stages/NAME.json` says that a stage is finished, with its seconds and a digest of its options and of the finished
    stages before it: whatever follows a stage that ran again, runs again.
    `stages/NAME.running.json` counts the seconds of one that is not: those spent before a kill are not lost.

    Args:
        out: the demo's folder.
        report: takes a line of text.
    """

    def __init__(self, out: Path, report: Callable[[str], None] = print) -> None:
        self.out, self.report = out, report
        self.seconds: dict[str, float] = {}
        self._digest = ""

    def run(self, stage: Stage) -> bool:
        """Run or reuse one stage; returns whether it was run."""
        text = json.dumps([self._digest, stage.name, stage.options], sort_keys=True)
        self._digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = self.out / stage.name
        marker, running = (self.out / "stages" / f"{stage.name}{kind}.json" for kind in ("", ".running"))
        done = _read(marker)
        missing = [name for name in stage.outputs if not (folder / name).exists()]
        if done is not None and done["options"] == self._digest and not missing:
            self._finish(stage, done["seconds"])
            self.report(f"finished before in {done['seconds']:.0f} s, reused")
            return False
        begun = _read(running)
        if begun is None or begun["options"] != self._digest:
            marker.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            begun = {"options": self._digest, "seconds": 0.0}
        else:
            self.report(f"goes on after {begun['seconds']:.0f} s")
        folder.mkdir(parents=True, exist_ok=True)
        with _Clock(running, begun) as clock:
            stage.run(folder)
        missing = [name for name in stage.outputs if not (folder / name).exists()]
        if missing:
            raise RuntimeError(f"stage {stage.name} ended without {missing} in {folder}")
        seconds = round(clock.seconds(), 2)
        write_json(marker, {"options": self._digest, "seconds": seconds}, indent=1)
        running.unlink()
        self._finish(stage, seconds)
        self.report(f"{stage.name} took {seconds:.0f} s")
        return True

    def _finish(self, stage: Stage, seconds: float) -> None:
        self.seconds[stage.name] = seconds
        self._digest = f"{self._digest}/{seconds}"


class _Clock:
    """Keeps the seconds of a running stage on disk, a few seconds fresh, as long as the context is open."""

    def __init__(self, path: Path, begun: dict, every_s: float = 2.0) -> None:
        self.path, self.begun, self.every_s = path, begun, every_s
        self._start, self._end = time.monotonic(), None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def seconds(self) -> float:
        """Seconds so far, those before a resume included."""
        return self.begun["seconds"] + (self._end or time.monotonic()) - self._start

    def __enter__(self) -> _Clock:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._end = time.monotonic()
        self._stop.set()
        self._thread.join()
        self._write()

    def _keep(self) -> None:
        while not self._stop.wait(self.every_s):
            self._write()

    def _write(self) -> None:
        write_json(self.path, {**self.begun, "seconds": round(self.seconds(), 2)}, indent=1)


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
