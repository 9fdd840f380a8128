"""Where a real scene is surely water, built-up, wooded or farmed, from the optical picture of the same ground."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

CLASSES = ("water", "built-up", "vegetation", "farmland")
PATCH_PX = 64
PURE = 0.95


def optical_masks(path: Path) -> dict[str, NDArray[np.bool_]]:
    """Class masks (H, W) by colour and texture of the optical picture.

    The thresholds were set by eye on overlays of development scenes. They aim to be pure, not complete: shores, parks,
    sparse suburbs and bare hills belong to no class.
    """
    rgb = np.asarray(Image.open(path).convert("RGB"), np.float32)
    fine = rgb.mean(axis=2)
    fine = fine - ndimage.gaussian_filter(fine, 1.5)
    # roofs and streets change from pixel to pixel, slopes and fields do not
    rough = np.sqrt(ndimage.gaussian_filter(fine * fine, 8))
    r, g, b = (ndimage.gaussian_filter(rgb[..., k], 4) for k in range(3))
    red_around = ndimage.gaussian_filter(rgb[..., 0], 12)

    water = (b - g > 30) & (g - r > 30) & (rough < 4) & (r < 60)
    near_water = ndimage.binary_dilation(water, iterations=6)
    built = (rough > 12) & (red_around > 100) & (g - r > 4) & ~near_water
    vegetation = (g - r > 14) & (r < 95) & (b - g < 32) & (rough < 7.5) & ~near_water
    farmland = (g - r < 17) & (r > 72) & (r < 190) & (rough < 6.5) & ~near_water
    return {"water": water, "built-up": built, "vegetation": vegetation, "farmland": farmland}
