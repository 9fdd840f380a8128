"""Heights of the ground above the WGS 84 ellipsoid, for terrain correction: from a DEM, or from a product's own grid.

DEMs mostly count heights from the geoid, which lies up to 106 m below and 85 m above the ellipsoid; taking one for the
other shifts a geocoded image by about that over the tangent of the incidence angle. So a DEM that does not say what it
counts from is refused.

Sources: Copernicus DEM Product Handbook 4.0 (EGM2008); Farr et al. 2007, "Shuttle Radar Topography Mission" (EGM96);
NIMA TR8350.2, third edition, chapter 6 (undulation).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject, transform_bounds
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import map_coordinates

from knowlip.core.errors import SceneError
from knowlip.core.geodesy import applied, to_lonlat
from knowlip.core.scene import crs_of
from knowlip.scenes.package import stamp

Datum = Literal["ellipsoid", "geoid"]
Surface = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Height in m at longitudes and latitudes."""
NODE_STEP_PX = 32
MARGIN_DEG = 0.02


@dataclass(frozen=True)
class Terrain:
    """A DEM, and what its heights are counted from.

    Attributes:
        path: A raster, or a folder of GeoTIFFs such as the one-degree cells of the Copernicus DEM.
        datum: What the user says; None takes what the file says.
        undulation: The geoid's height above the ellipsoid: metres, or the path of a raster of it. None looks it up in
            EGM96 where the package `egm96` is installed.
    """

    path: Path
    datum: Datum | None = None
    undulation: str | None = None

    def identity(self) -> str:
        """Names, sizes and declarations, as text."""
        grid = self.undulation and Path(self.undulation).name
        return repr([(f.name, f.stat().st_size) for f in files_of(self.path)] + [self.datum, grid])

    def stamp(self) -> str:
        """Place, size and time of the files, and declarations, as text."""
        grid = Path(self.undulation) if self.undulation else None
        return f"{stamp(self.path)}:{self.datum}:{stamp(grid) if grid and grid.is_file() else self.undulation}"


def files_of(path: Path) -> list[Path]:
    """The files of an elevation model or another map: one raster, or the GeoTIFFs of a folder.

    Raises:
        SceneError: The folder has none.
    """
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in (".tif", ".tiff") and p.is_file())
    if not found:
        raise SceneError(path, "holds no raster (.tif)", "Give a GeoTIFF, a VRT or a folder of GeoTIFFs")
    return found


def datum_of(dataset: Any, path: Path) -> Datum | None:
    """What a DEM says its heights are counted from: a vertical CRS, or the name of a product that is known."""
    if dataset.crs:
        crs = pyproj.CRS.from_wkt(dataset.crs.to_wkt())
        if crs.is_compound:
            return "geoid"
        if len(crs.axis_info) == 3:
            return "ellipsoid"
    # the Copernicus DEM's and SRTM's own file names; both count from the geoid and do not say so in the file
    known = re.search(r"Copernicus_DSM_|^[NS]\d\d[EW]\d\d\d(\.|_)|^srtm_\d\d_\d\d|SRTMGL\d", path.name, re.IGNORECASE)
    return "geoid" if known else None


