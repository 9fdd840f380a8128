"""Maps of simulated ground as a user would have them: a land-cover product, mapped features and an elevation model.

They are made from the ground and not from its image, and are wrong the way such maps are. Land cover has pixels of
10 m, is a little out of place, shows nothing narrow, and takes whole parcels for something else, at rates that bring it
near the overall accuracy of ESA WorldCover 2021: 76.7 % over its eleven classes (Tsendbazar et al. 2022, Product
Validation Report v2.0). Mapped features lack some areas and all small ones. The elevation model has pixels of 30 m,
stands on roofs and crowns in part, and errs as Copernicus GLO-30 does: by less than 4 m at 90 % (Airbus 2022, Product
Handbook v5.0).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import shapes
from scipy import ndimage

from knowlip.core.scene import SIMULATED_GROUND
from knowlip.simulation.ground import LandCover, World, Zone
from knowlip.simulation.truth_files import replacing, write_raster

_TREES, _GRASS, _CROPS, _BUILT, _BARE, _WATER = 10, 30, 40, 50, 60, 80
_PRODUCT = np.array([0, _WATER, _TREES, _CROPS, _BUILT, _BUILT, _BARE], np.uint8)
"""WorldCover's code of each of `LandCover`."""
_COUNTRY = {
    Zone.FARMLAND: LandCover.FARMLAND,
    Zone.WOODLAND: LandCover.WOODLAND,
    Zone.BARE: LandCover.BARE,
    Zone.PARK: LandCover.WOODLAND,
}
"""What lies beside a road in each zone of open country."""
_TAKEN_FOR: dict[int, tuple[tuple[int, float], ...]] = {
    _TREES: ((_GRASS, 0.12), (_CROPS, 0.05)),
    _CROPS: ((_GRASS, 0.28), (_TREES, 0.07), (_BARE, 0.06)),
    _BUILT: ((_GRASS, 0.11), (_TREES, 0.07), (_BARE, 0.06)),
    _BARE: ((_GRASS, 0.22), (_BUILT, 0.1)),
    _WATER: (),
}
"""How often a parcel of a class is taken for another: grass for crops and all sparse ground most of all."""
_PATCH_M = 300.0
_MAP_GSD_M, _OUT_OF_PLACE_M = 10.0, 3.0

_LAND_USE: dict[int, tuple[str, str]] = {
    Zone.RESIDENTIAL_DENSE: ("land_use", "residential"),
    Zone.RESIDENTIAL_SPARSE: ("land_use", "residential"),
    Zone.COMMERCIAL: ("land_use", "commercial"),
    Zone.INDUSTRIAL: ("land_use", "industrial"),
    Zone.PORT: ("land_use", "port"),
    Zone.AIRPORT: ("land_use", "aerodrome"),
    Zone.PARK: ("land_use", "park"),
    Zone.FARMLAND: ("land_use", "farmland"),
    Zone.WOODLAND: ("land", "forest"),
    Zone.BARE: ("land", "sand"),
    Zone.SEA: ("water", "ocean"),
    Zone.RIVER: ("water", "river"),
    Zone.WATER: ("water", "lake"),
}
"""Type and class of Overture Maps for each zone."""
_LEAST_M2, _POND_M2 = 5_000.0, 50_000.0
_NOT_MAPPED = 0.1
_DEM_GSD_M, _DEM_ERROR_M, _CANOPY = 30.0, 1.5, 0.5

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_BBOX = pa.struct([(side, pa.float64()) for side in _SIDES])
_FEATURE_SCHEMA = pa.schema(
    [("subtype", pa.string()), ("class", pa.string()), ("bbox", _BBOX), ("geometry", pa.binary())]
)


def map_names(scene: str) -> dict[str, str]:
    """Files of a scene's maps, relative to the maps' folder; the folders are what annotation takes."""
    features = {t: f"features/type={t}/{scene}.parquet" for t in ("land_use", "land", "water")}
    return {"landcover": f"landcover/{scene}.tif", "dem": f"dem/{scene}.tif", **features}


def has_maps(folder: Path, scene: str) -> bool:
    """Whether all of a scene's maps are there."""
    return all((folder / name).is_file() for name in map_names(scene).values())


def write_maps(folder: Path, scene: str, world: World, epsg: int, transform: rasterio.Affine, seed: int) -> None:
    """Write a scene's maps.

    Args:
        folder: Where all scenes' maps are kept.
        scene: The scene's id.
        world: Its ground.
        epsg: CRS of the scene.
        transform: Its affine.
        seed: Sets the maps' errors.
    """
    names = {kind: folder / name for kind, name in map_names(scene).items()}
    for path in names.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    for sort in ("landcover", "dem", "features"):
        (folder / sort / SIMULATED_GROUND).write_text("These maps are of simulated ground.\n", encoding="utf-8")
    rng = np.random.default_rng([seed, 2])
    codes, grid = land_cover_product(world, transform, rng)
    write_raster(names["landcover"], codes[None], ("Map",), epsg, grid, ZLEVEL=6)
    heights, grid = elevation_model(world, transform, rng)
    write_raster(names["dem"], heights[None], ("height_m",), epsg, grid, nodata=-32768, ZLEVEL=1, PREDICTOR=3)
    features = mapped_features(world, epsg, transform, rng)
    for kind in ("land_use", "land", "water"):
        _write_features(names[kind], [(cls, g) for of, cls, g in features if of == kind])


