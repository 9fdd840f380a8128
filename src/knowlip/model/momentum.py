"""A copy of the encoders that follows slowly, and a queue of what it saw last: many steady negatives for contrast.

Sources: He et al., "Momentum contrast", CVPR 2020; Li et al., "Align before fuse" (ALBEF), NeurIPS 2021, for soft
targets; BLIP has both.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.knowlip import KnowLIP


class Momentum(nn.Module):
    """The copy and its queue; all of it is state to be kept in a checkpoint.

    Args:
        model: What is followed; copied here.
        queue: Embeddings kept on each side.
        momentum: Share of itself that the copy keeps in a step.
    """

    images: Tensor
    texts: Tensor
    keys: Tensor
    written: Tensor

    def __init__(self, model: KnowLIP, queue: int, momentum: float = 0.995) -> None:
        super().__init__()
        parts = ("vit", "bert", "vision_proj", "text_proj")
        self.copies = nn.ModuleDict({name: copy.deepcopy(getattr(model, name)) for name in parts})
        self.copies.requires_grad_(False).eval()
        self.momentum = momentum
        self.register_buffer("images", torch.zeros(queue, model.config.projection))
        self.register_buffer("texts", torch.zeros(queue, model.config.projection))
        self.register_buffer("keys", torch.zeros(queue, dtype=torch.long))
        self.register_buffer("written", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True) -> Momentum:
        """The copy always evaluates."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, model: KnowLIP) -> None:
        """One step towards the model."""
        for name, own in self.copies.items():
            for mine, theirs in zip(own.parameters(), getattr(model, name).parameters(), strict=True):
                mine.lerp_(theirs, 1 - self.momentum)

    @torch.no_grad()
    def forward(
        self, pixels: Tensor, channels: Tensor, ids: Tensor, mask: Tensor, geo: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Unit embeddings (B, E) of images and of texts; arguments as those of `KnowLIP`."""
        image = self.copies["vision_proj"](self.copies["vit"](pixels, channels, geo)[:, 0])
        text = self.copies["text_proj"](self.copies["bert"](ids, mask)[:, 0])
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def seen(self) -> tuple[Tensor, Tensor, Tensor]:
        """Images (Q, E), texts (Q, E) and keys (Q,) in the queue, as far as it is filled."""
        n = min(int(self.written), len(self.keys))
        return self.images[:n], self.texts[:n], self.keys[:n]

    @torch.no_grad()
    def push(self, images: Tensor, texts: Tensor, keys: Tensor) -> None:
        """Put a batch (B, E), (B, E), (B,) into the queue in place of the oldest."""
        at = (self.written + torch.arange(len(keys), device=keys.device)) % len(self.keys)
        self.images[at], self.texts[at], self.keys[at] = images, texts, keys
        self.written += len(keys)


def text_keys(ids: Tensor, mask: Tensor) -> Tensor:
    """One number (B,) for each text (B, L), the same for the same tokens however far they are padded.

    A polynomial over the token ids, modulo 2^64: two of the texts of a corpus share one by chance with 2^-64 or so.
    """
    key = torch.zeros(len(ids), dtype=torch.long, device=ids.device)
    for column, there in zip(ids.T, mask.bool().T, strict=True):
        key = torch.where(there, key * 6364136223846793005 + (column + 1) * 1442695040888963407, key)
    return key
