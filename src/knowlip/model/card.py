"""The model card: what a model is, what it was trained on and how it did, all from its own configuration.

Nothing is claimed that was not measured: a figure without a benchmark run says "unmeasured".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from knowlip.model.processor import Processor

if TYPE_CHECKING:
    from knowlip.model.knowlip import KnowLIPConfig

UNMEASURED = "unmeasured"
TASKS = ("retrieval", "main landform", "all landforms", "count")
"""What the benchmark's core suite asks; a card names those without a figure."""


def model_card(config: KnowLIPConfig, parameters: int) -> str:
    """The card of a model, Markdown with a YAML head.

    Args:
        config: Its configuration; `training` says how it came about, where anybody recorded that.
        parameters: Their number.
    """
    told = config.training
    head = {
        "library_name": "knowlip",
        "license": "apache-2.0",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["model_hub_mixin", "pytorch_model_hub_mixin", "remote-sensing", "sar"],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=True)}---\n\n# {told.get('name', 'KnowLIP')}",
        "A vision-language model of radar images, made with [SAR-KnowLIP](https://github.com/sar-knowlip/sar-knowlip).",
        _use(),
        "## Figures\n\n" + _figures(told.get("figures", ())),
        "## Data\n\n" + _data(told.get("corpus", {})),
        "## Input\n\n" + _input(config),
        "## Training\n\n" + _training(told),
        f"## Shape\n\n{parameters / 1e6:.1f} M parameters.\n\n" + _shape(config),
    ]
    return "\n\n".join(parts) + "\n"


def _use() -> str:
    return (
        "```python\nfrom knowlip.model.embedder import load_embedder\n\n"
        'embedder = load_embedder("FOLDER")  # after `hf download REPOSITORY --local-dir FOLDER`\n```'
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def _figures(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (f["task"], f["metric"], *(f"{f[k]:.3f}" for k in ("value", "low", "high", "chance")), f["n"]) for f in figures
    ]
    measured = {f["task"] for f in figures}
    rows += [(t, "", UNMEASURED, "", "", "", "") for t in TASKS if t not in measured]
    note = "\n\nMeasured by `knowlip bench run` on places that were never trained on." if figures else ""
    return _table(("task", "metric", "value", "2.5 %", "97.5 %", "chance", "n"), rows) + note


def _data(corpus: Mapping[str, Any]) -> str:
    if not corpus:
        return "Not recorded."
    listed = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in corpus.items()}
    return _table(("", ""), [(k.replace("_", " "), v) for k, v in listed.items()])


def _input(config: KnowLIPConfig) -> str:
    if "level_db" not in config.processor:
        return "Not recorded."
    p = Processor.from_dict(config.processor)
    span = f"{p.gsd_range_m[0]:g} to {p.gsd_range_m[1]:g} m" if p.gsd_range_m else "not recorded"
    rows = [
        ("radiometry", f"{p.convention} in dB; power, dB and amplitude are converted"),
        ("polarisations", ", ".join(p.polarisations) or "not recorded"),
        ("ground sample distance", span),
        ("size", f"{p.image_size} pixels"),
        *((f"{name}: mean, spread", f"{m:g}, {s:g} dB") for name, (m, s) in p.level_db.items()),
    ]
    return _table(("", ""), rows)


def _training(told: Mapping[str, Any]) -> str:
    if not told:
        return "Not recorded."
    known = {k: v for k, v in told.items() if k not in ("corpus", "figures", "name", "config")}
    rows = [(k.replace("_", " "), json.dumps(v) if isinstance(v, dict) else v) for k, v in known.items()]
    settings = f"\n\n```yaml\n{yaml.safe_dump(told['config'], sort_keys=False)}```" if "config" in told else ""
    return _table(("", ""), rows) + settings


def _shape(config: KnowLIPConfig) -> str:
    value = config.to_dict()
    rows = [
        (part, ", ".join(f"{k} {v}" for k, v in value[part].items() if not isinstance(v, list)))
        for part in ("vit", "bert")
    ]
    return _table(("", ""), [*rows, ("projection", config.projection)])
