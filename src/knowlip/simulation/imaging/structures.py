import numpy as np
from knowlip.simulation.imaging.scatterers import Scatterers


def structure_scatterers(structures, look, band, rng, detail_m):
    s = structures
    n = len(s)
    a = np.deg2rad(s.axis_deg)
    f = np.cos(2 * (a - np.deg2rad(look.azimuth_deg))) ** 8
    rcs = (s.length_m * s.height_m * (0.05 + f)).astype(np.float32)
    return Scatterers(s.x_m, s.y_m, np.zeros(n, np.float32), rcs, rcs * np.float32(0.2))
