"""The image encoder: a pre-norm Vision Transformer that takes any set of polarisations.

- one 1-channel kernel per polarisation; the embeddings of the polarisations present are averaged
- a strided patch embedding (DeiT and timm weights fit) or a stem of small convolutions, which trains faster
- position embeddings are resampled when the image is not the size the model was made for
- optional geo tokens tell the network how the image was seen: ground sample distance, incidence, band, place, season
- in training, a random share of the patches can be dropped (FLIP)
- CLIP's variations, a norm before the blocks and its own GELU, are options, so that its weights fit too

Parameter names are timm's, so a DeiT or timm checkpoint needs no renaming.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.geo import GEO_PROPERTIES
from knowlip.model.stems import make_stem

Activation = Literal["gelu", "quick_gelu"]


@dataclass(frozen=True)
class ViTConfig:
    """The shape of the image encoder.

    Args:
        image_size: Side of the image the position embeddings are laid out for, in pixels.
        patch_size: Side of a patch in pixels; with the convolutional stem a power of two.
        width: Size of a token.
        depth: Number of blocks.
        heads: Attention heads; divides `width`.
        mlp_ratio: Hidden size of the MLP over `width`.
        stem: `patch` for one strided convolution; `conv` for 3x3 convolutions of stride 2; `sar` for these beside a
            learned histogram of each patch's multilooked cells.
        layer_norm_eps: Epsilon of every LayerNorm.
        pre_norm: A LayerNorm before the blocks, as in CLIP.
        activation: Of the MLP: the exact `gelu`, or CLIP's `quick_gelu`, x * sigmoid(1.702 x).
        polarisations: The channel vocabulary; `channels` in `ViT.forward` are indices into it.
        geo_tokens: Properties that become a token each, from `GEO_PROPERTIES`; the columns of `geo` in this order.

    Raises:
        ValueError: The numbers do not fit each other, or a geo token is unknown.
    """

    image_size: int = 256
    patch_size: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    stem: Literal["patch", "conv", "sar"] = "patch"
    layer_norm_eps: float = 1e-6
    pre_norm: bool = False
    activation: Activation = "gelu"
    polarisations: tuple[str, ...] = ("HH", "HV", "VH", "VV")
    geo_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        if self.stem not in ("patch", "conv", "sar"):
            raise ValueError(f"stem {self.stem!r} is not one of: patch, conv, sar")
        if self.activation not in ("gelu", "quick_gelu"):
            raise ValueError(f"activation {self.activation!r} is not one of: gelu, quick_gelu")
        least = 8 if self.stem == "sar" else 2
        if self.stem != "patch" and (self.patch_size < least or self.patch_size & (self.patch_size - 1)):
            raise ValueError(f"the {self.stem} stem needs a patch_size that is a power of two, not {self.patch_size}")
        if self.stem != "patch" and self.width % (self.patch_size // 2):
            raise ValueError(
                f"the {self.stem} stem halves width {self.width} too often for patch_size {self.patch_size}"
            )
        if unknown := [name for name in self.geo_tokens if name not in GEO_PROPERTIES]:
            raise ValueError(f"unknown geo tokens {unknown}; allowed: {', '.join(GEO_PROPERTIES)}")


class GeoTokens(nn.Module):
    """One token per switched-on property of the acquisition, from Fourier features through a linear of its own.

    A property that is unknown (NaN, or impossible such as a ground sample distance of 0) becomes a learned token.
    """

    HARMONICS = 6  # 1, 2, 4, ..., 32: the finest resolves about a degree of latitude, coarser than a city

    def __init__(self, names: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.names = names
        self.weight = nn.Parameter(torch.empty(len(names), 2 * self.HARMONICS, width))
        self.bias = nn.Parameter(torch.zeros(len(names), width))
        self.unknown = nn.Parameter(torch.empty(len(names), width))

    def forward(self, geo: Tensor) -> Tensor:
        """Properties (B, G) in their own units, NaN for unknown, to tokens (B, G, D)."""
        phase = torch.stack([self._phase(name, geo[:, i].float()) for i, name in enumerate(self.names)], 1)
        known = phase.isfinite()
        harmonics = 2.0 ** torch.arange(self.HARMONICS, device=geo.device)
        angle = phase.nan_to_num(0.0, 0.0, 0.0)[..., None] * harmonics
        features = torch.cat([angle.sin(), angle.cos()], -1)
        tokens = torch.einsum("bgf,gfd->bgd", features, self.weight) + self.bias
        return torch.where(known[..., None], tokens, self.unknown)

    @staticmethod
    def _phase(name: str, value: Tensor) -> Tensor:
        if name in ("gsd_m", "centre_frequency_ghz"):
            # 0.1 to 1000 (m or GHz) over half a turn, so that no two values share a phase.
            return (value.log10() + 1.0) * (math.pi / 4.0)
        if name == "season":  # fraction of the year in [0, 1)
            return value * (2.0 * math.pi)
        return torch.deg2rad(value)


class Attention(nn.Module):
    """Multi-head self-attention with one projection for query, key and value; `causal` sees no later token."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, D) to tokens (B, N, D)."""
        B, N, D = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.proj(x.transpose(1, 2).reshape(B, N, D))
        return out


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, D) to tokens (B, N, D)."""
        hidden = self.fc1(x)
        hidden = F.gelu(hidden) if self.activation == "gelu" else hidden * torch.sigmoid(1.702 * hidden)
        out: Tensor = self.fc2(hidden)
        return out


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(
        self, width: int, heads: int, mlp_ratio: float, eps: float, activation: Activation, causal: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = Mlp(width, int(width * mlp_ratio), activation)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, D) to tokens (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def _initialise(module: nn.Module, std: float) -> None:
    """Normal weights and zero biases; `std` is ViT's 0.02 at a width of 768, and grows as towers get narrower."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=std)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        if module.kernel_size != (1, 1) and module.bias is not None:
            nn.init.trunc_normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    elif isinstance(module, GeoTokens):
        nn.init.trunc_normal_(module.weight, std=std)
        nn.init.trunc_normal_(module.unknown, std=std)


