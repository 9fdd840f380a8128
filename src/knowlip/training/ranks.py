"""The processes of a run, as `torchrun` starts them. Without it there is one rank, and all here costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

_PATIENCE = timedelta(hours=6)
"""How long a rank waits for the others: as long as what only one of them does may take. One that dies is noticed at
once, by its closed connection."""


def join_ranks() -> torch.device:
    """Join the ranks that `torchrun` started, and take this one's device: its GPU, or the processor."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    return device


def rank() -> int:
    """The number of this rank, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gather(x: Tensor) -> Tensor:
    """The tensors `(B, ...)` of all ranks, one after the other `(ranks * B, ...)`; gradients find their way back."""
    if ranks() == 1:
        return x
    gathered: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return gathered


def total(x: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, without gradient."""
    if ranks() > 1:
        x = x.detach().clone()
        dist.all_reduce(x)
    return x


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is up on any rank."""
    return bool(total(torch.tensor(int(flag), device=device))) if ranks() > 1 else flag


def once(work: Callable[[], T]) -> T:
    """Work that only rank 0 does while the others wait; all get what it returns, or the error it raises."""
    if ranks() == 1:
        return work()
    answer: list[Any] = [None, None]
    if rank() == 0:
        try:
            answer[0] = work()
        except Exception as error:
            answer[1] = error
    dist.broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    result: T = answer[0]
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(ranks())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous().clone()
        dist.all_reduce(whole)
        return whole.chunk(ranks())[rank()]
