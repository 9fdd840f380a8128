"""Tiles as Cloud-Optimised GeoTIFF, encoded without GDAL but for the CRS's keys, which are asked once a scene.

A tile is small, so setting up a dataset costs GDAL more than its pixels do. What varies between tiles of a scene is
only the georeference and the blocks; everything else is prepared once in a `CogLayout`.

Sources: TIFF 6.0 with its Technical Note 3 (floating-point predictor); OGC GeoTIFF 1.1 (OGC 19-008r4); the COG layout
of GDAL's driver (directories first, then the data from the smallest overview to the full resolution).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from isal import isal_zlib
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from knowlip.core.scene import crs_of

BLOCK_PX = 256
"""Side of a block; a tile no larger is one strip."""
ONE_LEVEL_PX = 512
"""A tile up to this size is its own overview."""
DEFLATE_LEVEL = 1
"""Of ISA-L. Speckle has no strings to find: zlib's level 6 takes eight times as long and ends 2 % larger."""

Tag = tuple[int, int, bytes]
"""TIFF type, number of values and their bytes, little-endian."""

_SHORT, _LONG, _DOUBLE = 3, 4, 12
_TYPE_BYTES = {1: 1, 2: 1, _SHORT: 2, _LONG: 4, _DOUBLE: 8}
_SAMPLE_FORMAT = {"u": 1, "i": 2, "f": 3}
_SCALE, _TIEPOINT, _MATRIX = 33550, 33922, 34264
_KEPT = (34735, 34736, 34737, 42112, 42113)
"""GeoKeys with their numbers and texts; GDAL's band descriptions and no-data value."""


@dataclass(frozen=True)
class CogLayout:
    """What the tiles of one scene have in common.

    Attributes:
        shape: `(C, H, W)`.
        dtype: NumPy name of the pixels' type.
        nodata: Value of absent pixels, left out of overviews.
        tags: CRS, band descriptions and no-data value as GDAL writes them.
    """

    shape: tuple[int, int, int]
    dtype: str
    nodata: float | None
    tags: tuple[tuple[int, Tag], ...]


def cog_layout(
    shape: tuple[int, int, int], dtype: str, crs_wkt: str | None, nodata: float | None, descriptions: tuple[str, ...]
) -> CogLayout:
    """Prepare the tiles of a scene.

    Args:
        shape: `(C, H, W)` of a tile.
        descriptions: C band names.
    """
    return CogLayout(shape, dtype, nodata, _gdal_tags(shape[0], dtype, crs_wkt, repr(nodata), descriptions))


@lru_cache(maxsize=64)
def _gdal_tags(
    bands: int, dtype: str, crs_wkt: str | None, nodata: str, descriptions: tuple[str, ...]
) -> tuple[tuple[int, Tag], ...]:
    # a NaN is no good key of a cache, its text is
    value = None if nodata == "None" else float(nodata)
    grid = {"width": 16, "height": 16, "count": bands, "crs": crs_wkt, "transform": Affine(2, 0, 1, 0, -2, 1)}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", dtype=dtype, nodata=value, **grid) as dataset:
            dataset.descriptions = descriptions
        tags = read_tags(memory.read())
    return tuple((code, tags[code]) for code in _KEPT if code in tags)


