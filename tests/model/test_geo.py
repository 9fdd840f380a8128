"""Claims about the properties that become tokens."""

from datetime import UTC, datetime

import numpy as np
import pytest

from knowlip.core.errors import ConfigError
from knowlip.corpus.stac import geoproperties
from knowlip.model.embedder import load_embedder
from knowlip.model.geo import GEO_PROPERTIES, geo_properties, season
from knowlip.scio.loop import pretrain
from knowlip.training.config import load_config
from pipeline_fixtures import TINY


def test_properties_of_a_tile_are_those_of_its_geoproperties(described):
    table = geo_properties(described, GEO_PROPERTIES)
    assert list(table) == described.tiles_table["id"].to_pylist()
    for row in described.tiles_table.to_pylist()[:5]:
        tile, p = dict(zip(GEO_PROPERTIES, table[row["id"]].tolist(), strict=True)), geoproperties(row)
        assert tile["gsd_m"] == pytest.approx(max(p.gsd_x_m, p.gsd_y_m))
        for name in ("incidence_deg", "look_azimuth_deg", "centre_frequency_ghz", "lat_deg", "lon_deg"):
            assert tile[name] == pytest.approx(getattr(p, name), rel=1e-6), name
        assert tile["season"] == pytest.approx((p.acquired.timetuple().tm_yday - 0.5) / 365.5, abs=0.5 / 365)


def test_season_is_the_passed_fraction_of_the_year():
    assert season(datetime(2024, 1, 1, tzinfo=UTC)) == 0
    assert season(datetime(2024, 7, 2, tzinfo=UTC)) == pytest.approx(0.5)
    assert season(datetime(2023, 12, 31, 23, 59, tzinfo=UTC)) == pytest.approx(1, abs=1e-5)
    assert season(None) is None


def test_properties_reach_a_trained_model_and_change_what_it_sees(described, tmp_path):
    few = (*TINY, "optim.steps=2", "scio.rounds=0", "data.geo_tokens=[gsd_m, incidence_deg, season]")
    pretrain(described, load_config(None, few), tmp_path / "model")
    embedder = load_embedder(tmp_path / "model")
    assert embedder.model.config.vit.geo_tokens == ("gsd_m", "incidence_deg", "season")
    ids = described.tile_ids("test")[:3]
    told = embedder.corpus_images(described, ids)
    tiles = [described.pixels(t) for t in ids]
    geo = np.stack([geo_properties(described, embedder.model.config.vit.geo_tokens)[t] for t in ids])
    np.testing.assert_allclose(embedder.images(tiles, geo)[1], told, atol=1e-6)
    assert np.abs(embedder.images(tiles)[1] - told).max() > 1e-4


def test_unknown_property_is_refused():
    with pytest.raises(ConfigError, match=r"data\.geo_tokens: .*each once, of gsd_m, incidence_deg"):
        load_config(None, ("data.geo_tokens=[weather]",))
