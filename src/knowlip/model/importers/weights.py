"""Files of weights: safetensors, or PyTorch's own format as far as it needs no unpickling."""

from __future__ import annotations

import argparse
import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from knowlip.core.errors import ModelError

_NAMES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
_WRAPPERS = ("model", "state_dict", "module")


@dataclass(frozen=True)
class Weights:
    """Parameters of a model of others, as their file names them.

    Attributes:
        path: The file.
        state: Tensors by name, floating ones in single precision.
        config: The `config.json` beside the file, empty where there is none.
    """

    path: Path
    state: dict[str, Tensor]
    config: dict[str, Any] = field(default_factory=dict)


def read_weights(path: str | Path) -> Weights:
    """Read a file of weights, or the folder of a model that has one.

    Args:
        path: A `.safetensors` file, one of PyTorch (`.pth`, `.pt`, `.bin`), or a folder with a file of a usual name.
            What training wraps around the weights (`model`, `state_dict`, `module.`) is taken off.

    Raises:
        ModelError: There is no such file, it is damaged, needs unpickling, or holds no tensors.
    """
    file = _file(Path(path))
    try:
        if file.suffix == ".safetensors":
            content: Any = load_file(file)
        else:
            # MAE, MoCo v3 and DeiT keep their arguments beside the weights: names and values, no code
            with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is wrong is said once, below
                content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            file,
            "holds Python objects besides tensors, and unpickling them could run any code",
            "Convert it to safetensors where it comes from, or where you trust it",
        ) from error
    except (OSError, RuntimeError, SafetensorError, ValueError, EOFError) as error:
        if "TorchScript" in str(error):  # as OpenAI publishes CLIP
            reason = "is a TorchScript archive, which is a program and not weights"
            raise ModelError(file, reason, "Save its state_dict as safetensors where you trust it") from error
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(file, f"cannot be read as weights ({why})", "Fetch it again, or name another file") from error
    state = _unwrapped(content)
    if not state:
        raise ModelError(file, "holds no tensors by name", "Name a file of a model's weights")
    return Weights(file, state, _config(file))


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.exists():
        raise ModelError(path, "no such file or folder", "Check the path; weights are not downloaded")
    found = [path / name for name in _NAMES if (path / name).is_file()]
    if not found:
        raise ModelError(path, f"holds none of {', '.join(_NAMES)}", "Name the file of the weights itself")
    return found[0]


def _unwrapped(content: Any) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[n] for n in _WRAPPERS if isinstance(content.get(n), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        return {}
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if state and all(k.startswith("module.") for k in state):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _config(file: Path) -> dict[str, Any]:
    beside = file.parent / "config.json"
    if not beside.is_file():
        return {}
    try:
        value = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(beside, f"is not JSON ({error})", "Fetch it again") from error
    return value if isinstance(value, dict) else {}
