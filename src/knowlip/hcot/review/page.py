"""The page on which a person marks slots right or wrong: one HTML file that needs no network."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jinja2
import numpy as np

from knowlip.core.statements import DIMENSIONS
from knowlip.corpus.picture import picture
from knowlip.corpus.store import Corpus
from knowlip.hcot.review.sample import SampleSpec, draw, judged_slots


def page(corpus: Corpus, spec: SampleSpec) -> tuple[str, dict[str, int]]:
    """The page, and how many tiles, statements and slots it shows.

    Raises:
        ConfigError: The split has no tiles.
        CorpusError: The corpus, or the split, has no statements; a tile cannot be read.
    """
    shown = draw(corpus, spec)
    # in random order, so that whoever stops early leaves a fair sample behind
    order = [list(shown)[i] for i in np.random.default_rng(spec.seed).permutation(len(shown))]
    tiles = [_tile(corpus, tile_id, shown[tile_id]) for tile_id in order]
    data = {"corpus": corpus.info["name"], "fingerprint": corpus.info["fingerprint"], "tiles": tiles}
    statements = [s for t in tiles for s in t["statements"]]
    counts = {"tiles": len(tiles), "statements": len(statements), "slots": sum(len(s["slots"]) for s in statements)}
    return _template().render(data=data, counts=counts, split=spec.split, schemas=DIMENSIONS), counts


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("knowlip.hcot", "review")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "page.html"
    )


def _tile(corpus: Corpus, tile_id: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    tile = corpus.tiles.loc[tile_id]
    height, width = (int(n) for n in tile["proj:shape"])
    return {
        "id": tile_id,
        "place": place_line(tile, bool(corpus.scenes["simulated"][str(tile["knowlip:scene"])])),
        "picture": picture(corpus, tile_id),
        "width": width,
        "height": height,
        "gsd_x_m": _known(tile["knowlip:gsd_x_m"]),
        "gsd_y_m": _known(tile["knowlip:gsd_y_m"]),
        "statements": [
            {
                "id": r["statement_id"],
                "schema": r["schema"],
                "dimension": r["dimension"],
                "round": r["round"],
                "text": r["text"],
                "slots": sorted(judged_slots(r), key=lambda s: s["start"]),
            }
            for r in rows
        ],
    }


def place_line(tile: Any, simulated: bool) -> str:
    """Where a tile lies and how it was seen, in one line; what is unknown is left out.

    Args:
        tile: A row of `Corpus.tiles`.
    """
    words = []
    if city := _known(tile["knowlip:nearest_city"]):
        names = [f"{city} ({tile['knowlip:nearest_city_km']:.0f} km)", tile["knowlip:admin1"], tile["knowlip:country"]]
        words.append(", ".join(n for n in names if _known(n)))
    if centre := _known(tile["proj:centroid"]):
        lat, lon = centre["lat"], centre["lon"]
        words.append(f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}")
    if gsd := _known(tile["knowlip:gsd_x_m"]):
        words.append(f"{gsd:.3g} m a pixel")
    polarisations = list(tile["sar:polarizations"]) if _known(tile["sar:polarizations"]) is not None else []
    words.append(" ".join(str(w) for w in (_known(tile["platform"]), *polarisations[:1]) if w))
    if (acquired := _known(tile["datetime"])) is not None:
        words.append(f"{acquired:%Y-%m-%d %H:%M} UTC")
    words.append("simulated ground" if simulated else "")
    return " · ".join(w for w in words if w)


def _known(value: Any) -> Any:
    """A value of a pandas row, with pandas' stand-ins for null turned into None."""
    if value is None or (not isinstance(value, np.ndarray | dict | list | str) and value != value):
        return None
    return value
