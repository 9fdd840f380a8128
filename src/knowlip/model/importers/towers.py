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
    if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3]:
        raise ModelError(weights.path, f"has a patch embedding of shape {tuple(kernel.shape)}", "Name weights of a ViT")
    width, channels, patch, _ = kernel.shape
    state["patch_embed.proj.weight"] = fold_channels(kernel, len(polarisations)) if polarisations else kernel * channels
    if clip:
        state.setdefault("patch_embed.proj.bias", torch.zeros(width))
    size = _place_tokens(state, width, patch, image_size)
    if size % patch:
        reason = f"has patches of {patch} pixels, of which {size} is no multiple"
        raise ModelError(weights.path, reason, "Choose another tile size")
    try:
        config = ViTConfig(
            image_size=size,
            patch_size=patch,
            width=width,
            depth=_depth(state, "blocks"),
            heads=heads or int(said.get("num_attention_heads", max(1, width // HEAD_WIDTH))),
            mlp_ratio=_mlp_ratio(state, "blocks.0.mlp.fc1.bias", width),
            layer_norm_eps=float(said.get("layer_norm_eps", layout.eps)),
            pre_norm=clip,
            activation=activation or _activation(weights, said, "quick_gelu" if clip else "gelu"),
            polarisations=polarisations or (("R", "G", "B") if channels == 3 else tuple(map(str, range(channels)))),
        )
    except ValueError as error:
        raise ModelError(weights.path, f"is no ViT of this kind ({error})", "Put its config.json beside it") from error
    with torch.device("meta"):
        wanted = ViT(config).state_dict()
    return Tower(config, fitted(weights.path, state, wanted), left_out)


def _place_tokens(state: dict[str, Tensor], width: int, patch: int, image_size: int | None) -> int:
    """Bring CLS and positions to this package's shapes, resampled for an image size, which is returned.

    What has not these shapes stays, for `fitted` to refuse.
    """
    for name in ("cls_token", "pos_embed"):
        if name in state and state[name].shape[-1] == width:
            state[name] = state[name].reshape(1, -1, width)
    positions = state.get("pos_embed", torch.zeros(1, 1, width))
    if state.pop("dist_token", None) is not None:  # DeiT's second token has the second place
        positions = torch.cat([positions[:, :1], positions[:, 2:]], 1)
    grid = math.isqrt(max(0, positions.shape[1] - 1))
    size = image_size or grid * patch
    if "pos_embed" in state:
        whole = positions.shape[1] == 1 + grid * grid and grid and not size % patch
        state["pos_embed"] = resample_positions(positions, size // patch, size // patch) if whole else positions
    return size


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
    if heads is None or width % int(heads):
        why = "does not say how many attention heads it has" if heads is None else f"cannot have {heads} heads"
        raise ModelError(weights.path, why, "Put its config.json beside it")
    _activation(weights, said, "gelu")
    depth = _depth(state, "encoder.layer")
    crossed = [int(n.split(".")[2]) for n in state if n.endswith("crossattention.self.key.weight")]
    config = BertConfig(
        vocab_size=vocab_size,
        width=width,
        depth=depth,
        heads=int(heads),
        max_length=len(state[place]) if place in state else max_length,
        mlp_ratio=_mlp_ratio(state, "encoder.layer.0.intermediate.dense.bias", width),
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
            if "decoder.bias" in found:  # tied, and saved under either name
                found.setdefault("bias", found["decoder.bias"])
            found = {n: v for n, v in found.items() if not n.startswith("decoder.")}
            return fitted(weights.path, found, wanted)
    return {}


def _mlp_ratio(state: Mapping[str, Tensor], hidden_bias: str, width: int) -> float:
    return len(state[hidden_bias]) / width if hidden_bias in state else 4.0


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
