"""The three losses of pretraining: contrast (ITC), matching with hard negatives (ITM), slot filling (MLM).

Sources: Li et al. 2022, "BLIP" (ITC, ITM with hard negatives); SAR-KnowLIP, arXiv 2509.23927 (masking the slot words).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from knowlip.model.knowlip import KnowLIP
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch
from knowlip.training.objectives.contrast import contrastive_loss, same_text
from knowlip.training.objectives.objective import Losses, Moment, Objective, first_token
from knowlip.training.objectives.queue import QueueContrast
from knowlip.training.ranks import gather, rank, ranks, total


class KnowLipObjective(Objective):
    """Contrast, matching and slot filling; contrast alone in the first share of the steps."""

    reported = ("itc", "itm", "mlm", "total")
    contrasts = True
    chance_negatives = 0.5
    """Share of the wrong pairs drawn by chance rather than by similarity; hard ones alone are too hard for a head that
    has learned nothing yet."""

    def __init__(self, model: KnowLIP, config: PretrainConfig, mask_id: int) -> None:
        super().__init__(model, config, mask_id)
        self.queue = QueueContrast(model, config.loss) if config.loss.queue else None
        self.contrasts = self.queue is None

    def forward(self, batch: Batch, moment: Moment) -> Losses:
        """The losses of a batch; ITM and MLM are 0 while contrast goes alone."""
        weights, model = self.config.loss, self.model
        tokens, image = model.encode_image(batch.pixels, batch.channels, batch.geo, keep=weights.keep_patches)
        lower = model.text_lower(batch.ids, batch.mask)
        _, text = model.encode_text(batch.ids, batch.mask, lower=lower, at=first_token(batch))
        pairs = Pairs(batch, tokens, lower, gather(image), gather(text))
        itc = self.contrast(pairs, moment)
        if moment.step < weights.contrast_first * self.config.optim.steps:
            none = itc.new_zeros(())
            return {"itc": itc, "itm": none, "mlm": none, "total": weights.itc * itc}
        itm = self.matching(pairs, moment.generator)
        mlm = self.language(pairs, moment.generator)
        return {"itc": itc, "itm": itm, "mlm": mlm, "total": weights.itc * itc + weights.itm * itm + weights.mlm * mlm}

    def contrast(self, pairs: Pairs, moment: Moment) -> Tensor:
        """ITC: tiles whose texts are the same to the word share the target."""
        if self.queue is not None:
            same = same_text(gather(pairs.batch.ids))
            queued: Tensor = self.queue(pairs.batch, pairs.image.float(), pairs.text.float(), self.model.scale(), same)
            return queued
        if not moment.bank:
            return contrastive_loss(self.similarity(pairs.image, pairs.text), same_text(gather(pairs.batch.ids)))
        image, text = moment.bank.with_live(pairs.image, pairs.text)
        return contrastive_loss(self.similarity(image, text), same_text(moment.bank.ids))

    def after_step(self, moment: Moment) -> None:
        """The queue's copies follow."""
        if self.queue is not None:
            self.queue.follow(self.model)

    def similarity(self, image: Tensor, text: Tensor) -> Tensor:
        """Scaled cosine similarities `(B, B)` of embeddings `(B, E)`."""
        with torch.autocast(image.device.type, enabled=False):
            return self.model.scale() * image.float() @ text.float().T

    def matching(self, pairs: Pairs, generator: torch.Generator) -> Tensor:
        """ITM: each pair, each image with a hard wrong text, each text with a hard wrong image."""
        batch, n = pairs.batch, len(pairs.tokens)
        ids, own = gather(batch.ids), rank() * n
        with torch.no_grad():
            similarity, same = self.similarity(pairs.image, pairs.text).cpu(), same_text(ids).cpu()
            wrong_text = hard_negatives(similarity, same, generator, self.chance_negatives)
            wrong_image = hard_negatives(similarity.T, same, generator, self.chance_negatives)
        rows = torch.arange(own, own + n)
        texts = torch.cat([rows, wrong_text[own : own + n], rows]).to(ids.device)
        images = torch.cat([rows, rows, wrong_image[own : own + n]]).to(ids.device)
        fused = self.model.fuse(
            ids[texts],
            gather(batch.mask.byte())[texts],
            gather(pairs.tokens)[images],
            lower=gather(pairs.lower)[texts],
            at=first_token(batch).repeat(3, 1),
        )
        matched = torch.cat([ids.new_ones(n), ids.new_zeros(2 * n)])
        return F.cross_entropy(self.model.itm_logits(fused), matched)

    def language(self, pairs: Pairs, generator: torch.Generator) -> Tensor:
        """MLM: whole slots are masked, never parts of one."""
        batch, share = pairs.batch, self.config.loss.mask_slots
        # chance is drawn for the texts of all ranks, so that a text's is the same however many share the batch
        most, n = int(gather(batch.slots).max()) + 1, len(batch.ids)
        chosen = torch.rand(n * ranks(), most, generator=generator)[rank() * n :][:n] < share
        hidden_ids, at, wanted = mask_slots(batch.ids, batch.slots, chosen.to(batch.ids.device), self.mask_id)
        filled = self.model.fuse(hidden_ids, batch.mask, pairs.tokens, at=at)
        keep = wanted >= 0
        count = keep.sum()
        if not count:
            return filled.sum() * 0
        mlm = F.cross_entropy(self.model.mlm_logits(filled[keep]), wanted[keep])
        return mlm * (ranks() * count / total(count))


