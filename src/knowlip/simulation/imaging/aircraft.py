"""Aircraft on the ground as point scatterers: fuselage, edges of wings and tail, engines, landing gear.

Shapes by type follow the makers' airport planning documents, rounded; the shares of the parts are this project's
assumption after what chips of parked aircraft show: a few persistent points at engines, nose, wing roots and tail over
faint outlines that light up where an edge is met squarely.
"""

from dataclasses import dataclass

import numpy as np

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.body import Array, Body, apart_deg, aspect_deg, lobe, spaced
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.scatterers import Scatterers


@dataclass(frozen=True)
class Airframe:
    """Shape of a type; lengths as shares of the length over all or of half the span where that is said.

    Attributes:
        fuselage_m: Diameter of the fuselage.
        wing_at: Where the leading edge leaves the fuselage, share of the length behind the nose.
        sweep_deg: Sweep of the leading edge.
        root_chord: Chord at the root, share of the length.
        tip_chord: Chord at the tip, share of the root's.
        engines: Each engine of one side: share of half the span outboard, share of the length behind the nose.
        engine_m: Diameter of an engine's cowling.
        tail_span: Span of the horizontal tail, share of the wing's.
        fin_m: Height of the fin's tip above the ground.
        high_tail: Whether the horizontal tail sits on the fin (T-tail).
        high_wing: Whether the wing sits on top of the fuselage.
    """

    fuselage_m: float
    wing_at: float
    sweep_deg: float
    root_chord: float
    tip_chord: float
    engines: tuple[tuple[float, float], ...]
    engine_m: float
    tail_span: float
    fin_m: float
    high_tail: bool = False
    high_wing: bool = False


# Airbus "Aircraft Characteristics - Airport and Maintenance Planning" (A220, A320, A330, A350), Boeing "Airplane
# Characteristics for Airport Planning" (737, 787), COMAC's for the ARJ21; Jane's for the others. Rounded.
AIRFRAMES: dict[str, Airframe] = {
    "A220": Airframe(3.7, 0.31, 28, 0.20, 0.22, ((0.32, 0.34),), 2.1, 0.35, 11.5),
    "A320": Airframe(3.95, 0.32, 27, 0.18, 0.25, ((0.34, 0.34),), 2.0, 0.36, 11.8),
    "A330": Airframe(5.64, 0.31, 32, 0.18, 0.22, ((0.31, 0.34),), 2.9, 0.32, 17.0),
    "A350": Airframe(5.96, 0.31, 34, 0.20, 0.18, ((0.32, 0.35),), 3.4, 0.29, 17.0),
    "ARJ21": Airframe(3.3, 0.36, 25, 0.18, 0.28, ((0.19, 0.74),), 1.7, 0.39, 8.4, high_tail=True),
    "B737": Airframe(3.76, 0.34, 28, 0.20, 0.22, ((0.28, 0.36),), 1.9, 0.41, 12.5),
    "B787": Airframe(5.77, 0.30, 34, 0.20, 0.16, ((0.32, 0.35),), 3.2, 0.33, 17.0),
    "C-130": Airframe(4.3, 0.31, 3, 0.165, 0.5, ((0.245, 0.33), (0.50, 0.34)), 1.3, 0.40, 11.7, high_wing=True),
    "fighter": Airframe(1.9, 0.34, 45, 0.36, 0.22, ((0.10, 0.92),), 1.0, 0.55, 4.9),
    "business jet": Airframe(2.4, 0.38, 30, 0.20, 0.3, ((0.17, 0.70),), 1.3, 0.36, 7.4, high_tail=True),
}
CROSS_LOSS_DB = (6.0, 10.0)
SPREAD_DB = 3.0
# Tables of aircraft are for flight and shallow angles. On the ground, seen from 40-70 deg above, wings lie open to the
# radar and every part has a second path over the apron: this much more is what the contrast of SAR-ACD's chips asks for
# over an apron of -18 dB and noise of -20 dB (benchmarks/targets.py).
GROUND_GAIN_DB = 12.0
# Engines, roots and tails flash or fade with a degree of aspect: deviation of each part's strength, assumed.
PART_SPREAD_DB = 5.0
# Facets, rivets, flaps and slats widen the flash of an edge to some degrees; this project's assumption.
EDGE_LOBE_STD_DEG = 5.0
# What the parts add up to in the median over all aspects, with the shares below; divides the total out again.
_PARTS_MEDIAN = 1.8
_STEP_M = 0.7


