"""The radars a scene can be simulated for.

Values come from the operators' documents, cited at each preset. What a document leaves open, or what could only be had
second hand, is marked "assumed" there.
"""

import difflib
from dataclasses import dataclass, replace

import numpy as np

SPEED_OF_LIGHT_M_S = 299_792_458.0


@dataclass(frozen=True)
class Window:
    """The taper of the processed spectrum, a sum of cosines: 1 + 2 sum_m F_m cos(2 pi m f / B) for |f| < B / 2.

    Attributes:
        name: "rectangular", "hamming" or "taylor".
        cosines: F_1, F_2, ...; none for a rectangular window.
        width: Width at -3 dB of the impulse response, times the bandwidth.
        side_lobe_db: Peak side lobe ratio.
    """

    name: str
    cosines: tuple[float, ...]
    width: float
    side_lobe_db: float


def window(name: str, cosines: tuple[float, ...]) -> Window:
    """A window with its impulse response's width and side lobes, measured on the response itself."""
    # the response of each cosine is a pair of shifted sincs
    x = np.arange(0, 12, 1e-3)
    response = np.sinc(x)
    for m, f in enumerate(cosines, start=1):
        response = response + f * (np.sinc(x - m) + np.sinc(x + m))
    power = np.square(response / response[0])
    half = float(x[np.argmax(power < 0.5)])
    # the main lobe ends where the response first turns
    end = int(np.argmax(np.diff(power) > 0))
    return Window(name, cosines, 2 * half, float(10 * np.log10(power[end:].max())))


def hamming(alpha: float) -> Window:
    """The generalised Hamming window alpha + (1 - alpha) cos(2 pi f / B)."""
    return window("hamming", ((1 - alpha) / (2 * alpha),))


def taylor(side_lobe_db: float, nbar: int) -> Window:
    """The Taylor window of a design side lobe level, such as -35 dB, with `nbar` nearly equal side lobes.

    Source: Carrara, Goodman, Majewski 1995, "Spotlight synthetic aperture radar", appendix D.
    """
    a = float(np.arccosh(10 ** (-side_lobe_db / 20))) / np.pi
    spread = nbar**2 / (a**2 + (nbar - 0.5) ** 2)
    m = np.arange(1, nbar)
    cosines = []
    for k in m:
        above = np.prod(1 - k**2 / (spread * (a**2 + (m - 0.5) ** 2)))
        below = np.prod([1 - k**2 / j**2 for j in m if j != k])
        cosines.append(float(0.5 * (-1) ** (k + 1) * above / below))
    return window("taylor", tuple(cosines))


RECTANGULAR = window("rectangular", ())


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
        range_resolution_m: Width of the impulse response at -3 dB in ground range.
        azimuth_resolution_m: The same in azimuth.
        gsd_m: Pixel spacing in metres.
        looks: Equivalent number of looks (ENL) of the intensity.
        incidence_range_deg: Smallest and largest incidence angle of the mode.
        nesz_db: Noise-equivalent sigma0 in dB.
        look_sides: "right" and, where the satellite can turn, "left" of the flight direction.
        window: Taper of the spectrum in range and azimuth.
        bits: Bits of a stored amplitude.
        prf_hz: Pulse repetition frequency, which puts the ambiguities' ghosts where they are.
        ambiguity_db: Level of an azimuth ambiguity against the target, of each of the first two.
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
    range_resolution_m: float
    azimuth_resolution_m: float
    gsd_m: float
    looks: float
    incidence_range_deg: tuple[float, float]
    nesz_db: float
    look_sides: tuple[str, ...]
    window: Window
    bits: int
    prf_hz: float
    ambiguity_db: float
    altitude_km: float
    inclination_deg: float

    @property
    def wavelength_m(self) -> float:
        """Wavelength of the carrier."""
        return SPEED_OF_LIGHT_M_S / (self.centre_frequency_ghz * 1e9)


