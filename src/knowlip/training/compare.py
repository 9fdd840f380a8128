"""Runs beside each other: what differs in their settings, what they came to, and their losses as curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.core.errors import ConfigError, ModelError
from knowlip.core.folder import cannot_write

_NOT_LOSSES = ("step", "lr", "gradient_norm", "seconds")
_LAST = 0.1
"""Share of the steps at the end over which final losses are averaged."""


@dataclass(frozen=True)
class RunLog:
    """A run's folder, read.

    Attributes:
        name: The folder's name.
        settings: The configuration, and the corpus, by dotted key.
        log: Columns of `losses.jsonl` by name, each `(steps,)`; a loss that a step did not ask for is NaN.
    """

    name: str
    settings: dict[str, Any]
    log: dict[str, NDArray[np.float64]]

    @property
    def losses(self) -> list[str]:
        """Names of the losses."""
        return [name for name in self.log if name not in _NOT_LOSSES]

    def figures(self) -> dict[str, float]:
        """Steps, median rate, time, and the mean of each loss over the last tenth of the steps."""
        seconds, last = self.log["seconds"], max(1, round(_LAST * len(self.log["step"])))
        ends = {f"loss {n}": float(np.nanmean(v)) for n in self.losses if not np.isnan(v := self.log[n][-last:]).all()}
        return {
            "steps": float(self.log["step"][-1]),
            "tiles a second": self.settings["data.batch_size"] / float(np.median(seconds)),
            "seconds": float(seconds.sum()),
            **ends,
        }


def read_run(folder: Path) -> RunLog:
    """Read a run, finished or not.

    Raises:
        ModelError: The folder holds no run, or one that has not made a step.
    """
    try:
        identity = json.loads((folder / "run.json").read_text())
        lines = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines() if line.endswith("}")]
    except (OSError, ValueError) as error:
        remedy = "Name folders that `knowlip pretrain` has written"
        raise ModelError(folder, f"holds no run that can be read ({type(error).__name__})", remedy) from error
    if not lines:
        raise ModelError(folder, "holds a run that has not logged a step yet", "Wait for its first checkpoint")
    log = {name: np.array([line[name] for line in lines], np.float64) for name in lines[-1]}
    for name in log:
        if name not in _NOT_LOSSES and name != "total":
            # a loss of exactly 0 was not asked for in that step
            log[name][log[name] == 0] = np.nan
    settings = _flat(identity["config"]) | {"corpus": identity["corpus"][:12]}
    return RunLog(folder.resolve().name, settings, log)


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {prefix + key: inner}
    return flat


def table(runs: Sequence[RunLog]) -> list[tuple[str, ...]]:
    """Rows of a comparison: names first, then settings that differ, then figures; what a run lacks is a dash."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    rows = [("", *(run.name for run in runs))]
    for key in keys:
        values = [str(run.settings.get(key, "-")) for run in runs]
        if len(set(values)) > 1:
            rows.append((key, *values))
    figures = [run.figures() for run in runs]
    for key in dict.fromkeys(key for found in figures for key in found):
        rows.append((key, *(f"{found[key]:.4g}" if key in found else "-" for found in figures)))
    return rows


def plot(runs: Sequence[RunLog], path: Path) -> None:
    """Draw each loss over the steps, one panel a loss, one colour a run; the picture's kind is by the file's ending.

    Raises:
        ConfigError: The ending is not one of a picture.
        OutputError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = FigureCanvasAgg(Figure()).get_supported_filetypes()
    if path.suffix.lstrip(".") not in kinds:
        raise ConfigError(path, "is not the name of a picture", f"Use an ending such as {', '.join(sorted(kinds)[:6])}")
    names = list(dict.fromkeys(name for run in runs for name in run.losses))
    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), number + 1)
        for colour, run in enumerate(runs):
            if name not in run.log:
                continue
            asked = ~np.isnan(run.log[name])
            at, values = run.log["step"][asked], run.log[name][asked]
            width = max(1, len(values) // 25)
            smooth = np.convolve(values, np.ones(width) / width, mode="valid")
            axes.plot(at, values, color=f"C{colour}", lw=0.5, alpha=0.3)
            axes.plot(at[width - 1 :], smooth, color=f"C{colour}", lw=1.6, label=run.name)
        axes.set(title=name, xlabel="step")
        axes.legend(frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise cannot_write(str(path), error) from error
