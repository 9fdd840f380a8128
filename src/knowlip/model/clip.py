"""CLIP: two encoders and nothing between them, so that published CLIP weights can be compared and embedded with.

The image encoder is this package's `ViT` with CLIP's options; the text encoder is causal and pre-norm, and a text's
vector is that of its end token, which has the highest id. `encode_image` is called as that of `KnowLIP`.

Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.vit import Activation, Block, ViT, ViTConfig


@dataclass(frozen=True)
class ClipTextConfig:
    """The shape of CLIP's text encoder; see `BertConfig`."""

    vocab_size: int = 49408
    width: int = 512
    depth: int = 12
    heads: int = 8
    max_length: int = 77
    mlp_ratio: float = 4.0
    layer_norm_eps: float = 1e-5
    activation: Activation = "quick_gelu"


class ClipText(nn.Module):
    """Texts to tokens, each seeing only what stands before it."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.max_length, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, config.layer_norm_eps, config.activation, causal=True)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, config.layer_norm_eps)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, L) to tokens (B, L, D)."""
        if ids.shape[1] > self.config.max_length:
            raise ValueError(f"a text of {ids.shape[1]} tokens is longer than the model's {self.config.max_length}")
        x = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class Clip(nn.Module):
    """Images and texts to unit embeddings of one space."""

    def __init__(self, vit: ViTConfig, text: ClipTextConfig, projection: int) -> None:
        super().__init__()
        self.vit = ViT(vit)
        self.text = ClipText(text)
        self.vision_proj = nn.Linear(vit.width, projection, bias=False)
        self.text_proj = nn.Linear(text.width, projection, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(0.07)))

    def encode_image(self, pixels: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, H, W) and channels (B, C) to tokens (B, 1 + N, Dv) and unit embeddings (B, E)."""
        tokens = self.vit(pixels, channels)
        return tokens, F.normalize(self.vision_proj(tokens[:, 0]), dim=-1)

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (B, L), the end token with the highest, to tokens (B, L, D) and unit embeddings (B, E)."""
        tokens = self.text(ids)
        end = ids.argmax(1)[:, None, None].expand(-1, -1, tokens.shape[2])
        return tokens, F.normalize(self.text_proj(tokens.gather(1, end)[:, 0]), dim=-1)
