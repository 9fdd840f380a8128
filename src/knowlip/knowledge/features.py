"""Roads, buildings, land use, water, runways and ports of a tile from map extracts, and a mask of its cover.

Geometries are brought into the tile's pixels and cut there; metres come from the pixel's sides on the ground.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

from knowlip.core.errors import ConfigError
from knowlip.core.geodesy import GEOD, applied, ground_steps_m, to_lonlat
from knowlip.core.scene import crs_of
from knowlip.core.statements import LANDCOVER, Fact
from knowlip.knowledge.convert import Box
from knowlip.knowledge.extracts import Extract, Features, extracts, gathered
from knowlip.knowledge.source import Answer, Footprint, Ground, fact, ground_of
from knowlip.knowledge.tags import ROADS, WATER_KIND, Kind

REACH_KM = 5.0
"""How far from a tile's middle a port or runway is still told of."""

MARGIN_DEG = 0.02
"""How much of a large feature is kept around a tile: more than any building is long."""

ROAD_WIDTH_M = {
    "motorway": 14.0,
    "trunk": 10.5,
    "primary": 9.0,
    "secondary": 8.0,
    "tertiary": 7.0,
    "residential": 6.0,
    "living_street": 5.0,
    "unclassified": 6.0,
    "service": 4.0,
    "track": 3.0,
}
"""Nominal widths of a carriageway with its shoulders, from lanes of 3 to 3.75 m; each line is one carriageway."""

_CODE = {name: code for code, name in LANDCOVER.items()}
_COVER_OF_USE = {"farmland": "farmland", "woodland": "woodland", "bare": "bare", "quarry": "bare"}
"""Land uses that say what covers the ground; houses, gardens and streets all lie in a residential area."""
_NEAR: tuple[Kind, ...] = ("runway", "port")


@dataclass(frozen=True)
class MapFeatures:
    """Features of map extracts. Make one with `map_features`."""

    extracts: tuple[Extract, ...]
    version: str
    licence: str
    ground: Ground
    name: str = "osm"
    at_once: bool = False

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`map.*`, `airport.runway_bearing_deg`, `port.name` and `port.km`, and the grid `map` on the tile's pixels."""
        return [self._answer(f) for f in footprints]

    def _answer(self, footprint: Footprint) -> Answer:
        box, parts = footprint.geobox, _boxes(*_outline(footprint.geobox))
        covering = [e for e in self.extracts if all(_covers(e.bounds, part) for part in parts)]
        held = {kind for e in covering for kind in e.kinds}
        if not held:
            return Answer(missing=("the tile is not wholly inside a map extract",))
        rows, cols = box.shape
        outline = shapely.box(0, 0, cols, rows)
        found = _joined([e.read(part) for e in covering for part in parts])
        here = _in_pixels(_near(found, parts), box)
        here = here.where(shapely.intersects(here.geometry, outline))
        if len(here) == 0:
            return Answer(missing=("the map extract has nothing here",))
        around = _joined([e.read(part, _NEAR) for e in covering for part in _around(footprint)])
        sides_m = np.linalg.norm(ground_steps_m(box), axis=1)
        cut = Features(here.kind, here.cls, here.name, shapely.intersection(here.geometry, outline))
        facts = [*self._measured(cut, here, held, sides_m, outline)]
        facts += self._runways(around.of("runway")) + self._ports(around.of("port"), footprint)
        elsewhere = sorted({kind for e in self.extracts for kind in e.kinds} - held)
        reasons = tuple(f"the tile is not wholly inside the extract of {kind} features" for kind in elsewhere)
        return Answer(tuple(facts), {"map": cover_mask(here, (rows, cols), float(sides_m.mean()))}, reasons)

    def _measured(
        self, cut: Features, whole: Features, held: set[Kind], sides_m: NDArray[np.float64], outline: shapely.Polygon
    ) -> list[Fact]:
        """Lengths and shares; a kind that the extracts hold and that is not here is zero."""
        found = []
        if "road" in held:
            roads = cut.of("road")
            length = shapely.length(shapely.transform(roads.geometry, lambda xy: xy * sides_m))
            for cls in ROADS:
                if (metres := float(length[roads.cls == cls].sum())) > 0:
                    found.append(self._fact(f"map.roads.{cls}_m", round(metres, 1), "m", "length in the tile"))
            found.append(self._fact("map.roads.all_m", round(float(length.sum()), 1), "m", "of ways for vehicles"))
        if "building" in held:
            # one that lies on the edge counts in the tile that its middle lies in
            inside = shapely.intersects(shapely.centroid(whole.of("building").geometry), outline)
            found.append(self._fact("map.buildings.count", int(inside.sum()), None, "whose middle is in the tile"))
            found.append(self._share("map.buildings.share", cut.of("building"), outline))
        if "land_use" in held:
            uses = cut.of("land_use")
            for use in sorted(set(uses.cls)):
                found.append(self._share(f"map.landuse.{use}.share", uses.where(uses.cls == use), outline))
        if "water" in held:
            waters = cut.of("water")
            found.append(self._share("map.water.share", waters, outline, "areas of water, the sea mostly not"))
            if (kind := _water_kind(waters)) is not None:
                found.append(fact(self, "map.water.kind", kind, 0.8, None, "of the largest area of water in the tile"))
        if "waterway" in held:
            lines = cut.of("waterway").geometry
            length = float(shapely.length(shapely.transform(lines, lambda xy: xy * sides_m)).sum())
            found.append(self._fact("map.waterways_m", round(length, 1), "m", "rivers, canals and streams as lines"))
        return found

    def _fact(self, name: str, value: float | list[float], unit: str | None, why: str) -> Fact:
        return fact(self, name, value, 0.8, unit, why)

    def _share(self, name: str, features: Features, outline: shapely.Polygon, why: str = "") -> Fact:
        area = shapely.union_all(features.geometry).area if len(features) else 0.0
        return self._fact(name, round(float(area / outline.area), 4), None, why or "share of the tile")

    def _runways(self, runways: Features) -> list[Fact]:
        bearings = sorted({round(b, 1) for g in runways.geometry if (b := runway_bearing_deg(g)) is not None})
        why = f"true bearings, 0 to 180, of runways within {REACH_KM:.0f} km"
        return [self._fact("airport.runway_bearing_deg", bearings, "deg", why)] if bearings else []

    def _ports(self, ports: Features, footprint: Footprint) -> list[Fact]:
        if len(ports) == 0:
            return []
        km = [_km(g, footprint.lon_deg, footprint.lat_deg) for g in ports.geometry]
        nearest = int(np.argmin(km))
        found = [self._fact("port.km", round(km[nearest], 2), "km", "to the nearest mapped port or harbour")]
        named = [i for i in np.argsort(km, kind="stable") if ports.name[i]]
        return found + [fact(self, "port.name", ports.name[i], 0.8) for i in named[:1]]


