"""What a run tells of itself: `losses.jsonl`, TensorBoard, and a tracking service where one is asked for."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX import SummaryWriter

from knowlip.core.errors import ConfigError
from knowlip.training.config import PretrainConfig
from knowlip.training.ranks import rank


class Journal:
    """The log of steps in a run's folder; only rank 0 writes.

    Args:
        out: The run's folder.
        step: Steps done; what the log says of later ones is about to be done again.

    Raises:
        ConfigError: The tracking service is not installed.
    """

    def __init__(self, out: Path, config: PretrainConfig, step: int) -> None:
        self._file: Any = None
        if rank() != 0:
            return
        self._service = _service(config, out)
        path = out / "losses.jsonl"
        if path.is_file():
            lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
            kept = [line for line in lines if json.loads(line)["step"] <= step]
            path.write_text("".join(line + "\n" for line in kept))
        self._file = path.open("a")
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: dict[str, float], others: dict[str, float]) -> None:
        """Note a step: its losses, and other figures that only graphs and the log have."""
        if self._file is None:
            return
        print(json.dumps({"step": step, **values, **others}), file=self._file)
        for name, value in values.items():
            self._board.add_scalar(f"loss/{name}", value, step)
        for name, value in others.items():
            self._board.add_scalar(f"run/{name}", value, step)
        if self._service is not None:
            self._service.log({**values, **others}, step=step)

    def flush(self) -> None:
        """Bring everything to the disk, before a checkpoint."""
        if self._file is not None:
            self._file.flush()
            self._board.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._board.close()
            if self._service is not None:
                self._service.finish()


def _service(config: PretrainConfig, out: Path) -> Any:
    if config.tracker == "none":
        return None
    try:
        # trackio has the interface of wandb
        service = import_module(config.tracker)
    except ImportError as error:
        raise ConfigError(f"tracker '{config.tracker}'", "is not installed", f"pip install {config.tracker}") from error
    # wandb knows a run that goes on by its id, trackio by its name
    known = {"id": hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]} if config.tracker == "wandb" else {}
    service.init(project="knowlip", name=out.name, resume="allow", config=config.model_dump(), **known)
    return service