# ESA, Sentinel-1 Product Specification (S1-RS-MDA-52-7441) and SAR User Guide: IW GRDH has 20.4 x 22.5 m of resolution
# (mean of the swaths) at 10 m spacing, 5 x 1 looks with an ENL of 4.4, 29.1-46.0 deg, NESZ no worse than -22 dB, total
# azimuth ambiguity below -22 dB; orbit 693 km, 98.18 deg. The annotation of a product gives the PRF (1452-1717 Hz), the
# window (Hamming, 0.70-0.75) and the noise: -22.6 to -29.9 dB over the swath, on average -26.1. Speckle of real
# products is a little finer in azimuth and of more looks than specified: after the same mapping, calm water, fields and
# woods agree with 19 m and 4.9 looks (benchmarks/realism.py), and those are taken.
_SENTINEL1_IW = Sensor(
    name="sentinel1-iw",
    platform="sentinel-1",
    band="C",
    centre_frequency_ghz=5.405,
    polarisations=("VV", "VH"),
    mode="IW",
    product_type="GRDH",
    range_resolution_m=20.4,
    azimuth_resolution_m=19.0,
    gsd_m=10.0,
    looks=4.9,
    incidence_range_deg=(29.1, 46.0),
    nesz_db=-26.1,
    look_sides=("right",),
    window=hamming(0.7),
    bits=16,
    prf_hz=1686.0,
    ambiguity_db=-26.0,
    altitude_km=693.0,
    inclination_deg=98.18,
)
# Zhang Q., "System design and key technologies of the GF-3 satellite", Acta Geodaetica et Cartographica Sinica 46(3),
# 2017, and Racurs, "GaoFen-3 SAR data processing", table 2: C band, 755 km orbit; sliding spotlight of 1 m and
# ultra-fine stripmap (UFS) of 3 m, 20-50 deg, 1 x 1 looks; fine stripmap II (FSII) of 10 m, 19-50 deg, 1 x 2 looks.
# Noise, window, PRF and ambiguity level are assumed after the requirements that these papers give in words.
_GAOFEN3_FSII = Sensor(
    name="gaofen3-fsii",
    platform="gaofen-3",
    band="C",
    centre_frequency_ghz=5.4,
    polarisations=("HH", "HV"),
    mode="FSII",
    product_type="L2",
    range_resolution_m=10.0,
    azimuth_resolution_m=10.0,
    gsd_m=5.0,
    looks=2.0,
    incidence_range_deg=(19.0, 50.0),
    nesz_db=-22.0,
    look_sides=("right", "left"),
    window=hamming(0.75),
    bits=16,
    prf_hz=1800.0,
    ambiguity_db=-25.0,
    altitude_km=755.0,
    inclination_deg=98.41,
)
_GAOFEN3_UFS = replace(
    _GAOFEN3_FSII,
    name="gaofen3-ufs",
    polarisations=("HH",),
    mode="UFS",
    range_resolution_m=3.0,
    azimuth_resolution_m=3.0,
    gsd_m=2.0,
    looks=1.0,
    incidence_range_deg=(20.0, 50.0),
    nesz_db=-20.0,
    prf_hz=2000.0,
)
_GAOFEN3_SL = replace(
    _GAOFEN3_UFS,
    name="gaofen3-sl",
    mode="SL",
    range_resolution_m=1.0,
    azimuth_resolution_m=1.0,
    gsd_m=0.7,
    prf_hz=3000.0,
)
# Qilu-1 flies in Ku band with up to 0.5 m of resolution (Chinese Academy of Sciences, launch report of 27 April 2021).
# All else is assumed after the comparable Ku-band payload of Taijing-4(03), described in Preprints 202408.2092 (2024).
_QILU1 = Sensor(
    name="qilu1",
    platform="qilu-1",
    band="Ku",
    centre_frequency_ghz=15.2,
    polarisations=("VV",),
    mode="SL",
    product_type="L2",
    range_resolution_m=1.0,
    azimuth_resolution_m=1.0,
    gsd_m=0.75,
    looks=1.0,
    incidence_range_deg=(20.0, 45.0),
    nesz_db=-18.0,
    look_sides=("right", "left"),
    window=taylor(-30.0, 4),
    bits=16,
    prf_hz=5000.0,
    ambiguity_db=-22.0,
    altitude_km=500.0,
    inclination_deg=97.4,
)
# Deng et al., "Hongtu-1: the first spaceborne single-pass multibaseline SAR interferometry mission", IEEE TGRS 2024,
# doi:10.1109/TGRS.2024.3523299, for the mission, its X band and 3 m stripmap. Angles, noise, PRF and window are assumed
# after what is usual of X-band stripmap (TerraSAR-X, below).
_HONGTU1 = Sensor(
    name="hongtu1",
    platform="hongtu-1",
    band="X",
    centre_frequency_ghz=9.6,
    polarisations=("HH",),
    mode="SM",
    product_type="L2",
    range_resolution_m=3.0,
    azimuth_resolution_m=3.0,
    gsd_m=2.0,
    looks=1.0,
    incidence_range_deg=(20.0, 45.0),
    nesz_db=-20.0,
    look_sides=("right", "left"),
    window=hamming(0.75),
    bits=16,
    prf_hz=3500.0,
    ambiguity_db=-22.0,
    altitude_km=528.0,
    inclination_deg=97.5,
)
# DLR, TerraSAR-X Basic Product Specification (TX-GS-DD-3302) and Image Product Guide: 514 km, stripmap of 3.3 m in
# azimuth at 20-45 deg with full performance, spatially enhanced products of one look, Hamming 0.6, NESZ -19 dB and
# better, azimuth ambiguity below -17 dB. PRF 3000-6500 Hz.
_TERRASARX_SM = replace(
    _HONGTU1,
    name="terrasarx-sm",
    platform="terrasar-x",
    centre_frequency_ghz=9.65,
    product_type="EEC",
    range_resolution_m=3.3,
    azimuth_resolution_m=3.3,
    gsd_m=2.0,
    nesz_db=-19.0,
    window=hamming(0.6),
    prf_hz=3800.0,
    altitude_km=514.0,
    inclination_deg=97.44,
)
# Capella Space, SAR Imagery Products Guide: spotlight, X band (9.65 GHz), 0.5 m in range and azimuth, HH or VV, look
# angles 25-40 deg nominal, both sides, NESZ -20 dB and better; orbits of 525 km, 45-97 deg of inclination. Incidence is
# the look angle carried to the ground. Window, PRF and ambiguities are assumed.
_CAPELLA_SPOTLIGHT = Sensor(
    name="capella-spotlight",
    platform="capella",
    band="X",
    centre_frequency_ghz=9.65,
    polarisations=("HH",),
    mode="SL",
    product_type="GEO",
    range_resolution_m=0.5,
    azimuth_resolution_m=0.5,
    gsd_m=0.35,
    looks=1.0,
    incidence_range_deg=(27.0, 44.0),
    nesz_db=-20.0,
    look_sides=("right", "left"),
    window=taylor(-30.0, 4),
    bits=16,
    prf_hz=7000.0,
    ambiguity_db=-20.0,
    altitude_km=525.0,
    inclination_deg=97.5,
)
# Umbra, Product Guide: spotlight at 0.5 m slant plane resolution, X band (9.6 GHz), HH or VV, grazing angles 40-70 deg,
# detected amplitude of 8 bit in the GEC GeoTIFF. Window, noise, PRF and ambiguities are assumed.
_UMBRA_SPOTLIGHT = replace(
    _CAPELLA_SPOTLIGHT,
    name="umbra-spotlight",
    platform="umbra",
    centre_frequency_ghz=9.6,
    polarisations=("VV",),
    product_type="GEC",
    incidence_range_deg=(20.0, 50.0),
    nesz_db=-18.0,
    window=taylor(-35.0, 5),
    bits=8,
)
SENSORS: dict[str, Sensor] = {
    s.name: s
    for s in (
        _SENTINEL1_IW,
        _GAOFEN3_FSII,
        _GAOFEN3_UFS,
        _GAOFEN3_SL,
        _QILU1,
        _HONGTU1,
        _TERRASARX_SM,
        _CAPELLA_SPOTLIGHT,
        _UMBRA_SPOTLIGHT,
    )
}


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
