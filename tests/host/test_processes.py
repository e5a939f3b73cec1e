"""Work spread over processes: every result, errors, one thread each, and no orphans."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivewm.host import in_processes, open_processes

ROOT = Path(__file__).resolve().parents[2]
ORPHANAGE = """
import os, sys, time
from drivewm.host import in_processes
def sleep(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(60)
if __name__ == "__main__":
    list(in_processes(sleep, sys.argv[1:], 2))
"""


def describe(item):
    return item, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def refuse(item):
    raise ValueError(f"no {item}")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_gives_its_result(workers):
    results = list(in_processes(describe, [3, 4, 5], workers))
    assert sorted(item for item, *_ in results) == [3, 4, 5]
    here = {pid == os.getpid() for _, pid, _ in results}
    assert here == {workers == 1}
    if workers == 2:
        assert {threads for *_, threads in results} == {"1"}


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_arrive(workers):
    with pytest.raises(ValueError, match="no "):
        list(in_processes(refuse, ["a", "b"], workers))


def test_open_processes_serve_several_lots():
    with open_processes(2) as spread:
        lots = [{pid for _, pid, _ in spread(describe, range(8))} for _ in range(3)]
    pids = set().union(*lots)
    assert len(pids) <= 2 and os.getpid() not in pids


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers must be >= 1, got 0"):
        list(in_processes(describe, [1], 0))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes in /proc")
def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / "main.py").write_text(ORPHANAGE)
    notes = [tmp_path / "a", tmp_path / "b"]
    parent = subprocess.Popen([sys.executable, "main.py", *notes], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ROOT})
    try:
        assert eventually(lambda: all(note.exists() and note.read_text() for note in notes))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert eventually(lambda: not any(alive(int(note.read_text())) for note in notes))


def eventually(condition, seconds=40.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def alive(pid: int) -> bool:
    """Is there such a process, and not as a zombie that nobody has waited for?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
