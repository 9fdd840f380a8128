"""A target's oriented box from its bright pixels: direction by second moments, length and width where it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_TURNS_DEG = np.arange(-14.0, 15.0, 2.0)
_SIDES = (0.02, 0.98)
"""Quantiles that bound a target across, where rays and side lobes stick out; along, ships end in single points."""


@dataclass(frozen=True)
class Box:
    """An oriented box in pixels.

    Attributes:
        centre: `(x, y)`; pixel (0, 0) covers 0 to 1.
        ahead: Unit vector `(x, y)` along the longer side.
        length_px: Longer side, without the width of the point spread.
        width_px: Shorter side, without it.
        fill: Share of the box as seen that is bright.
    """

    centre: tuple[float, float]
    ahead: tuple[float, float]
    length_px: float
    width_px: float
    fill: float

    @property
    def corners(self) -> tuple[float, ...]:
        """Four corners `(x0, y0, …, x3, y3)`."""
        a, c = np.array(self.ahead), np.array(self.centre)
        long, short = a * self.length_px / 2, np.array([-a[1], a[0]]) * self.width_px / 2
        return tuple(float(v) for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1)) for v in c + s * long + t * short)

    def scaled(self, factor: float, left: float = 0.0, top: float = 0.0) -> Box:
        """The box on a grid that is finer by a factor, off by so many of its pixels."""
        x, y = self.centre
        return replace(
            self,
            centre=(x * factor + left, y * factor + top),
            length_px=self.length_px * factor,
            width_px=self.width_px * factor,
        )

    @property
    def heading_deg(self) -> float:
        """The longer side's direction, clockwise from up, 0 to 180: its ends are not told apart."""
        return float(np.degrees(np.arctan2(self.ahead[0], -self.ahead[1])) % 180)


def oriented_box(mask: NDArray[np.bool_], spread_px: float) -> Box:
    """The box of a target's pixels: the direction in which they are narrowest across, near that of the second moments.

    Args:
        mask: `(h, w)` its pixels.
        spread_px: Width of the point spread, which is taken off both sides.
    """
    y, x = np.nonzero(mask)
    points = np.stack([x + 0.5, y + 0.5])
    centre = points.mean(axis=1)
    off = points - centre[:, None]
    _, vectors = np.linalg.eigh(off @ off.T / off.shape[1])
    angles = np.arctan2(vectors[1, 1], vectors[0, 1]) + np.deg2rad(_TURNS_DEG)
    ahead = np.stack([np.cos(angles), np.sin(angles)])
    right = np.stack([-ahead[1], ahead[0]])
    sides = [round(q * (off.shape[1] - 1)) for q in _SIDES]
    across = np.partition(right.T @ off, sides, axis=1)[:, sides].T
    best = int(np.argmin(across[1] - across[0]))
    places = ahead[:, best] @ off
    along = np.array([places.min(), places.max()])
    middle = centre + ahead[:, best] * along.mean() + right[:, best] * across[:, best].mean()
    # a pixel's own side counts to what its centre spans
    length, width = float(along[1] - along[0]) + 1, float(across[1, best] - across[0, best]) + 1
    long, short = (max(side - spread_px, 0.5) for side in (length, width))
    direction = ahead[:, best] if length >= width else right[:, best]
    return Box(
        (float(middle[0]), float(middle[1])),
        (float(direction[0]), float(direction[1])),
        max(long, short),
        min(long, short),
        float(min(off.shape[1] / (length * width), 1.0)),
    )
