"""A picture of a simulated scene: what the radar sees beside what is there, with boxes about the targets."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LANDCOVER_COLORS, World
from knowlip.simulation.truth_files import replacing

_LONGEST_PX = 1024
_BOX, _GAP_PX = {"ship": (255, 170, 0), "aircraft": (0, 220, 255)}, 8


def write_preview(path: Path, sigma0: NDArray[np.float32], world: World, offsets_xy_m: NDArray[np.float64]) -> None:
    """Write a PNG: backscatter in dB from the 1st to the 99.5th percentile, and land cover; both with target boxes.

    Args:
        path: Where to.
        sigma0: Linear sigma nought (H, W) of one polarisation.
        world: The ground.
        offsets_xy_m: Of each object, how far from its place the image shows it (N, 2).
    """
    from PIL import Image, ImageDraw

    step = max(1, -(-max(sigma0.shape) // _LONGEST_PX))
    H, W = (n // step * step for n in sigma0.shape)
    looked = sigma0[:H, :W].reshape(H // step, step, W // step, step).mean(axis=(1, 3))
    level_db = 10 * np.log10(np.maximum(looked, 1e-6))
    low, high = np.percentile(level_db, (1, 99.5))
    grey = np.clip((level_db - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    for code, colour in LANDCOVER_COLORS.items():
        palette[code] = colour[:3]
    cover = palette[world.landcover[step // 2 : H : step, step // 2 : W : step]]
    gap = np.full((len(grey), _GAP_PX, 3), 255, np.uint8)
    picture = Image.fromarray(np.hstack([np.repeat(grey[:, :, None], 3, axis=2), gap, cover]))
    draw = ImageDraw.Draw(picture)
    per_px = step * world.gsd_m
    for o, offset in zip(world.objects, offsets_xy_m, strict=True):
        right = grey.shape[1] + _GAP_PX
        for corners, shift in (((o.corners_xy_m + offset) / per_px, 0), (o.corners_xy_m / per_px, right)):
            points = [(float(x) + shift, float(y)) for x, y in corners]
            # a box of its own half does not run over into the other
            if all(shift <= x < shift + grey.shape[1] for x, _ in points):
                draw.polygon(points, outline=_BOX[o.cls])
    with replacing(path) as temporary:
        picture.save(temporary, "PNG")
