"""Search static and API STAC catalogues for SAR acquisitions over a place.

Sources: STAC 1.1.0 (static catalogues, items, assets), STAC API 1.0.0 (Item Search), and its file extension 2.1 for
sizes and checksums.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
from pystac import Catalog, Collection, Item
from pystac.errors import STACError
from shapely.geometry.base import BaseGeometry

from knowlip.core.errors import KnowlipError

_THREADS = 16


class CatalogError(KnowlipError):
    """A catalogue that cannot be reached or read."""


@dataclass(frozen=True)
class CatalogPreset:
    """A public catalogue of SAR data.

    Attributes:
        url: Root of a static catalogue, or of an API.
        collections: Collections of an API that are asked; empty for a static catalogue.
        assets: Names of the assets that are scenes, in order of preference; patterns over keys and file names.
        licence: What the operator says about use.
    """

    url: str
    collections: tuple[str, ...]
    assets: tuple[str, ...]
    licence: str


# Roots as published on the operators' open-data pages.
PRESETS: dict[str, CatalogPreset] = {
    "umbra": CatalogPreset(
        "https://s3.us-west-2.amazonaws.com/umbra-open-data-catalog/stac/catalog.json",
        (),
        (r"GEC\.tif", r"\.tif"),
        "CC-BY-4.0",
    ),
    "capella": CatalogPreset(
        "https://capella-open-data.s3.us-west-2.amazonaws.com/stac/catalog.json",
        (),
        (r"_GEO_.*\.tif", r"_GEC_.*\.tif"),
        "CC-BY-4.0",
    ),
    "earth-search": CatalogPreset(
        "https://earth-search.aws.element84.com/v1", ("sentinel-1-grd",), ("vv", "vh", "hh", "hv"), "Copernicus"
    ),
    "cdse": CatalogPreset(
        "https://stac.dataspace.copernicus.eu/v1", ("sentinel-1-grd",), ("vv", "vh", "Product"), "Copernicus"
    ),
}


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        bbox: West, south, east, north, WGS 84 degrees.
        start: First moment, UTC; None for no limit.
        end: Last moment, UTC; None for no limit.
        limit: Most acquisitions to give; those that cover most of the box first, then the latest.
    """

    bbox: tuple[float, float, float, float]
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 100


@dataclass(frozen=True)
class FoundAsset:
    """A file of an acquisition."""

    key: str
    href: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Found:
    """An acquisition that a catalogue knows.

    Attributes:
        item_id: The item's id.
        platform: Satellite, as the catalogue says.
        acquired: Start of the acquisition, UTC.
        covers: Share of the asked box that its footprint covers.
        properties: The item's SAR properties.
        assets: Its scene files.
    """

    item_id: str
    platform: str | None
    acquired: datetime | None
    covers: float
    properties: dict[str, Any] = field(default_factory=dict)
    assets: tuple[FoundAsset, ...] = ()

    def record(self) -> dict[str, Any]:
        """As JSON values, one flat row."""
        sar = {k: v for k, v in self.properties.items() if k.startswith(("sar:", "sat:", "view:"))}
        return {
            "id": self.item_id,
            "platform": self.platform,
            "acquired": self.acquired.isoformat() if self.acquired else None,
            "covers": round(self.covers, 4),
            **sar,
            "assets": [a.href for a in self.assets],
        }


def box_about(lat_deg: float, lon_deg: float, side_km: float) -> tuple[float, float, float, float]:
    """A box of that side about a point, in degrees; near a pole it takes in all longitudes."""
    import math

    half_lat = side_km / 2 / 111.195
    half_lon = min(180.0, half_lat / max(math.cos(math.radians(lat_deg)), 1e-6))
    return lon_deg - half_lon, max(-90.0, lat_deg - half_lat), lon_deg + half_lon, min(90.0, lat_deg + half_lat)


def parse_moment(text: str, end: bool = False) -> datetime | None:
    """A date or time, UTC where it says nothing else; a bare date means its first moment, or its last for an end.

    Raises:
        ValueError: It is neither.
    """
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) and end:
        moment += timedelta(days=1) - timedelta(microseconds=1)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def search(catalog: str, query: Query, progress: Callable[[int], None] = lambda seen: None) -> list[Found]:
    """Acquisitions of a catalogue over a box.

    Args:
        catalog: A preset's name, or the URL or path of a static catalogue or of an API.
        query: Place and time.
        progress: Called with the number of items looked at.

    Raises:
        CatalogError: It cannot be reached, or is not a STAC catalogue.
    """
    return search_many(catalog, [query], progress)[0]


def search_many(
    catalog: str, queries: Sequence[Query], progress: Callable[[int], None] = lambda seen: None
) -> list[list[Found]]:
    """The same over several boxes; a static catalogue is read once for all of them.

    Raises:
        CatalogError: It cannot be reached, or is not a STAC catalogue.
    """
    preset = PRESETS.get(catalog) or CatalogPreset(catalog, (), (r"\.tiff?$",), "unknown")
    areas = [_area(q.bbox) for q in queries]
    found: list[list[Found]] = [[] for _ in queries]
    for seen, (item, asked) in enumerate(_items(preset, queries, areas), 1):
        progress(seen)
        for k in asked:
            if (match := _match(item, areas[k], queries[k], preset.assets)) is not None:
                found[k].append(match)
    oldest = datetime.min.replace(tzinfo=UTC)
    for matches in found:
        matches.sort(key=lambda f: (-round(f.covers, 3), -((f.acquired or oldest) - oldest).total_seconds(), f.item_id))
    return [matches[: q.limit] for matches, q in zip(found, queries, strict=True)]


