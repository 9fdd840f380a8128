"""The radars a scene can be simulated for.

Values come from the operators' documents, cited at each preset. What a document leaves open (an equivalent number of
looks, a pixel spacing) is said there too.
"""

import difflib
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sensor:
    """One imaging mode and product of one radar.

    Attributes:
        name: Preset name, as used in scene ids.
        platform: Satellite or constellation, as written into metadata.
        band: Frequency band letter.
        centre_frequency_ghz: Carrier frequency in GHz.
        polarisations: Transmit-receive pairs, in band order.
        mode: Instrument mode.
        product_type: Product type.
        gsd_m: Pixel spacing in metres.
        looks: Equivalent number of looks (ENL) of the intensity.
        incidence_range_deg: Smallest and largest incidence angle of the mode.
        nesz_db: Noise-equivalent sigma0 in dB.
        look_side: "right" or "left" of the flight direction.
        altitude_km: Orbit height, for how the incidence angle grows over a scene.
        inclination_deg: Orbit inclination, for the flight direction at a latitude.
    """

    name: str
    platform: str
    band: str
    centre_frequency_ghz: float
    polarisations: tuple[str, ...]
    mode: str
    product_type: str
    gsd_m: float
    looks: float
    incidence_range_deg: tuple[float, float]
    nesz_db: float
    look_side: str
    altitude_km: float
    inclination_deg: float


# ESA, Sentinel-1 SAR User Guide and Product Specification (S1-RS-MDA-52-7441): IW GRDH has 10 m spacing, ENL 4.4,
# 29.1-46.0 deg and an NESZ no worse than -22 dB; orbit 693 km, 98.18 deg.
_SENTINEL1_IW = Sensor(
    name="sentinel1-iw",
    platform="sentinel-1",
    band="C",
    centre_frequency_ghz=5.405,
    polarisations=("VV", "VH"),
    mode="IW",
    product_type="GRDH",
    gsd_m=10.0,
    looks=4.4,
    incidence_range_deg=(29.1, 46.0),
    nesz_db=-22.0,
    look_side="right",
    altitude_km=693.0,
    inclination_deg=98.18,
)
# Zhang Q., "System design and key technologies of the GF-3 satellite", Acta Geodaetica et Cartographica Sinica 46(3),
# 2017: C band, 755 km orbit, ultra-fine stripmap (UFS) of 3 m and fine stripmap II (FSII) of 10 m resolution, about
# 19-50 deg. The ENL is this project's assumption: one look for UFS, a few for FSII spaced at half its resolution.
_GAOFEN3_FSII = Sensor(
    name="gaofen3-fsii",
    platform="gaofen-3",
    band="C",
    centre_frequency_ghz=5.4,
    polarisations=("HH", "HV"),
    mode="FSII",
    product_type="L2",
    gsd_m=5.0,
    looks=2.5,
    incidence_range_deg=(19.0, 50.0),
    nesz_db=-22.0,
    look_side="right",
    altitude_km=755.0,
    inclination_deg=98.41,
)
_GAOFEN3_UFS = replace(
    _GAOFEN3_FSII,
    name="gaofen3-ufs",
    polarisations=("HH",),
    mode="UFS",
    gsd_m=3.0,
    looks=1.0,
    incidence_range_deg=(20.0, 50.0),
    nesz_db=-20.0,
)
# Deng et al., "Hongtu-1: the first spaceborne single-pass multibaseline SAR interferometry mission", IEEE TGRS 2024,
# doi:10.1109/TGRS.2024.3523299, for the mission and its X band. Angles, noise and looks are this project's assumption,
# after what is usual of X-band stripmap (TerraSAR-X Basic Product Specification, TX-GS-DD-3302).
_HONGTU1 = Sensor(
    name="hongtu1",
    platform="hongtu-1",
    band="X",
    centre_frequency_ghz=9.6,
    polarisations=("HH",),
    mode="SM",
    product_type="L2",
    gsd_m=3.0,
    looks=1.0,
    incidence_range_deg=(20.0, 45.0),
    nesz_db=-20.0,
    look_side="right",
    altitude_km=528.0,
    inclination_deg=97.5,
)
SENSORS: dict[str, Sensor] = {s.name: s for s in (_SENTINEL1_IW, _GAOFEN3_FSII, _GAOFEN3_UFS, _HONGTU1)}


def find_sensor(name: str) -> Sensor:
    """The preset of that name.

    Raises:
        ValueError: No such preset; the text lists those there are.
    """
    if name in SENSORS:
        return SENSORS[name]
    close = difflib.get_close_matches(name, SENSORS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(f"unknown sensor {name!r}; known are {', '.join(SENSORS)}{hint}")
