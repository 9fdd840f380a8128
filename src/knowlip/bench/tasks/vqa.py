"""Questions about landforms and counts: one linear answer head a question kind, fitted on the training split.

Every model gets the same head, the same answers, and the same search over its one setting: cross-validation over the
scenes of the training and validation splits.
"""

from __future__ import annotations

import warnings
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

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse regularisation strengths tried."""
FOLDS = 4
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


Fit = Callable[[NDArray[np.float32], Sequence[Any], Sequence[str], NDArray[np.float32]], list[Any]]
"""Training features, answers and scenes, and test features, to test answers."""


def _ask(
    corpus: Corpus, model: BenchModel, task: str, answers: Callable[[Truth], Mapping[str, Any]], fit: Fit
) -> list[Row]:
    train, val, test = (answers(true_answers(corpus, split)) for split in ("train", "val", "test"))
    known = {**train, **val}
    if len(set(train.values())) < 2 or not test:
        return []

    def scenes(tiles: Mapping[str, Any]) -> list[str]:
        return [str(corpus.tiles.at[t, "knowlip:scene"]) for t in tiles]

    x, tx = model.features(corpus, list(known)), model.features(corpus, list(test))
    guess = fit(x, list(known.values()), scenes(known), tx)
    right = np.array([g == a for g, a in zip(guess, test.values(), strict=True)], float)
    usual = Counter(known.values()).most_common(1)[0][0]
    chance = float(np.mean([a == usual for a in test.values()]))
    low, high = cluster_interval(right, scenes(test))
    return [Row(task, "accuracy", model.name, float(right.mean()), low, high, len(test), chance, TRUTH)]


def _head(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))


def _predict_one(x: NDArray[np.float32], y: Sequence[Any], scenes: Sequence[str], tx: NDArray[np.float32]) -> list[Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GroupKFold

    folds = list(GroupKFold(min(FOLDS, len(set(scenes)))).split(x, y, scenes)) if len(set(scenes)) > 1 else []
    target = np.asarray(y)

    def held_out(strength: float) -> float:
        usable = [(a, b) for a, b in folds if len(set(target[a].tolist())) > 1]
        return float(
            np.mean(
                [(_head(strength).fit(x[a], target[a]).predict(x[b]) == target[b]).mean() for a, b in usable] or [0.0]
            )
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        best = max(STRENGTHS, key=held_out)
        return [v.item() for v in _head(best).fit(x, target).predict(tx)]


def _predict_set(x: NDArray[np.float32], y: Sequence[Any], scenes: Sequence[str], tx: NDArray[np.float32]) -> list[Any]:
    """Each class present or not for itself; the sets are put together again."""
    answers: list[list[bool]] = []
    for name in LANDCOVER.values():
        has = [name in a for a in y]
        answers.append(_predict_one(x, has, scenes, tx) if len(set(has)) > 1 else [has[0]] * len(tx))
    return [
        tuple(n for n, found in zip(LANDCOVER.values(), row, strict=True) if found)
        for row in zip(*answers, strict=True)
    ]
