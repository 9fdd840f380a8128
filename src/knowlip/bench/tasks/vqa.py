"""Questions about landforms and counts: one linear answer head a question kind, fitted on the training split.

Every model gets the same head, the same answers and the same search over its one setting on the validation split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.bench.metrics import cluster_interval
from knowlip.bench.models import BenchModel
from knowlip.bench.questions import Truth, true_answers
from knowlip.bench.tasks import Row
from knowlip.core.statements import LANDCOVER
from knowlip.corpus.store import Corpus

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse regularisation strengths tried."""
TRUTH = "simulation truth"


def main_landform(corpus: Corpus, model: BenchModel) -> list[Row]:
    """What is the most dominant class in the image?"""
    return _ask(corpus, model, "main landform", lambda t: t.main, _predict_one)


def all_landforms(corpus: Corpus, model: BenchModel) -> list[Row]:
    """What classes are present in the image? Right only when the whole set is."""
    return _ask(corpus, model, "all landforms", lambda t: t.present, _predict_set)


def count(corpus: Corpus, model: BenchModel) -> list[Row]:
    """How many targets are in this image? Of tiles that have any; right only when exact."""
    return _ask(corpus, model, "count", lambda t: t.count, _predict_one)


Predict = Callable[
    [NDArray[np.float32], Sequence[Any], NDArray[np.float32], Sequence[Any], NDArray[np.float32]], list[Any]
]


def _ask(
    corpus: Corpus, model: BenchModel, task: str, answers: Callable[[Truth], Mapping[str, Any]], predict: Predict
) -> list[Row]:
    train, val, test = (answers(true_answers(corpus, split)) for split in ("train", "val", "test"))
    if len(set(train.values())) < 2 or not test:
        return []
    guess = predict(
        model.features(corpus, list(train)),
        list(train.values()),
        model.features(corpus, list(val)) if val else np.zeros((0, 1), np.float32),
        list(val.values()),
        model.features(corpus, list(test)),
    )
    right = np.array([g == a for g, a in zip(guess, test.values(), strict=True)], float)
    usual = Counter(train.values()).most_common(1)[0][0]
    chance = float(np.mean([a == usual for a in test.values()]))
    low, high = cluster_interval(right, [str(corpus.tiles.at[t, "knowlip:scene"]) for t in test])
    return [Row(task, "accuracy", model.name, float(right.mean()), low, high, len(test), chance, TRUTH)]


def _head(x: NDArray[np.float32], y: Sequence[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)).fit(x, y)


def _predict_one(
    x: NDArray[np.float32], y: Sequence[Any], vx: NDArray[np.float32], vy: Sequence[Any], tx: NDArray[np.float32]
) -> list[Any]:
    heads = [_head(x, y, c) for c in STRENGTHS]
    scores = [float(np.mean(h.predict(vx) == np.asarray(vy))) if len(vy) else 0.0 for h in heads]
    best = heads[int(np.argmax(scores))] if len(vy) else heads[len(heads) // 2]
    return [v.item() for v in best.predict(tx)]


def _predict_set(
    x: NDArray[np.float32], y: Sequence[Any], vx: NDArray[np.float32], vy: Sequence[Any], tx: NDArray[np.float32]
) -> list[Any]:
    """Each class present or not for itself; the sets are put together again."""
    answers: list[list[bool]] = []
    for name in LANDCOVER.values():
        has, val_has = [name in a for a in y], [name in a for a in vy]
        answers.append(_predict_one(x, has, vx, val_has, tx) if len(set(has)) > 1 else [has[0]] * len(tx))
    return [
        tuple(n for n, found in zip(LANDCOVER.values(), row, strict=True) if found)
        for row in zip(*answers, strict=True)
    ]
