"""Pure functions over independent items, on several processes, with the results in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from knowlip.core.errors import KnowlipError

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _ignore_interrupt() -> None:
    # Ctrl-C reaches the whole process group; the parent decides what happens, workers just end
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def map_items(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, computed by `workers` processes (in this one when 1).

    Raises:
        KnowlipError: A worker process was killed from outside, usually for memory.
    """
    todo = list(items)
    if workers <= 1 or len(todo) <= 1:
        yield from map(function, todo)
        return
    pool = ProcessPoolExecutor(min(workers, len(todo)), multiprocessing.get_context("spawn"), _ignore_interrupt)
    try:
        yield from pool.map(function, todo)
    except BrokenProcessPool as error:
        raise KnowlipError("worker process", "was killed, usually for lack of memory", "Run again with fewer --workers") from error
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
