import pytest
from pydantic import ValidationError

from knowlip.core.geoproperties import GeoProperties

KNOWN = {
    "crs": "EPSG:4326",
    "crs_wkt2": "GEOGCRS[…]",
    "transform": (1, 0, 0, 0, -1, 0),
    "shape": (2, 3),
    "bounds": (0, -2, 3, 0),
    "footprint_wkt": "POLYGON EMPTY",
    "bbox": (0, -2, 3, 0),
    "lon_deg": 1.5,
    "lat_deg": -1,
    "gsd_x_m": 1,
    "gsd_y_m": 1,
    "utm_zone": "31S",
    "mgrs_square": "31MAA",
    "radiometry": "sigma0 db",
    "unit": "dB",
    "valid_share": 1,
    "sha256": "0" * 64,
}
NULLABLE = sorted(set(GeoProperties.model_fields) - set(KNOWN) - {"unknown"})


def test_every_null_has_its_reason():
    unknown = dict.fromkeys(NULLABLE, "the scene does not say")
    assert GeoProperties.model_validate(KNOWN | dict.fromkeys(NULLABLE) | {"unknown": unknown}).unknown == unknown


@pytest.mark.parametrize("field", NULLABLE)
def test_a_null_without_a_reason_is_refused(field):
    unknown = {f: "the scene does not say" for f in NULLABLE if f != field}
    with pytest.raises(ValidationError, match=f"null without a reason: {field}"):
        GeoProperties.model_validate(KNOWN | dict.fromkeys(NULLABLE) | {"unknown": unknown})
