import json
import os
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes import S1_PRODUCT, SIDECAR, as_db, ground_power, write_scene
from knowlip.core.errors import SceneError
from knowlip.core.scene import POLARISATIONS, Acquisition
from knowlip.scenes.geotiff import open_scene, safe_name
from knowlip.scenes.sidecar import Sidecar, polarisations_of, read_sidecar

PIXELS = as_db(ground_power((64, 64)))


@pytest.fixture
def raster(tmp_path):
    return tmp_path / "x.tif"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OUR_KEYS = st.sampled_from([*Acquisition.model_fields, "scene_id", "radiometry", "truth"])


@given(JSON | st.dictionaries(OUR_KEYS, JSON, max_size=4) | st.builds(dict, radiometry=JSON, truth=JSON, scene_id=JSON))
@example({"platform": "x", "scene_id": 5})
@example({"radiometry": {"quantity": "db", "calibration_db": float("nan")}})
@example({"absolute_orbit": 10**30})
def test_any_json_is_read_left_alone_or_refused_by_name(raster, content):
    path = raster.with_suffix(".json")
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        read = read_sidecar(raster)
    except SceneError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.subject == str(path)
        return
    assert isinstance(read.scene_id, str | None)
    if read.acquisition is None:
        assert read == Sidecar()


@given(
    st.binary(max_size=60) | st.sampled_from([b"", b"{", b"[" * 100_000, b'{"absolute_orbit": ' + b"9" * 5000 + b"}"])
)
def test_any_bytes_are_read_or_refused(raster, content):
    raster.with_suffix(".json").write_bytes(content)
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        with pytest.raises(SceneError, match="is not readable JSON"):
            read_sidecar(raster)
    else:
        assert read_sidecar(raster) == Sidecar()


ACQUISITIONS = st.fixed_dictionaries(
    {},
    optional={
        "platform": st.text(min_size=1),
        "acquired": st.datetimes(datetime(1978, 6, 27), datetime(2100, 1, 1)).map(lambda t: t.isoformat() + "Z"),
        "frequency_band": st.sampled_from(["P", "L", "S", "C", "X", "Ku", "K", "Ka"]),
        "centre_frequency_ghz": st.floats(0.3, 40),
        "orbit_state": st.sampled_from(["ascending", "descending"]),
        "look_side": st.sampled_from(["left", "right"]),
        "look_azimuth_deg": st.floats(0, 360, exclude_max=True),
        "incidence_near_deg": st.floats(1, 89),
        "absolute_orbit": st.integers(0, 10**6),
        "simulated": st.booleans(),
    },
)


@given(ACQUISITIONS)
def test_a_sidecar_says_what_was_written_and_nothing_else(raster, content):
    raster.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")
    read = read_sidecar(raster).acquisition
    if not content:
        assert read is None
        return
    known = read.model_dump(exclude_unset=True)
    if "acquired" in content:
        known["acquired"] = known["acquired"].replace(tzinfo=None).isoformat() + "Z"
    assert known == content


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"look_side": "up"}, "look_side"),
        ({"incidence_near_deg": 95}, "incidence_near_deg"),
        ({"look_azimuth_deg": -3}, "look_azimuth_deg"),
        ({"platform": "x", "colour": "red"}, "colour"),
        ({"radiometry": {"quantity": "volts"}}, "quantity"),
        ({"radiometry": "sigma0-db"}, "radiometry"),
        ({"platform": "x", "scene_id": 5}, "scene_id"),
        ({"platform": "x", "truth": {"cover": "x.tif"}}, "cover"),
    ],
)
def test_a_broken_sidecar_is_refused_with_its_key(raster, content, key):
    raster.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(SceneError, match=f"'{key}'"):
        read_sidecar(raster)


def test_a_neighbouring_json_of_another_kind_is_left_alone(tmp_path):
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "x", "properties": {"platform": "y"}}
    scene = open_scene(write_scene(tmp_path / "x.tif", PIXELS, sidecar=item))
    assert scene.acquisition.platform is None


