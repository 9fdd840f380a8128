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

STRENGTHS = (0.1, 1.0)
"""Inverse regularisation strengths tried."""
FOLDS = 3
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


Levels = list[NDArray[np.float32]]
Fit = Callable[[Levels, Sequence[Any], Sequence[str], Levels], list[Any]]
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


def _head(x: NDArray[np.float32], y: NDArray[Any], strength: float) -> Any:
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        VarianceThreshold(), StandardScaler(), LogisticRegression(C=strength, max_iter=200, tol=1e-3)
    ).fit(x, y)


def _predict_one(x: Levels, y: Sequence[Any], scenes: Sequence[str], tx: Levels) -> list[Any]:
    """One head a level, each at its best strength by cross-validation over scenes; their probabilities are averaged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GroupKFold

    target = np.asarray(y)
    groups = min(FOLDS, len(set(scenes)))
    folds = list(GroupKFold(groups).split(target, target, scenes)) if groups > 1 else []
    usable = [(a, b) for a, b in folds if len(set(target[a].tolist())) > 1]

    def best_head(level: NDArray[np.float32]) -> Any:
        def held_out(strength: float) -> float:
            scores = [(_head(level[a], target[a], strength).predict(level[b]) == target[b]).mean() for a, b in usable]
            return float(np.mean(scores or [0.0]))

        return _head(level, target, max(STRENGTHS, key=held_out))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        heads = [best_head(level) for level in x]
        chance = np.mean([h.predict_proba(level) for h, level in zip(heads, tx, strict=True)], axis=0)
    return [v.item() for v in heads[0].classes_[chance.argmax(1)]]


def _predict_set(x: Levels, y: Sequence[Any], scenes: Sequence[str], tx: Levels) -> list[Any]:
    """Each class present or not for itself; the sets are put together again."""
    answers: list[list[bool]] = []
    for name in LANDCOVER.values():
        has = [name in a for a in y]
        answers.append(_predict_one(x, has, scenes, tx) if len(set(has)) > 1 else [has[0]] * len(tx[0]))
    return [
        tuple(n for n, found in zip(LANDCOVER.values(), row, strict=True) if found)
        for row in zip(*answers, strict=True)
    ]
