"""Damaged at any place, a product of any family gives tiles or one refusal: no other error, no hang, bounded memory."""

import resource
import shutil
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes_products as products
import fakes_s1
from fakes import SIDECAR, as_amplitude, as_db, ground_power, write_scene
from knowlip.core.errors import SceneError
from knowlip.core.folder import Folder
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.inputs import gather
from knowlip.corpus.records import Rejected
from knowlip.corpus.tiling import SceneJob, tile_scene
from knowlip.scenes.sidecar import Declared

POWER = ground_power((64, 72))
SECONDS, MEGABYTES = 20, 1500


def _zipped(folder):
    safe = fakes_s1.write_safe(folder / "unzipped", ("VV",))
    path = folder / f"{fakes_s1.NAME}.zip"
    shutil.move(fakes_s1.write_zip(safe), path)
    shutil.rmtree(folder / "unzipped")
    return path


def _sicd(folder):
    pytest.importorskip("sarpy", reason="needs the extra sicd")
    from fakes_sicd import write_sicd

    return write_sicd(folder / "x.nitf", 100 * np.sqrt(POWER) * np.exp(1j * POWER))


MAKERS = {
    "GeoTIFF": lambda f: write_scene(f / "x.tif", as_db(POWER), descriptions=("VV",), sidecar=SIDECAR),
    "tiled and compressed GeoTIFF": lambda f: write_scene(
        f / "x.tif", as_amplitude(POWER, -40), tiled=True, blockxsize=32, blockysize=32, compress="deflate", nodata=0
    ),
    "PNG chip": lambda f: products.write_chip(f / "x_HH.png", as_amplitude(POWER, -40, np.uint8)),
    "TIFF chip": lambda f: products.write_chip(f / "x_HH.tif", as_amplitude(POWER, -40)),
    "SAFE": lambda f: fakes_s1.write_safe(f, ("VV",)),
    "zipped SAFE": _zipped,
    "Capella": lambda f: products.write_capella(f, as_amplitude(POWER, -80)),
    "Umbra": lambda f: products.write_umbra(f, as_amplitude(POWER, -40, np.uint8)),
    "Gaofen-3": lambda f: products.write_gaofen3(f / "gf3", {"HH": 300 * np.sqrt(POWER) * np.exp(1j * POWER)}),
    "ICEYE": lambda f: products.write_iceye(f, as_amplitude(POWER, -40), products.rpc_of(POWER.shape)),
    "ICEYE in HDF5": products.write_iceye_hdf5,
    "TerraSAR-X": lambda f: products.write_terrasar(f, {"HH": as_amplitude(POWER, -50)}),
    "SICD": _sicd,
}


@pytest.fixture(scope="module", params=MAKERS)
def victim(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    MAKERS[request.param](folder)
    files = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return folder, {p: data for p, data in files.items() if data and p.name != "manifest.safe"}


DAMAGE = st.tuples(
    st.sampled_from(["cut", "flip", "flips", "drop", "insert", "zeros", "ones", "digit"]),
    st.floats(0, 1),
    st.integers(0, 255),
)


def damaged(data, how, where, byte):
    # half of all damage falls on the first 600 bytes, where headers are
    at = min(int(2 * where * 600) if where < 0.5 else int((2 * where - 1) * len(data)), len(data) - 1)
    out = bytearray(data)
    if how == "cut":
        del out[at:]
    elif how == "flip":
        out[at] = byte
    elif how == "flips":
        for i in range(16):
            out[(at * (i + 1) * 31 + byte) % len(out)] ^= 1 << (i % 8)
    elif how == "drop":
        del out[at : at + 1 + byte]
    elif how == "insert":
        out[at:at] = bytes([byte]) * 9
    elif how in ("zeros", "ones"):
        out[at : at + 8] = (b"\0" if how == "zeros" else b"\xff") * len(out[at : at + 8])
    else:
        out[at : at + 1] = b"9e9"
    return bytes(out)


@contextmanager
def limits():
    """At most so many seconds, and so much more memory."""

    def late(number, frame):
        raise TimeoutError(f"took longer than {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            # a warning would be a line that nobody can do anything about
            warnings.simplefilter("error", RuntimeWarning)
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


@settings(max_examples=60)
@given(st.integers(0, 7), DAMAGE)
def test_a_damaged_product_is_cut_into_tiles_or_refused_in_one_line(victim, tmp_path_factory, which, damage):
    folder, files = victim
    file = sorted(files)[which % len(files)]
    file.write_bytes(damaged(files[file], *damage))
    out, declared = Folder("memory://damage"), Declared(chips=True)
    rasters = tmp_path_factory.mktemp("rasters")
    try:
        with limits():
            paths, rejected = gather([folder], out, take_chips=True)
            jobs = [SceneJob(p, declared, out, TileSpec(tile_size=32), "damage", rasters) for p in paths]
            results = rejected + [tile_scene(job) for job in jobs]
    except SceneError as error:
        results = [Rejected(error.subject, error.reason, error.remedy)]
    finally:
        file.write_bytes(files[file])
        out.remove("")
        shutil.rmtree(rasters)
    assert results
    for refusal in (r for r in results if isinstance(r, Rejected)):
        assert refusal.remedy
        assert refusal.reason
        assert "\n" not in f"{refusal.path}{refusal.reason}{refusal.remedy}"
