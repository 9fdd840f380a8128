"""What the optical picture of a real scene says the ground is: a rule on colour and texture, pixel by pixel.

The rule was set by eye on overlays of the development scenes (western Los Angeles, northern San Antonio) and looks at
the optical picture alone. It leaves open what colour does not tell, so that a tile is judged only where it is clear.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

WATER, VEGETATION, BUILT, BARE, DRY = 1, 2, 3, 4, 5
"""Reference codes; 0 is open. Dry ground is brown and dim: dead grass, scrub or fallow, so vegetation or bare."""

MAX_OPEN = 0.4
"""Largest share of a tile without a reference for its dominant cover to be judged."""
MIN_LEAD = 0.1
"""Least lead of the largest cover over the next, as a share of the tile."""


def is_development(lon: float, lat: float) -> bool:
    """Whether a scene is of the places that may be looked at: western Los Angeles and northern San Antonio."""
    return lon < -118.06 if lon < -110 else lat > 29.5


def optical_classes(path: Path) -> NDArray[np.uint8]:
    """Reference codes `(H, W)`.

    Water is dark blue and smooth. Built-up land is rough, since roofs and streets change from pixel to pixel, and grey.
    Vegetation is smooth and greener than red. Bare ground is smooth, bright and as red as green.
    """
    rgb = np.asarray(Image.open(path).convert("RGB"), np.float32)
    fine = rgb.mean(axis=2)
    fine = fine - ndimage.gaussian_filter(fine, 1.5)
    rough = np.sqrt(ndimage.gaussian_filter(fine * fine, 8))
    r, g, b = (ndimage.gaussian_filter(rgb[..., k], 3) for k in range(3))
    codes = np.zeros(rough.shape, np.uint8)
    smooth = rough < 8
    codes[(g - r > 16) & (r < 100) & smooth] = VEGETATION
    codes[(g - r < 10) & smooth & (r > 70)] = DRY
    codes[(g - r < 10) & smooth & (r > 150) & (r - b > -15)] = BARE
    grey: NDArray[np.bool_] = (g - r > 12) | (r > 150)
    codes[(rough > 12) & (r > 85) & (g - r > 3) & grey] = BUILT
    # the shore's contrast is rough, so water has its own, finer measure of smoothness
    calm = np.sqrt(ndimage.gaussian_filter(fine * fine, 2))
    blue = (b - g > 30) & (g - r > 28) & (r < 62) | (b - g > 24) & (g - r > 36) & (r < 36)
    codes[_bodies(blue & (calm < 6), calm < 1)] = WATER
    return codes


def _bodies(candidates: NDArray[np.bool_], sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Connected candidates of at least a hectare, a fifth of which is sure: shaded slopes are dark but never calm."""
    labels, count = ndimage.label(candidates)
    size = np.bincount(labels.ravel(), minlength=count + 1)
    calm = np.bincount(labels.ravel(), sure.ravel(), count + 1)
    kept = (size >= 100) & (calm > 0.2 * size)
    kept[0] = False
    return kept[labels]


def dominant(codes: NDArray[np.uint8]) -> set[int] | None:
    """The covers that may be called a tile's largest, or None where the picture is not clear about it.

    Dry ground counts towards vegetation and towards bare ground, so that either is right where it decides.
    """
    share = np.bincount(codes.ravel(), minlength=6) / codes.size
    if share[0] > MAX_OPEN:
        return None
    open_ground = share[VEGETATION] + share[BARE] + share[DRY]
    rivals = {WATER: share[WATER], BUILT: share[BUILT]}
    first = max(rivals, key=lambda c: rivals[c])
    other = min(rivals.values())
    if rivals[first] - max(other, open_ground) >= MIN_LEAD:
        return {first}
    if open_ground - rivals[first] < MIN_LEAD:
        return None
    for one, two in ((VEGETATION, BARE), (BARE, VEGETATION)):
        if share[one] - share[two] - share[DRY] >= MIN_LEAD:
            # what is left must not outweigh it either
            return {one} if share[one] - rivals[first] >= MIN_LEAD else None
    if share[DRY] >= MIN_LEAD and max(share[VEGETATION], share[BARE]) + share[DRY] - rivals[first] >= MIN_LEAD:
        return {VEGETATION, BARE}
    return None
