"""Rational polynomial coefficients (RPC): where a place lies in an image.

Source: NIMA, Compendium of Controlled Extensions for NITF, STDI-0002 version 2.1, appendix E, section 8.2.4 (RPC00B);
the text forms are those that GDAL reads: `RPB` groups and `RPC.TXT` lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.core.errors import SceneError

MAX_RPC_BYTES = 1 << 16
_GROUP_NAMES = {
    "LINE_OFF": "lineOffset",
    "SAMP_OFF": "sampOffset",
    "LAT_OFF": "latOffset",
    "LONG_OFF": "longOffset",
    "HEIGHT_OFF": "heightOffset",
    "LINE_SCALE": "lineScale",
    "SAMP_SCALE": "sampScale",
    "LAT_SCALE": "latScale",
    "LONG_SCALE": "longScale",
    "HEIGHT_SCALE": "heightScale",
    "LINE_NUM_COEFF": "lineNumCoef",
    "LINE_DEN_COEFF": "lineDenCoef",
    "SAMP_NUM_COEFF": "sampNumCoef",
    "SAMP_DEN_COEFF": "sampDenCoef",
}


@dataclass(frozen=True)
class Rpc:
    """The polynomials of one image.

    Attributes:
        offset: Line, sample, latitude, longitude, height.
        scale: Of the same.
        coefficients: `(4, 20)` line numerator and denominator, sample numerator and denominator.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]

    def image_of(
        self, lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], height_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Line and sample, 0 at the first pixel's middle; the normalised place must lie in its cube, else NaN."""
        p = (lat_deg - self.offset[2]) / self.scale[2]
        around = (lon_deg - self.offset[3] + 180) % 360 - 180
        v = around / self.scale[3]
        h = (height_m - self.offset[4]) / self.scale[4]
        one = np.ones_like(p)
        first = (one, v, p, h, v * p, v * h, p * h, v * v, p * p, h * h)
        third = (p * v * h, v**3, v * p * p, v * h * h, v * v * p, p**3, p * h * h, v * v * h, p * p * h, h**3)
        terms = np.stack([*first, *third], axis=-1)
        a, b, c, d = (terms @ np.array(k) for k in self.coefficients)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            line = a / b * self.scale[0] + self.offset[0]
            sample = c / d * self.scale[1] + self.offset[1]
        # far outside the cube that they were fitted in, polynomials fold back into the image
        fitted = (np.abs(p) < 1.5) & (np.abs(v) < 1.5)
        return np.where(fitted, line, np.nan), np.where(fitted, sample, np.nan)

    def corners(self, shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude `(N,)` around the outline of an image, on the height that the polynomials centre on.

        Args:
            shape: Lines and samples.
        """
        t = np.linspace(0, 1, 9)
        row = np.concatenate([0 * t, t, 0 * t + 1, t]) * (shape[0] - 1)
        col = np.concatenate([t, 0 * t + 1, t, 0 * t]) * (shape[1] - 1)
        lon = np.full(row.shape, self.offset[3])
        lat = np.full(row.shape, self.offset[2])
        height, step = np.full(row.shape, self.offset[4]), 1e-5
        for _ in range(15):
            r0, c0 = self.image_of(lon, lat, height)
            r1, c1 = self.image_of(lon + step, lat, height)
            r2, c2 = self.image_of(lon, lat + step, height)
            a, b, c, d = (r1 - r0) / step, (r2 - r0) / step, (c1 - c0) / step, (c2 - c0) / step
            with np.errstate(divide="ignore", invalid="ignore"):
                det = a * d - b * c
                dx, dy = (d * (row - r0) - b * (col - c0)) / det, (a * (col - c0) - c * (row - r0)) / det
            lon, lat = lon + np.clip(dx, -1, 1), lat + np.clip(dy, -1, 1)
        return lon, lat


def rpc_of(values: Mapping[str, Any], subject: object) -> Rpc:
    """Coefficients from their names in RPC00B, in letters of either case.

    Raises:
        SceneError: One is missing, no number or absurd.
    """
    values = {k.upper(): v for k, v in values.items()}
    try:
        offset = tuple(float(values[k]) for k in ("LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF", "HEIGHT_OFF"))
        scale = tuple(float(values[k]) for k in ("LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE"))
        names = ("LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")
        coefficients = tuple(tuple(float(v) for v in values[k]) for k in names)
    except (KeyError, TypeError, ValueError) as error:
        raise SceneError(subject, f"has incomplete RPCs ({error})", "Fetch the product again") from error
    sound = np.isfinite([*offset, *scale, *(v for row in coefficients for v in row)]).all() and min(scale) > 0
    if not sound or {len(row) for row in coefficients} != {20} or abs(offset[2]) > 90 or abs(offset[3]) > 360:
        raise SceneError(subject, "has RPCs that map no place on Earth", "Fetch the product again")
    return Rpc(offset, scale, coefficients)


def parse_rpc(data: bytes, subject: object) -> Rpc:
    """Coefficients from a text file of either form.

    Raises:
        SceneError: It is neither, or broken.
    """
    if len(data) > MAX_RPC_BYTES:
        raise SceneError(subject, "is larger than 64 KiB", "RPCs are a page of text; fetch the product again")
    text = data.decode("ascii", "replace")
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    values: dict[str, Any] = {}
    for name, grouped in _GROUP_NAMES.items():
        if name.endswith("COEFF"):
            if block := re.search(rf"\b{grouped}\s*=\s*\(([^)]*)\)", text, re.IGNORECASE):
                values[name] = re.findall(number, block[1])
            else:
                found = re.findall(rf"^\s*{name}_(\d+)\s*:\s*({number})", text, re.MULTILINE)
                values[name] = [v for _, v in sorted(found, key=lambda pair: int(pair[0][:6]))]
        elif one := re.search(rf"^\s*(?:{name}\s*:|{grouped}\s*=)\s*({number})", text, re.MULTILINE | re.IGNORECASE):
            values[name] = one[1]
    return rpc_of(values, subject)
