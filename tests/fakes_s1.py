"""A small Sentinel-1 GRD product in SAFE layout on a made-up circular orbit, after S1-RS-MDA-52-7441.

Its geolocation grid is solved by scipy from the two range-Doppler equations, forwards, without the code under test.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from scipy.optimize import fsolve

NAME = "S1A_IW_GRDH_1SDV_20230405T060708_20230405T060710_047000_05A5A5_1234"
FIRST = datetime(2023, 4, 5, 6, 7, 8, tzinfo=UTC)
LINES, SAMPLES = 260, 300
SPACING_M = 40.0
LINE_S = SPACING_M / 6800
RADIUS_M, RATE = 7.07e6, 1.06e-3
SLANT_M = 850_000.0
SRGR = (0.0, 1.72, -8e-7)
STEM = "s1a-iw-grd-{}-20230405t060708-20230405t060710-047000-05a5a5-00{}"
POLARISATIONS = ("VV", "VH")
_ECEF = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
# an orbit that passes over 45 N heading south, about 400 km east of the scene
_START = np.array(_ECEF.transform(15.0, 45.0, 0.0))
_U = _START / np.linalg.norm(_START)
_SOUTH = np.cross(np.cross(_U, [0, 0, 1.0]), _U)
_V = -_SOUTH / np.linalg.norm(_SOUTH)


def state(t):
    """Position and velocity at seconds since the first line."""
    c, s = np.cos(RATE * t), np.sin(RATE * t)
    return RADIUS_M * (c * _U + s * _V), RADIUS_M * RATE * (-s * _U + c * _V)


def place_of(line, pixel, height):
    """Longitude and latitude of an image position on ground of a height, to the right of the track."""
    t, ground = line * LINE_S, pixel * SPACING_M
    slant = SLANT_M + fsolve(lambda d: SRGR[1] * d + SRGR[2] * d * d - ground, ground / SRGR[1], xtol=1e-14)[0]
    position, velocity = state(t)

    def miss(at):
        sight = np.array(_ECEF.transform(at[0], at[1], height)) - position
        return [(np.linalg.norm(sight) - slant) / 1e5, sight @ velocity / 1e9]

    # heading south, right is west
    return fsolve(miss, [9.0, 45.0], xtol=1e-13)


def grid(height=120.0, steps=5):
    """Line, pixel, longitude, latitude, height of a geolocation grid."""
    rows = []
    for line in np.linspace(0, LINES - 1, steps).round():
        for pixel in np.linspace(0, SAMPLES - 1, steps).round():
            rows.append((line, pixel, *place_of(line, pixel, height), height))
    return np.array(rows)


def time(seconds):
    return (FIRST + timedelta(seconds=float(seconds))).strftime("%Y-%m-%dT%H:%M:%S.%f")


def ramp(shape=(LINES, SAMPLES)):
    """Stored amplitudes that are linear in line and sample, so that bilinear interpolation is exact."""
    return (200 + 3 * np.arange(shape[0])[:, None] + 2 * np.arange(shape[1])).astype(np.uint16)


def _vectors(name, entries):
    inner = "".join(f"<{name}>{e}</{name}>" for e in entries)
    return f'<{name}List count="{len(entries)}">{inner}</{name}List>'


def annotation_xml(polarisation, height=120.0):
    states = [(t, *state(t)) for t in np.arange(-60, 81, 10.0)]
    orbits = [
        f"<time>{time(t)}</time><frame>Earth Fixed</frame>"
        + "<position>"
        + "".join(f"<{a}>{v:.9e}</{a}>" for a, v in zip("xyz", p, strict=True))
        + "</position>"
        + "<velocity>"
        + "".join(f"<{a}>{v:.9e}</{a}>" for a, v in zip("xyz", w, strict=True))
        + "</velocity>"
        for t, p, w in states
    ]
    points = [
        f"<azimuthTime>{time(line * LINE_S)}</azimuthTime><line>{line:.0f}</line><pixel>{pixel:.0f}</pixel>"
        f"<latitude>{lat:.12e}</latitude><longitude>{lon:.12e}</longitude><height>{h:.6e}</height>"
        f"<incidenceAngle>{32 + 4 * pixel / SAMPLES:.6e}</incidenceAngle><elevationAngle>2.9e+01</elevationAngle>"
        for line, pixel, lon, lat, h in grid(height)
    ]
    srgr = " ".join(f"{c:.12e}" for c in SRGR)
    conversions = [
        f"<azimuthTime>{time(t)}</azimuthTime><sr0>{SLANT_M:.9e}</sr0>"
        f'<srgrCoefficients count="3">{srgr}</srgrCoefficients><gr0>0.0</gr0>'
        for t in (-1.0, 0.5, 3.0)
    ]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<product><adsHeader><missionId>S1A</missionId><productType>GRD</productType><polarisation>{polarisation}</polarisation>
<mode>IW</mode><swath>IW</swath><startTime>{time(0)}</startTime>
<absoluteOrbitNumber>47000</absoluteOrbitNumber></adsHeader>
<generalAnnotation><productInformation><pass>Descending</pass><platformHeading>-1.700000000000000e+02</platformHeading>
<radarFrequency>5.405000454334350e+09</radarFrequency></productInformation>
{_vectors("orbit", orbits)}</generalAnnotation>
<imageAnnotation><imageInformation><productFirstLineUtcTime>{time(0)}</productFirstLineUtcTime>
<rangePixelSpacing>{SPACING_M:.9e}</rangePixelSpacing><azimuthPixelSpacing>{SPACING_M:.9e}</azimuthPixelSpacing>
<azimuthTimeInterval>{LINE_S:.15e}</azimuthTimeInterval><numberOfSamples>{SAMPLES}</numberOfSamples>
<numberOfLines>{LINES}</numberOfLines></imageInformation><processingInformation>
<thermalNoiseCorrectionPerformed>false</thermalNoiseCorrectionPerformed></processingInformation></imageAnnotation>
<geolocationGrid>{_vectors("geolocationGridPoint", points)}</geolocationGrid>
<coordinateConversion>{_vectors("coordinateConversion", conversions)}</coordinateConversion></product>
"""


