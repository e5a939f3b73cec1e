"""Work spread over processes of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_processes(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Results of `function` on each item, as they come; with one worker, or one item, in this process.

    Each process uses one thread. An error ends the others' work and is raised here.

    Args:
        function: picklable, as are items and results.
        items: to work on.
        workers: processes.

    Raises:
        ValueError: fewer than one worker.
    """
    with open_processes(workers if len(items) > 1 else min(workers, 1)) as spread:
        yield from spread(function, items)


@contextmanager
def open_processes(workers: int) -> Iterator[Callable[[Callable[[Item], Result], Sequence[Item]], Iterator[Result]]]:
    """Processes for several lots of work, as they take seconds to start: gives `spread(function, items)`, which is
    `in_processes` without its start. ValueError for fewer than one worker."""
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_die_with_parent)

    def spread(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()

    with _single_threaded(), pool:
        try:
            yield spread
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """Ends this worker when the main process was killed: nobody writes into the folder of the run that resumes."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started meanwhile use one thread each: more of them would only fight for the same cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