def test_a_sidecar_adds_to_what_name_and_tags_tell(tmp_path):
    sidecar = {"radiometry": {"quantity": "db", "convention": "gamma0"}, "incidence_near_deg": 31.0}
    path = write_scene(tmp_path / "x.tif", PIXELS, tags={"SOURCE_PRODUCT": S1_PRODUCT}, sidecar=sidecar)
    scene = open_scene(path)
    assert scene.radiometry.convention == "gamma0"
    assert scene.acquisition.incidence_near_deg == 31.0
    assert scene.acquisition.platform == "sentinel-1a"
    assert scene.acquisition.acquired == datetime(2020, 11, 7, 13, 52, 41, tzinfo=UTC)


def test_a_sidecar_wins_over_name_and_tags(tmp_path):
    path = write_scene(tmp_path / f"{S1_PRODUCT}.tif", PIXELS, sidecar=SIDECAR | {"polarisations": ["HV"]})
    known = open_scene(path).acquisition
    assert known.model_dump(include=set(SIDECAR)) == Acquisition.model_validate(SIDECAR).model_dump(
        include=set(SIDECAR)
    )
    assert known.polarisations == ("HV",)


def test_what_nothing_tells_is_null_with_a_reason(tmp_path):
    for name, sidecar in (("a", None), ("b", {"platform": "x"})):
        known = open_scene(write_scene(tmp_path / f"{name}.tif", PIXELS, sidecar=sidecar)).acquisition
        fields = set(Acquisition.model_fields) - {"unknown", "simulated", "place"}
        silent = {f for f in fields if getattr(known, f) is None}
        assert "polarisations" in silent
        assert silent == set(known.unknown)
        assert all(known.unknown.values())


LABELS = st.permutations(POLARISATIONS).flatmap(lambda p: st.integers(1, 4).map(lambda n: tuple(p[:n])))


@given(LABELS, st.sampled_from(["{}", "Gamma0_{}", "sigma0 {} (dB)", "{}_slant"]), st.booleans())
def test_polarisations_come_from_descriptions_in_band_order(labels, form, lower):
    described = tuple(form.format(p.lower() if lower else p) for p in labels)
    # tags and name say otherwise, and lose
    assert polarisations_of(described, {"POLARISATION": "HH"}, "scene_HV") == labels


@given(
    LABELS,
    st.sampled_from([",", " ", "/", "_", "+"]),
    st.sampled_from(["POLARISATION", "Polarization", "POLARISATIONS"]),
)
def test_polarisations_come_from_tags_then_from_the_name(labels, separator, tag):
    nameless = (None,) * len(labels)
    assert polarisations_of(nameless, {tag: separator.join(labels)}, "scene_VV_HH") == labels
    assert polarisations_of(nameless, {}, f"S1A__IW___A_20150309T173017_{'_'.join(labels)}_grd") == labels
    assert polarisations_of(nameless, {}, "scene") == ("unknown",) * len(labels)


@given(st.lists(st.none() | st.text(), min_size=1, max_size=4), st.dictionaries(st.text(), st.text()), st.text())
def test_there_is_one_known_or_unknown_label_a_band(descriptions, tags, stem):
    labels = polarisations_of(tuple(descriptions), tags, stem)
    assert len(labels) == len(descriptions)
    assert set(labels) <= {*POLARISATIONS, "unknown"}


@given(st.text() | st.text(alphabet="雷ä.-_ /a\\\x00", min_size=100, max_size=300))
def test_a_safe_name_is_one_folder_with_room_for_a_tile_s_ending(tmp_path, text):
    name = safe_name(text)
    assert safe_name(name) == name
    assert name not in (".", "..")
    assert not set(name) & set('/\\:*?"<>| \t\n\x00')
    assert len(os.fsencode(name)) <= 120
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    assert folder.parent == tmp_path
    assert (folder / f"{name}_r000_c000.tif.4194304.part").write_bytes(b"") == 0


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,60}[A-Za-z0-9]", fullmatch=True))
def test_a_plain_name_stays_as_it_is(name):
    assert safe_name(name) == name