def median_rcs_m2(length_m: float) -> float:
    """Median radar cross section of a parked aircraft of that length over all aspects.

    0.025 L^2 for flight, this project's fit to the microwave values tabulated by kind (small jet 2, large fighter 6,
    medium airliner 20, large airliner 40, jumbo jet 100 m2), with no difference between the bands; `GROUND_GAIN_DB`
    above that on the ground.

    Source: Skolnik, "Introduction to Radar Systems" (3rd ed.), McGraw-Hill 2001, section 2.8.
    """
    return 0.025 * length_m**2 * 10 ** (GROUND_GAIN_DB / 10)


def airframe_of(aircraft: WorldObject) -> Airframe:
    """The shape of an aircraft by its type or, for an unknown type, by its length."""
    if aircraft.subtype in AIRFRAMES:
        return AIRFRAMES[aircraft.subtype]
    by_length = ((52.0, "A330"), (36.0, "A320"), (24.0, "ARJ21"), (0.0, "business jet"))
    return AIRFRAMES[next(name for longest, name in by_length if aircraft.length_m >= longest)]


@dataclass(frozen=True)
class _Seen:
    """One aircraft under one look: what the parts need to know."""

    frame: Airframe
    length_m: float
    half_span_m: float
    aspect_deg: float
    look: Look
    base_m2: float

    def ahead(self, behind_nose: float | Array) -> Array:
        """Metres ahead of the centre of a place given as a share of the length behind the nose."""
        return np.asarray((0.5 - np.asarray(behind_nose)) * self.length_m, np.float64)

    @property
    def belly_m(self) -> float:
        return 0.35 * self.frame.fuselage_m

    @property
    def side(self) -> float:
        """1 where the radar is to the right, -1 to the left."""
        return 1.0 if self.aspect_deg < 180 else -1.0

    @property
    def wing_m(self) -> float:
        """Height of the wing above the ground."""
        return self.belly_m + (0.95 if self.frame.high_wing else 0.25) * self.frame.fuselage_m


def _fuselage(body: Body, seen: _Seen) -> None:
    d, base = seen.frame.fuselage_m, seen.base_m2
    u = spaced(float(seen.ahead(0.015)), float(seen.ahead(0.97)), _STEP_M)
    behind = 0.5 - u / seen.length_m
    radius = 0.5 * d * np.clip(np.minimum(1.0, np.minimum(np.sqrt(behind / 0.09), (1 - behind) / 0.28)), 0.1, 1)
    broad = float(lobe(apart_deg(90 * seen.side, seen.aspect_deg), 4.0))
    centre = seen.belly_m + 0.5 * d
    # doors, windows and antennas at any aspect, the cylinder's own flash when met squarely
    body.add(
        u, 0.75 * seen.side * radius, centre + 0.5 * radius, base * (0.14 + 1.4 * broad), 7.0 if broad < 0.3 else 4.0
    )
    # fuselage and apron: a double bounce on the ground below the side towards the radar
    ground = float(lobe(apart_deg(90 * seen.side, seen.aspect_deg), 12.0, 0.03))
    inner = (behind > 0.08) & (behind < 0.8)
    body.add(u[inner], 0.9 * seen.side * radius[inner], 0.0, 1.0 * base * ground, 5.5)
    nose_on = float(lobe(apart_deg(0, seen.aspect_deg), 40.0, 0.06))
    # the weather radar's bulkhead and the cockpit
    body.add(
        seen.ahead(np.array([0.025, 0.03, 0.06])), body.rng.normal(0, 0.2 * d, 3), centre, 0.16 * base * nose_on, 3.0
    )
    tail_on = float(lobe(apart_deg(180, seen.aspect_deg), 40.0, 0.06))
    body.add(seen.ahead(np.array([0.93, 0.96])), 0.0, centre + 0.2 * d, 0.08 * base * tail_on, 3.0)


