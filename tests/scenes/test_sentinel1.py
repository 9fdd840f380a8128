import csv
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.scenes.geotiff import find_rasters, open_scene
from knowlip.scenes.sentinel1 import from_product_name, look_azimuth_deg, orbit_state

# absolute orbit and ESA's relative orbit: the Ridgecrest pass of 4 July 2019 on track 71, and the manifests of s1_safe
PUBLISHED_ORBITS = [("S1A", 27968, 71), ("S1B", 26269, 168), ("S1B", 30148, 22)]


def product(mission="S1A", orbit=35143, start="20201107T135241", polarisation="DV", mode="IW", kind="GRDH"):
    return f"{mission}_{mode}_{kind}_1S{polarisation}_{start}_{start}_{orbit:06d}_041A16_322B"


@pytest.mark.parametrize(("mission", "absolute", "relative"), PUBLISHED_ORBITS)
def test_relative_orbit_is_the_published_one(mission, absolute, relative):
    assert from_product_name(product(mission, absolute))["relative_orbit"] == relative


def test_every_product_name_of_the_real_scenes_is_understood(real_data):
    with (real_data / "s1_scenes" / "scenes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 74
    for row in rows:
        fields = from_product_name(row["sar_product"])
        # the file is named after platform and start
        assert row["file"].startswith(f"S1A_{fields['acquired']:%Y%m%dT%H%M%S}_")
        assert fields["product_name"] + ".SAFE" == row["sar_product"]
        assert (fields["platform"], fields["instrument_mode"], fields["product_type"]) == ("sentinel-1a", "IW", "GRDH")
        assert fields["polarisations"] == ("VV", "VH")


def test_real_scenes_know_their_pass(real_data):
    # Los Angeles is on track 71, seen near 6 h local time going south; San Antonio on track 107 near 18 h going north
    expected = {"20201107": ("descending", 71), "20201204": ("ascending", 107)}
    for path in find_rasters(real_data / "s1_scenes")[::6]:
        known = open_scene(path).acquisition
        assert (known.orbit_state, known.relative_orbit) == expected[path.name[4:12]]
        assert known.polarisations == ("VH",)
        assert known.acquired == datetime.strptime(path.name[4:19], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def test_look_azimuth_matches_the_annotated_heading(real_data):
    annotations = sorted((real_data / "s1_safe").glob("*.SAFE/annotation/*.xml"))
    assert annotations
    for path in annotations:
        text = path.read_text()
        heading = float(re.search(r"<platformHeading>([^<]+)", text)[1])
        state = re.search(r"<pass>([^<]+)", text)[1].lower()
        start = datetime.fromisoformat(re.search(r"<startTime>([^<]+)", text)[1]).replace(tzinfo=UTC)
        latitudes = [float(v) for v in re.findall(r"<latitude>([^<]+)", text)]
        longitudes = [float(v) for v in re.findall(r"<longitude>([^<]+)", text)]
        lat, lon = np.mean(latitudes), np.mean(longitudes)
        assert orbit_state(start, lon, lat) == state
        difference = (look_azimuth_deg(lat, state) - (heading + 90) + 180) % 360 - 180
        assert abs(difference) < 1


@given(st.floats(-60, 60))
def test_the_two_passes_look_mirrored_about_east_and_west(lat):
    up, down = look_azimuth_deg(lat, "ascending"), look_azimuth_deg(lat, "descending")
    # right-looking: eastwards going north, westwards going south
    assert 45 < up < 90
    assert 270 < down < 315
    assert up + down == pytest.approx(360)


@given(
    st.floats(-180, 180),
    st.floats(-60, 60),
    st.sampled_from(["ascending", "descending"]),
    st.datetimes(datetime(2014, 4, 3), datetime(2030, 1, 1)),
    st.floats(-0.5, 0.5),
)
def test_the_dawn_dusk_orbit_tells_the_pass_by_local_time(lon, lat, state, day, off_hours):
    local = 18 if state == "ascending" else 6
    hours = (local + off_hours - lon / 15) % 24
    acquired = day.replace(hour=int(hours), minute=int(hours % 1 * 60), tzinfo=UTC)
    assert orbit_state(acquired, lon, lat) == state


def test_near_the_poles_the_pass_is_not_guessed():
    assert orbit_state(datetime(2020, 1, 1, 6, tzinfo=UTC), 0.0, 78.0) is None
    assert look_azimuth_deg(85.0, "ascending") is None


PRODUCTS = st.fixed_dictionaries(
    {
        "mission": st.sampled_from(["S1A", "S1B", "S1C", "S1D"]),
        "orbit": st.integers(1, 999_999),
        "start": st.datetimes(datetime(2014, 4, 3), datetime(2099, 1, 1)).map(lambda t: f"{t:%Y%m%dT%H%M%S}"),
        "polarisation": st.sampled_from(["SH", "SV", "DH", "DV", "HH", "HV", "VV", "VH"]),
        "mode": st.sampled_from(["IW", "EW", "WV", "S1", "S6"]),
        "kind": st.sampled_from(["GRDH", "GRDM", "SLC_"]),
    }
)


@given(PRODUCTS, st.sampled_from(["", "/data/", "subset of "]), st.sampled_from(["", ".SAFE", ".zip", "_VV.tif"]))
def test_any_product_name_is_read_back_from_any_text_around_it(parts, before, after):
    fields = from_product_name(before + product(**parts) + after)
    assert f"{fields['acquired']:%Y%m%dT%H%M%S}" == parts["start"]
    assert fields["absolute_orbit"] == parts["orbit"]
    assert fields["platform"] == "sentinel-" + parts["mission"][1:].lower()
    assert fields["product_type"] == parts["kind"].strip("_")
    assert 1 <= fields.get("relative_orbit", 1) <= 175
    assert fields["polarisations"][0][0] == ("V" if parts["polarisation"] in ("SV", "DV", "VV", "VH") else "H")


@given(st.from_regex(r"S1[A-E]_IW_GRDH_1SDV_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}"), st.text())
def test_a_name_with_an_impossible_date_is_no_product_name(text, other):
    fields = from_product_name(text)
    try:
        start = datetime.strptime(re.search(r"\d{8}T\d{6}", text)[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        start = None
    assert (fields or {}).get("acquired") == (None if "S1E" in text else start)
    assert from_product_name(other) is None or "S1" in other
