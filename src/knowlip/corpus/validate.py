"""Check a corpus against its own records and against the standards it follows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import shapely

from knowlip.corpus.stac import geoproperties, stac_item
from knowlip.corpus.store import Corpus


def validate(corpus: Corpus, progress: Callable[[int, int, str], None] = lambda done, total, name: None) -> list[str]:
    """Problems found, one line each; none for a sound corpus."""
    problems = []
    rows = corpus.tiles_table.to_pylist()
    for done, row in enumerate(rows, 1):
        name = f"tiles/{row['knowlip:scene']}/{row['id']}.tif"
        try:
            if hashlib.sha256(corpus.folder.read_bytes(name)).hexdigest() != row["knowlip:sha256"]:
                problems.append(f"{name}: content differs from its record")
        except OSError:
            problems.append(f"{name}: is missing")
        try:
            geoproperties(row)
        except ValueError as error:
            problems.append(f"{row['id']}: {error}")
        stac_item(row).to_dict()
        progress(done, len(rows), "")
    return problems + _overlaps(corpus)


def _overlaps(corpus: Corpus) -> list[str]:
    """Footprints that overlap one of another split."""
    frame = corpus.tiles[corpus.tiles["knowlip:split"].notna()]
    shapes = shapely.from_wkb(frame["geometry"].to_numpy())
    splits, ids = frame["knowlip:split"].to_numpy(), frame.index.to_numpy()
    a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    clash = (splits[a] != splits[b]) & (a < b)
    return [f"{ids[i]} ({splits[i]}) overlaps {ids[j]} ({splits[j]})" for i, j in zip(a[clash], b[clash], strict=True)]
