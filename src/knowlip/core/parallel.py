"""Pure functions over independent items, on several processes, with the results in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TypeVar

from knowlip.core.errors import KnowlipError

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent decides what happens, workers just end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # a worker whose parent was killed would wait for work for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits: a worker is started whole or not at all, and shows no traceback of its own while it starts."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # workers inherit the mask; the handler is for what other threads of this process receive meanwhile
    caught: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if caught:
        raise KeyboardInterrupt


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise KnowlipError(
            "worker process", "was killed, usually for lack of memory", "Run again with fewer --workers"
        ) from error
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def map_items(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, computed by `workers` processes (in this one when 1).

    Raises:
        KnowlipError: A worker process was killed from outside, usually for memory.
    """
    todo = list(items)
    if workers <= 1 or len(todo) <= 1:
        yield from map(function, todo)
        return
    with _pool(min(workers, len(todo))) as pool:
        with _interrupts_held():
            results = pool.map(function, todo)
        yield from results


def in_own_process(function: Callable[[Item], Result], item: Item) -> Result:
    """`function(item)`, computed in a process that ends afterwards and gives its memory back."""
    with _pool(1) as pool:
        with _interrupts_held():
            future = pool.submit(function, item)
        return future.result()
