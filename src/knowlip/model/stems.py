"""Stems: from pixels of any set of polarisations to patch features.

`patch` is what published weights fit; `conv` trains faster; `sar` adds each patch's moments, which is what tells radar
ground apart: under speckle a single pixel means little, while level, spread and their change with multilooking name the
surface. Norms inside a convolutional stem hide the absolute level; the moments bring it back.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def make_stem(kind: str, polarisations: int, width: int, patch_size: int, eps: float) -> nn.Module:
    """A stem by name: `patch`, `conv` or `sar`."""
    if kind == "patch":
        return PatchStem(polarisations, width, patch_size)
    conv = ConvStem(polarisations, width, patch_size, eps)
    return conv if kind == "conv" else SarStem(conv, MomentStem(polarisations, width, patch_size))


def convolve_polarisations(conv: nn.Conv2d, pixels: Tensor, channels: Tensor) -> Tensor:
    """Apply to each channel the kernel of its polarisation and average over the channels present.

    The convolution is linear, so the average is taken over the pixels before it: one ordinary convolution does it.
    With all P polarisations present it equals an ordinary P-channel convolution with `weight / P`.

    Args:
        conv: Convolution whose input channels are the polarisation vocabulary, weight (D, P, k, k).
        pixels: Images (B, C, H, W); what an absent channel holds, NaN included, has no influence.
        channels: Index into the vocabulary (B, C), -1 for an absent channel.

    Returns:
        Features (B, D, H', W').
    """
    present = channels >= 0
    polarisations = torch.arange(conv.in_channels, device=channels.device)
    # A batch rarely holds the whole vocabulary, and convolving zero planes costs as much as real ones. Only on the CPU:
    # elsewhere reading the indices would make the host wait for the device.
    if channels.device.type == "cpu" and present.any():
        polarisations = polarisations[(polarisations[:, None] == channels.reshape(-1)).any(1)]
    weight = conv.weight
    if len(polarisations) < conv.in_channels:
        weight = weight.index_select(1, polarisations)
    same = channels.device.type == "cpu" and channels.shape[1] == len(polarisations) == 1 and bool(present.all())
    if not same:
        share = (channels[:, None, :] == polarisations[:, None]).to(pixels.dtype)
        share = share / present.sum(1).clamp(min=1)[:, None, None]
        pixels = pixels.masked_fill(~present[:, :, None, None], 0.0)
        pixels = torch.einsum("buc,bchw->buhw", share, pixels)
    # channels_last is two to eight times faster here on CPUs and suits tensor cores. `contiguous` would not do: one
    # channel passes for both layouts, keeps its strides, and the convolution then answers in the slow one.
    pixels, weight = pixels.to(memory_format=torch.channels_last), weight.to(memory_format=torch.channels_last)
    return F.conv2d(pixels, weight, conv.bias, conv.stride, conv.padding)


class PatchStem(nn.Module):
    """One strided convolution: each patch is projected to a token."""

    def __init__(self, polarisations: int, width: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(polarisations, width, patch_size, patch_size)

    def forward(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to features (B, D, H / patch, W / patch)."""
        return convolve_polarisations(self.proj, pixels, channels)


