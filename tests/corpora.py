"""Folders of fake scenes for corpora: every kind that a build takes, and every kind that it refuses."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from affine import Affine

from fakes import (
    S1_PRODUCT,
    SIDECAR,
    as_amplitude,
    as_db,
    as_power,
    grid_at,
    ground_power,
    truncated,
    write_photograph,
    write_scene,
)
from knowlip.corpus.build import BuildConfig
from knowlip.corpus.grids import TileSpec

TILE = 128
CONFIG = BuildConfig(name="fakes", licence="CC-BY-4.0", tiles=TileSpec(tile_size=TILE))
SHAPE = (300, 420)
CUSTOM_CRS = "+proj=laea +lat_0=-8 +lon_0=-35 +datum=WGS84 +units=m"
SIGMA0_DN = {"quantity": "amplitude", "convention": "sigma0", "calibration_db": -83.0}

OBJECTS = [
    # centre (col, row), in the scene; the tile that holds it starts at (18, 22) and has 128 pixels
    {"object_id": "a", "cls": "ship", "subtype": "tanker", "centre_col": 30.0, "centre_row": 40.0},
    {"object_id": "b", "cls": "ship", "subtype": None, "centre_col": 200.25, "centre_row": 160.5},
    {"object_id": "on the seam", "cls": "aircraft", "subtype": None, "centre_col": 146.0, "centre_row": 60.0},
    {"object_id": "on the rim", "cls": "ship", "subtype": None, "centre_col": 5.0, "centre_row": 100.0},
]


def write_good_scenes(folder):
    """Scenes of every kind that a build takes: pixel types, projections, borders, acquisitions."""
    power = [ground_power(SHAPE, seed) for seed in range(10)]
    both = np.stack([as_amplitude(power[0], -83), as_amplitude(power[0] / 5, -83)])
    sidecar = SIDECAR | {"radiometry": SIGMA0_DN}
    write_scene(folder / "dual.tif", both, descriptions=("HH", "HV"), nodata=0, sidecar=sidecar)
    bordered = as_db(power[1])
    bordered[:60], bordered[:, 330:] = -99, -99
    write_scene(folder / "border_VV.tif", bordered, crs="EPSG:32733", at=(16.0, -22.5), nodata=-99)
    write_scene(folder / "degrees.tif", as_power(power[2]), crs="EPSG:4326", at=(24.9, 60.2), gsd=1e-4)
    tags = {"SOURCE_PRODUCT": S1_PRODUCT, "POLARISATION": "VH"}
    eight_bit = as_amplitude(power[3], -45, np.uint8)
    write_scene(folder / "mercator.tif", eight_bit, crs="EPSG:3395", at=(-118.2, 33.9), tags=tags)
    write_scene(folder / "antimeridian.tif", as_db(power[4]), crs="EPSG:32760", at=(180.0, -17.0))
    write_scene(folder / "svalbard.tif", as_db(power[5]), crs="EPSG:32633", at=(20.0, 80.0), gsd=40.0)
    write_scene(folder / "polar.tif", as_db(power[6]), crs="EPSG:3413", at=(30.0, 86.0), gsd=40.0)
    turned = grid_at(-0.1, 5.6, "EPSG:32630", 10, SHAPE) @ Affine.rotation(13)
    write_scene(folder / "turned.tif", as_db(power[7]), crs="EPSG:32630", transform=turned)
    write_scene(folder / "custom.tif", as_db(power[8]), crs=CUSTOM_CRS, at=(-35.0, -8.0))
    write_simulated(folder, power[9])


def write_simulated(folder, power):
    """A scene with exact answers beside it, as the simulator leaves them."""
    landcover = np.random.default_rng(9).integers(0, 7, SHAPE).astype(np.uint8)
    grid = grid_at(151.2, -33.9, "EPSG:32756", 10, SHAPE)
    truth = {"landcover": "truth/sim.landcover.tif", "objects": "truth/sim.objects.parquet"}
    told = {"scene_id": "a simulated scene", "simulated": True, "polarisations": ["HH"], "truth": truth}
    pixels = as_amplitude(power, -83)
    sidecar = SIDECAR | {"radiometry": SIGMA0_DN} | told
    write_scene(folder / "sim.tif", pixels, crs="EPSG:32756", transform=grid, sidecar=sidecar)
    write_scene(folder / truth["landcover"], landcover, crs="EPSG:32756", transform=grid, nodata=0)
    rows = []
    for o in OBJECTS:
        corners = [
            o["centre_col"] + d if i % 2 == 0 else o["centre_row"] + d
            for i, d in enumerate((-4, -1, 4, -1, 4, 1, -4, 1))
        ]
        rows.append(o | {"corners": corners, "length_m": 80.0, "width_m": 20.0, "heading_deg": 90.0, "state": "moored"})
    pq.write_table(pa.Table.from_pylist(rows), folder / truth["objects"])


BAD = {
    "zero_bytes": "zero bytes",
    "text": "cannot be read as a GeoTIFF",
    "photograph": "photograph",
    "no_crs": "has no CRS",
    "cut_off": "truncated or damaged",
    "no_data": "no tile with at least 50% valid pixels",
    "small": "smaller than one tile of 128",
    "broken_sidecar": "'look_side'",
}


def write_bad_scenes(folder):
    """One scene for each reason of `BAD`."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = as_db(ground_power(SHAPE, 20))
    (folder / "zero_bytes.tif").write_bytes(b"")
    (folder / "text.tif").write_text("not an image")
    write_photograph(folder / "photograph.tif")
    write_scene(folder / "no_crs.tif", pixels, crs=None)
    truncated(write_scene(folder / "cut_off.tif", as_amplitude(ground_power(SHAPE, 21), -83)), 0.6)
    write_scene(folder / "no_data.tif", np.full(SHAPE, -99, np.float32), nodata=-99)
    write_scene(folder / "small.tif", pixels[:100, :100])
    write_scene(folder / "broken_sidecar.tif", pixels, sidecar={"look_side": "down"})
