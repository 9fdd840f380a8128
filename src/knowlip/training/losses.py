"""The three losses of pretraining: contrast (ITC), matching with hard negatives (ITM), slot filling (MLM).

Sources: Li et al. 2022, "BLIP" (ITC, ITM with hard negatives); SAR-KnowLIP, arXiv 2509.23927 (masking the slot words).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from knowlip.model.knowlip import KnowLIP
from knowlip.model.momentum import Momentum, text_keys
from knowlip.training.config import LossConfig
from knowlip.training.data import Batch


@dataclass(frozen=True)
class Losses:
    """Scalars of one step; `total` is the weighted sum."""

    itc: Tensor
    itm: Tensor
    mlm: Tensor
    total: Tensor


def pretrain_losses(
    model: KnowLIP,
    batch: Batch,
    config: LossConfig,
    mask_id: int,
    generator: torch.Generator,
    contrast_only: bool = False,
    momentum: Momentum | None = None,
    softness: float = 0.0,
) -> Losses:
    """The losses of a batch.

    Args:
        contrast_only: Leave ITM and MLM out; they are reported as 0.
        generator: Draws the masks and the hard negatives.
        momentum: What contrast is taken against beyond the batch; it follows the model and takes the batch in.
        softness: Share of the contrast's target that its own similarities make up.
    """
    tokens, image = model.encode_image(batch.pixels, batch.channels, batch.geo, keep=config.keep_patches)
    first = torch.zeros(len(tokens), 1, dtype=torch.long)
    lower = model.text_lower(batch.ids, batch.mask)
    _, text = model.encode_text(batch.ids, batch.mask, lower=lower, at=first)

    # ITC: tiles whose texts are the same to the word share the target
    similarity = model.scale() * image @ text.T
    same = (batch.ids[:, None] == batch.ids[None]).all(-1)
    if momentum is None:
        target = same.float() / same.sum(1, keepdim=True)
        itc = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
    else:
        itc = _queued_contrast(model, batch, image, text, momentum, softness)

    if contrast_only:
        none = itc.new_zeros(())
        return Losses(itc, none, none, config.itc * itc)

    # ITM: each pair, each image with a hard wrong text, each text with a hard wrong image
    with torch.no_grad():
        wrong_text = _hard(similarity, same, generator)
        wrong_image = _hard(similarity.T, same, generator)
    n = len(tokens)
    rows = torch.arange(n)
    texts, images = torch.cat([rows, wrong_text, rows]), torch.cat([rows, rows, wrong_image])
    fused = model.fuse(batch.ids[texts], batch.mask[texts], tokens[images], lower=lower[texts], at=first.repeat(3, 1))
    matched = torch.cat([torch.ones(n), torch.zeros(2 * n)]).long()
    itm = F.cross_entropy(model.itm_logits(fused), matched)

    # MLM: whole slots are masked, never parts of one
    hidden_ids, at, wanted = _mask_slots(batch, config.mask_slots, mask_id, generator)
    filled = model.fuse(hidden_ids, batch.mask, tokens, at=at)
    keep = wanted >= 0
    mlm = F.cross_entropy(model.mlm_logits(filled[keep]), wanted[keep]) if keep.any() else filled.sum() * 0
    return Losses(itc, itm, mlm, config.itc * itc + config.itm * itm + config.mlm * mlm)


def _queued_contrast(
    model: KnowLIP, batch: Batch, image: Tensor, text: Tensor, momentum: Momentum, softness: float
) -> Tensor:
    """ITC against the momentum copy's view of the batch and of its queue, with soft targets.

    Source: Li et al., "Align before fuse", NeurIPS 2021, section 3.3.
    """
    momentum.follow(model)
    steady_image, steady_text = momentum(batch.pixels, batch.channels, batch.ids, batch.mask, batch.geo)
    keys = text_keys(batch.ids, batch.mask)
    old_image, old_text, old_keys = momentum.seen()
    images, texts = torch.cat([steady_image, old_image]), torch.cat([steady_text, old_text])
    same = (keys[:, None] == torch.cat([keys, old_keys])[None]).float()
    target, scale, losses = same / same.sum(1, keepdim=True), model.scale(), []
    for own, steady, others in ((image, steady_image, texts), (text, steady_text, images)):
        with torch.no_grad():
            soft = F.softmax(scale * steady @ others.T, 1)
        losses.append(F.cross_entropy(scale * own @ others.T, softness * soft + (1 - softness) * target))
    momentum.push(steady_image, steady_text, keys)
    return (losses[0] + losses[1]) / 2


def _hard(similarity: Tensor, same: Tensor, generator: torch.Generator) -> Tensor:
    """For each row a column of another text `(B,)`: half by chance, half the likelier the more similar it is.

    Hard ones alone are too hard for a head that has learned nothing yet.
    """
    other = (~same).float()
    weight = F.softmax(similarity.masked_fill(same, -torch.inf), dim=1).nan_to_num(0)
    weight = weight + other / other.sum(1, keepdim=True).clamp(min=1)
    # a row whose batch holds nothing else falls back to its neighbour
    empty = same.all(1)
    weight[empty] = torch.roll(torch.eye(len(same)), 1, 1)[empty]
    return torch.multinomial(weight, 1, generator=generator)[:, 0]


def _mask_slots(batch: Batch, share: float, mask_id: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Mask whole slots.

    Returns:
        ids `(B, L)` with masks, positions `(B, M)` of masked tokens (0 as padding), their true ids `(B, M)` (-1).
    """
    most = int(batch.slots.max()) + 1
    if most == 0:
        return batch.ids, torch.zeros(len(batch.ids), 1, dtype=torch.long), torch.full((len(batch.ids), 1), -1)
    chance = torch.rand(len(batch.ids), most, generator=generator)
    chosen = (chance.gather(1, batch.slots.clamp(min=0)) < share) & (batch.slots >= 0)
    width = max(1, int(chosen.sum(1).max()))
    # masked positions first, in order
    at = torch.argsort((~chosen).int(), dim=1, stable=True)[:, :width]
    there = chosen.gather(1, at)
    wanted = batch.ids.gather(1, at).masked_fill(~there, -1)
    return batch.ids.masked_fill(chosen, mask_id), at * there, wanted
