"""BLIP: contrast, matching, and a language model that writes the text from the image.

Source: Li et al. 2022, "BLIP: bootstrapping language-image pre-training". Its queue and
soft targets are `loss.queue` and `loss.soft_targets`, off by default: the batch is gathered over ranks and parts
instead.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.bert import BertAttention, BertLayer
from knowlip.model.knowlip import KnowLIP
from knowlip.model.vit import Block
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch
from knowlip.training.objectives.knowlip import KnowLipObjective, Pairs
from knowlip.training.objectives.objective import Losses, Moment
from knowlip.training.ranks import ranks, total

LABEL_SMOOTHING = 0.1


class Blip(KnowLipObjective):
    """As `knowlip` with all words written one after the other in place of slots filled.

    The writer shares everything with the text encoder but its self-attention, which looks back only. Its head is the
    model's, so the model knows words by it.
    """

    reported = ("itc", "itm", "lm", "total")
    chance_negatives = 0.0
    # the writer takes the text layers apart, so they are gathered whole
    sharded = (Block,)

    def __init__(self, model: KnowLIP, config: PretrainConfig, mask_id: int) -> None:
        super().__init__(model, config, mask_id)
        attentions = [layer.attention for layer in model.bert.encoder.layer if isinstance(layer, BertLayer)]
        self.attention = nn.ModuleList(map(copy.deepcopy, attentions))

    @property
    def attentions(self) -> list[BertAttention]:
        """The writer's self-attention of each text layer."""
        return [a for a in self.attention if isinstance(a, BertAttention)]

    def forward(self, batch: Batch, moment: Moment) -> Losses:
        """The losses of a batch."""
        losses = super().forward(batch, moment)
        return {"lm" if name == "mlm" else name: loss for name, loss in losses.items()}

    def language(self, pairs: Pairs, generator: torch.Generator) -> Tensor:
        """LM: each word from those before it and the image."""
        batch = pairs.batch
        hidden = self.write(batch.ids[:, :-1], pairs.tokens)
        there = batch.mask[:, 1:].bool()
        count = there.sum()
        lm = F.cross_entropy(
            self.model.mlm_logits(hidden[there]), batch.ids[:, 1:][there], label_smoothing=LABEL_SMOOTHING
        )
        return lm * (ranks() * count / total(count))

    def write(self, ids: Tensor, image_tokens: Tensor) -> Tensor:
        """Token ids `(B, L)` and image tokens `(B, N, Dv)` to hidden tokens `(B, L, D)`, each of what is before it."""
        bert = self.model.bert
        x: Tensor = bert.embeddings(ids)
        back = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()[None, None]
        for layer, attention in zip(bert.encoder.layer, self.attentions, strict=True):
            assert isinstance(layer, BertLayer)
            x = attention(x, x, back)
            if layer.crossattention is not None:
                x = layer.crossattention(x, image_tokens, None)
            x = layer.output(layer.intermediate(x), x)
        return x
