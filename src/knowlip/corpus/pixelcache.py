"""Normalised tiles kept as they are first read, in half precision, in one file that is mapped into memory.

Inflating a tile of float32 takes most of the time that reading it does; from the second epoch on nothing is inflated.
Half precision keeps a normalised value to 2^-11 of itself: .01 dB at three spreads from the middle of the scale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.core.folder import cannot_write


@dataclass(frozen=True)
class PixelCache:
    """Room for the tiles of a data set. Processes may share it: each writes the same values to the same place.

    Attributes:
        path: The file of pixels; beside it lies one of flags, a byte for each tile, set when its pixels are there.
        shapes: `(C, H, W)` of each tile.
        starts: `(N + 1,)` number of values before each tile.
    """

    path: Path
    shapes: Sequence[tuple[int, int, int]]
    starts: NDArray[np.int64]

    def get(self, index: int, read: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """A tile's normalised pixels, read the first time; both times the same values.

        Args:
            read: Gives the pixels, of the tile's shape.
        """
        pixels, there = _mapped(self.path, len(self.shapes), int(self.starts[-1]))
        start, end = int(self.starts[index]), int(self.starts[index + 1])
        if not there[index]:
            half = read().astype(np.float16)
            pixels[start:end] = half.ravel()
            there[index] = 1
            return half.astype(np.float32)
        return pixels[start:end].reshape(self.shapes[index]).astype(np.float32)


def pixel_cache(folder: str | Path, identity: str, shapes: Sequence[tuple[int, int, int]]) -> PixelCache:
    """Find or make the cache of a data set in a folder.

    Args:
        identity: Text that differs wherever a tile or its normalisation does.
        shapes: `(C, H, W)` of each tile.

    Raises:
        OutputError: The folder cannot be written, or the disk has no room for all tiles.
    """
    starts = np.concatenate([[0], np.cumsum([c * h * w for c, h, w in shapes])]).astype(np.int64)
    key = hashlib.sha256(f"{identity}:{starts[-1]}:{len(shapes)}".encode()).hexdigest()[:16]
    path = Path(folder) / f"{key}.float16"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # flags first: pixels without flags are read again, flags without pixels would be believed
        for file, size in ((_flags(path), len(shapes)), (path, 2 * int(starts[-1]))):
            if not file.exists():
                _reserve(file, size)
    except OSError as error:
        raise cannot_write(str(path), error) from error
    return PixelCache(path, shapes, starts)


def _flags(path: Path) -> Path:
    return path.with_suffix(".there")


def _reserve(file: Path, size: int) -> None:
    """Make a file of zeros whose room on the disk is taken: a mapped write into a full disk would kill the process."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as f:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(f.fileno(), 0, max(1, size))
            else:  # macOS
                f.truncate(max(1, size))
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@lru_cache(maxsize=8)
def _mapped(path: Path, tiles: int, values: int) -> tuple[Any, Any]:
    """Pixels and flags, mapped once in each process."""
    flags = np.memmap(_flags(path), np.uint8, "r+", shape=(tiles,))
    return np.memmap(path, np.float16, "r+", shape=(values,)), flags
