"""Small products of other families, with the structure and the names of their specifications."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from rasterio.rpc import RPC

from fakes import write_scene

SATELLITE_M = np.array(
    pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(-2.0, 48.5, 5.5e5)
)
"""North-west of the scenes at 3 E 48 N, which are seen looking east."""


def capella_json(radiometry="sigma_nought", scale_factor=1e-4, kind="GEO"):
    steps = [
        {
            "time": f"2023-05-06T07:08:0{s}.000000000Z",
            "position": (SATELLITE_M + (s - 5) * np.array([0.0, 100.0, 7000.0])).tolist(),
            "velocity": [0.0, 100.0, 7000.0],
        }
        for s in range(10)
    ]
    return {
        "software_version": "2.50.0",
        "product_version": "1.8",
        "product_type": kind,
        "collect": {
            "platform": "capella-6",
            "mode": "spotlight",
            "collect_id": "3ff2",
            "start_timestamp": "2023-05-06T07:08:00.000000000Z",
            "stop_timestamp": "2023-05-06T07:08:09.000000000Z",
            "radar": {
                "center_frequency": 9.65e9,
                "pointing": "left",
                "transmit_polarization": "H",
                "receive_polarization": "H",
            },
            "state": {"direction": "ascending", "state_vectors": steps},
            "image": {
                "data_type": "Uint16",
                "scale_factor": scale_factor,
                "radiometry": radiometry,
                "center_pixel": {"incidence_angle": 34.9, "center_time": "2023-05-06T07:08:05.000000000Z"},
            },
        },
    }


def write_capella(folder, pixels, meta=None, beside=True, kind="GEO", **profile):
    path = Path(folder) / f"CAPELLA_C06_SP_{kind}_HH_20230506070800_20230506070809.tif"
    meta = capella_json(kind=kind) if meta is None else meta
    tags = None if beside else {"TIFFTAG_IMAGEDESCRIPTION": json.dumps(meta)}
    write_scene(path, pixels, tags=tags, **profile)
    if beside:
        path.with_name(f"{path.stem}_extended.json").write_text(json.dumps(meta))
    return path


def umbra_json():
    return {
        "version": "1.0.0",
        "vendor": "Umbra Space",
        "imagingMode": "SPOTLIGHT",
        "umbraSatelliteName": "UMBRA_04",
        "productSku": "UMB-SPOTLIGHT-50-1",
        "collects": [
            {
                "id": "c1",
                "startAtUTC": "2023-07-18T02:30:33+00:00",
                "endAtUTC": "2023-07-18T02:30:36.374803+00:00",
                "radarBand": "X",
                "radarCenterFrequencyHz": 9600001094.9,
                "polarizations": ["VV"],
                "angleAzimuthDegrees": 122.1,
                "angleGrazingDegrees": 42.6,
                "angleIncidenceDegrees": 47.4,
                "slantRangeMeters": 743643.9,
                "satelliteTrack": "ASCENDING",
                "observationDirection": "LEFT",
                "sceneCenterPointLla": {"type": "Point", "coordinates": [3.0, 48.0, 60.0]},
            }
        ],
    }


def write_umbra(folder, pixels, meta=None, **profile):
    path = Path(folder) / "2023-07-18-02-30-33_UMBRA-04_GEC.tif"
    write_scene(path, pixels, gsd=0.5, **profile)
    name = "2023-07-18-02-30-33_UMBRA-04_METADATA.json"
    path.with_name(name).write_text(json.dumps(umbra_json() if meta is None else meta))
    return path


def rpc_of(shape, lon=3.0, lat=48.0, gsd_m=3.0, height_m=100.0, shift_px_m=0.02):
    """RPCs of a turned image: linear in longitude and latitude, moved along samples by `shift_px_m` pixels a metre."""
    per_lat, per_lon = 111_195.0, 111_195.0 * float(np.cos(np.radians(lat)))
    half = (shape[0] / 2, shape[1] / 2)
    scale_lat, scale_lon, scale_height = half[0] * gsd_m / per_lat, half[1] * gsd_m / per_lon, 500.0
    line, sample = [0.0] * 20, [0.0] * 20
    # terms: 1, L (longitude), P (latitude), H
    line[1], line[2] = 0.2, -0.95
    sample[1], sample[2], sample[3] = 0.95, 0.2, shift_px_m * scale_height / half[1]
    one = [1.0] + [0.0] * 19
    return RPC(
        line_off=half[0], line_scale=half[0], samp_off=half[1], samp_scale=half[1], lat_off=lat, lat_scale=scale_lat,
        long_off=lon, long_scale=scale_lon, height_off=height_m, height_scale=scale_height,
        line_num_coeff=line, line_den_coeff=one, samp_num_coeff=sample, samp_den_coeff=one,
        err_bias=None, err_rand=None,
    )  # fmt: skip


def rpb_text(rpc):
    """RPCs as a text of groups, as Chinese missions deliver them."""
    names = {
        "lineOffset": rpc.line_off, "sampOffset": rpc.samp_off, "latOffset": rpc.lat_off, "longOffset": rpc.long_off,
        "heightOffset": rpc.height_off, "lineScale": rpc.line_scale, "sampScale": rpc.samp_scale,
        "latScale": rpc.lat_scale, "longScale": rpc.long_scale, "heightScale": rpc.height_scale,
    }  # fmt: skip
    lists = {
        "lineNumCoef": rpc.line_num_coeff, "lineDenCoef": rpc.line_den_coeff,
        "sampNumCoef": rpc.samp_num_coeff, "sampDenCoef": rpc.samp_den_coeff,
    }  # fmt: skip
    body = "".join(f"\t{k} = {v!r};\n" for k, v in names.items())
    body += "".join(f"\t{k} = (\n" + ",\n".join(f"\t\t{v!r}" for v in row) + ");\n" for k, row in lists.items())
    return f'satId = "GF3";\nbandId = "HH";\nSpecId = "RPC00B";\nBEGIN_GROUP = IMAGE\n{body}END_GROUP = IMAGE\nEND;\n'


def gaofen3_xml(level, polarisations, quality=800.0, constant=32.5, spacing=3.0):
    absent = [p for p in ("HH", "HV", "VH", "VV") if p not in polarisations]
    values = "".join(f"<{p}>{quality + 10 * i}</{p}>" for i, p in enumerate(polarisations))
    values += "".join(f"<{p}>NULL</{p}>" for p in absent)
    constants = "".join(f"<{p}>{constant - i}</{p}>" for i, p in enumerate(polarisations))
    constants += "".join(f"<{p}>NULL</{p}>" for p in absent)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<product><segmentID>1</segmentID><satellite>GF3</satellite><orbitID>23228</orbitID><Direction>DEC</Direction>
<productinfo><productLevel>{level}</productLevel>
<productType>{"SLC" if level == "L1A" else "SGC"}</productType></productinfo>
<sensor><sensorID>SAR</sensorID><imagingMode>QPSI</imagingMode><lookDirection>R</lookDirection>
<RadarCenterFrequency>5.40</RadarCenterFrequency></sensor>
<imageinfo><imagingTime><start>2021-01-07 09:54:49.286464</start><end>2021-01-07 09:54:58.238015</end></imagingTime>
<widthspace>{spacing}</widthspace><heightspace>{spacing}</heightspace>
<QualifyValue>{values}</QualifyValue></imageinfo>
<processinfo><CalibrationConst>{constants}</CalibrationConst>
<incidenceAngleNearRange>35.280714</incidenceAngleNearRange><incidenceAngleFarRange>38.456128</incidenceAngleFarRange>
</processinfo></product>
"""