class ConvStem(nn.Module):
    """3x3 convolutions of stride 2 that double their width up to the token's, then 1x1.

    GroupNorm rather than BatchNorm: batches mix sensors and are small, and the output must not depend on the batch.
    One group, so that bright and dark parts of an image keep their ratio.

    Source: Xiao et al., "Early convolutions help transformers see better", NeurIPS 2021.
    """

    def __init__(self, polarisations: int, width: int, patch_size: int, eps: float) -> None:
        super().__init__()
        steps = patch_size.bit_length() - 1
        widths = [width >> (steps - 1 - i) for i in range(steps)]
        self.proj = nn.Conv2d(polarisations, widths[0], 3, 2, 1, bias=False)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1, bias=False) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(1, w, eps) for w in widths)
        self.out = nn.Conv2d(widths[-1], width, 1)

    def forward(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to features (B, D, H / patch, W / patch)."""
        x = F.gelu(self.norms[0](convolve_polarisations(self.proj, pixels, channels)))
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            x = F.gelu(norm(conv(x)))
        out: Tensor = self.out(x)
        return out


MULTILOOK = 4
"""Pixels averaged along each side before texture is measured: 16 times the looks, so that what varies is ground."""
LEVELS = (-1.5, -0.5, 0.5, 1.5)
"""Levels of the soft histogram, in the processor's normalised units."""


class MomentStem(nn.Module):
    """Moments of each patch, linearly embedded per polarisation and averaged over those present.

    Fourteen numbers a patch and channel: mean, its square, spread and maximum of the pixels; spread, maximum and
    minimum of the multilooked patch; its mean gradient along rows and columns; its spread at half the patch's size; and
    a soft cumulative histogram at `LEVELS`.

    Source: the log-cumulant and texture features of radar land-cover work, as in Nicolas 2002, "Introduction aux
    statistiques de deuxième espèce"; here as inputs to be weighted by training.
    """

    FEATURES = 10 + len(LEVELS)

    def __init__(self, polarisations: int, width: int, patch_size: int) -> None:
        super().__init__()
        self.patch = patch_size
        self.weight = nn.Parameter(torch.randn(polarisations, self.FEATURES, width) * self.FEATURES**-0.5)
        self.out = nn.Linear(width, width)

    def forward(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to features (B, D, H / patch, W / patch)."""
        B, C, H, W = pixels.shape
        present = channels >= 0
        x = pixels.masked_fill(~present[:, :, None, None], 0.0).reshape(B * C, 1, H, W)
        moments = patch_moments(x, self.patch).reshape(B, C, self.FEATURES, H // self.patch, W // self.patch)
        weight = self.weight[channels.clamp(min=0)] * present[..., None, None]
        embedded = torch.einsum("bcfhw,bcfd->bhwd", moments, weight) / present.sum(1).clamp(min=1)[:, None, None, None]
        out: Tensor = self.out(F.gelu(embedded)).permute(0, 3, 1, 2)
        return out


def patch_moments(x: Tensor, patch: int) -> Tensor:
    """The features of `MomentStem` of one channel.

    Args:
        x: Normalised backscatter (B, 1, H, W).
        patch: Side of a patch, a multiple of twice `MULTILOOK`.

    Returns:
        Features (B, 14, H / patch, W / patch).
    """

    def spread(y: Tensor, mean: Tensor, k: int) -> Tensor:
        # a floor under the root, whose gradient at zero is infinite
        return (F.avg_pool2d(y * y, k) - mean * mean).clamp(min=1e-4).sqrt()

    k = patch // MULTILOOK
    looked = F.avg_pool2d(x, MULTILOOK)
    coarse = F.avg_pool2d(looked, k // 2)
    mean = F.avg_pool2d(looked, k)
    along_row = F.pad((looked[..., 1:] - looked[..., :-1]).abs(), (0, 1))
    along_column = F.pad((looked[..., 1:, :] - looked[..., :-1, :]).abs(), (0, 0, 0, 1))
    parts = [
        mean,
        spread(x, mean, patch),
        F.max_pool2d(x, patch),
        spread(looked, mean, k),
        F.max_pool2d(looked, k),
        -F.max_pool2d(-looked, k),
        F.avg_pool2d(along_row, k),
        F.avg_pool2d(along_column, k),
        spread(coarse, mean, 2),
        mean.square(),
        *(F.avg_pool2d(torch.sigmoid((looked - level) * 4), k) for level in LEVELS),
    ]
    return torch.cat(parts, 1)


class SarStem(nn.Module):
    """Convolutions for shape and moments for substance, added."""

    def __init__(self, conv: ConvStem, moments: MomentStem) -> None:
        super().__init__()
        self.conv, self.moments = conv, moments

    def forward(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to features (B, D, H / patch, W / patch)."""
        out: Tensor = self.conv(pixels, channels) + self.moments(pixels, channels)
        return out
