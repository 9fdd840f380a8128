"""Calibrate and geocode a Sentinel-1 GRD product: time, peak memory, and where pixels land, beside sarsen.

Run: python benchmarks/geocoding.py [--quick] [--data DIR]

Uses the real annotation in `s1_safe` and the elevation model in `dem` of the data folder; the product's pixels are
blank there, so stored values are made up (which changes no time). `--quick` geocodes the part that the elevation model
covers, the full run the whole product on the heights of its geolocation grid. sarsen is compared where it is installed,
on the elevation model's own grid (a ninth of our pixels) with the same heights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio

UNDULATION_M = 48.5
"""EGM96 at Rome, 41.9 N 12.5 E, to half a metre."""


def product_with_pixels(data: Path, folder: Path) -> Path:
    source = sorted((data / "s1_safe").glob("*5371.SAFE"))[0]
    safe = folder / source.name
    shutil.copytree(source, safe)
    for path in safe.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tiff,) = (safe / "measurement").glob("*.tiff")
    with rasterio.open(tiff) as blank:
        height, width = blank.shape
    tiff.unlink()
    rng = np.random.default_rng(0)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": height, "width": width, "blockysize": 1}
    with rasterio.open(tiff, "w", **profile) as out:
        for top in range(0, height, 512):
            rows = min(512, height - top)
            pixels = (100 * rng.rayleigh(1.0, (rows, width))).astype(np.uint16)
            out.write(pixels, 1, window=rasterio.windows.Window(0, top, width, rows))
    return safe


OURS = """
import json, resource, sys, time
from pathlib import Path
from knowlip.scenes.heights import Terrain
from knowlip.scenes.prepare import prepared
from knowlip.scenes.products import open_scene
from knowlip.scenes.sidecar import Declared
safe, dem, out = sys.argv[1:4]
terrain = Terrain(Path(dem), None, sys.argv[4]) if dem else None
start = time.perf_counter()
scene = prepared(open_scene(Path(safe), Declared(terrain=terrain)), Path(out))
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"s": time.perf_counter() - start, "peak_mb": peak_mb,
                  "rows": scene.geobox.shape[0], "cols": scene.geobox.shape[1], "path": str(scene.path)}))
"""

SARSEN = """
import json, resource, sys, time
import rioxarray, sarsen, xarray as xr
from sarsen import Sentinel1SarProduct, terrain_correction
safe, dem, out = sys.argv[1:4]
start = time.perf_counter()
product = Sentinel1SarProduct(safe, "IW/VV")
terrain_correction(product, dem_urlpath=dem, output_urlpath=out)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"s": time.perf_counter() - start, "peak_mb": peak_mb}))
"""


def run(code: str, *args: object) -> dict | None:
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, env=os.environ)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def accuracy(safe: Path) -> dict[str, float]:
    from knowlip.scenes.s1_annotation import parse_annotation
    from knowlip.scenes.s1_tables import calibrated, parse_calibration
    from knowlip.scenes.sentinel1_safe import located
    from knowlip.scenes.xml import parse_xml

    path = next((safe / "annotation").glob("s1*.xml"))
    note = parse_annotation(parse_xml(path.read_bytes(), path))
    at = note.geolocation
    line, pixel = located(note)(at.lon_deg, at.lat_deg, at.height_m)
    off = {"line_rms_px": line - at.line, "pixel_rms_px": pixel - at.pixel}
    figures = {k: float(np.sqrt(np.mean(v**2))) for k, v in off.items()}
    path = next((safe / "annotation" / "calibration").glob("calibration-*.xml"))
    root = parse_xml(path.read_bytes(), path)
    lut, worst = parse_calibration(root, "sigma0"), 0.0
    for vector in root.all("calibrationVectorList/calibrationVector"):
        pixels, table = vector.numbers("pixel").astype(int), vector.numbers("sigmaNought")
        stored = np.full((1, int(pixels[-1]) + 1), 1000, np.uint16)
        power = calibrated(stored, lut, None, vector.whole("line"), 0)[0, pixels]
        worst = max(worst, float(np.abs(power * table**2 / 1e6 - 1).max()))
    return figures | {"calibration_relative_error": worst}


def ellipsoidal(dem: Path, out: Path) -> Path:
    """The elevation model with the undulation added, for a program that takes heights as they are."""
    with rasterio.open(dem) as source:
        heights = source.read(1).astype(np.float32) + UNDULATION_M
        profile = source.profile | {"dtype": "float32", "crs": "EPSG:4326", "nodata": None}
    with rasterio.open(out, "w", **profile) as target:
        target.write(heights, 1)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        safe = product_with_pixels(args.data, folder)
        dem = next((args.data / "dem").glob("*.tif"))
        figures: dict[str, float | None] = dict(accuracy(safe))
        ours = run(OURS, safe, dem, folder / "dem", UNDULATION_M)
        theirs = run(SARSEN, safe, ellipsoidal(dem, folder / "dem.tif"), folder / "sarsen.tif")
        whole = None if args.quick else run(OURS, safe, "", folder / "whole", "")
        for name, found in (("dem_knowlip", ours), ("dem_sarsen", theirs), ("whole_knowlip", whole)):
            figures |= {f"{name}_s": found and found["s"], f"{name}_peak_mb": found and found["peak_mb"]}
            if found and "rows" in found:
                figures[f"{name}_mpx"] = found["rows"] * found["cols"] / 1e6
        figures |= against_sarsen(safe, folder / "dem.tif")
    for key, value in figures.items():
        print(f"{key:32} {value if value is None else f'{value:.4g}'}")
    print(json.dumps(figures))


def against_sarsen(safe: Path, dem: Path) -> dict[str, float | None]:
    """Root mean square of what separates our image positions from sarsen's over an elevation model, pixels."""
    names = ("sarsen_line_rms_px", "sarsen_pixel_rms_px")
    try:
        import sarsen.geocoding
        import sarsen.orbit
        import sarsen.scene
        import sarsen.sentinel1
    except ImportError:
        return dict.fromkeys(names)
    from knowlip.scenes.s1_annotation import parse_annotation
    from knowlip.scenes.sentinel1_safe import located
    from knowlip.scenes.xml import parse_xml

    product = sarsen.sentinel1.Sentinel1SarProduct(str(safe), "IW/VV")
    raster = sarsen.scene.open_dem_raster(str(dem))
    points = sarsen.scene.convert_to_dem_ecef(raster)
    path = product.state_vectors()
    orbit = sarsen.orbit.OrbitPolyfitInterpolator.from_position(path)
    seen = sarsen.geocoding.backward_geocode(points, orbit, zero_doppler_distance=1e-3)
    slant_m = np.sqrt((seen.dem_distance**2).sum("axis")).values
    annotation = next((safe / "annotation").glob("s1*.xml"))
    note = parse_annotation(parse_xml(annotation.read_bytes(), annotation))
    first = np.datetime64(note.first_line.replace(tzinfo=None))
    time_s = (seen.azimuth_time.values - first) / np.timedelta64(1, "s")
    theirs = note.image_of(time_s, slant_m)
    lon, lat = np.meshgrid(raster.x.values, raster.y.values)
    ours = located(note)(lon, lat, raster.values.astype(float))
    return {n: float(np.sqrt(np.nanmean((a - b) ** 2))) for n, a, b in zip(names, ours, theirs, strict=True)}


if __name__ == "__main__":
    main()
