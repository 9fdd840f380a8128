"""Land cover of quad-polarised images from the way the ground scatters: surface, double bounce or volume.

Pauli's decomposition: HH + VV is strong for surfaces, HH - VV for double bounce between ground and walls, HV for
volumes such as crowns (Cloude and Pottier 1996, "A review of target decomposition theorems in radar polarimetry").
Water and bare ground depolarise little, so HV parts them from all else; walls and crowns both depolarise, and only
walls double-bounce as much. Thresholds come from the image's own histogram; the fixed ones were set in view of the
labelled classes of PolSF's AIRSAR picture, L band, and have seen no other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.statements import LANDCOVER
from knowlip.corpus.store import TilePixels
from knowlip.hcot.cover.table import CODE
from knowlip.hcot.cover.thresholds import DISTINCT, minimum_error

PAULI: Final = ("HH-VV", "HV", "HH+VV")
"""Channels of a Pauli picture in the order of its red, green and blue."""

_WINDOW_PX = 9
_BRIGHT_PERCENT = 95
"""Pictures stretch each channel for itself; channels are compared after each is divided by its own bright level."""
_SMOOTH_HV_DB = -6.0
_DOUBLE_BOUNCE_DB = -1.0
"""HH - VV over HV that parts walls from crowns where the image's own histogram shows no two kinds."""
_SURFACE_DB, _BARE_DB = 2.0, -13.0
"""Bare ground is rougher than water: its HH + VV does not exceed HH - VV, and it is brighter than noise."""


def classify_pauli(pixels: TilePixels) -> NDArray[np.uint8]:
    """Codes `(H, W)` of `LANDCOVER`: water, woodland (vegetation of any kind), building or bare; 0 without data.

    Args:
        pixels: Channels `PAULI`, calibrated or not.
    """
    valid: NDArray[np.bool_] = np.asarray(~np.isnan(pixels.db).any(axis=0))
    if not valid.any():
        return np.zeros(valid.shape, np.uint8)
    double, volume, surface = (
        _level(channel, valid) for channel in pixels.db[[pixels.polarisations.index(p) for p in PAULI]]
    )
    split = minimum_error(volume[valid])
    smooth = volume < (split.threshold if split and split.distinctness > DISTINCT else _SMOOTH_HV_DB)
    rough = valid & ~smooth
    split = minimum_error((double - volume)[rough]) if rough.any() else None
    walls = double - volume > (split.threshold if split and split.distinctness > DISTINCT else _DOUBLE_BOUNCE_DB)
    bare = (double - surface > _SURFACE_DB) & (np.maximum(double, surface) > _BARE_DB)
    names = np.where(
        smooth,
        np.where(bare, CODE["bare"], CODE["water"]),
        np.where(walls, CODE["building"], CODE["woodland"]),
    )
    codes = _settle(names.astype(np.uint8))
    codes[~valid] = 0
    return codes


def _level(db: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Local mean in dB against the channel's bright level."""
    power = np.where(valid, np.power(np.float32(10), np.where(valid, db, 0) / 10), 0)
    seen = ndimage.uniform_filter(valid.astype(np.float32), _WINDOW_PX, mode="nearest")
    mean = ndimage.uniform_filter(power, _WINDOW_PX, mode="nearest") / np.maximum(seen, 1e-3)
    level = 10 * np.log10(np.maximum(mean, 1e-9))
    return np.asarray(level - np.percentile(level[valid], _BRIGHT_PERCENT), np.float32)


def _settle(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The commonest class around each pixel."""
    around = [ndimage.uniform_filter((codes == c).astype(np.float32), _WINDOW_PX, mode="nearest") for c in LANDCOVER]
    return np.array(list(LANDCOVER), np.uint8)[np.argmax(around, axis=0)]
