"""From backscatter to what the image encoder reads; the numbers travel with the weights.

What a model was trained on is a field here: sigma nought in decibel, its polarisations, its ground sample distances and
its normalisation. An image of another kind is converted, or refused with what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Convention, Radiometry
from knowlip.corpus.normalise import Normaliser
from knowlip.corpus.store import BRIGHT_PERCENTILES, TilePixels
from knowlip.scenes.geotiff import valid_mask

GSD_TOLERANCE = 1.5
"""How far beyond the ground sample distances of training a model is still asked: less than one halving."""


@dataclass(frozen=True)
class Image:
    """An image as it is stored, with what must be known to read it.

    Attributes:
        pixels: `(C, H, W)` of any real type.
        radiometry: What a stored value means.
        polarisations: Labels of the C channels.
        gsd_m: Ground sample distance, or None where nobody knows it.
        nodata: Stored value of absent pixels, NaN, or None.
        incidence_deg: At the centre; needed where the convention is beta or gamma nought.
        anchor_db: `(C,)` bright level of the scene that an uncalibrated image is cut from; None takes the image's own.
        name: Said in errors.
    """

    pixels: NDArray[Any]
    radiometry: Radiometry
    polarisations: tuple[str, ...]
    gsd_m: float | None = None
    nodata: float | None = None
    incidence_deg: float | None = None
    anchor_db: NDArray[np.float32] | None = None
    name: str = "image"


@dataclass(frozen=True)
class Processor(Normaliser):
    """What a model reads, and how an image becomes that.

    Attributes:
        image_size: Side in pixels that the encoder was trained on.
        convention: Area that backscatter is normalised by.
        polarisations: Those of the training; empty where they are not known, and all of `level_db` are taken.
        gsd_range_m: Least and greatest ground sample distance of the training, or None where it is not known.
    """

    image_size: int = 256
    convention: Convention = "sigma0"
    polarisations: tuple[str, ...] = ()
    gsd_range_m: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"polarisations": list(self.polarisations)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Processor:
        """From JSON values."""
        span = value.get("gsd_range_m")
        return cls(
            {k: (float(a), float(b)) for k, (a, b) in value["level_db"].items()},
            dict(value["anchor_db"]),
            int(value["image_size"]),
            value.get("convention", "sigma0"),
            tuple(value.get("polarisations", ())),
            (float(span[0]), float(span[1])) if span else None,
        )

    def __call__(self, tile: TilePixels) -> NDArray[np.float32]:
        """Normalised pixels `(C, H, W)` of a corpus's tile; no-data becomes 0, the middle of the scale."""
        mean, spread = self.scale(tile.polarisations, tile.calibrated, tile.anchor_db)
        return np.nan_to_num((tile.db - mean[:, None, None]) / spread[:, None, None], copy=False)

    def read(self, image: Image) -> NDArray[np.float32]:
        """Normalised pixels `(C, H', W')` of an image of any radiometry.

        Power, decibel and amplitude are converted, beta and gamma nought brought to sigma nought by the incidence
        angle, and pixels finer than those of the training averaged in power. An uncalibrated image is measured from its
        bright level, as in training.

        Raises:
            SceneError: A polarisation, the ground sample distance or the incidence angle is missing or is not one the
                model knows, or the image has no valid pixel.
        """
        known = self.polarisations or tuple(self.level_db)
        if strange := [p for p in image.polarisations if p not in known]:
            raise SceneError(
                image.name, f"has the polarisation {strange[0]}", f"The model was trained on {', '.join(known)}"
            )
        if len(image.polarisations) != len(image.pixels):
            reason = f"has {len(image.pixels)} channels and {len(image.polarisations)} polarisations"
            raise SceneError(image.name, reason, "Name one polarisation a channel")
        valid = valid_mask(image.pixels, image.nodata)
        if not valid.any():
            raise SceneError(image.name, "has no valid pixel", "Check its no-data value")
        db = np.where(valid, image.radiometry.to_db(image.pixels), np.float32(np.nan))
        db = averaged_db(db + np.float32(self._to_own_convention(image)), self._looks(image))
        anchor_db = image.anchor_db
        if anchor_db is None:
            anchor_db = np.nanpercentile(db, BRIGHT_PERCENTILES, axis=(1, 2)).mean(0)
        mean, spread = self.scale(image.polarisations, image.radiometry.calibrated, anchor_db)
        return np.nan_to_num((db - mean[:, None, None]) / spread[:, None, None]).astype(np.float32)

    def _to_own_convention(self, image: Image) -> float:
        """Decibels to add. Source: Small 2011, "Flattening gamma", IEEE TGRS 49(8), eq. 1 and 2, on flat ground."""
        theirs = image.radiometry.convention
        if not image.radiometry.calibrated or theirs == self.convention:
            return 0.0
        if image.incidence_deg is None:
            raise SceneError(
                image.name,
                f"is {theirs}, the model reads {self.convention}, and no incidence angle is given to convert by",
                "Give incidence_deg",
            )
        angle = np.radians(image.incidence_deg)
        above_sigma = {"sigma0": 1.0, "beta0": 1 / np.sin(angle), "gamma0": 1 / np.cos(angle)}
        return float(10 * np.log10(above_sigma[self.convention] / above_sigma[theirs]))

    def _looks(self, image: Image) -> int:
        """Pixels a side that are averaged into one."""
        if self.gsd_range_m is None:
            return 1
        least, most = self.gsd_range_m
        if image.gsd_m is None:
            reason = f"has no ground sample distance, and the model reads {least:g} to {most:g} m"
            raise SceneError(image.name, reason, "Give gsd_m")
        if image.gsd_m > most * GSD_TOLERANCE:
            raise SceneError(
                image.name,
                f"has pixels of {image.gsd_m:g} m, and the model reads {least:g} to {most:g} m",
                "Give an image of finer pixels, or a model trained on such",
            )
        return max(1, round(least / image.gsd_m)) if image.gsd_m * GSD_TOLERANCE < least else 1


def averaged_db(db: NDArray[np.float32], looks: int) -> NDArray[np.float32]:
    """Decibels `(C, H, W)` averaged in power over blocks of `looks` x `looks`; NaN is left out, a rest cut off."""
    if looks == 1:
        return db
    C, H, W = db.shape
    blocks = db[:, : H // looks * looks, : W // looks * looks].reshape(C, H // looks, looks, W // looks, looks)
    valid = np.isfinite(blocks)
    power = np.where(valid, 10 ** (np.where(valid, blocks, 0) / 10), 0).sum((2, 4))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10 * np.log10(power / valid.sum((2, 4))), np.float32)


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