def _area(bbox: tuple[float, float, float, float]) -> BaseGeometry:
    west, south, east, north = bbox
    if west < -180 or east > 180:
        # a box across the antimeridian is two
        return shapely.union_all([shapely.box(west + s, south, east + s, north) for s in (-360, 0, 360)]).intersection(
            shapely.box(-180, -90, 180, 90)
        )
    return shapely.box(west, south, east, north)


def _items(
    preset: CatalogPreset, queries: Sequence[Query], areas: Sequence[BaseGeometry]
) -> Iterator[tuple[Item, Sequence[int]]]:
    """Items, each with the queries it may answer."""
    try:
        root = Catalog.from_file(preset.url)
    except Exception as error:
        raise CatalogError(preset.url, f"cannot be read as a STAC catalogue ({error})", "Check the address") from error
    if root.get_single_link("search") is None:
        everyone = range(len(queries))
        yield from ((item, everyone) for item in _static_items(root, queries, shapely.union_all(areas)))
        return
    for k, (query, area) in enumerate(zip(queries, areas, strict=True)):
        yield from ((item, (k,)) for item in _api_items(preset, query, area))


def _api_items(preset: CatalogPreset, query: Query, area: BaseGeometry) -> Iterator[Item]:
    from pystac_client import Client
    from pystac_client.exceptions import APIError

    period = (query.start, query.end) if query.start or query.end else None
    try:
        client = Client.open(preset.url)
        for part in getattr(area, "geoms", [area]):
            yield from client.search(
                collections=list(preset.collections) or None, bbox=part.bounds, datetime=period, max_items=10_000
            ).items()
    except (APIError, OSError, STACError) as error:
        raise CatalogError(preset.url, f"does not answer the search ({error})", "Try again later") from error


def _static_items(root: Catalog, queries: Sequence[Query], area: BaseGeometry) -> Iterator[Item]:
    """Items of a static catalogue, branches that lie elsewhere or at another time left out, links read in parallel."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: list[Catalog] = [root]
        while waiting:
            links = [
                link
                for node in waiting
                for link in node.get_links()
                if link.rel in ("child", "item")
                and any(_may_hold(str(link.href) + str(link.title or ""), query) for query in queries)
            ]
            waiting = []
            for target in pool.map(_resolved, links):
                if isinstance(target, Item):
                    yield target
                elif isinstance(target, Catalog) and _overlaps(target, area):
                    waiting.append(target)


def _resolved(link: Any) -> Any:
    try:
        return link.resolve_stac_object().target
    except Exception as error:
        raise CatalogError(str(link.href), f"cannot be read ({error})", "Try again later") from error


def _may_hold(name: str, query: Query) -> bool:
    """Whether a branch named after a year, month or day, as open-data catalogues have them, may lie in the period."""
    dates = re.findall(r"(?<!\d)(20\d{2})(?:-(\d{2}))?(?:-(\d{2}))?(?!\d)", name)
    if not dates:
        return True
    year, month, day = (int(v) if v else 0 for v in dates[-1])
    try:
        first = datetime(year, month or 1, day or 1, tzinfo=UTC)
    except ValueError:
        return True
    last = first + timedelta(days=2 if day else 32 if month else 367)
    # a day on each side, for acquisitions filed under local or neighbouring dates
    return not ((query.start and last < query.start) or (query.end and first - timedelta(days=1) > query.end))


def _overlaps(node: Catalog, area: BaseGeometry) -> bool:
    if not isinstance(node, Collection):
        return True
    boxes = [b for b in node.extent.spatial.bboxes if len(b) in (4, 6)]
    shapes = [shapely.box(b[0], b[1], b[len(b) // 2], b[len(b) // 2 + 1]) for b in boxes]
    return not shapes or bool(shapely.intersects(shapely.union_all(shapes), area))


def _match(item: Item, area: BaseGeometry, query: Query, patterns: Sequence[str]) -> Found | None:
    if item.geometry is None:
        return None
    footprint = shapely.make_valid(shapely.geometry.shape(item.geometry))
    shared = footprint.intersection(area).area
    if shared <= 0:
        return None
    start = item.common_metadata.start_datetime or item.datetime
    end = item.common_metadata.end_datetime or item.datetime
    if (query.start and end and end < query.start) or (query.end and start and start > query.end):
        return None
    return Found(
        item.id, item.common_metadata.platform, start, shared / area.area, item.properties, _assets(item, patterns)
    )


def _assets(item: Item, patterns: Sequence[str]) -> tuple[FoundAsset, ...]:
    """The assets that the first matching pattern names; all patterns that are bare keys together."""
    keys = [p for p in patterns if p in item.assets]
    if keys:
        return tuple(_asset(item, key) for key in keys)
    for pattern in patterns:
        found = [k for k, a in item.assets.items() if re.search(pattern, a.href, re.IGNORECASE)]
        if found:
            return tuple(_asset(item, key) for key in sorted(found))
    return ()


def _asset(item: Item, key: str) -> FoundAsset:
    asset = item.assets[key]
    size, checksum = asset.extra_fields.get("file:size"), str(asset.extra_fields.get("file:checksum", ""))
    # a multihash: 12 names SHA-256, 20 its length of 32 bytes
    sha256 = checksum[4:].lower() if re.fullmatch(r"1220[0-9a-fA-F]{64}", checksum) else None
    return FoundAsset(key, asset.get_absolute_href() or asset.href, int(size) if size else None, sha256)
