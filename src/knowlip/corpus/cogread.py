"""The pixels of a tile's file without GDAL, for files laid out as `cog` writes them; None for any other.

Setting up a dataset takes GDAL several times as long as inflating a tile of 256 pixels.

Source: TIFF 6.0 with its Technical Note 3 (floating-point predictor).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

from knowlip.corpus.cog import read_tags

_KIND = {1: "u", 2: "i", 3: "f"}
_NODATA = 42113
_NEEDED = (256, 257, 258, 259, 277, 284, 317, 339)


def decode_cog(data: bytes) -> tuple[NDArray[Any], float | None] | None:
    """Full-resolution pixels `(C, H, W)` and the no-data value.

    Returns:
        None where the file is not laid out as ours are, for GDAL to read.

    Raises:
        ValueError: It is, but its blocks are cut off or damaged.
    """
    if data[:4] != b"II*\0":
        return None
    try:
        tags = read_tags(data)
        value = {code: _numbers(tags[code]) for code in _NEEDED}
        offsets, lengths = (_numbers(tags[c]) for c in ((273, 279) if 273 in tags else (324, 325)))
        tiled = 322 in tags
        block = (_numbers(tags[323])[0], _numbers(tags[322])[0]) if tiled else (_numbers(tags[278])[0], value[256][0])
    except (KeyError, struct.error, IndexError):
        return None
    width, height, bands = value[256][0], value[257][0], value[277][0]
    kind, bits = _KIND.get(value[339][0]), value[258][0]
    predictor = value[317][0]
    fits = value[259][0] == 8 and value[284][0] == 1 and predictor == (3 if kind == "f" else 2)
    if not (kind and fits and bits in (8, 16, 32, 64) and len(set(value[258])) == 1):
        return None
    dtype = np.dtype(f"<{kind}{bits // 8}")
    rows, cols = -(-height // block[0]), -(-width // block[1])
    if rows * cols != len(offsets):
        return None
    blocks = [_block(data[o : o + n], (*block, bands), dtype) for o, n in zip(offsets, lengths, strict=True)]
    if len(blocks) == 1:
        pixels = blocks[0]
    else:
        pixels = np.concatenate([np.concatenate(blocks[r * cols : (r + 1) * cols], axis=1) for r in range(rows)])
    text = tags[_NODATA][2].rstrip(b"\0 ") if _NODATA in tags else None
    return np.ascontiguousarray(pixels[:height, :width].transpose(2, 0, 1)), None if text is None else float(text)


def _numbers(tag: tuple[int, int, bytes]) -> list[int]:
    kind, count, data = tag
    return np.frombuffer(data, {1: "u1", 3: "<u2", 4: "<u4"}[kind], count).tolist()


def _block(data: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """One block `(h, w, C)`."""
    height, width, bands = shape
    try:
        raw = np.frombuffer(isal_zlib.decompress(data), np.uint8)
    except IsalError as error:  # type: ignore[misc] # its stub says object
        raise ValueError(f"a block cannot be inflated: {error}") from error
    if raw.size != height * width * bands * dtype.itemsize:
        raise ValueError(f"a block holds {raw.size} bytes, not {height * width * bands * dtype.itemsize}")
    if dtype.kind != "f":
        steps = raw.view(f"<u{dtype.itemsize}").reshape(height, width * bands)
        return _summed(steps, bands).view(dtype).reshape(shape)
    planes = _summed(raw.reshape(height, -1), bands)
    # one plane for each byte of a number, the most significant first
    swapped = planes.reshape(height, dtype.itemsize, width * bands)[:, ::-1]
    return np.ascontiguousarray(swapped.transpose(0, 2, 1)).view(dtype).reshape(shape)


def _summed(steps: NDArray[Any], bands: int) -> NDArray[Any]:
    """Running sums along rows of interleaved bands `(h, n)`, modulo the type's range.

    Adding by doubled distances takes more additions than one after another, but each is over whole rows at once.
    """
    sums, distance = steps.copy(), bands
    while distance < sums.shape[1]:
        sums[:, distance:] = sums[:, distance:] + sums[:, :-distance]
        distance *= 2
    return sums
