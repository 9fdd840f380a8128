"""Tables over an image's lines and samples, as products give calibration and noise, evaluated window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lut:
    """Vectors along samples, given at some lines; linear between both, constant beyond the last line or sample.

    Attributes:
        lines: `(N,)` ascending.
        samples: One array of sample numbers for each line.
        values: One array of values for each line.
    """

    lines: NDArray[np.float64]
    samples: tuple[NDArray[np.float64], ...]
    values: tuple[NDArray[np.float64], ...]

    def window(self, row: int, col: int, height: int, width: int) -> NDArray[np.float64]:
        """Values `(height, width)` at the pixels of a window."""
        rows, cols = np.arange(row, row + height), np.arange(col, col + width)
        last = len(self.lines) - 1
        first = int(np.clip(np.searchsorted(self.lines, row, "right") - 1, 0, last))
        final = int(np.clip(np.searchsorted(self.lines, row + height - 1, "left"), first, last))
        table = np.stack([np.interp(cols, self.samples[i], self.values[i]) for i in range(first, final + 1)])
        lines = self.lines[first : final + 1]
        if len(lines) == 1:
            return np.broadcast_to(table[0], (height, width))
        before = np.clip(np.searchsorted(lines, rows, "right") - 1, 0, len(lines) - 2)
        share = np.clip((rows - lines[before]) / (lines[before + 1] - lines[before]), 0, 1)[:, None]
        return np.asarray(table[before] * (1 - share) + table[before + 1] * share)
