"""Checkpoints: weights, optimiser and step in safetensors and JSON; a new one is whole before the old one goes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from knowlip.core.errors import ModelError


def save_checkpoint(folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], step: int) -> None:
    """Write the state after `step` steps; only the newest checkpoint is kept."""
    target = folder / f"step-{step:08d}"
    draft = folder / f".{target.name}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, draft / "model.safetensors")
    tensors: dict[str, Tensor] = {}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{number}.{index}.{name}": torch.as_tensor(v).contiguous() for name, v in state.items()}
    save_file(tensors, draft / "optimizer.safetensors")
    (draft / "state.json").write_text(json.dumps({"step": step}) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(draft, target)
    for old in _found(folder):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def _found(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if (p / "state.json").is_file())


def load_checkpoint(folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    """Restore the newest checkpoint in place; returns its step, 0 when there is none.

    Raises:
        ModelError: The checkpoint does not fit the model, or is damaged.
    """
    found = _found(folder)
    if not found:
        return 0
    newest = found[-1]
    try:
        model.load_state_dict(load_file(newest / "model.safetensors"))
        states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
        for name, tensor in load_file(newest / "optimizer.safetensors").items():
            which, parameter, key = name.split(".", 2)
            states[int(which)].setdefault(int(parameter), {})[key] = tensor
        for optimizer, state in zip(optimizers, states, strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for index, kept in state.items():
                # fused steps walk memory, so a state must lie as its parameter does (channels last, for convolutions)
                for key, tensor in kept.items():
                    if tensor.shape == parameters[index].shape:
                        kept[key] = torch.empty_like(parameters[index]).copy_(tensor)
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return int(json.loads((newest / "state.json").read_text())["step"])
    except Exception as error:
        raise ModelError(
            newest, f"cannot be loaded ({error})", "Remove this checkpoint folder and run again"
        ) from error