def write_gaofen3(folder, bands, level="L1A", rpc=None, **meta):
    """`bands` by polarisation: complex for L1A, amplitudes else."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    base = f"GF3_SAY_QPSI_023228_E3.0_N48.0_20210107_{level}"
    number = "L10005379609" if level == "L1A" else "L20005379609"
    for label, pixels in bands.items():
        path = folder / f"{base}_{label}_{number}.tiff"
        if level == "L1A":
            stored = np.stack([pixels.real, pixels.imag]).round().astype(np.int16)
            profile = {"count": 2, "height": stored.shape[1], "width": stored.shape[2], "dtype": "int16"}
            with rasterio.open(path, "w", driver="GTiff", **profile) as out:
                out.write(stored)
            path.with_suffix(".rpc").write_text(rpb_text(rpc or rpc_of(pixels.shape)))
        else:
            write_scene(path, pixels, gsd=meta.get("spacing", 3.0))
    labels = list(bands)
    name = "".join(labels) if len(labels) > 1 else labels[0]
    (folder / f"{base}_{name}_{number}.meta.xml").write_text(gaofen3_xml(level, labels, **meta))
    return folder


def iceye_xml(factor=2e-5, spacing=2.5):
    return f"""<?xml version="1.0"?><Auxiliary_Data><product_name>ICEYE_X7_GRD_SM_36330_20210525T154630</product_name>
