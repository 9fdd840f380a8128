"""Mean backscatter of the ground as it lies there, before the system's response: class, parcel, texture, slope."""

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, LandCover, World, Zone
from knowlip.simulation.imaging.backscatter import level_db, mean_sigma0
from knowlip.simulation.imaging.geometry import Look, look_of
from knowlip.simulation.imaging.sea import sea_sigma0, sea_texture
from knowlip.simulation.imaging.surface import slope_factor
from knowlip.simulation.imaging.texture import ground_texture
from knowlip.simulation.imaging.walls import wall_scatterers
from knowlip.simulation.sensors import Sensor

Field = NDArray[np.float32]

# Of built-up land's mean backscatter, the part that roofs, yards and streets scatter from where they lie; walls and
# corners return the rest. This project's assumption, between the 0.2-0.5 of decompositions of built-up C-band scenes
# (Yamaguchi et al. 2011, "Four-component scattering power decomposition with rotation", IEEE TGRS 49(6)). Corners
# return little in cross polarisation; its share is what makes 10 m scenes as spiky as Sentinel-1's
# (benchmarks/realism.py).
DIFFUSE_SHARE, DIFFUSE_SHARE_CROSS = 0.35, 0.6
_URBAN = (Zone.RESIDENTIAL_DENSE, Zone.RESIDENTIAL_SPARSE, Zone.COMMERCIAL, Zone.INDUSTRIAL, Zone.PORT)
_SAMPLE = 500


def ground_power(
    world: World,
    sensor: Sensor,
    incidence_deg: float | Field,
    look: Look,
    fine: bool,
    rng: np.random.Generator,
) -> dict[str, Field]:
    """Mean linear sigma nought (H, W) of the ground by polarisation.

    Args:
        world: The ground.
        sensor: Band and polarisations.
        incidence_deg: Incidence angle on flat ground, one or for each pixel (H, W).
        look: The geometry.
        fine: Whether walls have pixels of their own; they are then left to the scatterers wholly.
        rng: Source of texture and parcels' offsets.
    """
    common = ground_texture(world.landcover, world.parcel, sensor.gsd_m, rng)
    if (slope := slope_factor(world.terrain_m, sensor.gsd_m, look)) is not None:
        common *= slope
    built, water = world.landcover == LandCover.BUILDING, world.landcover == LandCover.WATER
    wet = bool(water.any())
    if wet:
        shape = (world.landcover.shape[0], world.landcover.shape[1])
        wind = (world.wind_speed_m_s, world.wind_from_deg)
        waves = sea_texture(shape, sensor.gsd_m, look.incidence_deg, look.azimuth_deg, *wind, rng)
        np.copyto(common, waves, where=water)
    angles = _Angles(incidence_deg)
    power = {}
    for polarisation in sensor.polarisations:
        field = mean_sigma0(world.landcover, sensor.band, polarisation, incidence_deg)
        if wet:
            from_radar = world.wind_from_deg - look.azimuth_deg
            sea = sea_sigma0(sensor.band, polarisation, angles.table_deg, world.wind_speed_m_s, from_radar)
            np.copyto(field, sea.astype(np.float32)[angles.index], where=water)
        share = np.float32(DIFFUSE_SHARE if polarisation[0] == polarisation[1] else DIFFUSE_SHARE_CROSS)
        np.multiply(field, share, out=field, where=built)
        field *= common
        power[polarisation] = field
    return power


class _Angles:
    """Incidence angles as places in a short table, for what is costly to work out for every pixel."""

    def __init__(self, incidence_deg: float | Field) -> None:
        angles = np.asarray(incidence_deg, np.float32)
        low, high = float(angles.min()) - 0.1, float(angles.max()) + 0.1
        self.table_deg = np.linspace(low, high, 64)
        self.index = ((angles - np.float32(low)) * np.float32(63 / (high - low)) + np.float32(0.5)).astype(np.int16)


def wall_gain(world: World, sensor: Sensor, look: Look, fine: bool) -> tuple[float, float]:
    """Factors for the walls' cross sections, like and cross polarised, that give built-up land its mean level.

    The cross sections are averaged over directions of view, so that a district seen along its streets' diagonal stays
    darker than one whose walls face the radar.
    """
    buildings = world.structures.take(np.flatnonzero(world.structures.kind == Kind.BUILDING))
    if len(buildings) == 0:
        return 1.0, 1.0
    some = buildings.take(np.arange(0, len(buildings), max(1, len(buildings) // _SAMPLE)))
    totals = np.zeros(2)
    turns = np.arange(0.0, 90.0, 15.0)
    for turn in turns:
        turned = look_of(sensor, look.incidence_deg, look.azimuth_deg + float(turn), look.side)
        seen = wall_scatterers(some, turned, np.random.default_rng(0), 20.0)
        totals += seen.co_m2.sum(dtype=np.float64), seen.cross_m2.sum(dtype=np.float64)
    totals *= len(buildings) / len(some) / len(turns)
    if fine:
        counts = np.bincount(world.zone.ravel(), minlength=max(Zone) + 1)
        area_m2 = float(sum(counts[z] for z in _URBAN)) * sensor.gsd_m**2
    else:
        area_m2 = float(np.count_nonzero(world.landcover == LandCover.BUILDING)) * sensor.gsd_m**2
    like = "VV" if "VV" in sensor.polarisations else "HH"
    levels = [level_db(sensor.band, p, LandCover.BUILDING, look.incidence_deg) for p in (like, "HV")]
    shares = (DIFFUSE_SHARE, DIFFUSE_SHARE_CROSS)
    wanted = [(1 - share) * 10 ** (db / 10) * area_m2 for share, db in zip(shares, levels, strict=True)]
    return float(wanted[0] / max(totals[0], 1e-9)), float(wanted[1] / max(totals[1], 1e-9))
