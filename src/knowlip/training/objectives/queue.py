"""Contrast with embeddings of earlier steps, made by copies of the encoders that follow slowly.

Source: Li et al. 2021, "Align before fuse" (ALBEF), section 3.3, as BLIP and SAR-KnowLIP take it over: momentum .995, a
queue of 57,600 and soft targets of .4.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.knowlip import KnowLIP
from knowlip.training.config import LossConfig
from knowlip.training.data import Batch
from knowlip.training.ranks import gather


class QueueContrast(nn.Module):
    """ITC against the batch of all ranks and a queue of what came before it.

    Args:
        model: What is trained; the copies begin as it is.
        config: Length of the queue, momentum and share of soft targets.
    """

    image: Tensor
    text: Tensor
    filled: Tensor

    def __init__(self, model: KnowLIP, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.vit, self.bert = copy.deepcopy(model.vit), copy.deepcopy(model.bert)
        self.vision_proj, self.text_proj = copy.deepcopy(model.vision_proj), copy.deepcopy(model.text_proj)
        self.requires_grad_(False)
        empty = torch.zeros(config.queue, model.config.projection)
        self.register_buffer("image", empty)
        self.register_buffer("text", empty.clone())
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, batch: Batch, image: Tensor, text: Tensor, scale: Tensor, same: Tensor) -> Tensor:
        """The contrastive loss; the batch's own slow embeddings join the queue.

        Args:
            batch: This rank's batch.
            image, text: `(B, E)` unit embeddings of all ranks.
            scale: Inverse temperature.
            same: `(B, B)` True where two texts are the same.
        """
        with torch.no_grad():
            slow_image, slow_text = self._embed(batch)
        with torch.autocast(image.device.type, enabled=False):
            return self._loss(image, text, slow_image, slow_text, scale, same)

    def _loss(
        self, image: Tensor, text: Tensor, slow_image: Tensor, slow_text: Tensor, scale: Tensor, same: Tensor
    ) -> Tensor:
        with torch.no_grad():
            images = torch.cat([slow_image, self.image[: int(self.filled)]])
            texts = torch.cat([slow_text, self.text[: int(self.filled)]])
            pairs = F.pad(same.float(), (0, len(images) - len(same)))
            pairs = pairs / pairs.sum(1, keepdim=True)
            soft = self.config.soft_targets
            to_text = soft * (scale * slow_image @ texts.T).softmax(1) + (1 - soft) * pairs
            to_image = soft * (scale * slow_text @ images.T).softmax(1) + (1 - soft) * pairs
        loss = F.cross_entropy(scale * image @ texts.T, to_text) + F.cross_entropy(scale * text @ images.T, to_image)
        # newest first; what is beyond the end is forgotten
        self.image.copy_(torch.cat([slow_image, self.image])[: self.config.queue])
        self.text.copy_(torch.cat([slow_text, self.text])[: self.config.queue])
        self.filled.copy_((self.filled + len(slow_image)).clamp(max=self.config.queue))
        return loss / 2

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        image = self.vit(batch.pixels, batch.channels, batch.geo)[:, 0]
        text = self.bert(batch.ids, batch.mask, at=batch.ids.new_zeros(len(batch.ids), 1))[:, 0]
        image, text = F.normalize(self.vision_proj(image), dim=-1), F.normalize(self.text_proj(text), dim=-1)
        return gather(image.float()), gather(text.float())

    @torch.no_grad()
    def follow(self, model: KnowLIP) -> None:
        """Move the copies towards the model."""
        for name in ("vit", "bert", "vision_proj", "text_proj"):
            slow, fast = [*getattr(self, name).parameters()], [*getattr(model, name).parameters()]
            torch._foreach_lerp_(slow, fast, 1 - self.config.queue_momentum)