def _edge(
    body: Body,
    seen: _Seen,
    start: tuple[float, float],
    end: tuple[float, float],
    up_m: float,
    peak_m2: float,
    ahead: float,
) -> None:
    """A straight edge between two places (ahead, right), met squarely from ahead (1) or from behind (-1)."""
    n = max(2, int(np.hypot(end[0] - start[0], end[1] - start[1]) / _STEP_M))
    t = np.linspace(0, 1, n)
    u, v = start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])
    du, dv = end[0] - start[0], end[1] - start[1]
    nu, nv = (abs(dv) * ahead, -du * np.sign(dv) * ahead)
    normal = float(np.rad2deg(np.arctan2(nv, nu)))
    met = float(lobe(apart_deg(normal, seen.aspect_deg), EDGE_LOBE_STD_DEG))
    facing = float(apart_deg(normal, seen.aspect_deg)) < 100
    body.add(u, v, up_m, peak_m2 * (met + (0.02 if facing else 0.005)), 7.0 if met < 0.3 else 5.0)


def _wing(body: Body, seen: _Seen) -> None:
    f, base = seen.frame, seen.base_m2
    root, out = f.wing_at * seen.length_m, seen.half_span_m - 0.5 * f.fuselage_m
    back = out * np.tan(np.deg2rad(f.sweep_deg))
    chord = f.root_chord * seen.length_m
    lead_root, lead_tip = 0.5 * seen.length_m - root, 0.5 * seen.length_m - root - back
    floor = -0.5 * seen.length_m
    for side in (1.0, -1.0):
        inner, outer = side * 0.5 * f.fuselage_m, side * 0.99 * seen.half_span_m
        tip_back = max(lead_tip - f.tip_chord * chord, floor)
        _edge(body, seen, (lead_root, inner), (max(lead_tip, floor), outer), seen.wing_m + 0.5, 1.6 * base, 1.0)
        _edge(body, seen, (lead_root - chord, inner), (tip_back, outer), seen.wing_m + 0.5, 0.8 * base, -1.0)
        # roots of the edges, and flap tracks along the trailing edge
        visible = 1.0 if side == seen.side else 0.3
        at = np.array([lead_root, lead_root - 0.5, lead_root - chord])
        body.add(at, 1.05 * inner, seen.wing_m, 0.10 * base * visible, 3.0)
        t = np.array([0.2, 0.4, 0.6])
        tracks = lead_root - chord + t * (tip_back - lead_root + chord)
        aft = float(lobe(apart_deg(180, seen.aspect_deg), 50.0, 0.1))
        body.add(tracks, inner + t * (outer - inner), seen.wing_m - 0.3, 0.05 * base * aft, 3.0)
        body.add(max(lead_tip, floor), outer, seen.wing_m + 1.0, 0.015 * base, 2.0)


