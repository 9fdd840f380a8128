"""Step 0, initial capability: what can be said without any knowledge of radar or place. The control."""

from __future__ import annotations

from knowlip.core.percentiles import percentiles
from knowlip.core.statements import Fact
from knowlip.hcot.view import Facts, TileView


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Brightness against the scene and contrast, of the first polarisation, and the picture's scale."""
    db = view.pixels.db[0]
    low, median, high = percentiles(db, (5, 50, 95))
    level, contrast = float(median - view.pixels.anchor_db[0]), float(high - low)
    return [
        Fact(
            "image.brightness_db",
            round(level, 2),
            0,
            "pixel statistics",
            1.0,
            "dB",
            "median backscatter against the scene's bright level",
        ),
        Fact("image.contrast_db", round(contrast, 2), 0, "pixel statistics", 1.0, "dB", "5th to 95th percentile"),
        *_scale(view),
    ]


def _scale(view: TileView) -> list[Fact]:
    if view.gsd_m is None or view.properties.gsd_x_m is None or view.properties.gsd_y_m is None:
        return []
    rows, cols = view.properties.shape
    area_km2 = rows * cols * view.properties.gsd_x_m * view.properties.gsd_y_m / 1e6
    return [
        Fact("image.gsd_m", round(view.gsd_m, 3), 0, "grid", 1.0, "m", "ground sample distance"),
        Fact("image.area_km2", round(area_km2, 4), 0, "grid", 1.0, "km2", "ground that the tile covers"),
    ]
