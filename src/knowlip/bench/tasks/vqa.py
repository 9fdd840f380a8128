"""Questions about landforms and counts, answered by heads over a model's frozen patches.

Every model gets the same heads, fitted in the same way on the true answers of the training and validation splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from knowlip.bench.heads import CountHead, LandformHead, count_loss, fit_predict, landform_loss
from knowlip.bench.metrics import cluster_interval
from knowlip.bench.models import BenchModel
from knowlip.bench.questions import Truth, true_answers
from knowlip.bench.tasks import Row
from knowlip.core.statements import LANDCOVER
from knowlip.corpus.store import Corpus

TRUTH = "simulation truth"
CLASSES = list(LANDCOVER.values())


def main_landform(corpus: Corpus, model: BenchModel) -> list[Row]:
    """What is the most dominant class in the image?"""
    return _ask(corpus, model, "main landform", lambda t: t.main, lambda: _landforms(corpus, model).main)


def all_landforms(corpus: Corpus, model: BenchModel) -> list[Row]:
    """What classes are present in the image? Right only when the whole set is."""
    return _ask(corpus, model, "all landforms", lambda t: t.present, lambda: _landforms(corpus, model).present)


def count(corpus: Corpus, model: BenchModel) -> list[Row]:
    """How many targets are in this image? Of tiles that have any; right only when exact."""

    def of_tiles_with_any(truth: Truth) -> dict[str, int]:
        return {t: n for t, n in truth.count.items() if n}

    return _ask(corpus, model, "count", of_tiles_with_any, lambda: _counts(corpus, model))


def _ask(
    corpus: Corpus,
    model: BenchModel,
    task: str,
    answers: Callable[[Truth], Mapping[str, Any]],
    guess: Callable[[], Mapping[str, Any]],
) -> list[Row]:
    train, val, test = (answers(true_answers(corpus, split)) for split in ("train", "val", "test"))
    if len(set(train.values())) < 2 or not test:
        return []
    guessed = guess()
    right = np.array([guessed[t] == a for t, a in test.items()], float)
    usual = Counter([*train.values(), *val.values()]).most_common(1)[0][0]
    chance = float(np.mean([a == usual for a in test.values()]))
    low, high = cluster_interval(right, [str(corpus.tiles.at[t, "knowlip:scene"]) for t in test])
    return [Row(task, "accuracy", model.name, float(right.mean()), low, high, len(test), chance, TRUTH)]


def _known(corpus: Corpus) -> Truth:
    """What heads may learn from."""
    train, val = (true_answers(corpus, split) for split in ("train", "val"))
    return Truth(train.main | val.main, train.present | val.present, train.count | val.count)


@lru_cache(maxsize=1)
def _landforms(corpus: Corpus, model: BenchModel) -> Truth:
    """Both landform questions for the test tiles, from one fit."""
    known, test = _known(corpus), list(true_answers(corpus, "test").main)
    answers = np.array(
        [[[c == main for c in CLASSES], [c in known.present[t] for c in CLASSES]] for t, main in known.main.items()],
        np.float32,
    )
    x, asked = model.patches(corpus, list(known.main)), model.patches(corpus, test)
    logits = fit_predict(lambda f: LandformHead(f, len(CLASSES)), landform_loss, x, answers, asked)
    main = {t: CLASSES[i] for t, i in zip(test, logits[:, 0].argmax(1), strict=True)}
    present = {
        t: tuple(c for c, there in zip(CLASSES, row, strict=True) if there)
        for t, row in zip(test, logits[:, 1] > 0, strict=True)
    }
    return Truth(main, present, {})


def _counts(corpus: Corpus, model: BenchModel) -> dict[str, int]:
    """Numbers of targets of the test tiles; tiles without any are learned from, but not asked."""
    known, test = _known(corpus).count, [t for t, n in true_answers(corpus, "test").count.items() if n]
    answers = np.array(list(known.values()), np.float32)
    x, asked = model.patches(corpus, list(known)), model.patches(corpus, test)
    expected = fit_predict(lambda f: CountHead(f, float(answers.mean())), count_loss, x, answers, asked)
    # the likeliest number of a Poisson distribution is its mean, rounded down
    return {t: max(1, int(n)) for t, n in zip(test, expected, strict=True)}
