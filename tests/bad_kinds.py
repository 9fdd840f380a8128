"""Every kind of input that a build refuses, each written into a folder: a function, and words of the reason."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from affine import Affine

import fakes_products as products
import fakes_s1
from fakes import as_amplitude, as_db, grid_at, ground_power, truncated, write_photograph, write_scene

SHAPE = (140, 150)
POWER = ground_power(SHAPE, 20)
DB = as_db(POWER)
LOCAL_CRS = 'LOCAL_CS["site grid",UNIT["metre",1]]'
BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><product>&b;</product>'


def _scene(pixels, **options):
    return lambda folder: write_scene(folder / "bad.tif", pixels, **options)


def _file(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _sidecar(text):
    def make(folder):
        (folder / "bad.json").write_text(text)
        return write_scene(folder / "bad.tif", DB)

    return make


def _header(width, height):
    def make(folder):
        grid = {"crs": "EPSG:32631", "transform": grid_at(3.0, 48.0, "EPSG:32631", 10, SHAPE)}
        size = {"width": width, "height": height, "count": 1, "dtype": "uint16"}
        with rasterio.open(folder / "bad.tif", "w", driver="GTiff", SPARSE_OK=True, **size, **grid):
            pass
        return folder / "bad.tif"

    return make


def _flipped(folder):
    """Compressed pixels with bytes turned in their middle."""
    path = write_scene(folder / "bad.tif", as_amplitude(POWER, -83), compress="deflate")
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 400):
        data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    return path


def _one_band_constant(folder):
    return write_scene(folder / "bad.tif", np.stack([DB, np.full(SHAPE, -20, np.float32)]), descriptions=("VV", "VH"))


def _same_name(folder):
    """Another scene of the name that a good one has."""
    return write_scene(folder / "z" / "s1.tif", DB)


def _copy(folder):
    return shutil.copyfile(folder / "s1.tif", folder / "z copy of s1.tif")


def _link(folder):
    (folder / "bad.tif").symlink_to(folder / "gone.tif")
    return folder / "bad.tif"


def _dangling(folder):
    (folder / "real.SAFE").mkdir()
    (folder / "real.SAFE" / "manifest.safe").symlink_to(folder / "s1.tif")
    return folder / "real.SAFE"


def _truth(content, name="truth/cover.tif"):
    def make(folder):
        (folder / "truth").mkdir()
        (folder / "truth" / "cover.tif").write_bytes(content)
        return write_scene(folder / "bad.tif", DB, sidecar={"simulated": True, "truth": {"landcover": name}})

    return make


def _objects(folder):
    (folder / "truth").mkdir()
    pq.write_table(pa.table({"object_id": ["a"]}), folder / "truth" / "objects.parquet")
    return write_scene(
        folder / "bad.tif", DB, sidecar={"simulated": True, "truth": {"objects": "truth/objects.parquet"}}
    )


def _safe(change):
    def make(folder):
        safe = fakes_s1.write_safe(folder, ("VV",))
        change(safe)
        return safe

    return make


def _rewrite(pattern, old, new):
    def change(safe):
        path = next(safe.glob(pattern))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def _zip(change):
    def make(folder):
        safe = fakes_s1.write_safe(folder / "unzipped", ("VV",))
        path = folder / f"{fakes_s1.NAME}.zip"
        shutil.move(fakes_s1.write_zip(safe), path)
        shutil.rmtree(folder / "unzipped")
        change(path)
        return path

    return make


def _add(name, data=b"x"):
    def change(path):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, data)

    return change


def _bomb_member(path):
    """A calibration table that unpacks to a gigabyte."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        kept = {n: archive.read(n) for n in names if "calibration-" not in n}
    victim = next(n for n in names if "calibration-" in n)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
        with archive.open(victim, "w", force_zip64=True) as member:
            for _ in range(70):
                member.write(bytes(1 << 20))


def _capella(change):
    def make(folder):
        path = products.write_capella(folder, as_amplitude(POWER, -80))
        change(path.with_name(f"{path.stem}_extended.json"))
        return path

    return make


def _umbra(folder):
    path = products.write_umbra(folder, as_amplitude(POWER, -40, np.uint8))
    next(folder.glob("*_METADATA.json")).unlink()
    return path


def _gaofen3(change):
    def make(folder):
        path = products.write_gaofen3(folder / "gf3", {"HH": 1000 * np.ones((64, 64), complex)})
        change(path)
        return path

    return make


def _no_rpc(path):
    next(path.glob("*.rpc")).unlink()


def _zero_rpc(path):
    rpc = next(path.glob("*.rpc"))
    rpc.write_text(rpc.read_text().replace("lineScale = ", "lineScale = -"))


def _iceye(xml):
    return lambda folder: products.write_iceye(folder, as_amplitude(POWER, -40), xml=xml)


