import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from knowlip.knowledge.source import Footprint


@pytest.fixture
def tile():
    """Makes a tile's footprint around a place, on its UTM zone or another CRS."""
    from knowlip.core.geodesy import utm_epsg

    def make(lon=12.5, lat=42.0, size=256, gsd_m=10.0, crs=None, rotated_deg=0.0, made_up=False, name="tile"):
        import pyproj

        crs = crs or f"EPSG:{utm_epsg(lon, lat)}"
        x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
        affine = (
            Affine.translation(x, y)
            * Affine.rotation(rotated_deg)
            * Affine.scale(gsd_m, -gsd_m)
            * Affine.translation(-size / 2, -size / 2)
        )
        return Footprint(name, lon, lat, GeoBox((size, size), affine, crs), made_up)

    return make