def land_cover_product(
    world: World, transform: rasterio.Affine, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], rasterio.Affine]:
    """WorldCover's codes `(h, w)` on pixels of 10 m or the scene's, whichever is coarser, and their affine."""
    cover = world.landcover.copy()
    # a road in the country is narrower than a pixel
    lane = (cover == LandCover.ROAD) & np.isin(world.zone, list(_COUNTRY))
    for zone, beside in zip(
        _COUNTRY, (LandCover.FARMLAND, LandCover.WOODLAND, LandCover.BARE, LandCover.WOODLAND), strict=True
    ):
        cover[lane & (world.zone == zone)] = beside
    step = max(1, round(_MAP_GSD_M / world.gsd_m))
    codes = _commonest(_PRODUCT[cover], step)
    patch = _patches(world, codes.shape, step, rng)
    wrong = codes.copy()
    for code, others in _TAKEN_FOR.items():
        drawn = rng.random(int(patch.max()) + 1)
        low = 0.0
        for other, rate in others:
            chosen = (drawn >= low) & (drawn < low + rate)
            wrong[(codes == code) & chosen[patch]] = other
            low += rate
    east, south = rng.normal(0, _OUT_OF_PLACE_M / world.gsd_m, 2)
    grid = transform * rasterio.Affine.translation(east, south) * rasterio.Affine.scale(step)
    return wrong, grid


def elevation_model(
    world: World, transform: rasterio.Affine, rng: np.random.Generator
) -> tuple[NDArray[np.float32], rasterio.Affine]:
    """Heights `(h, w)` in metres on pixels of 30 m, and their affine."""
    step = max(1, round(_DEM_GSD_M / world.gsd_m))
    heights = _mean(world.terrain_m, step) + np.float32(_CANOPY) * _mean(world.height_m, step)
    error = ndimage.gaussian_filter(rng.normal(0, 1, heights.shape), 1.0, mode="nearest")
    heights += np.float32(_DEM_ERROR_M / max(float(error.std()), 1e-6)) * error.astype(np.float32)
    return heights.astype(np.float32), transform * rasterio.Affine.scale(step)


def mapped_features(
    world: World, epsg: int, transform: rasterio.Affine, rng: np.random.Generator
) -> list[tuple[str, str, Any]]:
    """Overture's type, its class and the geometry in longitude and latitude of each mapped area."""
    step = max(1, round(_MAP_GSD_M / world.gsd_m))
    zones = _commonest(world.zone, step)
    grid = transform * rasterio.Affine.scale(step)
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    found = []
    for shape, code in shapes(zones, transform=grid):
        area = shapely.geometry.shape(shape).simplify(_MAP_GSD_M)
        if area.is_empty or area.area < _LEAST_M2 or int(code) not in _LAND_USE:
            continue
        of, cls = _LAND_USE[int(code)]
        if of != "water" and rng.random() < _NOT_MAPPED:
            continue
        if cls == "lake" and area.area < _POND_M2:
            cls = "pond"
        lonlat = shapely.transform(area, lambda xy: np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1])))
        found.append((of, cls, lonlat if lonlat.is_valid else shapely.make_valid(lonlat)))
    return found


def _write_features(path: Path, features: list[tuple[str, Any]]) -> None:
    """Overture's layout: its water says what it is by subtype, its land by class."""
    boxes = shapely.bounds(np.array([g for _, g in features], object)).reshape(-1, 4)
    columns: dict[str, list[Any]] = {
        "subtype": [cls for cls, _ in features],
        "class": [cls for cls, _ in features],
        "bbox": [dict(zip(_SIDES, b, strict=True)) for b in boxes.tolist()],
        "geometry": [shapely.to_wkb(g) for _, g in features],
    }
    encoding = {"geometry": {"encoding": "WKB", "geometry_types": list[str]()}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": encoding}
    schema = _FEATURE_SCHEMA.with_metadata({b"geo": json.dumps(geo).encode()})
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary)


def _blocks(values: NDArray[Any], step: int) -> NDArray[Any]:
    """`(h, w, step²)` blocks of pixels; rows and columns that fill none are repeated from the edge."""
    h, w = (-(-n // step) for n in values.shape)
    full = np.pad(values, ((0, h * step - values.shape[0]), (0, w * step - values.shape[1])), mode="edge")
    return full.reshape(h, step, w, step).transpose(0, 2, 1, 3).reshape(h, w, step * step)


def _mean(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means of blocks."""
    return np.asarray(_blocks(values, step).mean(axis=2), np.float32)


def _commonest(codes: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """The commonest code of each block, then of each pixel's three by three neighbours, as products are cleaned."""
    kinds = np.unique(codes)
    counts = np.stack([_mean((codes == k).astype(np.float32), step) for k in kinds])
    smooth = ndimage.uniform_filter(counts, (0, 3, 3), mode="nearest")
    return np.asarray(kinds[smooth.argmax(axis=0)], np.uint8)


def _patches(world: World, shape: tuple[int, ...], step: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Numbers of the pieces of ground that are right or wrong together: pieces of parcels of some hundred metres."""
    side = max(1, round(_PATCH_M / (world.gsd_m * step)))
    rows, cols = np.indices(shape)
    # straight borders would show: they sway by some pixels
    sway = ndimage.gaussian_filter(rng.normal(0, 1, (2, *shape)), (0, side / 3, side / 3)) * side * side / 2
    block = ((rows + sway[0]) // side).astype(np.int64) * 10_007 + ((cols + sway[1]) // side).astype(np.int64)
    parcel = world.parcel[::step, ::step][: shape[0], : shape[1]].astype(np.int64)
    _, number = np.unique(block * 1_000_003 + parcel, return_inverse=True)
    return np.asarray(number.reshape(shape), np.intp)
