import numpy as np

from knowlip.simulation.imaging.scatterers import Scatterers


def ship_scatterers(o, look, band, rng):
    n = 60
    h = np.deg2rad(o.heading_deg)
    u = rng.uniform(-0.45, 0.45, n) * o.length_m
    v = rng.uniform(-0.4, 0.4, n) * o.width_m
    x = o.centre_xy_m[0] + u * np.sin(h) + v * np.cos(h)
    y = o.centre_xy_m[1] - u * np.cos(h) + v * np.sin(h)
    f = lambda a: a.astype(np.float32)
    s = 0.08 * o.length_m ** (7 / 3) * rng.exponential(1, n) / n
    return Scatterers(f(x), f(y), f(rng.uniform(0, 5, n)), f(s), f(s * 0.25))
