"""Pure functions over independent items, on several processes, with the results in the order of the items."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, Literal, TypeVar

from knowlip.core.errors import ConfigError, KnowlipError

Item = TypeVar("Item")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]


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


def map_items(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, engine: Engine = "local"
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, computed by `workers` processes (in this one when 1).

    Args:
        engine: `local` for processes of this machine; `ray` for those of the Ray cluster at `RAY_ADDRESS`, or of one
            started for the occasion with `workers` processors. Every node has to reach the same files.

    Raises:
        ConfigError: Ray is asked for and not installed, or its cluster does not answer.
        KnowlipError: A worker process was killed from outside, usually for memory.
    """
    todo = list(items)
    if engine == "ray":
        yield from _on_ray(function, todo, workers)
        return
    if workers <= 1 or len(todo) <= 1:
        yield from map(function, todo)
        return
    with _pool(min(workers, len(todo))) as pool:
        with _interrupts_held():
            results = pool.map(function, todo)
        yield from results


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def _on_ray(function: Callable[[Item], Result], todo: list[Item], workers: int) -> Iterator[Result]:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError(
            "--engine ray", "needs Ray, which is not installed", "pip install 'sar-knowlip[cluster]'"
        ) from error
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        try:
            ray.init(address=address, num_cpus=None if address else max(1, workers), log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"--engine ray at {address or 'this machine'}", str(error), "Check RAY_ADDRESS"
            ) from error
    try:
        task = ray.remote(_call)
        # as many as keep every processor busy; more would only fill the object store with results
        ahead = 2 * max(1, int(ray.cluster_resources().get("CPU", workers)))
        waiting = deque(task.remote(function, item) for item in todo[:ahead])
        for following in [*todo[ahead:], *[None] * len(waiting)]:
            try:
                result: Result = ray.get(waiting.popleft())
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                raise KnowlipError("ray", f"lost a worker ({error})", "Run again; finished items are kept") from error
            if following is not None:
                waiting.append(task.remote(function, following))
            yield result
    finally:
        if started:
            ray.shutdown()


def in_own_process(function: Callable[[Item], Result], item: Item) -> Result:
    """`function(item)`, computed in a process that ends afterwards and gives its memory back."""
    with _pool(1) as pool:
        with _interrupts_held():
            future = pool.submit(function, item)
        return future.result()
