"""One encoder of published weights: its configuration, read off its parameters, and its state."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from knowlip.core.errors import ModelError
from knowlip.model.bert import Bert, BertConfig, MlmHead, fold_token_types
from knowlip.model.importers.layouts import IMAGE_LAYOUTS, TEXT_LAYOUTS, find_layout, fitted, renamed
from knowlip.model.importers.weights import Weights
from knowlip.model.vit import Activation, ViT, ViTConfig, resample_positions

Config = TypeVar("Config")
HEAD_WIDTH = 64
"""Width of an attention head in ViT, BERT and CLIP of every published size up to large."""


@dataclass(frozen=True)
class Tower(Generic[Config]):
    """An encoder to be built.

    Attributes:
        config: Its shape.
        state: Its parameters by this package's names.
        left_out: Parameters of the file that belong to it and have no place here.
        mlm: The head that fills masked words, by the names of `MlmHead`; empty where the file has none.
    """

    config: Config
    state: dict[str, Tensor]
    left_out: tuple[str, ...] = ()
    mlm: dict[str, Tensor] = field(default_factory=dict)


def image_tower(
    weights: Weights,
    image_size: int | None = None,
    polarisations: tuple[str, ...] | None = None,
    heads: int | None = None,
    activation: Activation | None = None,
) -> Tower[ViTConfig]:
    """A ViT of published weights: of timm, DeiT, MAE, MoCo v3, SAR-JEPA, BLIP, CLIP or `transformers`.

    Args:
        image_size: Side in pixels that position embeddings are resampled for; None keeps the file's.
        polarisations: Channels wanted, to which the file's are folded (`fold_channels`); None keeps the file's
            channels apart, named R, G, B or 0, 1, ....
        heads: Attention heads; None for what the configuration says, or heads of 64.
        activation: None for what the configuration says, or what the family has; open_clip's own weights need `gelu`.

    Raises:
        ModelError: The file holds no such encoder, or not all of it, or `image_size` is not a whole number of patches.
    """
    layout, prefix = find_layout(weights, IMAGE_LAYOUTS, "image encoder")
    state, left_out = renamed(weights, layout, prefix)
    said = weights.config.get("vision_config", weights.config)
    clip = layout.clip and "norm_pre.weight" in state
    kernel = state["patch_embed.proj.weight"]
    width, channels, patch = kernel.shape[0], kernel.shape[1], kernel.shape[2]
    state |= {n: state[n].reshape(1, -1, width) for n in ("cls_token", "pos_embed") if n in state}
    if "dist_token" in state and "pos_embed" in state:  # DeiT's second token, and its place
        del state["dist_token"]
        state["pos_embed"] = state["pos_embed"][:, [0, *range(2, state["pos_embed"].shape[1])]]
    if clip:
        state.setdefault("patch_embed.proj.bias", torch.zeros(width))
    names = polarisations or (("R", "G", "B") if channels == 3 else tuple(str(i) for i in range(channels)))
    state["patch_embed.proj.weight"] = fold_channels(kernel, len(polarisations)) if polarisations else kernel * channels
    grid = math.isqrt(state["pos_embed"].shape[1] - 1) if "pos_embed" in state else 1
    size = image_size or grid * patch
    if size % patch:
        raise ModelError(
            weights.path, f"has patches of {patch} pixels, of which {size} is no multiple", "Change --tile-size"
        )
    if "pos_embed" in state and state["pos_embed"].shape[1] == 1 + grid * grid:
        state["pos_embed"] = resample_positions(state["pos_embed"], size // patch, size // patch)
    config = ViTConfig(
        image_size=size,
        patch_size=patch,
        width=width,
        depth=_depth(state, "blocks"),
        heads=heads or int(said.get("num_attention_heads", max(1, width // HEAD_WIDTH))),
        mlp_ratio=state["blocks.0.mlp.fc1.bias"].shape[0] / width if "blocks.0.mlp.fc1.bias" in state else 4.0,
        layer_norm_eps=float(said.get("layer_norm_eps", layout.eps)),
        pre_norm=clip,
        activation=activation or _activation(weights, said, "quick_gelu" if clip else "gelu"),
        polarisations=names,
    )
    with torch.device("meta"):
        wanted = ViT(config).state_dict()
    return Tower(config, fitted(weights.path, state, wanted), left_out)


def fold_channels(kernel: Tensor, count: int) -> Tensor:
    """A patch embedding (D, C, k, k) for `count` channels (D, count, k, k), whichever of them are present.

    Every channel gets the sum over the published ones. The stem averages over the channels present, so the result is
    what the published network makes of a grey image: the mean of the channels, three times over.
    """
    return kernel.sum(1, keepdim=True).repeat(1, count, 1, 1)


def text_tower(weights: Weights, max_length: int = 192, heads: int | None = None) -> Tower[BertConfig]:
    """A BERT of published weights, alone or of BLIP with its cross-attention.

    Args:
        max_length: Position embeddings kept; the file's where it has fewer.
        heads: Attention heads; None for what the configuration says.

    Raises:
        ModelError: The file holds no such encoder or not all of it, or nothing says how many heads it has.
    """
    layout, prefix = find_layout(weights, TEXT_LAYOUTS, "text encoder")
    state, left_out = renamed(weights, layout, prefix)
    said: dict[str, Any] = weights.config.get("text_config", weights.config)
    # the first segment's vector is a constant here
    state = fold_token_types(state)
    place = "embeddings.position_embeddings.weight"
    if place in state:
        state[place] = state[place][:max_length]
    vocab_size, width = state[layout.mark].shape
    heads = heads or said.get("num_attention_heads") or (width // HEAD_WIDTH if width in (768, 1024) else None)
    if heads is None:
        raise ModelError(weights.path, "does not say how many attention heads it has", "Put its config.json beside it")
    _activation(weights, said, "gelu")
    depth = _depth(state, "encoder.layer")
    crossed = [int(n.split(".")[2]) for n in state if n.endswith("crossattention.self.key.weight")]
    config = BertConfig(
        vocab_size=vocab_size,
        width=width,
        depth=depth,
        heads=int(heads),
        max_length=len(state[place]) if place in state else max_length,
        mlp_ratio=state["encoder.layer.0.intermediate.dense.bias"].shape[0] / width
        if "encoder.layer.0.intermediate.dense.bias" in state
        else 4.0,
        layer_norm_eps=float(said.get("layer_norm_eps", layout.eps)),
        cross_attention_from=min(crossed, default=depth),
        image_width=next((state[n].shape[1] for n in state if n.endswith("crossattention.self.key.weight")), width),
    )
    with torch.device("meta"):
        wanted, head = Bert(config).state_dict(), MlmHead(config).state_dict()
    return Tower(config, fitted(weights.path, state, wanted), left_out, _mlm_head(weights, head))


def _mlm_head(weights: Weights, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in ("cls.predictions.", "text_decoder.cls.predictions."):
        found = {n.removeprefix(prefix): v for n, v in weights.state.items() if n.startswith(prefix)}
        found = {re.sub(r"gamma$", "weight", re.sub(r"beta$", "bias", n)): v for n, v in found.items()}
        if found:
            found.setdefault("bias", found.get("decoder.bias", torch.zeros(0)))  # tied, and saved under either name
            found = {n: v for n, v in found.items() if not n.startswith("decoder.")}
            return fitted(weights.path, found, wanted)
    return {}


def _depth(state: Mapping[str, Tensor], name: str) -> int:
    numbers = {int(m.group(1)) for n in state if (m := re.match(rf"{re.escape(name)}\.(\d+)\.", n))}
    return max(numbers, default=-1) + 1


def _activation(weights: Weights, said: Mapping[str, Any], default: Activation) -> Activation:
    name = said.get("hidden_act", default)
    if name not in ("gelu", "quick_gelu") or (default == "gelu" and name != "gelu"):
        raise ModelError(
            weights.path, f"has the activation {name}, which this encoder does not", "Name weights with gelu"
        )
    return "quick_gelu" if name == "quick_gelu" else "gelu"