class ViT(nn.Module):
    """Images of any set of polarisations to tokens: CLS first, then the geo tokens, then the patches in row order.

    Source: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        grid = config.image_size // config.patch_size
        self.patch_embed = make_stem(
            config.stem, len(config.polarisations), config.width, config.patch_size, config.layer_norm_eps
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, config.width))
        self.geo_embed = GeoTokens(config.geo_tokens, config.width) if config.geo_tokens else None
        self.norm_pre = nn.LayerNorm(config.width, config.layer_norm_eps) if config.pre_norm else None
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, config.layer_norm_eps, config.activation)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, config.layer_norm_eps)
        for module in self.modules():
            _initialise(module, (3 * config.width) ** -0.5)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, pixels: Tensor, channels: Tensor, geo: Tensor | None = None, keep: float = 1.0) -> Tensor:
        """Encode a batch of images.

        Args:
            pixels: Normalised images (B, C, H, W), H and W multiples of the patch size.
            channels: Index of each channel in `config.polarisations` (B, C), -1 for an absent channel.
            geo: Properties (B, G) in the order of `config.geo_tokens`, NaN for unknown; None when all are.
            keep: Share of the patches kept, drawn anew for each image; only in training.
                Source: Li et al., "Scaling language-image pre-training via masking" (FLIP), CVPR 2023.

        Returns:
            Normalised tokens (B, 1 + G + N, D), N = H / patch * W / patch, or the share of it that is kept.

        Raises:
            ValueError: The image is not a whole number of patches, or `geo` has the wrong number of columns.
        """
        patch = self.config.patch_size
        B, _, H, W = pixels.shape
        if H % patch or W % patch:
            raise ValueError(f"an image of {H} x {W} pixels is not a whole number of {patch}-pixel patches")
        x: Tensor = self.patch_embed(pixels, channels)
        positions = self.positions(x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2) + positions[:, 1:]
        if self.training and keep < 1.0:
            N = x.shape[1]
            kept = torch.rand(B, N, device=x.device).topk(max(1, round(keep * N))).indices
            x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))
        parts = [(self.cls_token + positions[:, :1]).expand(B, -1, -1), x]
        if self.geo_embed is not None:
            G = len(self.config.geo_tokens)
            if geo is None:
                geo = pixels.new_full((B, G), math.nan)
            if geo.shape != (B, G):
                raise ValueError(f"geo has the shape {tuple(geo.shape)}; the model expects {(B, G)}")
            parts.insert(1, self.geo_embed(geo))
        x = torch.cat(parts, 1)
        if self.norm_pre is not None:
            x = self.norm_pre(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings (1, 1 + rows * columns, D) of CLS and a grid of patches, resampled where it differs."""
        return resample_positions(self.pos_embed, rows, columns)


def resample_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings (1, 1 + n * n, D) of CLS and a square grid, for another grid (1, 1 + rows * columns, D).

    Bicubic as in `transformers`, and in timm's `resample_abs_pos_embed` with `antialias=False`; its default
    smooths, with another kernel.
    """
    grid = math.isqrt(positions.shape[1] - 1)
    if (rows, columns) == (grid, grid):
        return positions
    plane = positions[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    plane = F.interpolate(plane, (rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], plane.flatten(2).transpose(1, 2)], 1)
