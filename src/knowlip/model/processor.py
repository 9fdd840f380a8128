"""From a tile's backscatter to what the image encoder reads; the numbers travel with the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knowlip.corpus.store import TilePixels

_CO_DB, _CROSS_DB = (-10.0, 6.0), (-16.0, 6.0)


@dataclass(frozen=True)
class Processor:
    """Radiometric normalisation.

    Attributes:
        level_db: Per polarisation, mean and spread in dB of sigma nought; a pixel becomes (dB - mean) / spread.
        anchor_db: Per polarisation, where the bright level of an uncalibrated scene (`TilePixels.anchor_db`) is put.
        image_size: Side in pixels that the encoder was trained on.
    """

    level_db: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {"HH": _CO_DB, "HV": _CROSS_DB, "VH": _CROSS_DB, "VV": _CO_DB, "unknown": _CROSS_DB}
    )
    anchor_db: dict[str, float] = field(
        default_factory=lambda: {"HH": -5.5, "HV": -11.5, "VH": -11.5, "VV": -5.5, "unknown": -11.5}
    )
    image_size: int = 256

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Processor:
        """From JSON values."""
        levels = {k: (float(a), float(b)) for k, (a, b) in value["level_db"].items()}
        return cls(levels, dict(value["anchor_db"]), int(value["image_size"]))

    def __call__(self, tile: TilePixels) -> NDArray[np.float32]:
        """Normalised pixels `(C, H, W)`; no-data becomes 0, the middle of the scale."""
        shift = [
            0.0 if tile.calibrated else self.anchor_db[p] - float(a)
            for p, a in zip(tile.polarisations, tile.anchor_db, strict=True)
        ]
        mean = np.array([self.level_db[p][0] - s for p, s in zip(tile.polarisations, shift, strict=True)], np.float32)
        spread = np.array([self.level_db[p][1] for p in tile.polarisations], np.float32)
        return np.nan_to_num((tile.db - mean[:, None, None]) / spread[:, None, None], copy=False)


def stack(
    tiles: Sequence[NDArray[np.float32]], channels: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Tiles with different numbers of channels as one batch.

    Returns:
        Pixels `(B, C, H, W)`, zero where a channel is absent, and channels `(B, C)`, -1 there.
    """
    most = max(len(c) for c in channels)
    pixels = np.zeros((len(tiles), most, *tiles[0].shape[1:]), np.float32)
    index = np.full((len(tiles), most), -1, np.int64)
    for i, (tile, channel) in enumerate(zip(tiles, channels, strict=True)):
        pixels[i, : len(channel)], index[i, : len(channel)] = tile, channel
    return pixels, index
