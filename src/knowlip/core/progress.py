"""A progress bar with rate and time left on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A bar with rate and time left on standard error; nothing when quiet or not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, note: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None, note="", rate="")

        def update(done: int, total: int, note: str) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, note=note[-60:], rate=f"{speed:.1f}/s" if speed else "")

        yield update
