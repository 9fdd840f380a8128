"""Answer heads: small networks that read patches, add up over the image, and learn from answers about whole images.

The questions are about sums over an image: which class covers most of it, which cover enough, how many targets are in
it. So a head judges each patch for itself and then adds, as in multiple-instance learning: landforms as the mean of the
patches' class probabilities, targets as the sum of their expected numbers. Every compared model gets the same heads.

Sources: Ilse et al. 2018, "Attention-based deep multiple instance learning" (the setting); Lempitsky, Zisserman 2010,
"Learning to count objects in images" (a density whose sum is the count).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 300, 32, 1e-2, 1e-2
HIDDEN, DROPOUT, MEMBERS = 32, 0.2, 2
SHARPNESS = 4.0
"""Power of the shares before they are compared with the dominant class, which is asked to be largest, not to be all."""
SMALLEST_SHARE, FEWEST_TARGETS = 1e-4, 1e-3


class PatchHead(nn.Module):
    """One hidden layer over the patches, without regard to where they lie."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.judge = nn.Sequential(
            nn.Linear(features, HIDDEN), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, outputs)
        )


class LandformHead(PatchHead):
    """Each patch's class probabilities, averaged to the classes' shares of the image."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes)
        # a class is there from some share on; which, and how sharply, is learned for each
        self.slope = nn.Parameter(torch.full((classes,), 2.0))
        self.offset = nn.Parameter(torch.full((classes,), 5.0))

    def forward(self, x: Tensor) -> Tensor:
        """Patches (B, P, F) to logits of being dominant and of being there (B, 2, K)."""
        share = (self.judge(x).softmax(-1).mean(1) + SMALLEST_SHARE).log()
        return torch.stack([SHARPNESS * share, self.slope * share + self.offset], 1)


class CountHead(PatchHead):
    """Each patch's expected number of targets, added."""

    def __init__(self, features: int, mean: float) -> None:
        super().__init__(features, 1)
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        """Patches (B, P, F) to expected numbers (B,)."""
        # begins at the mean, spread over all patches
        return F.softplus(self.judge(x)[..., 0] - 3).mean(1) * (self.mean / 0.049) + FEWEST_TARGETS


def landform_loss(logits: Tensor, answers: Tensor) -> Tensor:
    """Cross entropy of both questions; answers (B, 2, K) are one-hot and several-hot."""
    dominant = F.cross_entropy(logits[:, 0], answers[:, 0])
    return dominant + F.binary_cross_entropy_with_logits(logits[:, 1], answers[:, 1])


def count_loss(expected: Tensor, answers: Tensor) -> Tensor:
    """Negative log likelihood of Poisson counts (B,)."""
    return F.poisson_nll_loss(expected, answers, log_input=False)


def fit_predict(
    make: Callable[[int], nn.Module],
    loss: Callable[[Tensor, Tensor], Tensor],
    x: NDArray[np.float32],
    answers: NDArray[np.float32],
    asked: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Fit heads from different seeds, and average what they say.

    Args:
        make: A fresh head for a number of features.
        x: Patches `(N, P, F)` of the images that are learned from.
        answers: Their answers `(N, …)`.
        asked: Patches `(M, P, F)` of the images that are asked about.

    Returns:
        The heads' mean output `(M, …)`.
    """
    mean, spread = x.mean((0, 1)), x.std((0, 1))
    # a feature that never changes while learning says nothing, whatever it does later
    told = spread > 1e-6
    learned, new = (torch.from_numpy((part[..., told] - mean[told]) / spread[told]) for part in (x, asked))
    target = torch.from_numpy(answers)
    with torch.random.fork_rng(devices=[]):
        found = [_fit(make, loss, learned, target, seed)(new) for seed in range(MEMBERS)]
    return torch.stack(found).mean(0).numpy()


def _fit(
    make: Callable[[int], nn.Module], loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, target: Tensor, seed: int
) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(seed)
    head = make(x.shape[-1]).train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = torch.randperm(len(x))[:BATCH]
        optimizer.zero_grad()
        loss(head(x[chosen]), target[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    head.eval()

    @torch.inference_mode()
    def answer(asked: Tensor) -> Tensor:
        out: Tensor = head(asked)
        return out

    return answer