def read_tags(data: bytes) -> dict[int, Tag]:
    """The tags of a little-endian TIFF's first directory."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    tags = {}
    for i in range(count):
        code, kind, n, _ = struct.unpack_from("<HHII", data, entry := start + 2 + 12 * i)
        size = n * _TYPE_BYTES[kind]
        at = entry + 8 if size <= 4 else struct.unpack_from("<I", data, entry + 8)[0]
        tags[code] = (kind, n, data[at : at + size])
    return tags


def cog_bytes(pixels: NDArray[Any], box: GeoBox, nodata: float | None, descriptions: tuple[str, ...]) -> bytes:
    """A Cloud-Optimised GeoTIFF of one tile, pixel values untouched.

    Args:
        pixels: `(C, H, W)`.
    """
    bands, height, width = pixels.shape
    layout = cog_layout((bands, height, width), pixels.dtype.name, crs_of(box).to_wkt(), nodata, descriptions)
    return encode_cog(layout, pixels, box.affine)


def encode_cog(layout: CogLayout, pixels: NDArray[Any], affine: Affine) -> bytes:
    """The file of one tile.

    Args:
        pixels: `(C, H, W)` as the layout says.
        affine: Pixel corners to CRS units.
    """
    blocks = [_blocks(level) for level in _levels(pixels, layout.nodata)]
    prepared, places = _directories(layout, _points_north(affine))
    head = bytearray(prepared)
    at = len(head)
    for found, place in zip(reversed(blocks), reversed(places), strict=True):
        lengths = [len(b) for b in found]
        offsets = at + np.cumsum([0, *lengths])
        at = int(offsets[-1])
        _put(head, place.offsets, _longs(offsets[:-1]))
        _put(head, place.lengths, _longs(lengths))
    for code, tag in _georeference(affine).items():
        _put(head, places[0].georeference[code], tag)
    return b"".join([head, *(b for found in reversed(blocks) for b in found)])


def _levels(pixels: NDArray[Any], nodata: float | None) -> list[NDArray[Any]]:
    levels = [pixels]
    if max(pixels.shape[1:]) > ONE_LEVEL_PX:
        while max(levels[-1].shape[1:]) > BLOCK_PX:
            levels.append(halved(levels[-1], nodata))
    return levels


@dataclass(frozen=True)
class _Places:
    """Where a directory keeps the values that differ between tiles, as bytes from the file's start."""

    offsets: int
    lengths: int
    georeference: dict[int, int]


@lru_cache(maxsize=64)
def _directories(layout: CogLayout, points_north: bool) -> tuple[bytes, tuple[_Places, ...]]:
    """The file up to its pixels, with zeros where tiles differ, and the places of those."""
    levels = _levels(np.zeros(layout.shape, layout.dtype), layout.nodata)
    directories = [_own_tags(level, reduced=i > 0) for i, level in enumerate(levels)]
    directories[0] |= dict(layout.tags) | _georeference(Affine(1, 0, 0, 0, -1 if points_north else 1, 0))
    parts, places, start = [struct.pack("<2sHI", b"II", 42, 8)], [], 8
    for i, tags in enumerate(directories):
        size = _directory_bytes(tags)
        data, at = _directory(tags, start, start + size if i + 1 < len(directories) else 0)
        offsets, lengths = (273, 279) if 273 in tags else (324, 325)
        places.append(_Places(at[offsets], at[lengths], {c: at[c] for c in (_SCALE, _TIEPOINT, _MATRIX) if c in at}))
        parts.append(data)
        start += size
    return b"".join(parts), tuple(places)


def _put(head: bytearray, at: int, tag: Tag) -> None:
    head[at : at + len(tag[2])] = tag[2]


