"""Gradients of radar images by ratios of averages, which speckle moves everywhere alike, bright or dark.

Sources: Touzi et al. 1988, "A statistical and geometrical edge detector for SAR images" (ratio of averages); Li et al.
2024, "Predicting gradient is better" (SAR-JEPA: several scales, their magnitudes as the target).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADII = (5, 9, 13, 17)
"""Reach of the averages, pixels."""


def ratio_gradient(power: Tensor, radius: int) -> Tensor:
    """Magnitude of the gradient by ratio of averages.

    On either side of a pixel, its own row or column included, lies a half window of `radius + 1` by `2 * radius + 1`
    pixels. The gradient's components are the logarithms of the ratio of left to right and of upper to lower average.

    Args:
        power: `(B, C, H, W)` linear backscatter, positive; borders are mirrored.
        radius: Reach of the averages, pixels, less than H and W.

    Returns:
        `(B, C, H, W)`.
    """
    H, W = power.shape[2:]
    padded = F.pad(power, (radius,) * 4, mode="reflect")
    across = F.avg_pool2d(padded, (2 * radius + 1, radius + 1), 1).log()
    down = F.avg_pool2d(padded, (radius + 1, 2 * radius + 1), 1).log()
    return torch.hypot(
        across[..., :W] - across[..., radius : radius + W], down[..., :H, :] - down[..., radius : radius + H, :]
    )