def _engines(body: Body, seen: _Seen) -> None:
    """Cavities and cowlings: clusters of points, the cavity's echoes arriving late, as if behind."""
    f, base = seen.frame, seen.base_m2
    into = float(lobe(apart_deg(0, seen.aspect_deg), 35.0, 0.12))
    out_of = 0.6 * float(lobe(apart_deg(180, seen.aspect_deg), 35.0))
    on_fuselage = f.engines[0][1] > 0.6
    rise = seen.belly_m + 0.75 * f.fuselage_m if on_fuselage else max(seen.wing_m - 0.6 * f.engine_m, 0.6 * f.engine_m)
    if f.high_wing:
        rise = seen.wing_m
    # late echoes lie farther from the radar: along the look, in the body's frame
    away = np.deg2rad(seen.aspect_deg + 180)
    for side in (1.0, -1.0):
        visible = 1.0 if side == seen.side or not on_fuselage else 0.5
        for out, behind in f.engines:
            u, v = float(seen.ahead(behind)), side * out * seen.half_span_m
            long = 1.3 * f.engine_m
            share = base / (2 * len(f.engines))
            n = 8
            late = body.rng.exponential(1.1 * f.engine_m, n)
            start = u + (0.5 if into > out_of else -0.5) * long
            body.add(
                start + late * np.cos(away),
                v + body.rng.normal(0, 0.15 * f.engine_m, n) + late * np.sin(away),
                rise,
                1.0 * share * (into + out_of) * visible,
                3.5,
            )
            # cowling, pylon and wing as a corner at most aspects
            spots = u + np.array([0.4, 0.0, -0.5]) * long
            body.add(spots, v + 0.4 * seen.side * f.engine_m, rise + 0.3 * f.engine_m, 0.4 * share * visible, 3.5)


def _tail(body: Body, seen: _Seen) -> None:
    f, base = seen.frame, seen.base_m2
    half = f.tail_span * seen.half_span_m
    top = seen.belly_m + f.fuselage_m
    height = f.fin_m if f.high_tail else seen.belly_m + 0.75 * f.fuselage_m
    floor = -0.5 * seen.length_m
    root = float(seen.ahead(0.86))
    tip = max(root - half * np.tan(np.deg2rad(f.sweep_deg + 3)), floor + 0.5)
    for side in (1.0, -1.0):
        _edge(body, seen, (root, side * 0.5), (tip, side * half), height, 0.3 * base, 1.0)
        _edge(
            body,
            seen,
            (root - 0.07 * seen.length_m, side * 0.5),
            (max(tip - 1.0, floor), side * half),
            height,
            0.15 * base,
            -1.0,
        )
    # the fin is a wall: bright from the side, its corner with the horizontal tail at most aspects
    broad = float(lobe(apart_deg(90 * seen.side, seen.aspect_deg), 6.0, 0.03))
    z = spaced(top, f.fin_m, 1.0)
    u = np.linspace(float(seen.ahead(0.84)), float(seen.ahead(0.96)), z.size)
    body.add(u, 0.2 * seen.side, z, 0.25 * base * broad, 3.0)
    body.add(seen.ahead(np.array([0.88, 0.91, 0.94])), 0.4 * seen.side, height, 0.12 * base, 3.0)


def _gear(body: Body, seen: _Seen) -> None:
    f, base = seen.frame, seen.base_m2
    main = f.wing_at + 0.85 * f.root_chord
    track = 0.9 * f.fuselage_m
    body.add(seen.ahead(np.array([main, main + 0.01])), np.array([track, -track]), 0.3, 0.10 * base, 3.0)
    body.add(seen.ahead(np.array([0.11, 0.115])), 0.0, 0.3, 0.05 * base, 3.0)


def aircraft_scatterers(aircraft: WorldObject, look: Look, rng: np.random.Generator) -> Scatterers:
    """A parked aircraft as the radar meets it.

    Args:
        aircraft: The aircraft; an unknown subtype takes the shape of a type of its length.
        look: Geometry of the acquisition.
        rng: Source of the strengths.

    Returns:
        Scatterers, each some 0.7 m apart along fuselage and edges.

    Source: total after `median_rcs_m2`; the shares of the parts are assumed, see the module.
    """
    base_m2 = median_rcs_m2(aircraft.length_m) / _PARTS_MEDIAN * 10 ** (SPREAD_DB / 10 * float(rng.standard_normal()))
    seen = _Seen(
        airframe_of(aircraft),
        aircraft.length_m,
        aircraft.width_m / 2,
        aspect_deg(aircraft.heading_deg, look),
        look,
        base_m2,
    )
    body = Body(rng, PART_SPREAD_DB)
    for part in (_fuselage, _wing, _engines, _tail, _gear):
        part(body, seen)
    return body.scatterers(aircraft, float(rng.uniform(*CROSS_LOSS_DB)))
