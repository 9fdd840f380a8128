"""Stored pixels to what networks read: decibel, centred and scaled by polarisation, and by band where levels differ.

Integer products go through a table with one entry for each value a pixel can have, computed by the same arithmetic;
that is the same result, and several times as fast as a logarithm for each pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.core.radiometry import Radiometry
from knowlip.scenes.geotiff import valid_mask

_CO_DB, _CROSS_DB = (-10.0, 6.0), (-16.0, 6.0)


def _default_levels() -> dict[str, tuple[float, float]]:
    return {"HH": _CO_DB, "HV": _CROSS_DB, "VH": _CROSS_DB, "VV": _CO_DB, "unknown": _CROSS_DB}


def _default_anchors() -> dict[str, float]:
    return {"HH": -5.5, "HV": -11.5, "VH": -11.5, "VV": -5.5, "unknown": -11.5}


@dataclass(frozen=True)
class Normaliser:
    """Radiometric normalisation.

    Attributes:
        level_db: Per polarisation, mean and spread in dB of sigma nought; a pixel becomes (dB - mean) / spread. A key
            with a band before it, such as `L:HV`, holds for scenes of that band.
        anchor_db: Per polarisation, where the bright level of an uncalibrated scene (the mean of its 75th and 95th
            percentile) is put: what 8-bit products, stretched one by one, are compared by.
    """

    level_db: dict[str, tuple[float, float]] = field(default_factory=_default_levels)
    anchor_db: dict[str, float] = field(default_factory=_default_anchors)

    def scale(
        self, polarisations: Sequence[str], calibrated: bool, anchor_db: NDArray[np.float32], band: str | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and spread `(C,)` in dB that a scene's own decibel values are normalised with."""
        shift = [
            0.0 if calibrated else self.anchor_db[p] - float(a) for p, a in zip(polarisations, anchor_db, strict=True)
        ]
        levels = [self.level_db.get(f"{band}:{p}", self.level_db[p]) for p in polarisations]
        mean = np.array([level[0] - s for level, s in zip(levels, shift, strict=True)], np.float32)
        return mean, np.array([level[1] for level in levels], np.float32)

    def stored(
        self,
        pixels: NDArray[Any],
        nodata: float | None,
        radiometry: Radiometry,
        polarisations: Sequence[str],
        anchor_db: NDArray[np.float32],
        band: str | None = None,
    ) -> NDArray[np.float32]:
        """Normalised pixels `(C, H, W)` of stored ones; no-data becomes 0, the middle of the scale.

        Args:
            pixels: `(C, H, W)` as stored.
            band: Letter of the scene's frequency band, where levels are given by band.
        """
        mean, spread = self.scale(polarisations, radiometry.calibrated, anchor_db, band)
        if pixels.dtype in (np.uint8, np.uint16):
            out = np.empty(pixels.shape, np.float32)
            for i, values in enumerate(pixels):
                table = _table(radiometry, pixels.dtype.name, float(mean[i]), float(spread[i]))
                # no value lies outside the table; without clipping, NumPy goes through a buffer
                table.take(values, out=out[i], mode="clip")
            if nodata is not None:
                out[:, ~valid_mask(pixels, nodata)] = 0
            return out
        db = radiometry.to_db(pixels)
        valid = valid_mask(pixels, nodata)
        out = (db - mean[:, None, None]) / spread[:, None, None]
        if not valid.all():
            out[:, ~valid] = 0
        return out


@lru_cache(maxsize=256)
def _table(radiometry: Radiometry, dtype: str, mean_db: float, spread_db: float) -> NDArray[np.float32]:
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    return (radiometry.to_db(values) - np.float32(mean_db)) / np.float32(spread_db)
