"""What is measured on cells of 2 x 2 pixels: local levels near and wide, and texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.radiometry import power_of_db
from knowlip.corpus.store import TilePixels

CELL_PX = 2
NEAR, WIDE = 3, 9
"""Windows in cells: of a class's own level, and of the level of a piece of ground."""
ROUGH, AROUND = 5, 17
"""Windows in cells: of local roughness, and of its mean. The mean of many small windows is what ground is like all
over; one large window would take the step at a field's edge or a slope's foot for roughness."""

_LEAST_POWER, _LEAST_VARIANCE = 1e-9, 1e-2


@dataclass(frozen=True)
class Cells:
    """Features on cells.

    Attributes:
        near_db: `(C, h, w)` mean over `NEAR` cells.
        wide_db: `(C, h, w)` mean over `WIDE` cells.
        texture: `(h, w)` mean over `AROUND` cells of the ln of the variance over `ROUGH` cells of the first
            polarisation's ln power. Logarithms keep bright points, which 8 bits clip, from deciding it alone.
        valid: `(h, w)` where there is data.
    """

    near_db: NDArray[np.float32]
    wide_db: NDArray[np.float32]
    texture: NDArray[np.float32]
    valid: NDArray[np.bool_]


def measure(pixels: TilePixels) -> Cells:
    """Levels and texture of every cell; windows that reach over no-data use what there is."""
    _, h, w = pixels.db.shape
    h, w = h // CELL_PX, w // CELL_PX
    fine = power_of_db(pixels.db[:, : h * CELL_PX, : w * CELL_PX])
    power = (fine[:, ::2, ::2] + fine[:, 1::2, ::2] + fine[:, ::2, 1::2] + fine[:, 1::2, 1::2]) / np.float32(4)
    valid: NDArray[np.bool_] = ~np.isnan(power).any(axis=0)
    power = np.where(valid, np.maximum(power, np.float32(_LEAST_POWER)), 0)
    whole = bool(valid.all())
    weight = valid.astype(np.float32)

    def local(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        total: NDArray[np.float32] = ndimage.uniform_filter(values, size, mode="nearest", axes=(-2, -1))
        if whole:
            return total
        # a float32 running mean leaves a little behind where everything is 0
        seen = ndimage.uniform_filter(weight, size, mode="nearest")
        return np.where(seen > 1e-3, total / np.maximum(seen, 1e-3), 0)

    def level_db(size: int) -> NDArray[np.float32]:
        return np.float32(10) * np.log10(np.maximum(local(power, size), np.float32(_LEAST_POWER)))

    logs = np.log(np.maximum(power[0], np.float32(_LEAST_POWER)))
    logs = np.where(valid, logs - (logs[valid].mean() if valid.any() else 0), np.float32(0))
    squares, means = local(np.stack([logs * logs, logs]), ROUGH)
    variance = squares - means**2
    roughness = np.log(np.maximum(variance, np.float32(_LEAST_VARIANCE)))
    texture = local(np.where(valid, roughness, 0), AROUND)
    return Cells(level_db(NEAR), level_db(WIDE), texture, valid)
