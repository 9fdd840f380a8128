"""Stems: from pixels of any set of polarisations to patch features.

`patch` is what published weights fit; `conv` trains faster; `sar` adds what each patch's multilooked cells are, which
tells radar ground apart: under speckle a single pixel means little, while level and roughness of a few pixels, in all
polarisations together, name the surface. Norms inside a convolutional stem hide the absolute level; the cells bring it
back.
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
    return conv if kind == "conv" else SarStem(conv, CellStem(polarisations, width, patch_size))


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
    # elsewhere reading the indices would make the host wait for the device. Never in a compiled or exported graph,
    # whose shapes may not depend on what the indices are.
    eager = channels.device.type == "cpu" and not torch.compiler.is_compiling()
    if eager and present.any():
        polarisations = polarisations[(polarisations[:, None] == channels.reshape(-1)).any(1)]
    weight = conv.weight
    if len(polarisations) < conv.in_channels:
        weight = weight.index_select(1, polarisations)
    same = eager and channels.shape[1] == len(polarisations) == 1 and bool(present.all())
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


CELL = 4
"""Side in pixels of a cell: 16 times the looks of a pixel, so that what varies from cell to cell is ground."""
NEIGHBOURHOODS = (3, 7)
"""Sides in cells of the surroundings that a cell is described with."""
STEEPNESS = 6.0
"""Spread of a bin's argument at the start: a bin then ends over about the width of a histogram's."""


class CellStem(nn.Module):
    """What a patch is made of: a histogram over its cells whose bins are learned and see all polarisations together.

    A cell is described by `cell_features` in each polarisation. A bin is a sigmoid of a weighted sum over the
    features of all polarisations present, so it can ask for dark in one *and* rough in the other, which histograms of
    single polarisations cannot. A patch has the mean of every bin, the share of its cells that lie in it, and the
    largest, which single bright points move.

    Source: Wang et al. 2016, "Learnable histogram", ECCV; the features are levels and textures of radar land-cover
    work, as in Nicolas 2002, "Introduction aux statistiques de deuxième espèce".
    """

    FEATURES = 3 + 2 * len(NEIGHBOURHOODS)

    def __init__(self, polarisations: int, width: int, patch_size: int) -> None:
        super().__init__()
        # half as many bins as the token is wide: more were hardly better, and they are what the stem costs
        self.pool, self.bins = patch_size // CELL, width // 2
        self.weight = nn.Parameter(torch.randn(polarisations, self.FEATURES, self.bins) * self.FEATURES**-0.5)
        self.bias = nn.Parameter(torch.randn(self.bins) / 2)
        self.out = nn.Linear(2 * self.bins, width)

    def measure(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to means and maxima of bins (B, 2 * bins, H / patch, W / patch)."""
        B, C = channels.shape
        present = channels >= 0
        features = cell_features(pixels.masked_fill(~present[:, :, None, None], 0.0).flatten(0, 1)[:, None])
        weight = self.weight[channels.clamp(min=0)] * present[..., None, None]
        weight = weight * (STEEPNESS / present.sum(1).clamp(min=1).sqrt())[:, None, None, None]
        # one matrix product an image: its channels' features beside each other
        bias = (STEEPNESS * self.bias)[None, :, None]
        summed = torch.baddbmm(bias, weight.flatten(1, 2).mT, features.view(B, C * self.FEATURES, -1))
        bins = torch.sigmoid(summed).view(B, self.bins, *features.shape[2:])
        return torch.cat([F.avg_pool2d(bins, self.pool), F.max_pool2d(bins, self.pool)], 1)

    def forward(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to features (B, D, H / patch, W / patch)."""
        out: Tensor = self.out(self.measure(pixels, channels).permute(0, 2, 3, 1) - 0.5).permute(0, 3, 1, 2)
        return out


def cell_features(x: Tensor) -> Tensor:
    """Level, roughness and brightest pixel of each cell, and level and roughness of its surroundings.

    Each is brought to about zero mean and unit spread by constants, so that the bins begin where the values are.

    Args:
        x: Normalised backscatter (B, 1, H, W) of one polarisation, H and W multiples of `CELL`.

    Returns:
        Features (B, 7, H / 4, W / 4).
    """

    def spread(square: Tensor, mean: Tensor) -> Tensor:
        # a floor under the root, whose gradient at zero is infinite
        return (square - mean * mean).clamp(min=1e-4).sqrt()

    def around(y: Tensor, side: int) -> Tensor:
        return F.avg_pool2d(F.pad(y, (side // 2,) * 4, mode="replicate"), side, 1)

    level = F.avg_pool2d(x, CELL)
    peak = F.max_pool2d(x, CELL) - level
    parts = [level / 0.7, (spread(F.avg_pool2d(x * x, CELL), level) - 0.45) / 0.2, (peak - 0.8) / 0.4]
    for side in NEIGHBOURHOODS:
        mean = around(level, side)
        parts += [mean / 0.6, (spread(around(level * level, side), mean) - 0.3) / 0.18]
    return torch.cat(parts, 1)


class SarStem(nn.Module):
    """Convolutions for shape and cells for substance, added."""

    def __init__(self, conv: ConvStem, cells: CellStem) -> None:
        super().__init__()
        self.conv, self.cells = conv, cells

    def forward(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) and channels (B, C) to features (B, D, H / patch, W / patch)."""
        out: Tensor = self.conv(pixels, channels) + self.cells(pixels, channels)
        return out