def map_features(
    paths: Sequence[Path], cache: Path | None = None, note: Callable[[str], None] = lambda text: None
) -> MapFeatures:
    """The features of extracts, as `extracts.extracts` reads them; one that lies in several counts once.

    Args:
        cache: Where copies are kept; the user's cache folder by default.
        note: Called with what is about to take long.

    Raises:
        SceneError: One is not an extract.
        ConfigError: Some are of simulated ground, and others are not.
    """
    found = [extracts(path, cache, note) for path in paths]
    every = tuple(e for several, _ in found for e in several)
    whose = "Overture Maps and OpenStreetMap" if any(e.overture_type for e in every) else "OpenStreetMap"
    grounds = {ground_of(path) for path in paths}
    if len(grounds) > 1:
        raise ConfigError("--osm", "names maps of simulated and of real ground", "Annotate their scenes apart")
    version = "; ".join(version for _, version in found)
    return MapFeatures(every, version, f"ODbL 1.0, {whose} contributors", grounds.pop())


def runway_bearing_deg(geometry: shapely.Geometry) -> float | None:
    """A runway's true bearing, 0 to 180, from its line or the long axis of its outline in longitude and latitude."""
    lon, lat = shapely.get_coordinates(geometry).T
    if shapely.get_dimensions(geometry) == 2:
        # turned on a plane whose units are alike, as a degree of longitude is shorter than one of latitude
        shrink = np.cos(np.radians(lat.mean()))
        flat = shapely.transform(geometry, lambda xy: xy * (shrink, 1))
        corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(flat))
        if len(corners) < 4:
            return None
        sides = [(corners[i] + corners[(i + 3) % 4], corners[i + 1] + corners[(i + 2) % 4]) for i in range(2)]
        ends = max(sides, key=lambda s: np.hypot(*(s[1] - s[0])))
        lon, lat = np.array([e[0] / 2 / shrink for e in ends]), np.array([e[1] / 2 for e in ends])
    if len(lon) < 2:
        return None
    return float(GEOD.inv(lon[0], lat[0], lon[-1], lat[-1])[0]) % 180


def _water_kind(waters: Features) -> str | None:
    """What most of the water is, or None where the map has no kind for it."""
    area: dict[str, float] = {}
    for cls, geometry in zip(waters.cls, waters.geometry, strict=True):
        area[cls] = area.get(cls, 0.0) + geometry.area
    return WATER_KIND.get(max(area, key=lambda c: area[c])) if area else None


