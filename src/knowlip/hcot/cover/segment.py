"""Land cover of one image alone, on its own pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.store import TilePixels
from knowlip.hcot.cover.cells import CELL_PX, measure
from knowlip.hcot.cover.classify import classify
from knowlip.hcot.cover.levels import SceneLevel, scene_level
from knowlip.hcot.cover.polarimetry import PAULI, classify_pauli


def segment(pixels: TilePixels, scene: SceneLevel | None = None) -> NDArray[np.uint8]:
    """Land-cover codes `(H, W)` of `LANDCOVER` on the image's pixels, 0 where there is no data.

    Args:
        pixels: One to four polarisations, or the three channels `PAULI` of a Pauli picture.
        scene: What is known of the whole scene; from this image alone when None.
    """
    if set(PAULI) <= set(pixels.polarisations):
        return classify_pauli(pixels)
    if scene is None:
        scene = scene_level([measure(pixels)], pixels.polarisations, pixels.calibrated, None)
    height, width = pixels.db.shape[1:]
    codes = to_pixels(classify(pixels, scene).codes, height, width)
    codes[np.isnan(pixels.db).any(axis=0)] = 0
    return codes


def to_pixels(cells: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A map of cells repeated onto `(height, width)` pixels; a last odd row or column takes its neighbour's value."""
    big = cells.repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
    return np.pad(big, ((0, height - big.shape[0]), (0, width - big.shape[1])), mode="edge")
