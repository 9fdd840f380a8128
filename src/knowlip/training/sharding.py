"""How an objective lies on the ranks: on one device, copied to all (DDP), or sharded over all (FSDP2)."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from knowlip.model.bert import BertLayer
from knowlip.model.knowlip import KnowLIP
from knowlip.model.vit import Block
from knowlip.training.config import PretrainConfig
from knowlip.training.objectives import Objective
from knowlip.training.ranks import ranks


def spread(objective: Objective, config: PretrainConfig, device: torch.device) -> nn.Module:
    """Lay an objective onto the ranks; what comes back is called in its place."""
    objective.to(device)
    if config.activation_checkpointing:
        for module in objective.modules():
            if isinstance(module, Block | BertLayer):
                # over the bound method, so that names of weights stay what they are
                module.forward = partial(  # type: ignore[method-assign]
                    checkpoint, module.forward, use_reentrant=False, preserve_rng_state=False
                )
    if ranks() == 1:
        return objective
    if config.sharding == "ddp":
        with warnings.catch_warnings():
            # torch 2.13 renames an option that 2.9 has by its old name only
            warnings.simplefilter("ignore", FutureWarning)
            # with contrast alone, parts of the model have nothing to do; buffers are the same on all ranks as they are
            return DistributedDataParallel(objective, find_unused_parameters=True, broadcast_buffers=False)
    for parameter in objective.parameters():
        # only what lies in one piece can be sharded; convolutions reorder their kernels themselves
        parameter.data = parameter.data.contiguous()
    # a scalar cannot be sharded; each rank's gradient of it is that of the whole batch already
    scalars = {p for p in objective.parameters() if p.ndim == 0}
    for module in objective.modules():
        if isinstance(module, objective.sharded):
            fully_shard(module)
    fully_shard(objective, ignored_params=scalars)
    torch.distributed.fsdp.register_fsdp_forward_method(objective, "embed")
    return objective


def without_sync(module: nn.Module, on: bool) -> AbstractContextManager[None]:
    """Gradients stay on their rank for a part of a step that is not its last."""
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(not on)
        return nullcontext()
    return module.no_sync() if on and isinstance(module, DistributedDataParallel) else nullcontext()


def whole_model(model: KnowLIP, weights: dict[str, torch.Tensor] | None = None) -> KnowLIP:
    """The model on the processor, with all its weights, on every rank; itself where it already is that.

    Args:
        weights: Other weights to put in, by parameter name.
    """
    state = {**model.state_dict(), **(weights or {})}
    plain = all(not isinstance(t, DTensor) and t.device.type == "cpu" for t in state.values())
    if plain and weights is None:
        return model
    whole = KnowLIP(model.config)
    whole.load_state_dict({k: (t.full_tensor() if isinstance(t, DTensor) else t).cpu() for k, t in state.items()})
    return whole.train(model.training)
