"""How fast tiles reach training, beside a data set that opens each tile with rasterio, as a user would write it.

    python benchmarks/loading.py [--quick]

Both go through the same PyTorch DataLoader with the same batches and workers, and give the same normalised pixels.
The corpora are built of simulated scenes in the pixel types that products have: 8-bit and 16-bit amplitude, and
float32 decibel in two polarisations. `ours` decodes every tile, as a first epoch does; `cached` is a later epoch of a
data set that keeps normalised tiles in half precision (`TileDataset(cache=...)`; the first round fills it). Files are
in the system's cache, for all. Last, what a training step of the preset `micro` takes in on the same machine, which
loading should not hold up. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from torch.utils.data import DataLoader, Dataset

from knowlip.core.radiometry import parse_radiometry
from knowlip.corpus.build import build_corpus
from knowlip.corpus.dataset import TileDataset, TileLoader
from knowlip.corpus.normalise import Normaliser
from knowlip.corpus.store import Corpus, open_corpus
from knowlip.hcot.annotate import annotate
from knowlip.scenes.sidecar import Declared
from knowlip.training.config import load_config
from knowlip.training.loop import begin, train, training_texts

BATCH = 32
KINDS = {
    "uint8, VV": ("uint8", ("VV",), "sigma0-amplitude:-45"),
    "uint16, VV": ("uint16", ("VV",), "sigma0-amplitude:-83"),
    "float32 dB, VV VH": ("float32", ("VV", "VH"), "sigma0-db"),
}


def make_corpus(folder: Path, kind: str, tiles: int) -> Corpus:
    """A corpus of gamma speckle over patches of ground."""
    dtype, polarisations, radiometry = KINDS[kind]
    side = int(np.ceil(np.sqrt(tiles)))
    rng = np.random.default_rng(0)
    ground = np.kron(rng.choice([0.01, 0.08, 0.5], (side * 4, side * 4)), np.ones((64, 64)))
    power = np.stack([ground * rng.gamma(4.4, 1 / 4.4, ground.shape) for _ in polarisations])
    if dtype == "float32":
        pixels = (10 * np.log10(power)).astype(dtype)
    else:
        scale = 10 ** (float(radiometry.split(":")[1]) / -20)
        pixels = np.clip(np.round(np.sqrt(power) * scale), 1, np.iinfo(dtype).max).astype(dtype)
    path = folder / f"{dtype}.tif"
    profile: dict[str, Any] = {"width": side * 256, "height": side * 256, "count": len(polarisations), "dtype": dtype}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32631", transform=Affine(10, 0, 4e5, 0, -10, 5e6), **profile) as f:
        f.write(pixels)
    declared = Declared(radiometry=parse_radiometry(radiometry), polarisations=polarisations)
    return build_corpus([path], str(folder / f"{dtype}-corpus"), declared=declared).corpus


class RasterioDataset(Dataset[torch.Tensor]):
    """The data set a user would write: open, read, to decibel, centre, scale."""

    def __init__(self, corpus: Corpus) -> None:
        rows = corpus.tiles.sort_index()
        self.paths = [corpus.folder.path(asset["data"]["href"]) for asset in rows["assets"]]
        self.radiometry, polarisations, anchor_db = corpus.calibration(corpus.tile_ids()[0])
        mean, spread = Normaliser().scale(polarisations, self.radiometry.calibrated, anchor_db)
        self.mean, self.spread = mean[:, None, None], spread[:, None, None]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with rasterio.open(self.paths[index]) as dataset:
            values = dataset.read().astype(np.float32)
        offset = np.float32(self.radiometry.calibration_db)
        if self.radiometry.quantity == "amplitude":
            values = 20 * np.log10(np.maximum(values, np.float32(0.5))) + offset
        return torch.from_numpy(np.nan_to_num((values - self.mean) / self.spread, copy=False))


def theirs(corpus: Corpus, workers: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    yield from DataLoader(RasterioDataset(corpus), BATCH, True, num_workers=workers, generator=generator)


def ours(corpus: Corpus, workers: int) -> Iterator[torch.Tensor]:
    for batch in TileLoader(TileDataset(corpus), BATCH, workers=workers):
        yield batch.pixels


def ours_cached(corpus: Corpus, workers: int) -> Iterator[torch.Tensor]:
    cache = f"{corpus.folder.root}-cache"
    for batch in TileLoader(TileDataset(corpus, cache=cache), BATCH, workers=workers):
        yield batch.pixels


def samples_per_s(batches: Iterator[torch.Tensor]) -> tuple[float, float]:
    """By wall time and by this process's processor time, from the first batch on: workers' start is not counted."""
    next(batches)
    started, cpu, count = time.perf_counter(), time.process_time(), 0
    for batch in batches:
        count += len(batch)
    return count / (time.perf_counter() - started), count / (time.process_time() - cpu)


def check_same(corpus: Corpus) -> None:
    """Both give the same pixels, to the rounding of a float32."""
    mine, other = TileDataset(corpus), RasterioDataset(corpus)
    for i in range(8):
        np.testing.assert_allclose(mine[i].pixels, other[i].numpy(), atol=1e-5)


def step_samples_per_s(corpus: Corpus, out: Path) -> float:
    """Tiles a second that the training loop takes in with both processors, its own loading not counted."""
    described = open_corpus(corpus.folder.root)
    annotate(described, sources=())
    steps = 6
    config = load_config(None, [f"optim.steps={steps}", "scio.rounds=0", "loss.contrast_first=0"])
    run = begin(open_corpus(corpus.folder.root), config, out)
    train(run, training_texts(described, run.tokenizer, 0), steps, lambda *_: None)
    seconds = [json.loads(line)["seconds"] for line in (out / "losses.jsonl").read_text().splitlines()]
    return config.data.batch_size / float(np.median(seconds[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of loading tiles for training.")
    parser.add_argument("--quick", action="store_true", help="within a minute")
    quick = parser.parse_args().quick
    tiles, rounds = (256, 3) if quick else (1024, 4)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            corpus = make_corpus(Path(folder), kind, tiles)
            check_same(corpus)
            for workers in (0, 2):
                makers = {"ours": ours, "ours_cached": ours_cached, "rasterio": theirs}
                best = dict.fromkeys(makers, (0.0, 0.0))
                for _ in range(rounds):
                    for name, make in makers.items():
                        wall, cpu = samples_per_s(make(corpus, workers))
                        best[name] = (max(best[name][0], wall), max(best[name][1], cpu))
                rows.append({"kind": kind, "workers": workers} | {k: round(v[0]) for k, v in best.items()})
                rows[-1]["times"] = round(best["ours"][0] / best["rasterio"][0], 2)
                rows[-1]["times_cached"] = round(best["ours_cached"][0] / best["rasterio"][0], 2)
                if not workers:
                    rows[-1]["times_cpu"] = round(best["ours"][1] / best["rasterio"][1], 2)
        step = step_samples_per_s(corpus, Path(folder) / "model")
    print(f"{tiles} tiles of 256 pixels, batches of {BATCH}; tiles a second")
    print(f"{'':22}{'workers':>8}{'rasterio':>10}{'ours':>8}{'':>9}{'CPU':>7}{'cached':>9}")
    for r in rows:
        cpu = f"{r['times_cpu']:6.2f}x" if "times_cpu" in r else ""
        print(
            f"{r['kind']:22}{r['workers']:8}{r['rasterio']:10}{r['ours']:8}{r['times']:8.2f}x{cpu:>7}"
            f"{r['ours_cached']:9}{r['times_cached']:8.2f}x"
        )
    print(f"a step of the preset micro takes in {step:.0f} tiles a second (float32, VV VH)")
    figures = {"tiles": tiles, "batch": BATCH, "rows": rows, "micro_step_tiles_per_s": round(step, 1)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
