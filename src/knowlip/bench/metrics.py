"""Figures, chance levels and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RECALL_AT = (1, 5, 10)


def recalls(similarity: NDArray[np.floating]) -> NDArray[np.float64]:
    """Recall at 1, 5 and 10 of each row's own column, per query `(N, 3)`.

    A row whose own column ties with others gets the expectation under a random order of the tied, so that identical
    texts neither help nor hurt.

    Args:
        similarity: `(N, N)`, row i belongs to column i.
    """
    own = np.diag(similarity)[:, None]
    above, tied = (similarity > own).sum(1), (similarity == own).sum(1)
    k = np.array(RECALL_AT)[None]
    expected: NDArray[np.float64] = np.clip((k - above[:, None]) / tied[:, None], 0, 1)
    return expected


def retrieval_chance(n: int) -> float:
    """Mean recall of a random order of n."""
    return float(np.mean([min(k, n) / n for k in RECALL_AT]))


def cluster_interval(
    values: NDArray[np.float64],
    clusters: Sequence[str],
    statistic: Callable[[NDArray[np.float64]], float] = np.mean,
    draws: int = 1000,
) -> tuple[float, float]:
    """A 95 % bootstrap interval that draws whole clusters (scenes), as tiles of one scene are alike.

    Source: Field, Welsh 2007, "Bootstrapping clustered data".

    Args:
        values: Per-item results `(N, …)`.
        clusters: The cluster of each item.
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(index == i) for i in range(len(names))]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        chosen = np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])
        found.append(statistic(values[chosen]))
    return float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))