<product_type>StripMap</product_type><satellite_name>ICEYE-X7</satellite_name>
<acquisition_mode>Stripmap</acquisition_mode>
<acquisition_start_utc>2021-05-25T15:46:29.001000</acquisition_start_utc><carrier_frequency>9.65e+09</carrier_frequency>
<polarization>VV</polarization><look_side>right</look_side><orbit_direction>DESCENDING</orbit_direction>
<heading>192.5</heading><incidence_near>22.1</incidence_near><incidence_far>24.6</incidence_far>
<calibration_factor>{factor}</calibration_factor><range_spacing>{spacing}</range_spacing>
<azimuth_spacing>{spacing}</azimuth_spacing></Auxiliary_Data>"""


def write_iceye(folder, pixels, rpc=None, xml=None, **profile):
    path = Path(folder) / "ICEYE_X7_GRD_SM_36330_20210525T154630.tif"
    if rpc is None:
        write_scene(path, pixels, gsd=2.5, **profile)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = {"count": 1, "height": pixels.shape[0], "width": pixels.shape[1], "dtype": pixels.dtype.name}
        with rasterio.open(path, "w", driver="GTiff", **size) as out:
            out.write(pixels, 1)
            out.rpcs = rpc
    path.with_suffix(".xml").write_text(iceye_xml() if xml is None else xml)
    return path


def terrasar_xml(polarisations, factor=1e-8, variant="EEC", inside="IMAGEDATA"):
    images = "".join(
        f"<imageData layerIndex='{i}'><polLayer>{p}</polLayer><file><location><path>{inside}</path>"
        f"<filename>IMAGE_{p}_SRA_strip_005.tif</filename></location></file></imageData>"
        for i, p in enumerate(polarisations, 1)
    )
    constants = "".join(
        f"<calibrationConstant layerIndex='{i}'><polLayer>{p}</polLayer><calFactor>{factor * i}</calFactor>"
        "</calibrationConstant>"
        for i, p in enumerate(polarisations, 1)
    )
    corners = "".join(
        f"<sceneCornerCoord><refRow>1</refRow><refColumn>1</refColumn><lat>{lat}</lat><lon>{lon}</lon>"
        f"<incidenceAngle>{35 + 20 * (lon - 3.0)}</incidenceAngle></sceneCornerCoord>"
        for lon in (2.98, 3.02)
        for lat in (47.98, 48.02)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?><level1Product>
<generalHeader><mission>TSX-1</mission></generalHeader>
<productComponents>{images}</productComponents><productInfo><missionInfo><absOrbit>5000</absOrbit>
<relOrbit>83</relOrbit>
<orbitDirection>ASCENDING</orbitDirection></missionInfo><acquisitionInfo><sensor>SAR</sensor>
<imagingMode>SM</imagingMode>
<lookDirection>RIGHT</lookDirection></acquisitionInfo><productVariantInfo><productType>EEC_SE___SM_S</productType>
<productVariant>{variant}</productVariant></productVariantInfo>
<sceneInfo><start><timeUTC>2008-05-01T05:41:32.123456Z</timeUTC>
</start><headingAngle>348.5</headingAngle>{corners}</sceneInfo></productInfo><instrument><radarParameters>
<centerFrequency>9.65e+09</centerFrequency></radarParameters></instrument><calibration>{constants}</calibration>
</level1Product>"""


