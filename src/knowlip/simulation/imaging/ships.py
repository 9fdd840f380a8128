"""Ships as point scatterers: the hull's side and the water, what stands on deck, bridge and masts.

The total follows a measured relation between length and radar cross section; how it is shared between the parts, and
the parts' places, are this project's assumption after what the kinds of ships look like.
"""

from collections.abc import Callable

import numpy as np

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.body import Array, Body, apart_deg, aspect_deg, lobe, log_normal, spaced
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.scatterers import Scatterers

# Spread between ships of one length: log-normal after Vachon, English & Wolfe, "Ship signatures in RADARSAT-1 ScanSAR
# Narrow B imagery", DRDC Ottawa TM 2007-052; the value is this project's assumption.
SPREAD_DB = 3.5
# Cross polarisation lies that far below; project's assumption within what quad-polarised images of ships show.
CROSS_LOSS_DB = (5.0, 9.0)
# The side of the hull and the water are a dihedral some hundred metres long: its own lobe would be a hundredth of a
# degree wide, plating and waves widen it to a few degrees. Width and gain are this project's assumption.
HULL_LOBE_STD_DEG = 5.0
HULL_GAIN = 7.0
_HULL_FLOOR = 0.02
# So that the median over all aspects, flashes included, is that of the relation.
_DECK_SHARE = 0.66
_BAND_GAIN = {"C": 1.0, "X": 1.25, "Ku": 1.6}


def median_rcs_m2(length_m: float, band: str = "C") -> float:
    """Median radar cross section of a ship of that length in like polarisation, apart from broadside flashes.

    0.08 L^(7/3) in C band HH. The steps to X and Ku band, 1 and 2 dB, are this project's assumption, after the weak
    growth with frequency (square root) of Skolnik's formula for grazing angles. No growth with incidence is modelled.

    Source: Vachon, Campbell, Bjerkelund, Dobson & Rey 1997, "Ship detection by the RADARSAT SAR: validation of
    detection model predictions", Canadian Journal of Remote Sensing 23(1).
    """
    return 0.08 * length_m ** (7 / 3) * _BAND_GAIN[band]


def _half_beam_m(ahead_m: float | Array, ship: WorldObject) -> Array:
    """Half the breadth of the deck at a place: parallel sides, a tapered bow, a stern a little narrower."""
    u = np.asarray(ahead_m, np.float64) / ship.length_m
    bow = np.sqrt(np.clip(1 - (np.clip(u - 0.28, 0, None) / 0.22) ** 2, 0, None))
    stern = 1 - 0.25 * (np.clip(-0.38 - u, 0, None) / 0.12) ** 2
    return np.asarray(0.5 * ship.width_m * np.minimum(bow, stern), np.float64)


def _freeboard_m(ship: WorldObject) -> float:
    return float(min(0.8 + 0.022 * ship.length_m, 8.0))


def _hull(body: Body, ship: WorldObject, look: Look, base_m2: float) -> None:
    """Waterline on the side towards the radar, transom and stem, and the rail all round."""
    length, aspect = ship.length_m, aspect_deg(ship.heading_deg, look)
    side = 1.0 if aspect < 180 else -1.0
    u = spaced(-0.46 * length, 0.47 * length, 2.0)
    half = _half_beam_m(u, ship)
    # the waterline's own direction decides how squarely each facet is met, so the bow lights up at other angles
    tilt = np.rad2deg(np.arctan2(-np.gradient(half), np.gradient(u)))
    met = lobe(apart_deg(90.0 * side - side * tilt, aspect), HULL_LOBE_STD_DEG, 0.0)
    strength = HULL_GAIN * base_m2 * float(met.mean()) + _HULL_FLOOR * base_m2
    weight = np.maximum(met, 1e-3)
    take = body.rng.choice(u.size, size=u.size, p=weight / weight.sum())
    body.add(u[take], 0.97 * side * half[take], 0.0, strength, 2.5)
    end = -1.0 if 90 < aspect < 270 else 1.0
    across = spaced(-0.35, 0.35, 2.0 / ship.width_m) * ship.width_m * (1.0 if end < 0 else 0.3)
    glint = 0.05 + 1.2 * float(lobe(apart_deg(0.0 if end > 0 else 180.0, aspect), 8.0))
    body.add(0.47 * end * length, across, 0.0, glint * base_m2 * ship.width_m / length * 3, 3.0)


