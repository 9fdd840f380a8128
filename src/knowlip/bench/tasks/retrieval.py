"""Image-text retrieval: which of all test tiles' texts belongs to this tile, and the other way round."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from knowlip.bench.metrics import RECALL_AT, cluster_interval, recalls, retrieval_chance
from knowlip.bench.models import BenchModel
from knowlip.bench.tasks import Row
from knowlip.corpus.store import Corpus

TRUTH = "statements of the evidence engine, round 0"


def tile_texts(corpus: Corpus, split: str) -> dict[str, str]:
    """Each tile's statements of round 0 as one text; tiles without statements are left out."""
    texts: dict[str, list[str]] = defaultdict(list)
    for row in corpus.statements(0, corpus.tile_ids(split)).select(["tile_id", "text"]).to_pylist():
        texts[row["tile_id"]].append(row["text"])
    return {t: " ".join(parts) for t, parts in sorted(texts.items())}


def run(corpus: Corpus, model: BenchModel) -> list[Row]:
    """Recall at 1, 5 and 10 both ways, and their mean, over the whole test split."""
    test, train = tile_texts(corpus, "test"), tile_texts(corpus, "train")
    ids = list(test)
    similarity = model.similarity(corpus, test | train, list(train), ids)
    both = np.stack([recalls(similarity), recalls(similarity.T)], axis=1)
    scenes = [str(corpus.tiles.at[t, "knowlip:scene"]) for t in ids]

    def row(metric: str, values: np.ndarray, chance: float) -> Row:
        low, high = cluster_interval(values, scenes)
        return Row("retrieval", metric, model.name, float(values.mean()), low, high, len(ids), chance, TRUTH)

    rows = [row("mean recall", both.reshape(len(ids), -1).mean(1), retrieval_chance(len(ids)))]
    for way, name in enumerate(("image to text", "text to image")):
        rows += [row(f"{name} R@{k}", both[:, way, j], min(k, len(ids)) / len(ids)) for j, k in enumerate(RECALL_AT)]
    return rows
