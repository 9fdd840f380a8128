"""What an objective is: the model and whatever else it trains, and from a batch its losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from knowlip.model.bert import BertLayer
from knowlip.model.knowlip import KnowLIP
from knowlip.model.vit import Block
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch
from knowlip.training.ranks import gather

Losses = dict[str, Tensor]
"""Scalars of one step by name; `total` is what is minimised."""


@dataclass(frozen=True)
class Bank:
    """Embeddings of a whole step whose tiles are passed in parts, made beforehand and without gradient.

    Source: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup" (GradCache).

    Attributes:
        image, text: `(B, E)` unit embeddings of all parts.
        ids: `(B, L)` token ids.
        part, parts: The part that is being passed, of how many.
    """

    image: Tensor
    text: Tensor
    ids: Tensor
    part: int = 0
    parts: int = 1

    def with_live(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """All embeddings, those of the part at hand with gradient.

        The loss over all of them is taken once for each part, and the parts' losses are averaged; the hook undoes the
        average, so that the gradients of the parts add up to that of the whole.
        """
        first, stop = self.part * len(image), (self.part + 1) * len(image)
        whole = []
        for live, kept in ((image, self.image), (text, self.text)):
            if live.requires_grad:
                live.register_hook(lambda gradient: gradient * self.parts)  # type: ignore[no-untyped-call]
            whole.append(torch.cat([kept[:first], live, kept[stop:]]))
        return whole[0], whole[1]


@dataclass(frozen=True)
class Moment:
    """Where in the run a step is.

    Attributes:
        step: Steps done before.
        total_steps: Steps that the schedule is laid out for.
        generator: Chance of the step, on the processor and the same on every rank.
        bank: Embeddings of all tiles of the step, where they are passed in parts.
    """

    step: int
    total_steps: int
    generator: torch.Generator
    bank: Bank | None = None


class Objective(nn.Module):
    """Something to learn. Its parameters are the model's and those it needs beside it, which are not kept.

    With several ranks a batch is this rank's share; contrast is over the gathered embeddings of all, and each rank's
    `total` is so scaled that the mean over ranks is the loss of the whole batch.
    """

    reported: ClassVar[tuple[str, ...]]
    """Names of the losses, `total` last."""
    contrasts: bool = False
    """Whether tiles are compared with the texts of all others in the step, so that parts need a `Bank`."""
    sharded: ClassVar[tuple[type[nn.Module], ...]] = (Block, BertLayer)
    """Modules whose weights are gathered one at a time under FSDP."""

    def __init__(self, model: KnowLIP, config: PretrainConfig, mask_id: int) -> None:
        super().__init__()
        self.model, self.config, self.mask_id = model, config, mask_id

    def forward(self, batch: Batch, moment: Moment) -> Losses:
        """The losses of a batch."""
        raise NotImplementedError

    @torch.no_grad()
    def embed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Unit embeddings of images and texts `(B, E)` and token ids `(B, L)` of all ranks' batches, for a `Bank`."""
        _, image = self.model.encode_image(batch.pixels, batch.channels, batch.geo, keep=self.config.loss.keep_patches)
        _, text = self.model.encode_text(batch.ids, batch.mask, at=first_token(batch))
        return gather(image), gather(text), gather(batch.ids)

    def after_step(self, moment: Moment) -> None:
        """Called when the weights have been stepped."""


def first_token(batch: Batch) -> Tensor:
    """Position of CLS in each text `(B, 1)`."""
    return batch.ids.new_zeros(len(batch.ids), 1)
