"""Contrast of images and texts, and the two objectives that are nothing else: CLIP and SigLIP.

Sources: Radford et al. 2021, "Learning transferable visual models from natural language supervision" (CLIP); Zhai et
al. 2023, "Sigmoid loss for language image pre-training" (SigLIP).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.knowlip import KnowLIP
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch
from knowlip.training.objectives.objective import Losses, Moment, Objective, first_token
from knowlip.training.ranks import gather


def same_text(ids: Tensor) -> Tensor:
    """Token ids `(B, L)` to `(B, B)`, True where two texts are the same to the word."""
    return (ids[:, None] == ids[None]).all(-1)


def contrastive_loss(similarity: Tensor, same: Tensor) -> Tensor:
    """InfoNCE in both directions over scaled similarities `(B, B)`; rows that are the `same` share the target."""
    target = same.float() / same.sum(1, keepdim=True)
    return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2


def sigmoid_loss(logits: Tensor, same: Tensor) -> Tensor:
    """SigLIP's loss over logits `(B, B)`: every pair is a yes-or-no question; summed over rows' pairs, averaged."""
    return -F.logsigmoid(logits * (2.0 * same - 1.0)).sum(1).mean()


class Clip(Objective):
    """Contrast alone; every other pair of the batch is a wrong one, as published."""

    reported = ("itc", "total")
    contrasts = True

    def forward(self, batch: Batch, moment: Moment) -> Losses:
        """The contrastive loss of all ranks' batches."""
        _, image = self.model.encode_image(batch.pixels, batch.channels, batch.geo, keep=self.config.loss.keep_patches)
        _, text = self.model.encode_text(batch.ids, batch.mask, at=first_token(batch))
        image, text = gather(image), gather(text)
        if moment.bank:
            image, text = moment.bank.with_live(image, text)
        with torch.autocast(image.device.type, enabled=False):
            itc = self.contrast(self.model.scale() * image.float() @ text.float().T)
        return {"itc": itc, "total": itc}

    def contrast(self, similarity: Tensor) -> Tensor:
        """The loss over scaled similarities `(B, B)`, whose diagonal are the pairs."""
        return contrastive_loss(similarity, torch.eye(len(similarity), device=similarity.device).bool())


class SigLip(Clip):
    """As CLIP with the sigmoid loss, and temperature and bias as published at the start."""

    def __init__(self, model: KnowLIP, config: PretrainConfig, mask_id: int) -> None:
        super().__init__(model, config, mask_id)
        nn.init.constant_(model.logit_scale, math.log(10))
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def contrast(self, similarity: Tensor) -> Tensor:
        """The loss over scaled similarities `(B, B)`, whose diagonal are the pairs."""
        return sigmoid_loss(similarity + self.bias, torch.eye(len(similarity), device=similarity.device).bool())
