"""A small SICD on a made-up straight orbit, written by sarpy after NGA.STND.0024."""

from __future__ import annotations

import numpy as np
import pyproj

_ECEF = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
SCP_LLH = (3.0, 48.0, 100.0)
SPACING_M = 3.0
FACTOR = 1e-4


def write_sicd(path, pixels, factor=FACTOR):
    """Write complex pixels `(rows, columns)`: rows along slant range, columns along azimuth."""
    from sarpy.io.complex.sicd import SICDWriter
    from sarpy.io.complex.sicd_elements.SICD import SICDType

    scp = np.array(_ECEF.transform(*SCP_LLH))
    up = scp / np.linalg.norm(scp)
    north = np.array([0, 0, 1.0]) - up[2] * up
    north /= np.linalg.norm(north)
    east = np.cross(north, up)
    # 600 km up and west, flying north: the scene is on the right
    arp, velocity = scp + 500e3 * up - 350e3 * east, 7500.0 * north
    row = (scp - arp) / np.linalg.norm(scp - arp)
    col = velocity / 7500.0
    col = col - (col @ row) * row
    col /= np.linalg.norm(col)
    vector = lambda v: dict(zip("XYZ", map(float, v), strict=True))  # noqa: E731
    n, m = pixels.shape
    track = {a: {"Coefs": [float(p - v), float(v)]} for a, p, v in zip("XYZ", arp, velocity, strict=True)}
    direction = {
        "SS": SPACING_M, "ImpRespWid": 4.0, "Sgn": -1, "ImpRespBW": 0.22, "KCtr": 60.0,
        "DeltaK1": -0.11, "DeltaK2": 0.11,
    }  # fmt: skip
    meta = SICDType.from_dict(
        {
            "CollectionInfo": {
                "CollectorName": "TESTSAT", "CoreName": "test-core", "CollectType": "MONOSTATIC",
                "RadarMode": {"ModeType": "SPOTLIGHT"}, "Classification": "UNCLASSIFIED",
            },
            "ImageData": {
                "PixelType": "RE32F_IM32F", "NumRows": n, "NumCols": m, "FirstRow": 0, "FirstCol": 0,
                "FullImage": {"NumRows": n, "NumCols": m}, "SCPPixel": {"Row": n // 2, "Col": m // 2},
            },
            "GeoData": {"EarthModel": "WGS_84", "SCP": {"ECF": vector(scp)}},
            "Grid": {
                "ImagePlane": "SLANT", "Type": "PLANE", "TimeCOAPoly": {"Coefs": [[1.0]]},
                "Row": direction | {"UVectECF": vector(row)}, "Col": direction | {"UVectECF": vector(col)},
            },
            "Timeline": {"CollectStart": "2023-05-06T07:08:09.000000Z", "CollectDuration": 2.0},
            "Position": {"ARPPoly": track},
            "RadarCollection": {
                "TxFrequency": {"Min": 9.5e9, "Max": 9.7e9}, "TxPolarization": "V",
                "RcvChannels": [{"TxRcvPolarization": "V:V", "index": 1}],
            },
            "ImageFormation": {
                "RcvChanProc": {"NumChanProc": 1, "ChanIndices": [1]}, "TxRcvPolarizationProc": "V:V",
                "TStartProc": 0.0, "TEndProc": 2.0, "TxFrequencyProc": {"MinProc": 9.5e9, "MaxProc": 9.7e9},
                "ImageFormAlgo": "OTHER", "STBeamComp": "NO", "ImageBeamComp": "NO", "AzAutofocus": "NO",
                "RgAutofocus": "NO",
            },
            "SCPCOA": {"SCPTime": 1.0, "ARPPos": vector(arp), "ARPVel": vector(velocity), "ARPAcc": vector((0, 0, 0))},
            "Radiometric": {"SigmaZeroSFPoly": {"Coefs": [[factor, factor * 1e-4]]}},
        }
    )  # fmt: skip
    meta.derive()
    with SICDWriter(str(path), meta) as writer:
        writer.write(pixels.astype(np.complex64))
    return path
