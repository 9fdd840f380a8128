"""What map features are, in our words: from the tags of OpenStreetMap, and from Overture's subtypes and classes.

Sources: the OpenStreetMap wiki's pages Map features, Key:highway, Key:landuse and Tag:industrial=port; the Overture
Maps schema, types segment, building, land_use, land, water and infrastructure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import shapely

Kind = Literal["road", "building", "land_use", "water", "waterway", "runway", "port"]
Shape = Literal["point", "line", "area"]
Meaning = tuple[Kind, str]

KINDS: tuple[Kind, ...] = ("road", "building", "land_use", "water", "waterway", "runway", "port")

ROADS = (
    "motorway",
    "trunk",
    "primary",
    "secondary",
    "tertiary",
    "residential",
    "living_street",
    "unclassified",
    "service",
    "track",
)
"""Ways for vehicles; those for feet and cycles are left out, and tunnels. Links count with the class they link."""

_LAND_USE: dict[str, tuple[str, ...]] = {
    "residential": ("residential", "garages"),
    "commercial": ("commercial", "retail"),
    "industrial": ("industrial", "landfill", "works", "depot"),
    "port": ("port", "harbour"),
    "airport": ("aerodrome", "airport", "international_airport", "regional_airport", "municipal_airport"),
    "military": ("military", "naval_base", "airfield", "barracks"),
    "farmland": (
        "farmland",
        "farmyard",
        "meadow",
        "orchard",
        "vineyard",
        "allotments",
        "greenhouse_horticulture",
        "plant_nursery",
    ),
    "woodland": ("forest", "wood"),
    "park": ("park", "golf_course", "recreation_ground", "cemetery", "grass", "village_green", "garden"),
    "quarry": ("quarry",),
    "bare": ("sand", "beach", "bare_rock", "scree", "shingle", "rock", "dune"),
}
LAND_USE = {value: ours for ours, values in _LAND_USE.items() for value in values}
"""Our land use of a value of `landuse`, `natural`, `leisure`, `aeroway` or `military`, or of an Overture class."""

_WATERS: dict[str, tuple[str, ...]] = {
    "sea": ("ocean", "sea", "bay", "strait"),
    "river": ("river", "riverbank", "canal", "oxbow", "stream"),
    "lake": ("lake", "reservoir", "lagoon"),
    "pond": ("pond", "basin", "fishpond"),
}
WATER_KIND = {value: ours for ours, values in _WATERS.items() for value in values}
"""Our kind of a value of `water` or `waterway`, or of an Overture subtype; plain `water` has none."""

MEANINGFUL = (
    "highway",
    "building",
    "landuse",
    "natural",
    "leisure",
    "waterway",
    "water",
    "aeroway",
    "military",
    "industrial",
    "harbour",
    "seamark:type",
)
"""Keys that may make a feature one of our kinds."""
OF_LINES = ("highway", "waterway", "aeroway")
"""Those of them that may make a line one."""
TAGS = (*MEANINGFUL, "area", "tunnel", "name", "ref")
"""Keys that are read at all."""


def shape_of(geometry: Any) -> Shape:
    """Whether a shapely geometry is of points, lines or areas."""
    dimension = shapely.get_dimensions(geometry)
    return "area" if dimension == 2 else "line" if dimension == 1 else "point"


def of_osm(tags: Mapping[str, str], shape: Shape) -> list[Meaning]:
    """What a feature of OpenStreetMap is; nothing where none of our kinds."""
    found: list[Meaning] = []
    if shape != "point" and tags.get("aeroway") == "runway":
        found.append(("runway", "runway"))
    if shape != "line" and (tags.get("harbour", "no") != "no" or tags.get("seamark:type") == "harbour"):
        found.append(("port", "harbour"))
    elif shape != "line" and "port" in (tags.get("industrial"), tags.get("landuse")):
        found.append(("port", "port"))
    if shape == "line" and tags.get("tunnel", "no") == "no":
        road = tags.get("highway", "").removesuffix("_link")
        if road in ROADS and tags.get("area") != "yes":
            found.append(("road", road))
        if tags.get("waterway") in ("river", "canal", "stream"):
            found.append(("waterway", tags["waterway"]))
    if shape == "area":
        if tags.get("building", "no") != "no":
            found.append(("building", tags["building"]))
        if tags.get("natural") == "water" or tags.get("waterway") in ("riverbank", "dock"):
            found.append(("water", tags.get("water") or tags.get("waterway") or "water"))
        elif tags.get("landuse") in ("reservoir", "basin"):
            found.append(("water", tags["landuse"]))
        if any(kind == "port" for kind, _ in found):
            found.append(("land_use", "port"))
        elif use := next((LAND_USE[v] for k in _USE_KEYS if (v := tags.get(k)) in LAND_USE), None):
            found.append(("land_use", use))
    return found


_USE_KEYS = ("aeroway", "military", "landuse", "leisure", "natural")

OVERTURE = ("segment", "building", "land_use", "land", "water", "infrastructure")
"""Overture's types that are understood."""
OVERTURE_KINDS: dict[str, tuple[Kind, ...]] = {
    "segment": ("road",),
    "building": ("building",),
    "land_use": ("land_use",),
    "land": ("land_use",),
    "water": ("water", "waterway"),
    "infrastructure": ("runway",),
}


def of_overture(type_: str, subtype: str | None, class_: str | None, shape: Shape) -> list[Meaning]:
    """What a feature of Overture is.

    Args:
        type_: One of `OVERTURE`.
    """
    if type_ == "segment" and shape == "line" and subtype == "road" and class_ in ROADS:
        return [("road", class_)]
    if type_ == "building" and shape == "area":
        return [("building", class_ or "yes")]
    if type_ in ("land_use", "land") and shape == "area" and class_ in LAND_USE:
        return [("land_use", LAND_USE[class_])]
    if type_ == "infrastructure" and shape != "point" and class_ == "runway":
        return [("runway", "runway")]
    if type_ == "water" and subtype not in (None, "physical", "spring"):
        if shape == "area":
            return [("water", str(subtype))]
        if shape == "line" and subtype in ("river", "canal", "stream"):
            return [("waterway", str(subtype))]
    return []