def _outline(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    u = spaced(-0.48 * ship.length_m, 0.49 * ship.length_m, 2.5)
    half = _half_beam_m(u, ship)
    body.add(np.r_[u, u], 0.96 * np.r_[half, -half], _freeboard_m(ship), rcs_m2, 5.0)


def _block(
    body: Body,
    ship: WorldObject,
    at: float,
    long_m: float,
    wide: float,
    high_m: float,
    rcs_m2: float,
    step_m: float = 2.5,
) -> None:
    """A deck house `at` a share of the length ahead: corners with the deck below are bright, walls above less so."""
    u = np.clip(
        at * ship.length_m + spaced(-long_m / 2, long_m / 2, step_m), -0.49 * ship.length_m, 0.49 * ship.length_m
    )
    v = spaced(-wide / 2, wide / 2, step_m / ship.width_m) * ship.width_m
    grid_u, grid_v = (g.ravel() for g in np.meshgrid(u, v))
    grid_v = np.clip(grid_v, -_half_beam_m(grid_u, ship), _half_beam_m(grid_u, ship))
    deck = _freeboard_m(ship)
    body.add(grid_u, grid_v, deck, 0.75 * rcs_m2, 5.0)
    body.add(grid_u, grid_v, deck + high_m * body.rng.beta(1, 2, grid_u.size), 0.25 * rcs_m2, 5.0)


def _mast(body: Body, ship: WorldObject, at: float, off: float, high_m: float, rcs_m2: float) -> None:
    z = spaced(0.0, high_m, 1.5)
    body.add(at * ship.length_m, off * ship.width_m, _freeboard_m(ship) + z[:1], 0.7 * rcs_m2, 1.0)
    body.add(at * ship.length_m, off * ship.width_m, _freeboard_m(ship) + z[1:], 0.3 * rcs_m2, 3.0)


def _rows(body: Body, ship: WorldObject, places: Array, wide: float, up_m: float, rcs_m2: float) -> None:
    """Rows across the deck, one at each place (share of the length ahead)."""
    v = spaced(-wide / 2, wide / 2, 2.0 / ship.width_m) * ship.width_m
    u, v = (g.ravel() for g in np.meshgrid(places * ship.length_m, v))
    half = 0.95 * _half_beam_m(u, ship)
    levels = _freeboard_m(ship) + up_m * body.rng.beta(0.6, 2.0, u.size)
    # rows differ: full and empty bays
    body.add(u, np.clip(v, -half, half), levels, rcs_m2, 6.0)


def _container_ship(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    # stacks of forty-foot boxes, a bay some 14.5 m long
    places = np.arange(-0.44, 0.40, 14.5 / ship.length_m)
    bridge = 0.12 if ship.length_m > 300 else -0.34
    places = places[np.abs(places - bridge) > 0.035]
    _rows(body, ship, places, 0.92, 14.0, 0.50 * rcs_m2)
    _block(body, ship, bridge, 12.0, 0.85, 22.0, 0.25 * rcs_m2)
    if ship.length_m > 300:
        _block(body, ship, -0.3, 10.0, 0.4, 20.0, 0.07 * rcs_m2)
    _outline(body, ship, 0.13 * rcs_m2)
    _mast(body, ship, 0.46, 0.0, 10.0, 0.05 * rcs_m2)


def _tanker(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    _rows(body, ship, np.array([-0.012, 0.0, 0.012]), 0.85, 2.0, 0.28 * rcs_m2)
    u = spaced(-0.34 * ship.length_m, 0.38 * ship.length_m, 3.0)
    body.add(u, 0.03 * ship.width_m * body.rng.standard_normal(u.size), _freeboard_m(ship) + 1.5, 0.14 * rcs_m2, 5.0)
    _block(body, ship, -0.41, 0.07 * ship.length_m, 0.8, 18.0, 0.38 * rcs_m2)
    _outline(body, ship, 0.14 * rcs_m2)
    _mast(body, ship, 0.44, 0.0, 8.0, 0.06 * rcs_m2)


def _bulk_carrier(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    n = int(np.clip(round(ship.length_m / 30), 4, 9))
    edges = np.linspace(-0.33, 0.40, 2 * n)
    _rows(body, ship, edges, 0.5, 1.5, 0.36 * rcs_m2)
    cranes = np.linspace(-0.33, 0.40, n + 1)[1:-1] if ship.length_m < 225 else np.zeros(0)
    for at in cranes:
        _mast(body, ship, float(at), 0.0, 14.0, 0.16 * rcs_m2 / cranes.size)
    _block(body, ship, -0.41, 0.06 * ship.length_m, 0.8, 16.0, 0.32 * rcs_m2)
    _outline(body, ship, 0.16 * rcs_m2)


def _general_cargo(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    edges = np.linspace(-0.26, 0.36, 2 * int(body.rng.integers(2, 4)))
    _rows(body, ship, edges, 0.7, 1.5, 0.28 * rcs_m2)
    off = 0.3 if body.rng.random() < 0.5 else -0.3
    for at in (-0.08, 0.2):
        _mast(body, ship, at, off, 12.0, 0.1 * rcs_m2)
    _block(body, ship, -0.39, 0.11 * ship.length_m, 0.8, 12.0, 0.36 * rcs_m2)
    _outline(body, ship, 0.16 * rcs_m2)


def _passenger(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    _block(body, ship, -0.03, 0.8 * ship.length_m, 0.9, 16.0, 0.55 * rcs_m2, 4.0)
    u = spaced(-0.42 * ship.length_m, 0.36 * ship.length_m, 3.0)
    half = 0.92 * _half_beam_m(u, ship)
    # lifeboats and balconies along both sides
    body.add(np.r_[u, u], np.r_[half, -half], _freeboard_m(ship) + 5.0, 0.2 * rcs_m2, 6.0)
    _block(body, ship, -0.2, 0.05 * ship.length_m, 0.3, 18.0, 0.08 * rcs_m2)
    _outline(body, ship, 0.12 * rcs_m2)
    _mast(body, ship, 0.28, 0.0, 14.0, 0.05 * rcs_m2)


def _fishing_vessel(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    at = 0.18 if body.rng.random() < 0.6 else -0.2
    _block(body, ship, at, 0.18 * ship.length_m, 0.6, 4.0, 0.45 * rcs_m2, 1.5)
    _mast(body, ship, at - 0.1, 0.0, 8.0, 0.2 * rcs_m2)
    _rows(body, ship, np.array([-0.42]), 0.7, 4.0, 0.15 * rcs_m2)
    _outline(body, ship, 0.2 * rcs_m2)


def _tug(body: Body, ship: WorldObject, rcs_m2: float) -> None:
    _block(body, ship, 0.1, 0.32 * ship.length_m, 0.6, 5.0, 0.5 * rcs_m2, 1.5)
    _mast(body, ship, 0.02, 0.0, 8.0, 0.2 * rcs_m2)
    _rows(body, ship, np.array([-0.12]), 0.4, 1.0, 0.1 * rcs_m2)
    _outline(body, ship, 0.2 * rcs_m2)


_DECKS: dict[str, Callable[[Body, WorldObject, float], None]] = {
    "container ship": _container_ship,
    "tanker": _tanker,
    "bulk carrier": _bulk_carrier,
    "general cargo": _general_cargo,
    "ferry": _passenger,
    "cruise ship": _passenger,
    "fishing vessel": _fishing_vessel,
    "tug or patrol boat": _tug,
}


def ship_scatterers(ship: WorldObject, look: Look, band: str, rng: np.random.Generator) -> Scatterers:
    """A ship as the radar meets it.

    All scatterers stand inside the ship's outline; most of the energy comes from the waterline and from corners with
    the deck, so it is laid over by little more than the freeboard.

    Args:
        ship: The ship; an unknown subtype is taken for a general cargo ship.
        look: Geometry of the acquisition.
        band: "C", "X" or "Ku".
        rng: Source of the strengths.

    Returns:
        Scatterers at the ship's true place; the shift of a ship under way is the caller's.

    Source: total after `median_rcs_m2`; for broadside flashes and the parts see Skolnik, "An empirical formula for
    the radar cross section of ships at grazing incidence", IEEE TAES 10(2), 1974, and Margarit et al., "On the usage
    of GRECOSAR, an orbital polarimetric SAR simulator of complex targets, to vessel classification studies", IEEE
    TGRS 44(12), 2006.
    """
    body = Body(rng)
    base_m2 = median_rcs_m2(ship.length_m, band) * 10 ** (SPREAD_DB / 10 * float(rng.standard_normal()))
    _DECKS.get(ship.subtype, _general_cargo)(body, ship, _DECK_SHARE * base_m2)
    _hull(body, ship, look, base_m2)
    # a few trihedrals between bulwark, deck and fittings
    n = 3 + int(rng.poisson(0.03 * ship.length_m))
    u = rng.uniform(-0.45, 0.42, n) * ship.length_m
    v = rng.uniform(-0.9, 0.9, n) * _half_beam_m(u, ship)
    body.add(u, v, _freeboard_m(ship), 0.08 * base_m2 * float(log_normal(1, 3.0, rng)[0]), 4.0)
    return body.scatterers(ship, float(rng.uniform(*CROSS_LOSS_DB)))
