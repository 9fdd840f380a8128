"""Ships as bright points on water: constant false alarm rate detection, and their size and heading from second moments.

Source: Crisp 2004, "The State-of-the-Art in Ship Detection in Synthetic Aperture Radar Imagery" (gamma clutter CFAR).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import gamma

from knowlip.core.statements import TargetObject
from knowlip.corpus.store import TilePixels
from knowlip.hcot.cover import CELL_PX, CODE, CoverMap

FALSE_ALARM_RATE = 1e-7
MAX_LENGTH_M = 450.0
_RING_PX = (12, 24)
"""Inner and outer distance of the ring of water looked for around a target."""
_CLUTTER_PX = 41
_CLUTTER_LOOKS = 3.0
"""Looks assumed of sea clutter: fewer than a product's, since waves add to speckle."""


def detect_ships(pixels: TilePixels, cover: CoverMap, gsd_m: float) -> tuple[TargetObject, ...]:
    """Detect ships in a tile.

    Args:
        pixels: The tile.
        cover: Its land cover; ships are looked for on water and in its gaps.
        gsd_m: Ground sample distance, metres.

    Returns:
        Targets with an oriented box in tile pixels, brightest first.
    """
    water_cells = cover.codes == CODE["water"]
    if water_cells.mean() < 0.02:
        return ()
    reach = max(3, int(MAX_LENGTH_M / gsd_m / CELL_PX / 2))
    # a ship is a gap in the water; closing by half its greatest length brings the gap back into the search area
    search_cells = ndimage.binary_closing(
        np.pad(water_cells, reach, mode="edge"), iterations=1, structure=_disc(reach)
    )[reach:-reach, reach:-reach]
    h, w = pixels.db.shape[1:]
    search, water = _to_pixels(search_cells, h, w), _to_pixels(water_cells, h, w)
    valid = ~np.isnan(pixels.db).any(axis=0)
    power = np.where(valid, np.power(10, pixels.db.mean(axis=0) / 10), 0)
    threshold = gamma.ppf(1 - FALSE_ALARM_RATE, _CLUTTER_LOOKS, scale=1 / _CLUTTER_LOOKS)
    weight = (water & valid).astype(np.float64)
    # two passes: the second takes what the first found, with its side lobes, out of the clutter
    bright = np.zeros_like(search)
    for _ in range(2):
        clear = weight * ~ndimage.binary_dilation(bright, iterations=2)
        clutter = ndimage.uniform_filter(power * clear, _CLUTTER_PX, mode="nearest") / np.maximum(
            ndimage.uniform_filter(clear, _CLUTTER_PX, mode="nearest"), 1e-6
        )
        bright = search & valid & (clutter > 0) & (power > threshold * clutter)
    labels, count = ndimage.label(ndimage.binary_closing(bright, iterations=1), np.ones((3, 3)))
    found = (
        [_target(labels == k, window, power, water, gsd_m) for k, window in enumerate(ndimage.find_objects(labels), 1)]
        if count
        else []
    )
    kept = [t for t in found if t is not None]
    return tuple(sorted(kept, key=lambda t: -t.confidence))


def _disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc: NDArray[np.bool_] = x * x + y * y <= radius * radius
    return disc


def _to_pixels(cells: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    big = cells.repeat(CELL_PX, 0).repeat(CELL_PX, 1)
    return np.pad(big, ((0, height - big.shape[0]), (0, width - big.shape[1])), mode="edge")


def _target(
    mask: NDArray[np.bool_],
    window: tuple[slice, slice],
    power: NDArray[np.float64],
    water: NDArray[np.bool_],
    gsd_m: float,
) -> TargetObject | None:
    rows, cols = window
    if mask[window].sum() < 3 and power[window].max() < 30 * np.median(power[water]):
        return None
    # what it stands in must be water: a bright dot on a spit of land is not a ship. The cover map's windows blur the
    # ship itself over some pixels, so the ring starts beyond them
    around = (
        slice(max(0, rows.start - _RING_PX[1]), rows.stop + _RING_PX[1]),
        slice(max(0, cols.start - _RING_PX[1]), cols.stop + _RING_PX[1]),
    )
    ring = np.ones(water[around].shape, bool)
    top, left = rows.start - around[0].start, cols.start - around[1].start
    ring[
        max(0, top - _RING_PX[0]) : top + (rows.stop - rows.start) + _RING_PX[0],
        max(0, left - _RING_PX[0]) : left + (cols.stop - cols.start) + _RING_PX[0],
    ] = False
    if not ring.any() or water[around][ring].mean() < 0.6:
        return None
    y, x = np.nonzero(mask[window])
    weight = power[window][y, x]
    x, y = x + cols.start + 0.5, y + rows.start + 0.5
    cx, cy = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.cov(np.stack([x, y]), aweights=weight, bias=True) + np.eye(2) / 12
    values, vectors = np.linalg.eigh(spread)
    # a uniform bar of length a has variance a²/12 along itself
    width_px, length_px = np.sqrt(12 * values)
    if length_px * gsd_m > MAX_LENGTH_M:
        return None
    long, short = vectors[:, 1] * length_px / 2, vectors[:, 0] * width_px / 2
    corners = [(cx, cy) + s * long + t * short for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    contrast_db = 10 * np.log10(weight.max() / max(np.median(power[water]), 1e-12))
    return TargetObject(
        cls="ship",
        subtype=None,
        corners=tuple(float(v) for corner in corners for v in corner),
        length_m=float(length_px * gsd_m),
        width_m=float(width_px * gsd_m),
        heading_deg=float(np.degrees(np.arctan2(vectors[0, 1], -vectors[1, 1])) % 180),
        source="cfar",
        confidence=float(np.clip(contrast_db / 30, 0.3, 0.99)),
    )
