"""How much memory the verbs that walk a corpus's tables need, beside reading `tiles.parquet` whole with pandas.

    python benchmarks/tables.py [--quick]

The table is made of one real row, spread over scenes of 400 tiles; there are no pixels, but empty files for the merge.
Each verb runs in a process of its own; what is measured is how far its peak lies above that of its imports. The last
line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from knowlip.core.folder import Folder
from knowlip.corpus.export.rows import tile_rows
from knowlip.corpus.merge import merge
from knowlip.corpus.resplit import resplit
from knowlip.corpus.splits import SplitSpec
from knowlip.corpus.stac import tile_schema
from knowlip.corpus.store import open_corpus
from knowlip.corpus.validate import check_tables

SIDE = 20
"""Rows and columns of a scene's tiles."""


def synthetic(folder: Path, rows: int, prefix: str, files: bool) -> Path:
    """A corpus whose `tiles.parquet` has many rows."""
    # what only this needs is not to be counted among the verbs' imports
    from knowlip.corpus.build import build_corpus
    from knowlip.simulation.simulate import simulate

    simulate(folder / "scenes", 1, 1, "sentinel1-iw", 256, 1)
    corpus = build_corpus([folder / "scenes"], str(folder / "corpus")).corpus
    target, schema = Folder(corpus.folder.root), tile_schema()
    base = pa.concat_tables([corpus.tiles_table.slice(0, 1)] * SIDE**2).combine_chunks()
    row, col = (v.ravel() for v in np.mgrid[:SIDE, :SIDE])
    with target.table_writer("tiles.parquet", schema) as write:
        for number in range(max(1, rows // SIDE**2)):
            west, south = -170 + number % 300 * 1.1 + col * 0.03, -60 + number // 300 * 1.0 + row * 0.02
            scene = f"{prefix}{number:05d}"
            ids = [f"{scene}_r{r:03d}_c{c:03d}" for r, c in zip(row, col, strict=True)]
            edges = [west, south, west + 0.028, south + 0.018]
            box = pa.StructArray.from_arrays(edges, ["xmin", "ymin", "xmax", "ymax"])
            outline = shapely.to_wkb(shapely.segmentize(shapely.box(*edges), 0.004)).tolist()
            table = base
            said = {"id": ids, "knowlip:scene": [scene] * len(ids), "geometry": outline, "bbox": box}
            said |= {"knowlip:landcover": [False] * len(ids)}
            for name, values in said.items():
                at = schema.get_field_index(name)
                table = table.set_column(at, schema.field(at), pa.array(values, schema.field(at).type))
            write(table)
            for tile_id in ids if files else ():
                target.write_bytes(f"tiles/{scene}/{tile_id}.tif", b"")
    info = target.read_json("corpus.json")
    info["counts"]["tiles"], info["fingerprint"] = rows, prefix
    target.write_json("corpus.json", info)
    return folder / "corpus"


def run(verb: str, places: list[str]) -> None:
    """Run one verb and print what it took."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    corpora = [open_corpus(p) for p in places[:2]]
    if verb == "pandas":
        pq.read_table(corpora[0].folder.path("tiles.parquet")).to_pandas()
    elif verb == "walk, as exports do":
        sum(1 for _ in tile_rows(corpora[0], None))
    elif verb == "validate, tables":
        list(check_tables(corpora[0]))
    elif verb == "split":
        resplit(corpora[0], SplitSpec(seed=5))
    else:
        merge(corpora, places[2])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"mb": round((peak - before) / 1024), "s": round(time.perf_counter() - start, 1)}))


def measured(verb: str, *places: Path) -> dict[str, float]:
    """What a verb took in a process of its own."""
    command = [sys.executable, __file__, "--run", verb, *map(str, places)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run[0], given.run[1:])
        return
    rows, merged = (24_000, 4_000) if given.quick else (1_200_000, 60_000)
    figures: dict[str, object] = {"rows": rows, "merged_rows": 2 * merged}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = synthetic(folder / "one", rows, "s", files=False)
        print(f"{'':24}{'rows':>10}{'MB':>8}{'s':>8}")
        for verb in ("pandas", "walk, as exports do", "validate, tables", "split"):
            figures[verb] = took = measured(verb, one)
            print(f"{verb:24}{rows:10}{took['mb']:8}{took['s']:8}")
        two = [synthetic(folder / p, merged, p, files=True) for p in ("a", "b")]
        figures["merge"] = took = measured("merge", *two, folder / "merged")
        print(f"{'merge':24}{2 * merged:10}{took['mb']:8}{took['s']:8}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