def write_terrasar(folder, bands, **meta):
    base = Path(folder) / "TSX1_SAR__EEC_SE___SM_S_SRA_20080501T054132_20080501T054140"
    for label, pixels in bands.items():
        write_scene(base / f"IMAGEDATA/IMAGE_{label}_SRA_strip_005.tif", pixels, gsd=2.75)
    (base / f"{base.name}.xml").write_text(terrasar_xml(list(bands), **meta))
    return base


def write_chip(path, pixels):
    """An image without georeference."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": 1, "height": pixels.shape[0], "width": pixels.shape[1], "dtype": pixels.dtype.name}
    with rasterio.open(path, "w", driver="PNG" if path.suffix == ".png" else "GTiff", **size) as out:
        out.write(pixels, 1)
    return path


def write_iceye_hdf5(folder, pixels=None, turned=False, factor=2e-5, height=120.0, change=None):
    """An HDF5 product on the made-up orbit of `fakes_s1`; `turned` stores it from last to first and far to near."""
    import h5py

    import fakes_s1 as orbit

    path = Path(folder) / "ICEYE_X2_GRD_SM_10402_20200130T225522.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = orbit.ramp() if pixels is None else pixels
    lines, samples = stored.shape
    # ground range by slant range, turned round: fitted to a tenth of a millimetre
    slant = np.linspace(0, samples * orbit.SPACING_M / orbit.SRGR[1] * 1.05, 500)
    ground = orbit.SRGR[1] * slant + orbit.SRGR[2] * slant**2
    coefficients = np.polynomial.polynomial.polyfit(ground / 1e4, slant, 7) / 1e4 ** np.arange(8)
    coefficients[0] += orbit.SLANT_M
    times = np.arange(-40, 41, 10.0)
    states = np.array([np.concatenate(orbit.state(t)) for t in times])
    values = {
        "product_name": path.stem, "product_type": "StripMap", "product_level": "GRD", "satellite_name": "ICEYE-X2",
        "acquisition_mode": "stripmap", "look_side": "right", "orbit_direction": "DESCENDING", "polarization": "VV",
        "acquisition_start_utc": orbit.time(0), "zerodoppler_start_utc": orbit.time(0),
        "zerodoppler_end_utc": orbit.time((lines - 1) * orbit.LINE_S), "carrier_frequency": 9.65e9,
        "calibration_factor": factor, "number_of_azimuth_samples": lines, "number_of_range_samples": samples,
        "range_spacing": orbit.SPACING_M, "azimuth_spacing": orbit.SPACING_M, "avg_scene_height": height,
        "grsr_coefficients": coefficients, "grsr_ground_range_origin": 0.0, "heading": 190.0,
        "incidence_near": 32.0, "incidence_far": 36.0,
        "state_vector_time_utc": np.array([orbit.time(t) for t in times], "S26"),
        "posX": states[:, 0], "posY": states[:, 1], "posZ": states[:, 2],
        "velX": states[:, 3], "velY": states[:, 4], "velZ": states[:, 5],
    }  # fmt: skip
    for line, first in ((0, "first"), (lines - 1, "last")):
        for sample, near in ((0, "near"), (samples - 1, "far")):
            lon, lat = orbit.place_of(line, sample, height)
            row, col = (lines - 1 - line, samples - 1 - sample) if turned else (line, sample)
            values[f"coord_{first}_{near}"] = np.array([col + 1, row + 1, lat, lon])
    with h5py.File(path, "w") as file:
        for name, value in (values | (change or {})).items():
            if value is not None:
                file[name] = value
        shown = stored[::-1, ::-1] if turned else stored
        file.create_dataset("s_amplitude", data=shown, chunks=(64, 64), compression="gzip")
    return path
