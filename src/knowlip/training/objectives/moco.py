"""MoCo v3: two views of a tile agree, through a slowly following copy of the encoder.

Source: Chen et al. 2021, "An empirical study of training self-supervised vision transformers" (MoCo v3). Views are
those that radar allows: crops, flips, the level, and speckle, in place of colours and blur.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.knowlip import KnowLIP
from knowlip.model.stems import PatchStem
from knowlip.model.vit import Block
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch
from knowlip.training.objectives.objective import Losses, Moment, Objective
from knowlip.training.ranks import gather, rank, ranks

TEMPERATURE = 0.2
HIDDEN, EMBEDDING = 4096, 256
LEAST_CROP = 0.2
"""Smallest crop, share of the tile's area."""


class MoCoV3(Objective):
    """Symmetric contrast of each view with the other view's key from the momentum encoder.

    Heads see the features of all ranks together, so batch norm is over the whole batch on any number of ranks.
    """

    reported = ("contrast", "total")
    sharded = (Block,)

    def __init__(self, model: KnowLIP, config: PretrainConfig, mask_id: int) -> None:
        super().__init__(model, config, mask_id)
        width = model.config.vit.width
        hidden = min(HIDDEN, 4 * width)
        self.projector = head([width, hidden, hidden, EMBEDDING])
        self.predictor = head([EMBEDDING, hidden, EMBEDDING])
        self.slow = copy.deepcopy(nn.ModuleList([model.vit, self.projector])).requires_grad_(False)
        if isinstance(model.vit.patch_embed, PatchStem):
            # a strided projection of patches that learns makes training unstable, as published
            model.vit.patch_embed.requires_grad_(False)

    def forward(self, batch: Batch, moment: Moment) -> Losses:
        """The contrastive loss of all ranks' batches."""
        views = [seen_from(batch.pixels, moment.generator) for _ in range(2)]
        queries, keys = [], []
        slow_vit, slow_projector = self.slow
        for view in views:
            features = gather(self.model.vit(view, batch.channels, batch.geo)[:, 0])
            queries.append(self.predictor(self.projector(features)))
            with torch.no_grad():
                keys.append(slow_projector(gather(slow_vit(view, batch.channels)[:, 0])))
        with torch.autocast(batch.pixels.device.type, enabled=False):
            loss = info_nce(queries[0], keys[1]) + info_nce(queries[1], keys[0])
        return {"contrast": loss, "total": loss}

    @torch.no_grad()
    def after_step(self, moment: Moment) -> None:
        """Move the slow copy towards the encoder; its momentum rises to 1 on a cosine."""
        done = min(1.0, moment.step / max(1, moment.total_steps))
        momentum = 1 - (1 - self.config.loss.momentum) * (1 + math.cos(math.pi * done)) / 2
        fast: list[Tensor] = [*self.model.vit.parameters(), *self.projector.parameters()]
        torch._foreach_lerp_([*self.slow.parameters()], fast, 1 - momentum)


def info_nce(query: Tensor, key: Tensor) -> Tensor:
    """Contrast of queries with keys `(B, E)` of the same row, scaled by twice the temperature, as published."""
    similarity = F.normalize(query.float(), dim=1) @ F.normalize(key.float(), dim=1).T / TEMPERATURE
    return 2 * TEMPERATURE * F.cross_entropy(similarity, torch.arange(len(query), device=query.device))


def head(widths: list[int]) -> nn.Sequential:
    """Linear layers with batch norm and ReLU between them, and a batch norm without weights at the end."""
    layers: list[nn.Module] = []
    for i, (width, wider) in enumerate(pairwise(widths)):
        last = i == len(widths) - 2
        layers += [
            nn.Linear(width, wider, bias=False),
            nn.BatchNorm1d(wider, affine=not last, track_running_stats=False),
        ]
        layers += [] if last else [nn.ReLU()]
    return nn.Sequential(*layers)


def seen_from(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Another view of images `(B, C, H, W)`: a crop of the same size, flipped or not.

    Speckle is new in every step already; a view has a level of its own, moved by up to half a spread.
    """
    n, whole = len(pixels), len(pixels) * ranks()
    chance = torch.rand(whole, 6, generator=generator)[rank() * n :][:n].to(pixels.device)
    side = (LEAST_CROP + (1 - LEAST_CROP) * chance[:, 0]).sqrt()
    shift = (2 * chance[:, 1:3] - 1) * (1 - side)[:, None]
    flips = torch.where(chance[:, 3:5] < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=pixels.device)
    theta[:, 0, 0], theta[:, 1, 1] = side * flips[:, 0], side * flips[:, 1]
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    seen = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    return seen + (chance[:, 5] - 0.5)[:, None, None, None]
