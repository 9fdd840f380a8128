"""How fast scenes become tiles, beside the loop with rasterio that a user would write instead.

    python benchmarks/corpus.py [--quick]

Ours reads a scene and writes every tile as a COG with all its geographic properties, measured looks and SHA-256; the
loops read windows and write the same pixels, compressed alike, with nothing besides. `limit` is the sum of decoding
the scenes, deflating the tiles and writing the bytes, each measured alone with the fastest means at hand: what no
tiling can beat. One process each, in turns, best of several rounds; ratios are of processor time, which other work on
the machine disturbs less than wall time. Scenes are the real ones of `$KNOWLIP_DATA` or of
`../shared/data` beside the project (`s1_scenes`). The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from isal import isal_zlib
from rasterio.windows import Window
from rio_cogeo import cog_validate

from knowlip.core.folder import Folder
from knowlip.corpus.cog import DEFLATE_LEVEL
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.records import ScenePart
from knowlip.corpus.tiling import SceneJob, tile_scene
from knowlip.scenes.sidecar import Declared

SIZE = 256


def real_scenes() -> list[Path]:
    """The real scenes, sorted; ends the program with a line where there are none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KNOWLIP_DATA", beside)) / "s1_scenes"
    scenes = sorted(folder.glob("*.tif"))
    if not scenes:
        print(f"{folder}: holds no scenes. Set KNOWLIP_DATA to a folder with s1_scenes", file=sys.stderr)
        raise SystemExit(2)
    return scenes


def ours(scenes: list[Path], out: Path) -> None:
    for path in scenes:
        part = tile_scene(SceneJob(path, Declared(), Folder(str(out)), TileSpec(tile_size=SIZE), "benchmark"))
        assert isinstance(part, ScenePart), part


def rasterio_loop(driver: str, scenes: list[Path], out: Path) -> None:
    """Windows read and written one by one."""
    for path in scenes:
        folder = out / "tiles" / path.stem
        folder.mkdir(parents=True)
        with rasterio.open(path) as scene:
            for row in range(0, scene.height, SIZE):
                for col in range(0, scene.width, SIZE):
                    window = Window(col, row, SIZE, SIZE)
                    profile: dict[str, Any] = {"driver": driver, "width": SIZE, "height": SIZE, "count": scene.count}
                    profile |= {"dtype": scene.dtypes[0], "crs": scene.crs, "transform": scene.window_transform(window)}
                    profile |= {"compress": "deflate", "predictor": 2 if driver == "GTiff" else "YES"}
                    profile |= {"blockysize": SIZE} if driver == "GTiff" else {"blocksize": SIZE}
                    with rasterio.open(folder / f"{path.stem}_{row}_{col}.tif", "w", **profile) as tile:
                        tile.write(scene.read(window=window))


def limit(scenes: list[Path], out: Path) -> dict[str, float]:
    """Seconds of each part that cannot be left out, measured alone."""
    started = time.process_time()
    pixels = []
    for path in scenes:
        with rasterio.open(path) as scene:
            pixels.append(scene.read(1))
    decoded = time.process_time()
    rows = [
        np.diff(p[r : r + SIZE, c : c + SIZE], axis=1, prepend=p.dtype.type(0))
        for p in pixels
        for r in range(0, p.shape[0], SIZE)
        for c in range(0, p.shape[1], SIZE)
    ]
    ready = time.process_time()
    blocks = [isal_zlib.compress(r, DEFLATE_LEVEL) for r in rows]
    deflated = time.process_time()
    out.mkdir(parents=True)
    for i, block in enumerate(blocks):
        (out / f"{i}.bin").write_bytes(block)
    return {"decode": decoded - started, "deflate": deflated - ready, "write": time.process_time() - deflated}


def timed(function: Callable[[list[Path], Path], None], scenes: list[Path], out: Path) -> tuple[float, float]:
    """Processor and wall seconds."""
    shutil.rmtree(out, ignore_errors=True)
    started, wall = time.process_time(), time.perf_counter()
    function(scenes, out)
    return time.process_time() - started, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of tiling real scenes, beside loops with rasterio.")
    parser.add_argument("--quick", action="store_true", help="within a minute")
    quick = parser.parse_args().quick
    scenes = real_scenes()[: 12 if quick else 74]
    loops = {
        "ours, all properties": ours,
        "rasterio loop, GTiff": lambda s, o: rasterio_loop("GTiff", s, o),
        "rasterio loop, COG": lambda s, o: rasterio_loop("COG", s, o),
    }
    best = dict.fromkeys(loops, float("inf"))
    wall = dict(best)
    parts = dict.fromkeys(("decode", "deflate", "write"), float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        for function in loops.values():
            timed(function, scenes[:1], out)
        for _ in range(5 if quick else 3):
            for name, function in loops.items():
                taken = timed(function, scenes, out)
                best[name], wall[name] = min(best[name], taken[0]), min(wall[name], taken[1])
            shutil.rmtree(out, ignore_errors=True)
            parts = {k: min(parts[k], v) for k, v in limit(scenes, out).items()}
        timed(ours, scenes[:1], out)
        tiles = sorted((out / "tiles").rglob("*.tif"))
        valid = sum(cog_validate(str(p), strict=True, quiet=True)[0] for p in tiles) / len(tiles)
    count = len(scenes) * len(tiles)
    best["limit: decode + deflate + write"] = sum(parts.values())
    print(
        f"{len(scenes)} Sentinel-1 scenes of 1024 x 1024, {count} tiles of {SIZE} pixels, one process, processor time"
    )
    print(f"{'':34}{'tiles/s':>9}{'ms/tile':>9}{'ours':>8}")
    for name, seconds in best.items():
        ratio = seconds / best["ours, all properties"]
        print(f"{name:34}{count / seconds:9.0f}{1000 * seconds / count:9.2f}{ratio:7.2f}x")
    seconds = best["ours, all properties"]
    print(
        json.dumps(
            {
                "tiles": count,
                "ours_tiles_per_s": round(count / seconds, 1),
                "gtiff_loop_tiles_per_s": round(count / best["rasterio loop, GTiff"], 1),
                "cog_loop_tiles_per_s": round(count / best["rasterio loop, COG"], 1),
                "times_gtiff_loop": round(best["rasterio loop, GTiff"] / seconds, 2),
                "times_cog_loop": round(best["rasterio loop, COG"] / seconds, 2),
                "share_of_limit": round(sum(parts.values()) / seconds, 3),
                "limit_ms_per_tile": {k: round(1000 * v / count, 3) for k, v in parts.items()},
                "wall_tiles_per_s": {k: round(count / v, 1) for k, v in wall.items()},
                "valid_cogs": valid,
            }
        )
    )


if __name__ == "__main__":
    main()