@dataclass(frozen=True)
class Pairs:
    """A batch, encoded.

    Attributes:
        batch: This rank's images and texts.
        tokens: `(B, N, Dv)` image tokens of this rank.
        lower: `(B, L, D)` text tokens of this rank below the first cross-attention.
        image, text: `(ranks * B, E)` unit embeddings of all ranks.
    """

    batch: Batch
    tokens: Tensor
    lower: Tensor
    image: Tensor
    text: Tensor


def hard_negatives(similarity: Tensor, same: Tensor, generator: torch.Generator, chance: float) -> Tensor:
    """For each row a column of another text `(B,)`: the likelier the more similar it is.

    Args:
        similarity: `(B, B)` scaled similarities.
        same: `(B, B)` True where two texts are the same.
        chance: Share drawn from all other texts alike.
    """
    other = (~same).float()
    weight = F.softmax(similarity.masked_fill(same, -torch.inf), dim=1).nan_to_num(0)
    weight = (1 - chance) * weight + chance * other / other.sum(1, keepdim=True).clamp(min=1)
    # a row whose batch holds nothing else falls back to its neighbour
    empty = same.all(1)
    weight[empty] = torch.roll(torch.eye(len(same)), 1, 1)[empty]
    return torch.multinomial(weight, 1, generator=generator)[:, 0]


def mask_slots(ids: Tensor, slots: Tensor, masked: Tensor, mask_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mask whole slots.

    Args:
        ids: `(B, L)` token ids.
        slots: `(B, L)` running number of the slot that a token belongs to, -1 for none.
        masked: `(B, S)` True for slots to be masked.

    Returns:
        ids `(B, L)` with masks, positions `(B, M)` of masked tokens (0 as padding), their true ids `(B, M)` (-1).
    """
    if masked.shape[1] == 0:
        return ids, ids.new_zeros(len(ids), 1), ids.new_full((len(ids), 1), -1)
    chosen = masked.gather(1, slots.clamp(min=0)) & (slots >= 0)
    width = max(1, int(chosen.sum(1).max()))
    # masked positions first, in order
    at = torch.argsort((~chosen).int(), dim=1, stable=True)[:, :width]
    there = chosen.gather(1, at)
    wanted = ids.gather(1, at).masked_fill(~there, -1)
    return ids.masked_fill(chosen, mask_id), at * there, wanted
