"""Shares of classes in a tile from probabilities of its cells, corrected for what windows of 60 m blur.

Probabilities come from levels over windows that are wider than a house or a street. Where houses stand densely, yards
and lots among them look like houses; in woods, clearings and lanes take more than their part. Both are measured on
simulated scenes of development cities (`knowlip simulate --seed 3` and `--seed 5`), as pairs of expected and true
share. The second is corrected only where a map tells woods from houses among trees, which look alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowlip.hcot.cover.table import CLASSES

Curve = tuple[tuple[float, ...], tuple[float, ...]]

_HOUSES: Curve = ((0, 0.42, 0.55, 0.65, 0.75, 1), (0, 0.42, 0.475, 0.525, 0.56, 0.65))
_WOODS: Curve = ((0, 0.15, 0.25, 0.65, 0.8, 1), (0, 0.16, 0.295, 0.7, 0.82, 1))
_STREETS: Curve = ((0, 0.04, 0.075, 0.13, 1), (0, 0.035, 0.057, 0.08, 0.8))


def corrected_shares(expected: NDArray[np.float64], with_map: bool) -> NDArray[np.float64]:
    """Shares `(6,)` of `CLASSES`, which add up to what they added up to.

    Args:
        expected: `(6,)` means of the cells' probabilities.
        with_map: Whether maps took part in the probabilities.
    """
    shares = expected.copy()
    house, bare = CLASSES.index("building"), CLASSES.index("bare")
    shares[house] = np.interp(expected[house], *_HOUSES)
    shares[bare] += expected[house] - shares[house]
    for name, curve in (("woodland", _WOODS), ("road", _STREETS)) if with_map else ():
        k = CLASSES.index(name)
        value = float(np.interp(shares[k], *curve))
        others = np.arange(len(shares)) != k
        shares[others] *= (shares.sum() - value) / max(float(shares[others].sum()), 1e-9)
        shares[k] = value
    return shares
