"""Both encoders as ONNX, for whoever embeds without PyTorch; how images are prepared travels with them."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from knowlip.core.errors import ModelError, OutputError
from knowlip.model.embedder import Embedder
from knowlip.model.knowlip import KnowLIP

OPSET = 20
FILES = ("image.onnx", "text.onnx")


class _Image(nn.Module):
    def __init__(self, model: KnowLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, channels: Tensor, geo: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.model.encode_image(pixels, channels, geo)


class _Text(nn.Module):
    def __init__(self, model: KnowLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode_text(ids, mask)


def export_onnx(embedder: Embedder, out: Path) -> list[Path]:
    """Write `image.onnx`, `text.onnx`, `processor.json` and `tokenizer.json`.

    `image.onnx` takes `pixels` (B, C, S, S) float32, `channels` (B, C) int64 and, where the model has geo tokens, `geo`
    (B, G); `text.onnx` takes `ids` (B, L) int64 and `mask` (B, L) bool. Both give `token_vectors` (B, N, D) and
    `unit_vector` (B, E). Numbers of images, channels and tokens are free; S is the size the model was trained on.

    Raises:
        ModelError: The packages of the extra `onnx` are not installed.
        OutputError: `out` cannot be written.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        reason = f"cannot be exported: {error.name} is not installed"
        raise ModelError(embedder.folder, reason, "Install it: pip install 'sar-knowlip[onnx]'") from error
    model, config = embedder.model.eval(), embedder.model.config
    size, batch = config.vit.image_size, torch.export.Dim("batch")
    channel, length = torch.export.Dim("channel"), torch.export.Dim("length", max=config.bert.max_length)
    # two of each, since a size of one would be taken for a constant
    pixels = [torch.zeros(2, 2, size, size), torch.tensor([[0, 1], [0, -1]])]
    shapes: dict[str, Any] = {"pixels": {0: batch, 1: channel}, "channels": {0: batch, 1: channel}}
    if config.vit.geo_tokens:
        pixels.append(torch.zeros(2, len(config.vit.geo_tokens)))
        shapes["geo"] = {0: batch}
    texts = [torch.zeros(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.bool)]
    prepared = json.dumps({"processor": config.processor, "channels": list(config.vit.polarisations)})
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(_Image(model), pixels, shapes, out / FILES[0], {"knowlip": prepared})
        _write(_Text(model), texts, {n: {0: batch, 1: length} for n in ("ids", "mask")}, out / FILES[1], {})
        (out / "processor.json").write_text(prepared + "\n", encoding="utf-8")
        embedder.tokenizer.save(out)
    except OSError as error:
        raise OutputError(out, f"cannot be written ({error.strerror})", "Choose another --out") from error
    return [out / name for name in (*FILES, "processor.json", "tokenizer.json")]


def _write(module: nn.Module, inputs: list[Tensor], shapes: dict[str, Any], path: Path, told: dict[str, str]) -> None:
    # the exporter tells of operators that this model has not
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                tuple(inputs),
                dynamo=True,
                input_names=list(shapes),
                output_names=["token_vectors", "unit_vector"],
                dynamic_shapes=shapes,
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        log.setLevel(before)
    assert program is not None
    program.model.metadata_props.update(told)
    program.save(path)