class Elevations:
    """An elevation model's own numbers in blocks of a grid, whatever they are counted from.

    Attributes:
        sets: The opened rasters and their files.
        bounds: `(west, south, east, north)` in degrees that they cover.

    Raises:
        SceneError: Unreadable, or not of one band with a CRS.
    """

    def __init__(self, path: Path, stack: ExitStack) -> None:
        try:
            self.sets = [(stack.enter_context(rasterio.open(f)), f) for f in files_of(path)]
        except RasterioError as error:
            raise SceneError(path, f"cannot be read as an elevation model ({error})", "Check --dem") from error
        for dataset, file in self.sets:
            if not dataset.crs or dataset.count != 1 or dataset.transform.is_identity:
                raise SceneError(file, "is no elevation model: one band and a CRS are needed", "Check --dem")
        self._boxes = [transform_bounds(d.crs, "EPSG:4326", *d.bounds) for d, _ in self.sets]
        west, south, east, north = zip(*self._boxes, strict=True)
        self.bounds = (min(west), min(south), max(east), max(north))

    def block(self, box: GeoBox) -> NDArray[np.float64]:
        """Heights `(H, W)` in m as the model counts them, NaN where it has none."""
        rows, cols = box.shape
        out = np.full((rows, cols), np.nan, np.float32)
        lon, lat = _positions(box, np.array([0.0, rows]), np.array([0.0, cols]))
        for (dataset, file), (west, south, east, north) in zip(self.sets, self._boxes, strict=True):
            if west > lon.max() + MARGIN_DEG or east < lon.min() - MARGIN_DEG:
                continue
            if south > lat.max() + MARGIN_DEG or north < lat.min() - MARGIN_DEG:
                continue
            part = np.full((rows, cols), np.nan, np.float32)
            grid = {"dst_transform": box.affine, "dst_crs": crs_of(box).to_wkt(), "dst_nodata": np.nan}
            try:
                band = rasterio.band(dataset, 1)
                reproject(band, part, src_crs=_flat(dataset.crs), resampling=Resampling.bilinear, **grid)
            except RasterioError as error:
                raise SceneError(file, f"cannot be read ({error})", "Fetch the elevation model again") from error
            out = np.where(np.isnan(out), part, out)
        return out.astype(np.float64)

    def stored_at(self, lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model's values `(N,)` at places `(N,)`, those of the nearest pixel; NaN where it has none."""
        out = np.full(lon_deg.shape, np.nan)
        for dataset, file in self.sets:
            crossing = pyproj.Transformer.from_crs("EPSG:4326", _flat(dataset.crs), always_xy=True)
            x, y = crossing.transform(lon_deg, lat_deg)
            col, row = applied(~dataset.transform, np.asarray(x), np.asarray(y))
            inside = np.isnan(out) & (row >= 0) & (row < dataset.height) & (col >= 0) & (col < dataset.width)
            try:
                places = np.column_stack([np.asarray(x)[inside], np.asarray(y)[inside]])
                found = [v[0].item() if ok.all() else np.nan for v, ok in _samples(dataset, places)]
            except RasterioError as error:
                raise SceneError(file, f"cannot be read ({error})", "Fetch the elevation model again") from error
            out[inside] = found
        return out


class Heights:
    """Heights of the ground above the ellipsoid in blocks of a grid.

    Attributes:
        bounds: `(west, south, east, north)` in degrees that they cover.
        datum: What the model's own values count from.
        undulation: The geoid above the ellipsoid; None where it is neither needed nor known.
    """

    def __init__(self, terrain: Terrain, stack: ExitStack) -> None:
        self._model = Elevations(terrain.path, stack)
        self.datum = _datum(terrain, self._model.sets)
        self.undulation = _undulation(terrain, self.datum, stack)
        self.bounds = self._model.bounds

    def block(self, box: GeoBox) -> NDArray[np.float64]:
        """Heights `(H, W)` in m above the ellipsoid; where the DEM has none (the sea), that of the geoid, else 0."""
        height = np.nan_to_num(self._model.block(box), nan=0.0)
        if self.datum == "ellipsoid" or self.undulation is None:
            return height
        return height + on_nodes(box, self.undulation)

    def stored_at(self, lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model's own values, as `Elevations.stored_at` gives them."""
        return self._model.stored_at(lon_deg, lat_deg)


@contextmanager
def opened(terrain: Terrain) -> Iterator[Heights]:
    """Open a DEM for reading in blocks.

    Raises:
        SceneError: Unreadable, or it is not known what its heights are counted from.
    """
    with ExitStack() as stack:
        yield Heights(terrain, stack)


def _flat(crs: Any) -> str:
    """The horizontal part of a CRS: GDAL would otherwise shift heights where it has the grids, and not elsewhere."""
    full = pyproj.CRS.from_wkt(crs.to_wkt())
    return (full.sub_crs_list[0] if full.is_compound else full.to_2d()).to_wkt("WKT1_GDAL")


def _samples(dataset: Any, places: NDArray[np.float64]) -> Iterator[tuple[Any, Any]]:
    for value in dataset.sample(places, masked=True):
        yield value.data, ~np.ma.getmaskarray(value)


def _datum(terrain: Terrain, sets: list[Any]) -> Datum:
    said = {terrain.datum or datum_of(dataset, file) for dataset, file in sets}
    for datum in ("geoid", "ellipsoid"):
        if said == {datum}:
            return datum
    raise SceneError(
        terrain.path,
        "does not say whether its heights are above the geoid or the ellipsoid, which differ by up to 106 m",
        "Give --dem-height geoid (Copernicus DEM, SRTM, national models) or --dem-height ellipsoid",
    )


def _undulation(terrain: Terrain, datum: Datum, stack: ExitStack) -> Surface | None:
    """The geoid's height above the ellipsoid; None where it is not known, and not needed."""
    if terrain.undulation is None:
        if datum == "ellipsoid":
            with suppress(SceneError):
                return _egm96(terrain.path)
            return None
        return _egm96(terrain.path)
    try:
        metres = float(terrain.undulation)
    except ValueError:
        return _grid(Path(terrain.undulation), stack)
    if not -110 <= metres <= 90:
        raise SceneError("--undulation", f"{metres:g} m is none: the geoid lies from -106 to 85 m", "Correct it")
    return lambda lon, lat: np.full(np.shape(lon), metres)


def _egm96(path: Path) -> Surface:
    try:
        from egm96 import undulation
    except ImportError as error:
        raise SceneError(
            path,
            "has heights above the geoid, and no geoid is installed",
            "Give --undulation METRES at the scene or a raster of it, or install sar-knowlip[geoid] (Python 3.12)",
        ) from error
    return lambda lon, lat: np.asarray(undulation(lat, lon), np.float64)


def _grid(path: Path, stack: ExitStack) -> Surface:
    try:
        dataset = stack.enter_context(rasterio.open(path))
        values = dataset.read(1).astype(np.float64)
    except RasterioError as error:
        raise SceneError(path, f"cannot be read as a raster of undulations ({error})", "Check --undulation") from error
    inverse, west = ~dataset.transform, dataset.bounds.left

    def at(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        col, row = applied(inverse, np.where(lon < west, lon + 360, lon), lat)
        return np.asarray(map_coordinates(values, [row - 0.5, col - 0.5], order=1, mode="nearest"))

    return at


def _positions(
    box: GeoBox, row: NDArray[np.float64], col: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude `(len(row), len(col))` of pixel coordinates."""
    cols, rows = np.meshgrid(col, row)
    return to_lonlat(crs_of(box).to_wkt(), *applied(box.affine, cols, rows))


def nodes(size: int) -> NDArray[np.float64]:
    """Pixel coordinates of the nodes along one side of a block, from its first to its last pixel's middle."""
    return np.linspace(0.5, size - 0.5, max(2, -(-size // NODE_STEP_PX) + 1))


def between(size: int) -> NDArray[np.float64]:
    """`(size, nodes)` weights that interpolate linearly from nodes to pixels."""
    at = nodes(size)
    return np.stack([np.interp(np.arange(size) + 0.5, at, e) for e in np.eye(len(at))], axis=1)


def on_nodes(box: GeoBox, surface: Surface) -> NDArray[np.float64]:
    """A smooth surface over a block `(H, W)`, evaluated on nodes and linear between."""
    rows, cols = box.shape
    lon, lat = _positions(box, nodes(rows), nodes(cols))
    return np.asarray(between(rows) @ surface(lon, lat) @ between(cols).T)


def from_points(lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], height_m: NDArray[np.float64]) -> Surface:
    """A surface through scattered points `(N,)`, linear between them, that of the nearest beyond."""
    if np.ptp(height_m) == 0:
        return lambda lon, lat: np.full(np.shape(lon), height_m[0])
    # longitudes are counted from the first point, so that the antimeridian is no jump
    places = np.column_stack([_about(lon_deg, lon_deg[0]), lat_deg])
    inside, beyond = LinearNDInterpolator(places, height_m), NearestNDInterpolator(places, height_m)

    def at(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        x = _about(lon, lon_deg[0])
        found = inside(x, lat)
        return np.where(np.isnan(found), beyond(x, lat), found)

    return at


def _about(lon: NDArray[np.float64], middle: float) -> NDArray[np.float64]:
    return (lon - middle + 180) % 360 - 180
