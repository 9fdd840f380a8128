"""Optimisers, the learning rate over time, gradient clipping, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from knowlip.training.config import OptimConfig

LEAST_RATE = 0.01
"""Share of the peak at the end of the schedule."""


def make_optimizers(model: nn.Module, config: OptimConfig) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the blocks, AdamW for embeddings, heads, convolutions, norms and biases.

    Source: Jordan et al. 2024, "Muon"; the learning rate is scaled to AdamW's update size as in Liu et al. 2025, "Muon
    is scalable for LLM training". Each group remembers its peak as `peak`.
    """
    inside = ("blocks.", ".layer.", "attention.")
    parameters = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in parameters if p.ndim == 2 and any(part in n for part in inside)]
    if config.optimizer == "adamw":
        matrices = []
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in parameters if id(p) not in chosen]
    # biases, norms and the temperature are not pulled to zero
    decayed, free = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}]
    # a step over many weights at once takes sharded ones or whole ones
    groups += [{"params": alike, "weight_decay": 0.0} for alike in by_kind(free)]
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    optimizers: tuple[torch.optim.Optimizer, ...] = (adamw,)
    if matrices:
        muon = torch.optim.Muon(
            matrices,
            lr=config.matrix_learning_rate,
            weight_decay=config.weight_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        )
        optimizers = muon, adamw
    for group in (g for optimizer in optimizers for g in optimizer.param_groups):
        group["peak"] = group["lr"]
    return optimizers


def schedule(step: int, total: int, config: OptimConfig) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine or a plateau with decay, to a hundredth.

    Source of the decay's shape, 1 - sqrt: Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed
    training durations".
    """
    first = max(1, round(config.warmup * total))
    if step < first:
        return (step + 1) / first
    if config.schedule == "cosine":
        share = (step - first) / max(1, total - first)
        return LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    last = max(1, round(config.decay * total))
    share = max(0.0, (step - (total - last)) / last)
    return LEAST_RATE + (1 - LEAST_RATE) * (1 - math.sqrt(min(1.0, share)))


def by_kind(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Whole tensors and sharded ones apart; what is empty is left out."""
    tensors = list(tensors)
    kinds: list[list[Tensor]] = [[t for t in tensors if isinstance(t, DTensor) is sharded] for sharded in (False, True)]
    return [kind for kind in kinds if kind]


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Scale gradients to a norm of at most `limit`; returns the norm before, over all ranks."""
    having = by_kind(p for p in parameters if p.grad is not None)
    norms = [torch.nn.utils.get_total_norm([p.grad for p in kind if p.grad is not None]) for kind in having]
    whole = [n.full_tensor() if isinstance(n, DTensor) else n for n in norms]
    norm = whole[0] if len(whole) == 1 else torch.linalg.vector_norm(torch.stack(whole))
    for kind in having:
        torch.nn.utils.clip_grads_with_norm_(kind, limit, norm)
    return float(norm)


class Average:
    """An exponential moving average of weights.

    Attributes:
        weights: The averages by parameter name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step; early on, the average is over the steps that there were."""
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = [(self.weights[name], p.detach()) for name, p in model.named_parameters()]
        for sharded in (False, True):
            alike = [pair for pair in pairs if isinstance(pair[1], DTensor) is sharded]
            if alike:
                mine, now = (list(side) for side in zip(*alike, strict=True))
                torch._foreach_lerp_(mine, now, 1 - decay)


def set_rates(optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Set every group's learning rate to a share of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["peak"]