def _terrasar(**meta):
    return lambda folder: products.write_terrasar(folder, {"HH": as_amplitude(POWER, -50)}, **meta)


def _two_types(folder):
    """Bands of two types, which a VRT may have."""
    for name, pixels in (("a", as_amplitude(POWER, -83)), ("b", DB)):
        write_scene(folder / "parts" / f"{name}.dat", pixels)
    t = grid_at(3.0, 48.0, "EPSG:32631", 10, SHAPE)
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{i}"><SimpleSource><SourceFilename relativeToVRT="1">parts/{n}.dat'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for i, (n, kind) in enumerate((("a", "UInt16"), ("b", "Float32")), 1)
    )
    text = f'<VRTDataset rasterXSize="{SHAPE[1]}" rasterYSize="{SHAPE[0]}"><SRS>EPSG:32631</SRS>'
    text += f"<GeoTransform>{t.c},{t.a},0,{t.f},0,{t.e}</GeoTransform>{bands}</VRTDataset>"
    (folder / "bad.tif").write_text(text)
    return folder / "bad.tif"


KINDS = {
    # a file that is no raster, or only part of one
    "an empty file": (_file("bad.tif", b""), "is empty"),
    "a text named .tif": (_file("bad.tif", b"not an image"), "cannot be read as a GeoTIFF"),
    "a GeoTIFF whose header is cut": (
        lambda f: truncated(write_scene(f / "bad.tif", DB), 0.002),
        "cannot be read as a GeoTIFF",
    ),
    "a GeoTIFF whose pixels are cut": (
        lambda f: truncated(write_scene(f / "bad.tif", as_amplitude(POWER, -83)), 0.6),
        "truncated or damaged",
    ),
    "a GeoTIFF with damaged compressed pixels": (_flipped, "truncated or damaged"),
    "a header of 300,000 by 300,000 pixels": (_header(300_000, 300_000), "states 300000 x 300000 pixels"),
    "a header of one long row": (_header(2_000_000_000, 1), "states 2000000000 x 1 pixels"),
    "a link to nothing": (_link, "is a link to nothing"),
    # pixels that are no backscatter
    "a photograph": (lambda f: write_photograph(f / "bad.tif"), "photograph"),
    "complex pixels": (_scene(DB.astype(np.complex64)), "complex64 pixels"),
    "five bands": (_scene(np.stack([DB] * 5)), "has 5 bands"),
    "bands of two pixel types": (_two_types, "mixes pixel types"),
    "negative whole numbers": (_scene((DB * 100).astype(np.int16)), "may be scaled dB"),
    "floating-point values of unknown meaning": (_scene(np.sqrt(POWER).astype(np.float32) * 300), "may be dB"),
    "NaN everywhere": (_scene(np.full(SHAPE, np.nan, np.float32)), "valid pixels"),
    "infinity everywhere": (_scene(np.full(SHAPE, np.inf, np.float32)), "valid pixels"),
    "no-data everywhere": (_scene(np.full(SHAPE, -99, np.float32), nodata=-99), "valid pixels"),
    "one value everywhere": (_scene(np.full(SHAPE, 0.1, np.float32)), "has one value in every valid pixel"),
    "zero everywhere, not declared": (_scene(np.zeros(SHAPE, np.uint16)), "has one value in every valid pixel"),
    "a polarisation of one value": (_one_band_constant, "has one value in every valid pixel of its band VH"),
    "fewer pixels than a tile": (_scene(DB[:100, :100]), "smaller than one tile"),
    # a place that is none
    "no CRS": (_scene(DB, crs=None), "has no CRS"),
    "a CRS of a building site": (
        _scene(DB, crs=LOCAL_CRS, transform=grid_at(3, 48, "EPSG:32631", 10, SHAPE)),
        "local CRS",
    ),
    "no georeference": (_scene(DB, transform=Affine.identity()), "has no georeference"),
    "a CRS that does not fit the coordinates": (
        _scene(DB, crs="EPSG:4326", transform=Affine(10, 0, 500_000, 0, -10, 5_300_000)),
        "lies outside the domain",
    ),
    "metres of another continent's projection": (
        _scene(DB, crs="EPSG:32631", transform=Affine(10, 0, 9e8, 0, -10, 9e8)),
        "lies outside the domain",
    ),
    "an affine onto a line": (_scene(DB, transform=Affine(10, 10, 5e5, 10, 10, 5e6)), "onto a line"),
    "an affine with NaN": (_scene(DB, transform=Affine(10, 0, np.nan, 0, -10, 5e6)), "affine"),
    "an affine with infinity": (_scene(DB, transform=Affine(np.inf, 0, 5e5, 0, -10, 5e6)), "affine"),
    "pixels of a nanometre": (_scene(DB, transform=Affine(1e-9, 0, 5e5, 0, -1e-9, 5e6)), "pixels of"),
    # polarisations and sidecars
    "one polarisation twice": (_scene(np.stack([DB, DB + 1]), descriptions=("VV", "VV")), "are not distinct"),
    "three labels for two bands": (
        _scene(np.stack([DB, DB + 1]), sidecar={"polarisations": ["HH", "HV", "VV"]}),
        "has 2 bands but 3 polarisations",
    ),
    "a polarisation that is none": (_scene(DB, sidecar={"polarisations": ["XX"]}), "are not distinct ones of"),
    "a sidecar with a wrong value": (_sidecar('{"look_side": "down"}'), "'look_side'"),
    "a sidecar that is no JSON": (_sidecar('{"look_side": '), "is not readable JSON"),
    "a sidecar of nested brackets": (_sidecar("[" * 200_000), "is not readable JSON"),
    "a sidecar of two megabytes": (_sidecar(json.dumps({"platform": "x" * (2 << 20)})), "is larger than 1 MiB"),
    "truth that is damaged": (_truth(b"not an image"), "cover.tif"),
    "truth outside the scene's folder": (_truth(b"x", "../../cover.tif"), "points outside"),
    "targets without their columns": (_objects, "objects.parquet"),
    # scenes that are there twice
    "another scene of the same name": (_same_name, "has the same name as"),
    "a copy under another name": (_copy, "holds the same bytes as"),
    # Sentinel-1
    "an XML entity bomb": (_safe(lambda s: next(s.glob("annotation/s1*.xml")).write_text(BOMB)), "declares a DTD"),
    "XML that is cut": (_safe(lambda s: truncated(next(s.glob("annotation/s1*.xml")))), "is not well-formed XML"),
    "a product without its calibration": (
        _safe(lambda s: next(s.glob("annotation/calibration/cal*.xml")).unlink()),
        "lacks its calibration table",
    ),
    "a product without its pixels": (
        _safe(lambda s: next(s.glob("measurement/*")).unlink()),
        "lacks its measurement",
    ),
    "a product whose pixels are cut": (
        _safe(lambda s: truncated(next(s.glob("measurement/*")), 0.7)),
        "truncated or damaged",
    ),
    "an annotation of absurd size": (
        _safe(_rewrite("annotation/*.xml", f"<numberOfLines>{fakes_s1.LINES}<", "<numberOfLines>99999999<")),
        "states 99999999 lines",
    ),
    "a single look complex product": (
        _safe(_rewrite("annotation/*.xml", "<productType>GRD<", "<productType>SLC<")),
        "only ground-range detected products",
    ),
    "a product folder of links to nothing": (_dangling, "no annotation of a ground-range product"),
    "a zip that is cut": (_zip(lambda p: truncated(p, 0.8)), "is not a readable zip archive"),
    "a zip that is none": (_file(f"{fakes_s1.NAME}.zip", b"PK\x03\x04 and no more"), "is not a readable zip archive"),
    "a zip with a name that leads out": (_zip(_add("../../evil.tif")), "leads out of it"),
    "a zip with an absolute name": (_zip(_add("/etc/evil.tif")), "leads out of it"),
    "a zip that unpacks to a bomb": (_zip(_bomb_member), "is larger than 64 MiB"),
    # other families
    "a Capella image without its metadata": (_capella(lambda p: p.unlink()), "_extended.json"),
    "Capella metadata that are cut": (_capella(truncated), "is not readable JSON"),
    "an Umbra image without its metadata": (_umbra, "_METADATA.json"),
    "a Gaofen-3 image without its RPCs": (_gaofen3(_no_rpc), "RPC"),
    "RPCs that map no place": (_gaofen3(_zero_rpc), "RPCs that map no place"),
    "an ICEYE image without its calibration": (_iceye("<a><b>1</b></a>"), "has no calibration_factor"),
    "an ICEYE HDF5 that is cut": (lambda f: truncated(products.write_iceye_hdf5(f)), "cannot be read as HDF5"),
    "an ICEYE HDF5 of complex pixels": (
        lambda f: products.write_iceye_hdf5(f, change={"s_i": np.zeros((2, 2), np.float32)}),
        "is complex",
    ),
    "an ICEYE HDF5 whose orbit misses its corners": (
        lambda f: products.write_iceye_hdf5(f, change={"coord_first_far": np.array([300, 1, 44.0, 8.0])}),
        "miss its corners",
    ),
    "a TerraSAR-X product that names a file outside": (_terrasar(inside="../.."), "outside the product"),
    "a TerraSAR-X product in sensor geometry": (_terrasar(variant="SSC"), "GEC and EEC are read"),
    "a NITF that is none": (_file("bad.nitf", b"NITF02.10" + b"\0" * 400), "SICD|NITF"),
}
"""Name of a kind to what writes it into a folder of good scenes, and words of the reason it is refused for."""