def halved(pixels: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """The next overview: means of two by two valid pixels, no-data where there is none.

    Args:
        pixels: `(C, H, W)`.

    Returns:
        `(C, ceil(H / 2), ceil(W / 2))` of the same type.
    """
    bands, height, width = pixels.shape
    rows, cols = -(-height // 2), -(-width // 2)
    values = np.zeros((bands, 2 * rows, 2 * cols))
    valid = np.zeros(values.shape, bool)
    there = np.isfinite(pixels) if pixels.dtype.kind == "f" else np.ones(pixels.shape, bool)
    if nodata is not None and not np.isnan(nodata):
        there &= pixels != nodata
    valid[:, :height, :width] = there
    values[:, :height, :width] = np.where(there, pixels, 0)
    quads = bands, rows, 2, cols, 2
    count = valid.reshape(quads).sum(axis=(2, 4))
    mean = values.reshape(quads).sum(axis=(2, 4)) / np.maximum(count, 1)
    absent = nodata if nodata is not None else (np.nan if pixels.dtype.kind == "f" else 0)
    mean = np.where(count > 0, mean, absent)
    return (mean if pixels.dtype.kind == "f" else np.rint(mean)).astype(pixels.dtype)


def _one_strip(level: NDArray[Any]) -> bool:
    return max(level.shape[1:]) <= BLOCK_PX


def _blocks(level: NDArray[Any]) -> list[bytes]:
    """Compressed blocks in the order of the file, samples interleaved by pixel."""
    pixels = np.ascontiguousarray(level.transpose(1, 2, 0))
    if _one_strip(level):
        return [_compressed(pixels)]
    height, width, bands = pixels.shape
    padded = np.zeros((-(-height // BLOCK_PX) * BLOCK_PX, -(-width // BLOCK_PX) * BLOCK_PX, bands), pixels.dtype)
    padded[:height, :width] = pixels
    return [
        _compressed(padded[r : r + BLOCK_PX, c : c + BLOCK_PX])
        for r in range(0, height, BLOCK_PX)
        for c in range(0, width, BLOCK_PX)
    ]


def _compressed(block: NDArray[Any]) -> bytes:
    """One block `(h, w, C)`: differences along rows, then deflate."""
    height, width, bands = block.shape
    if block.dtype.kind == "f":
        size = block.dtype.itemsize
        most_significant_first = block.astype(block.dtype.newbyteorder(">")).view(np.uint8)
        planes = most_significant_first.reshape(height, width * bands, size).transpose(0, 2, 1)
        row = np.ascontiguousarray(planes).reshape(height, size * width * bands)
    else:
        row = np.ascontiguousarray(block).view(f"u{block.dtype.itemsize}").reshape(height, width * bands)
    difference = row.copy()
    difference[:, bands:] -= row[:, :-bands]
    return bytes(isal_zlib.compress(difference, DEFLATE_LEVEL))


def _shorts(values: Any) -> Tag:
    return _SHORT, len(values), np.asarray(values, "<u2").tobytes()


def _longs(values: Any) -> Tag:
    return _LONG, len(values), np.asarray(values, "<u4").tobytes()


def _doubles(values: Any) -> Tag:
    return _DOUBLE, len(values), np.asarray(values, "<f8").tobytes()


def _own_tags(level: NDArray[Any], reduced: bool) -> dict[int, Tag]:
    bands, height, width = level.shape
    bits, kind = 8 * level.dtype.itemsize, level.dtype.kind
    tags = {
        256: _shorts([width]),
        257: _shorts([height]),
        258: _shorts([bits] * bands),
        259: _shorts([8]),  # deflate
        262: _shorts([1]),  # black is zero
        277: _shorts([bands]),
        284: _shorts([1]),  # interleaved by pixel
        317: _shorts([3 if kind == "f" else 2]),
        339: _shorts([_SAMPLE_FORMAT[kind]] * bands),
    }
    if reduced:
        tags[254] = _longs([1])
    if bands > 1:
        tags[338] = _shorts([0] * (bands - 1))
    if _one_strip(level):
        return tags | {273: _longs([0]), 278: _shorts([height]), 279: _longs([0])}
    blocks = _longs([0] * (-(-height // BLOCK_PX) * -(-width // BLOCK_PX)))
    return tags | {322: _shorts([BLOCK_PX]), 323: _shorts([BLOCK_PX]), 324: blocks, 325: blocks}


def _points_north(a: Affine) -> bool:
    return bool(a.b == a.d == 0 and a.a > 0 > a.e)


def _georeference(a: Affine) -> dict[int, Tag]:
    if _points_north(a):
        return {_SCALE: _doubles([a.a, -a.e, 0]), _TIEPOINT: _doubles([0, 0, 0, a.c, a.f, 0])}
    return {_MATRIX: _doubles([a.a, a.b, 0, a.c, a.d, a.e, 0, a.f, 0, 0, 0, 0, 0, 0, 0, 1])}


def _directory_bytes(tags: dict[int, Tag]) -> int:
    return 6 + 12 * len(tags) + sum(_even(len(data)) for _, _, data in tags.values() if len(data) > 4)


def _even(size: int) -> int:
    return size + size % 2


def _directory(tags: dict[int, Tag], start: int, following: int) -> tuple[bytes, dict[int, int]]:
    """A directory with the values that do not fit into its entries, and where in the file each tag's values are."""
    entries, values = [struct.pack("<H", len(tags))], []
    at, found = start + 6 + 12 * len(tags), {}
    for i, code in enumerate(sorted(tags)):
        kind, count, data = tags[code]
        if len(data) <= 4:
            found[code] = start + 2 + 12 * i + 8
            entries.append(struct.pack("<HHI4s", code, kind, count, data))
        else:
            found[code] = at
            entries.append(struct.pack("<HHII", code, kind, count, at))
            values.append(data.ljust(_even(len(data)), b"\0"))
            at += _even(len(data))
    return b"".join([*entries, struct.pack("<I", following), *values]), found
