"""Checkpoints: what a run is after a step, in torch's distributed format; a new one is whole before the old one goes.

Any number of ranks can read what any other number wrote.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from knowlip.core.errors import ModelError
from knowlip.training.ranks import once, ranks

KEEP = 2
"""Checkpoints kept: should the newest be damaged, one step back is better than the start."""


def save_checkpoint(
    folder: Path,
    objective: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    step: int,
    average: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the state after `step` steps; all ranks call it together."""
    target = folder / f"step-{step:08d}"
    draft = folder / f".{target.name}.part"

    def clear() -> None:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)

    def publish() -> None:
        (draft / "state.json").write_text(json.dumps({"step": step, "ranks": ranks()}) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(draft, target)
        for old in [p for p in _found(folder) if p != target][: 1 - KEEP or None]:
            shutil.rmtree(old, ignore_errors=True)

    once(clear)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(_state(objective, optimizers, average), storage_writer=FileSystemWriter(draft), no_dist=ranks() == 1)
    once(publish)


def _found(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if (p / "state.json").is_file())


def _state(
    objective: nn.Module, optimizers: Sequence[torch.optim.Optimizer], average: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """All tensors that a step changes, by name. A weight that was never stepped has no optimiser state."""
    state = {f"weights.{name}": tensor for name, tensor in objective.state_dict().items()}
    names = {id(p): name for name, p in objective.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        for parameter, kept in optimizer.state.items():
            state |= {f"optimizer{number}.{key}.{names[id(parameter)]}": torch.as_tensor(v) for key, v in kept.items()}
    return state | {f"average.{name}": tensor for name, tensor in (average or {}).items()}


def load_checkpoint(
    folder: Path,
    objective: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: Mapping[str, Tensor] | None = None,
) -> int:
    """Restore the newest checkpoint in place; returns its step, 0 when there is none.

    Raises:
        ModelError: The checkpoint does not fit the model, or is damaged.
    """
    found = _found(folder)
    if not found:
        return 0
    newest = found[-1]
    try:
        reader = FileSystemReader(newest)
        parameters = dict(objective.named_parameters())
        for name in reader.read_metadata().state_dict_metadata:
            part, _, rest = name.partition(".")
            if part.startswith("optimizer"):
                key, _, parameter = rest.partition(".")
                like = parameters[parameter]
                # as a state lies in memory as its weight does: fused steps walk over both
                blank = torch.zeros((), device=like.device) if key == "step" else torch.zeros_like(like)
                optimizers[int(part.removeprefix("optimizer"))].state[like][key] = blank
        state = _state(objective, optimizers, average)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(state, storage_reader=reader, no_dist=ranks() == 1)
        objective.load_state_dict({k.removeprefix("weights."): v for k, v in state.items() if k.startswith("weights.")})
        return int(json.loads((newest / "state.json").read_text())["step"])
    except (Exception, CheckpointException) as error:
        causes = [cause for cause, _ in error.failures.values()] if isinstance(error, CheckpointException) else [error]
        reason = f"cannot be loaded ({type(causes[0]).__name__} {causes[0]})"
        raise ModelError(newest, reason, "Remove this folder and run again; it goes on from the one before") from error