def cover_mask(features: Features, shape: tuple[int, int], gsd_m: float) -> NDArray[np.uint8]:
    """Class codes `(H, W)` of features in pixels, 0 where the map does not say what covers the ground.

    Water lies over land use, buildings over water, and roads, at least one pixel wide, over all.
    """
    layers: list[tuple[shapely.Geometry, int]] = []
    for use, cover in _COVER_OF_USE.items():
        uses = features.of("land_use")
        layers += [(g, _CODE[cover]) for g in uses.geometry[uses.cls == use]]
    layers += [(g, _CODE["water"]) for g in features.of("water").geometry]
    layers += [(g, _CODE["building"]) for g in features.of("building").geometry]
    roads = features.of("road")
    half_px = np.array([max(ROAD_WIDTH_M[c] / gsd_m, 1.0) / 2 for c in roads.cls])
    if len(roads):
        layers += [(g, _CODE["road"]) for g in shapely.buffer(roads.geometry, half_px, cap_style="flat")]
    layers = [(g, code) for g, code in layers if not g.is_empty]
    if not layers:
        return np.zeros(shape, np.uint8)
    return np.asarray(rasterize(layers, out_shape=shape, dtype=np.uint8), np.uint8)


def _in_pixels(features: Features, box: GeoBox) -> Features:
    """Features in a tile's pixel coordinates (column, row)."""
    if len(features) == 0:
        return features
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs_of(box).to_wkt(), always_xy=True)

    def pixels(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(applied(~box.affine, *to_crs.transform(lonlat[:, 0], lonlat[:, 1])), axis=1)

    moved = shapely.transform(features.geometry, pixels)
    broken = ~shapely.is_valid(moved)
    moved[broken] = shapely.make_valid(moved[broken])
    return Features(features.kind, features.cls, features.name, moved)


def _joined(several: Sequence[Features]) -> Features:
    """Features of several extracts, each once: neighbouring extracts share those that lie across their border."""
    if not several:
        return gathered([])
    columns = [[getattr(f, c) for f in several] for c in ("kind", "cls", "name", "geometry")]
    every = Features(*(np.concatenate(c) for c in columns))
    if len(several) == 1:
        return every
    first: dict[tuple[str, str, bytes], int] = {}
    for i, key in enumerate(zip(every.kind, every.cls, shapely.to_wkb(every.geometry), strict=True)):
        first.setdefault(key, i)
    chosen = np.zeros(len(every), bool)
    chosen[list(first.values())] = True
    return every.where(chosen)


def _outline(box: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes along a tile's edges."""
    rows, cols = box.shape
    share = np.linspace(0, 1, 9)
    edge = np.concatenate([share, share, 0 * share, 0 * share + 1])
    other = np.concatenate([0 * share, 0 * share + 1, share, share])
    return to_lonlat(crs_of(box).to_wkt(), *applied(box.affine, edge * cols, other * rows))


def _around(footprint: Footprint) -> list[Box]:
    """The boxes of degrees that reach `REACH_KM` from a tile's middle."""
    lon, lat, _ = GEOD.fwd(
        np.full(4, footprint.lon_deg), np.full(4, footprint.lat_deg), [0, 90, 180, 270], np.full(4, REACH_KM * 1000)
    )
    return _boxes(lon, lat)


def _boxes(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[Box]:
    """The box around places that lie near each other, two where the antimeridian runs between them."""
    south, north = float(lat.min()), float(lat.max())
    if np.ptp(lon) <= 180:
        return [(float(lon.min()), south, float(lon.max()), north)]
    return [(float(lon[lon > 0].min()), south, 180.0, north), (-180.0, south, float(lon[lon < 0].max()), north)]


def _near(features: Features, parts: Sequence[Box]) -> Features:
    """Features without their parts that lie far from boxes, where a tile's projection may have no place for them."""
    geometry = features.geometry.copy()
    inside = np.zeros(len(features), bool)
    for part in parts:
        inside |= _inside(shapely.bounds(geometry).reshape(-1, 4), _wider(part))
    far = ~inside
    broken = far & ~shapely.is_valid(geometry)
    geometry[broken] = shapely.make_valid(geometry[broken])
    clipped = [shapely.clip_by_rect(geometry[far], *_wider(part)) for part in parts]
    geometry[far] = clipped[0] if len(parts) == 1 else shapely.union(*clipped)
    return Features(features.kind, features.cls, features.name, geometry)


def _wider(box: Box) -> Box:
    return box[0] - MARGIN_DEG, box[1] - MARGIN_DEG, box[2] + MARGIN_DEG, box[3] + MARGIN_DEG


def _inside(bounds: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    """Which bounds `(N, 4)` lie in a box."""
    west, south, east, north = bounds.T
    return (west >= box[0]) & (south >= box[1]) & (east <= box[2]) & (north <= box[3])


def _covers(extract: Box, tile: Box) -> bool:
    return extract[0] <= tile[0] and extract[1] <= tile[1] and tile[2] <= extract[2] and tile[3] <= extract[3]


def _km(geometry: shapely.Geometry, lon_deg: float, lat_deg: float) -> float:
    """The distance of a geometry from a point, 0 inside an area."""
    point = shapely.Point(lon_deg, lat_deg)
    near = shapely.get_coordinates(shapely.shortest_line(geometry, point))[0]
    return float(GEOD.inv(near[0], near[1], lon_deg, lat_deg)[2]) / 1000