CAL_LINES, CAL_PIXELS = np.array([0, 100, 259]), np.array([0, 75, 150, 225, 299])


def sigma_table():
    """`(3, 5)` values of A at `CAL_LINES` and `CAL_PIXELS`."""
    return 500 + 0.1 * CAL_LINES[:, None] - 0.4 * CAL_PIXELS


def calibration_xml():
    table, pixels = sigma_table(), " ".join(map(str, CAL_PIXELS))
    vectors = []
    for line, row in zip(CAL_LINES, table, strict=True):
        text = {k: " ".join(f"{v * f:.9e}" for v in row) for k, f in (("s", 1), ("b", 0.7), ("g", 0.9))}
        vectors.append(
            f"<azimuthTime>{time(line * LINE_S)}</azimuthTime><line>{line}</line>"
            f'<pixel count="5">{pixels}</pixel><sigmaNought count="5">{text["s"]}</sigmaNought>'
            f'<betaNought count="5">{text["b"]}</betaNought><gamma count="5">{text["g"]}</gamma>'
        )
    return f"<calibration><adsHeader/>{_vectors('calibrationVector', vectors)}</calibration>"


NOISE_RANGE = np.array([4000.0, 3000.0, 2500.0])
NOISE_AZIMUTH = np.array([1.0, 1.2, 1.1])


def noise_xml():
    ranges = [
        f"<azimuthTime>{time(0)}</azimuthTime><line>{line}</line>"
        f'<pixel count="3">0 150 299</pixel><noiseRangeLut count="3">{" ".join(map(str, NOISE_RANGE))}</noiseRangeLut>'
        for line in (0, 259)
    ]
    azimuth = (
        "<swath>IW1</swath><firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>0</firstRangeSample>"
        "<lastAzimuthLine>259</lastAzimuthLine><lastRangeSample>199</lastRangeSample>"
        '<line count="3">0 130 259</line>'
        f'<noiseAzimuthLut count="3">{" ".join(map(str, NOISE_AZIMUTH))}</noiseAzimuthLut>'
    )
    return f"<noise>{_vectors('noiseRangeVector', ranges)}{_vectors('noiseAzimuthVector', [azimuth])}</noise>"


def write_safe(folder: Path, polarisations=POLARISATIONS, stored=None, noise=True, height=120.0) -> Path:
    """Write the product and return its folder."""
    safe = folder / f"{NAME}.SAFE"
    for name in ("annotation/calibration", "measurement"):
        (safe / name).mkdir(parents=True, exist_ok=True)
    (safe / "manifest.safe").write_text("<xfdu/>")
    for number, polarisation in enumerate(polarisations, 1):
        stem = STEM.format(polarisation.lower(), number)
        (safe / f"annotation/{stem}.xml").write_text(annotation_xml(polarisation, height))
        (safe / f"annotation/calibration/calibration-{stem}.xml").write_text(calibration_xml())
        if noise:
            (safe / f"annotation/calibration/noise-{stem}.xml").write_text(noise_xml())
        pixels = ramp() if stored is None else stored
        profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": LINES, "width": SAMPLES}
        with rasterio.open(safe / f"measurement/{stem}.tiff", "w", **profile) as out:
            out.write(pixels, 1)
    return safe


def write_zip(safe: Path) -> Path:
    """The zip of a SAFE folder, which has the folder's name inside, as deliveries do."""
    return Path(shutil.make_archive(str(safe.parent / "zipped" / NAME), "zip", safe.parent, safe.name))
