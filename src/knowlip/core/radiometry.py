"""What a pixel value means, as a type: power, decibel or amplitude; sigma, beta or gamma nought, or uncalibrated."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Quantity = Literal["power", "db", "amplitude"]
Convention = Literal["sigma0", "beta0", "gamma0", "uncalibrated"]

FLOOR_DB = -50.0
"""Power at or below zero (after thermal-noise subtraction) is put at this level, below any spaceborne noise."""


def power_of_db(db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear power of decibels, float32 of the same shape: an exponential is five times cheaper than a power of ten."""
    return np.exp(db * np.float32(math.log(10) / 10))


class Radiometry(BaseModel):
    """How stored pixel values turn into backscatter in decibel.

    Attributes:
        quantity: `power` (linear intensity), `db` (10 log10 of it) or `amplitude` (its square root, often called DN).
        convention: The area that power is normalised by, or `uncalibrated` when the absolute level is unknown.
        calibration_db: Added after conversion: `10 log10(p)`, `dB` or `20 log10(DN)`, plus this, is backscatter in dB.
        source: How this is known: `sidecar`, `declared`, `tags`, `inferred from values: …`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    quantity: Quantity
    convention: Convention = "uncalibrated"
    calibration_db: float = 0.0
    source: str = "declared"

    @property
    def calibrated(self) -> bool:
        """Whether decibel values are absolute."""
        return self.convention != "uncalibrated"

    @property
    def unit(self) -> str:
        """The unit of a stored pixel value."""
        return {"power": "1 (linear power)", "db": "dB", "amplitude": "DN (amplitude)"}[self.quantity]

    def to_db(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Backscatter in dB (absolute when calibrated, relative otherwise).

        Args:
            values: Stored pixel values of any shape and real type; no-data must be masked by the caller.

        Returns:
            float32 of the same shape; values that carry no power are set to `FLOOR_DB` relative to the calibration.
        """
        if values.dtype in (np.uint8, np.uint16):
            # one logarithm for each value there can be, not for each pixel; clipping keeps NumPy from buffering
            index: NDArray[np.unsignedinteger[Any]] = values  # type: ignore[assignment]
            return _db_table(self, values.dtype.name).take(index, mode="clip")
        return self._computed_db(values)

    def _computed_db(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        x = values.astype(np.float32, copy=False)
        if self.quantity == "db":
            return np.maximum(x + np.float32(self.calibration_db), np.float32(FLOOR_DB))
        tens = np.float32(20.0 if self.quantity == "amplitude" else 10.0)
        smallest = np.float32(self._smallest(values.dtype))
        return tens * np.log10(np.maximum(x, smallest)) + np.float32(self.calibration_db)

    def to_power(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Linear power, `10 ** (to_db(values) / 10)`, without the way through logarithms where it is not needed.

        Args:
            values: Stored pixel values of any shape and real type; no-data must be masked by the caller.

        Returns:
            float32 of the same shape.
        """
        x = values.astype(np.float32, copy=False)
        if self.quantity == "db":
            floored = np.maximum(x + np.float32(self.calibration_db), np.float32(FLOOR_DB))
            return power_of_db(floored)
        x = np.maximum(x, np.float32(self._smallest(values.dtype)))
        if self.quantity == "amplitude":
            x *= x
        if self.calibration_db:
            x *= np.float32(10 ** (self.calibration_db / 10))
        return x

    def _smallest(self, dtype: np.dtype[Any]) -> float:
        """The least amplitude or power that a stored value stands for."""
        if self.quantity == "power":
            return float(10 ** (FLOOR_DB / 10))
        # half a quantum: an amplitude of 0 in an integer product is "below one", not "nothing"
        return 0.5 if np.issubdtype(dtype, np.integer) else float(10 ** (FLOOR_DB / 20))


@lru_cache(maxsize=64)
def _db_table(radiometry: Radiometry, dtype: str) -> NDArray[np.float32]:
    return radiometry._computed_db(np.arange(np.iinfo(dtype).max + 1).astype(dtype))


def parse_radiometry(text: str) -> Radiometry:
    """Read a declaration such as `sigma0-db`, `gamma0-power`, `amplitude`, `sigma0-amplitude:-83` (calibration in dB).

    Raises:
        ValueError: The text is none of these.
    """
    body, _, calibration = text.strip().lower().partition(":")
    words = body.replace("linear", "power").split("-")
    convention = next((w for w in words if w in ("sigma0", "beta0", "gamma0")), "uncalibrated")
    quantity = next((w for w in words if w in ("power", "db", "amplitude")), None)
    if quantity is None or len(words) != (2 if convention != "uncalibrated" else 1):
        raise ValueError(
            f"radiometry '{text}' is not one of power, db, amplitude, or sigma0-, beta0-, gamma0- before it"
        )
    offset = float(calibration) if calibration else 0.0
    if not math.isfinite(offset):
        raise ValueError(f"radiometry '{text}' has a calibration that is not a finite number of dB")
    return Radiometry.model_validate(
        {"quantity": quantity, "convention": convention, "calibration_db": offset, "source": "declared"}
    )
