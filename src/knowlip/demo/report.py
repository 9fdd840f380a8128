"""`report.html`: one self-contained page with a map, example tiles, losses, figures and a search."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow.compute as pc

from knowlip import __version__
from knowlip.bench.tasks import Row
from knowlip.core.folder import Folder
from knowlip.core.statements import DIMENSIONS
from knowlip.corpus.picture import picture
from knowlip.corpus.store import DROPPED, Corpus
from knowlip.model.embedder import load_embedder
from knowlip.search.index import search

EXAMPLES = 6
SPLIT_COLOUR = {"train": "#1b6ca8", "val": "#e0a100", "test": "#c2185b", None: "#9e9e9e"}


@dataclass(frozen=True)
class Card:
    """A tile with its picture and words."""

    title: str
    place: str
    picture: str
    lines: list[str]
    facts: list[tuple[str, str]]


def write_report(out: Path, corpus: Corpus, rows: Sequence[Row], summary: dict[str, Any], query: str) -> Path:
    """Write the report; returns its path."""
    embedder = load_embedder(out / "model")
    hits = search(corpus, embedder, query, 5)
    said = _statements(corpus)
    page = (
        jinja2.Environment(loader=jinja2.PackageLoader("knowlip.demo"), autoescape=True)
        .get_template("report.html.j2")
        .render(
            version=__version__,
            summary=summary,
            map=_map(corpus),
            losses=_losses(out / "model" / "losses.jsonl"),
            figures=_figures(rows),
            query=query,
            examples=[_card(corpus, t, said[t]) for t in _examples(corpus, said)],
            hits=[(h, picture(corpus, h.tile_id)) for h in hits],
            changes=_changes(corpus),
            splits=SPLIT_COLOUR,
        )
    )
    Folder(str(out)).write_bytes("report.html", page.encode())
    return out / "report.html"


def _statements(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    said: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in corpus.statements().to_pylist():
        if row["status"] != DROPPED:
            said[row["tile_id"]].append(row)
    for rows in said.values():
        rows.sort(key=lambda r: (r["schema"] != "target", DIMENSIONS[r["schema"]].index(r["dimension"])))
    return said


def _examples(corpus: Corpus, said: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Tiles that differ: with targets first, then one of each main function, real scenes before simulated ones."""
    chosen: list[str] = []
    seen: set[str] = set()
    simulated = set(corpus.scenes.index[corpus.scenes["simulated"]])
    for tile_id in sorted(said, key=lambda t: (corpus.tiles.at[t, "knowlip:scene"] in simulated, t)):
        rows = said[tile_id]
        kind = next((s["value"] for r in rows if r["dimension"] == "functionality" for s in r["slots"]), "")
        if any(r["schema"] == "target" for r in rows):
            kind = "target"
        if kind not in seen:
            seen.add(kind)
            chosen.append(tile_id)
    return sorted(chosen[:EXAMPLES])


def _card(corpus: Corpus, tile_id: str, rows: list[dict[str, Any]]) -> Card:
    tile = corpus.tiles_table.filter(pc.equal(corpus.tiles_table["id"], tile_id)).to_pylist()[0]
    seen = (tile["platform"], *(tile["sar:polarizations"] or ()), tile["sat:orbit_state"])
    centre = tile["proj:centroid"]
    incidence = tile["view:incidence_angle"]
    facts = [
        ("centre", f"{centre['lat']:.4f}, {centre['lon']:.4f} ({tile['knowlip:mgrs_square']})"),
        ("ground sample distance", f"{tile['knowlip:gsd_x_m']:.2f} × {tile['knowlip:gsd_y_m']:.2f} m"),
        (
            "platform",
            ", ".join(word for word in seen if word) or "unknown",
        ),
        (
            "incidence",
            f"{incidence:.1f}°"
            if incidence is not None
            else "unknown: " + json.loads(tile["knowlip:unknown"]).get("incidence_deg", ""),
        ),
        ("radiometry", tile["knowlip:radiometry"]),
        ("split", tile["knowlip:split"] or "none"),
    ]
    place = f"{tile['knowlip:nearest_city']}, {tile['knowlip:country']}"
    return Card(tile_id, place, picture(corpus, tile_id), [r["text"] for r in rows], facts)


def _figures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows grouped by figure: ours, each control, chance."""
    grouped: dict[tuple[str, str], dict[str, Any]] = {}
    for r in rows:
        line = grouped.setdefault(
            (r.task, r.metric),
            {"task": r.task, "metric": r.metric, "chance": r.chance, "n": r.n, "truth": r.truth, "models": {}},
        )
        line["models"]["KnowLIP" if r.model.startswith("knowlip:") else r.model.removeprefix("control-")] = r
    for line in grouped.values():
        line["best"] = max(line["models"], key=lambda m: line["models"][m].value)
    return list(grouped.values())


def _changes(corpus: Corpus) -> list[dict[str, Any]]:
    if corpus.rounds()[-1] == 0:
        return []
    rows = corpus.changes(corpus.rounds()[-1]).to_pylist()
    return sorted(rows, key=lambda r: (r["status"] != "rebuilt", r["statement_id"]))[:8]


def _svg(figure: Any) -> str:
    data = io.StringIO()
    figure.savefig(data, format="svg", bbox_inches="tight")
    text = data.getvalue()
    return text[text.index("<svg") :]


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 9, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(width, height))
        axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _map(corpus: Corpus) -> str:
    """All tiles on the world, by split; the graticule stands in for coasts, which no offline package draws."""
    figure, axes = _figure(9, 4.2)
    tiles = corpus.tiles
    lon, lat = (np.array([c[k] for c in tiles["proj:centroid"]]) for k in ("lon", "lat"))
    for split, colour in SPLIT_COLOUR.items():
        mask = tiles["knowlip:split"].isna() if split is None else (tiles["knowlip:split"] == split)
        axes.plot(lon[mask], lat[mask], "o", ms=4, color=colour, alpha=0.6, mec="none")
    named = tiles.groupby("knowlip:scene").first()
    for country, group in named.groupby("knowlip:country"):
        centre = group["proj:centroid"].iloc[0]
        axes.annotate(
            str(country),
            (centre["lon"], centre["lat"]),
            xytext=(5, 3),
            textcoords="offset points",
            fontsize=7,
            color="#555",
        )
    axes.set(
        xlim=(-180, 180),
        ylim=(-60, 75),
        xlabel="longitude, degrees",
        ylabel="latitude, degrees",
        xticks=range(-180, 181, 30),
        yticks=range(-60, 76, 15),
    )
    axes.grid(color="#dddddd", lw=0.5)
    return _svg(figure)


def _losses(path: Path) -> str:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    figure, axes = _figure(9, 3)
    steps = np.array([line["step"] for line in lines])
    for name, colour in (("itc", "#1b6ca8"), ("itm", "#2e7d32"), ("mlm", "#c2185b")):
        values = np.array([line[name] for line in lines])
        # a loss of exactly 0 was not asked for in that step
        asked = values != 0
        at, values = steps[asked], values[asked]
        axes.plot(at, values, color=colour, lw=0.5, alpha=0.35)
        width = max(1, len(values) // 25)
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axes.plot(at[width - 1 :], smooth, color=colour, lw=1.6, label=name.upper())
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.legend(frameon=False)
    return _svg(figure)
