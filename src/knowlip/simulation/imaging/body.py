"""Scatterers of one rigid body, gathered in its own frame: metres ahead, to the right and up from its centre."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.scatterers import Scatterers

Array = NDArray[np.float64]
NEPER_PER_DB = float(np.log(10) / 10)


def aspect_deg(heading_deg: float, look: Look) -> float:
    """Direction of the radar as seen from a body, clockwise from its nose, in [0, 360): 90 is to the right."""
    return float((look.azimuth_deg + 180.0 - heading_deg) % 360.0)


def apart_deg(a_deg: float | Array, b_deg: float | Array) -> Array:
    """Angle between two directions, in [0, 180]."""
    return np.asarray(np.abs((np.asarray(a_deg) - b_deg + 180.0) % 360.0 - 180.0), np.float64)


def lobe(off_deg: float | Array, std_deg: float, floor: float = 0.0) -> Array:
    """Relative strength of a facet seen that far from its normal: 1 along it, Gaussian, never under the floor."""
    return np.asarray(floor + (1 - floor) * np.exp(-0.5 * (np.asarray(off_deg) / std_deg) ** 2), np.float64)


def log_normal(n: int, std_db: float, rng: np.random.Generator) -> Array:
    """Factors (n,) of mean 1 whose decibels deviate by that much."""
    s = std_db * NEPER_PER_DB
    return np.asarray(np.exp(s * rng.standard_normal(n) - 0.5 * s * s), np.float64)


def spaced(start: float, end: float, step: float) -> Array:
    """Places from start to end about a step apart, at least two."""
    return np.linspace(start, end, max(2, int(np.ceil(abs(end - start) / step)) + 1))


@dataclass
class Body:
    """Scatterers gathered part by part.

    Attributes:
        rng: Source of the strengths.
        part_spread_db: Deviation between whole parts, of two bodies or two looks; their mean is kept.
        parts: A table (4, n) for each part: metres ahead, right and up, radar cross section in m2.
    """

    rng: np.random.Generator
    part_spread_db: float = 0.0
    parts: list[Array] = field(default_factory=list)

    def add(
        self,
        ahead_m: float | Array,
        right_m: float | Array,
        up_m: float | Array,
        total_m2: float,
        spread_db: float = 4.0,
    ) -> None:
        """Add a part whose points share that radar cross section, unequally by a log-normal spread."""
        ahead, right, up = np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(a, np.float64)) for a in (ahead_m, right_m, up_m))
        )
        share = log_normal(ahead.size, spread_db, self.rng)
        total_m2 *= float(log_normal(1, self.part_spread_db, self.rng)[0])
        self.parts.append(np.stack([ahead.ravel(), right.ravel(), up.ravel(), total_m2 * share / share.sum()]))

    def scatterers(self, target: WorldObject, cross_loss_db: float, cross_spread_db: float = 2.0) -> Scatterers:
        """All parts on the grid.

        Args:
            target: Where the body is and heads.
            cross_loss_db: How far the cross-polarised return lies below the like-polarised one.
            cross_spread_db: Its deviation between scatterers.
        """
        ahead, right, up, co = np.concatenate(self.parts, axis=1)
        h = np.deg2rad(target.heading_deg)
        x = target.centre_xy_m[0] + ahead * np.sin(h) + right * np.cos(h)
        y = target.centre_xy_m[1] - ahead * np.cos(h) + right * np.sin(h)
        cross = co * 10 ** (-cross_loss_db / 10) * log_normal(co.size, cross_spread_db, self.rng)
        return Scatterers(*(np.asarray(c, np.float32) for c in (x, y, up, co, cross)))
