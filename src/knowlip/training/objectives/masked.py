"""Learning from hidden patches: MAE, which tells their pixels, and SAR-JEPA, which tells their gradients.

Sources: He et al. 2022, "Masked autoencoders are scalable vision learners" (MAE); Li et al. 2024, "Predicting gradient
is better: exploring self-supervised learning for SAR ATR with a joint-embedding predictive architecture" (SAR-JEPA);
Chen et al. 2022, "Efficient self-supervised vision pretraining with local masked reconstruction" (LoMaR), whose local
windows SAR-JEPA takes over.

Stems of convolutions look over the edge of a patch, so hidden patches are blanked before the stem, not only dropped
after it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from knowlip.model.knowlip import KnowLIP
from knowlip.model.processor import Processor
from knowlip.model.vit import Block, ViT, ViTConfig
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch
from knowlip.training.objectives.gradients import RADII, ratio_gradient
from knowlip.training.objectives.objective import Losses, Moment, Objective
from knowlip.training.ranks import rank, ranks, total

DECODER_WIDTH, DECODER_DEPTH = 512, 8
"""Published for a ViT-B; smaller encoders get as wide a decoder as they are, of two thirds of their depth."""


class Decoder(nn.Module):
    """Tokens of seen patches to values of all: mask tokens in the gaps, some blocks, one linear layer."""

    def __init__(self, config: ViTConfig, values: int) -> None:
        super().__init__()
        width = min(DECODER_WIDTH, config.width)
        eps, activation = config.layer_norm_eps, config.activation
        self.embed = nn.Linear(config.width, width)
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        depth = min(DECODER_DEPTH, max(1, config.depth * 2 // 3))
        self.blocks = nn.ModuleList(Block(width, width // 32, config.mlp_ratio, eps, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps)
        self.out = nn.Linear(width, values)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor, seen: Tensor, asked: Tensor, grid: tuple[int, int]) -> Tensor:
        """Values of hidden patches.

        Args:
            tokens: `(B, K + R, D)` encoder tokens: K that stand for no patch, then those of the seen patches.
            seen: `(B, R)` patches that were seen.
            asked: `(B, M)` patches wanted.
            grid: Rows and columns of patches.

        Returns:
            `(B, M, values)`.
        """
        x = self.embed(tokens)
        extra, patches = x.split([x.shape[1] - seen.shape[1], seen.shape[1]], 1)
        place = sine_positions(*grid, x.shape[2], x.device)
        hidden = self.mask_token + place[asked]
        x = torch.cat([extra, patches + place[seen], hidden.to(x.dtype)], 1)
        for block in self.blocks:
            x = block(x)
        values: Tensor = self.out(self.norm(x[:, -asked.shape[1] :]))
        return values


class Mae(Objective):
    """Masked autoencoder: the pixels of hidden patches, each patch normalised by itself."""

    reported = ("pixels", "total")

    def __init__(self, model: KnowLIP, config: PretrainConfig, mask_id: int) -> None:
        super().__init__(model, config, mask_id)
        vit = model.config.vit
        self.decoder = Decoder(vit, len(vit.polarisations) * self.values(vit.patch_size))

    def values(self, patch_size: int) -> int:
        """Values wanted of a patch, for each polarisation."""
        return patch_size**2

    def target(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels `(B, C, H, W)`, channels `(B, C)` to what is wanted of patches and channels `(B, N, C, values)`."""
        wanted = patches(pixels, self.model.config.vit.patch_size)
        mean, variance = wanted.mean(-1, keepdim=True), wanted.var(-1, keepdim=True)
        return (wanted - mean) / (variance + 1e-6).sqrt()

    def choose(self, moment: Moment, images: int, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Patches that are seen `(B, R)` and those asked for `(B, M)`, of the images of all ranks."""
        order = torch.rand(images, grid[0] * grid[1], generator=moment.generator).argsort(1)
        seen = max(1, round((1 - self.config.loss.mask_patches) * order.shape[1]))
        return order[:, :seen], order[:, seen:]

    def forward(self, batch: Batch, moment: Moment) -> Losses:
        """The mean squared error over hidden patches and the channels that an image has."""
        vit, (n, C, H, W) = self.model.vit, batch.pixels.shape
        grid = H // vit.config.patch_size, W // vit.config.patch_size
        seen, asked = (c[rank() * n :][:n].to(batch.pixels.device) for c in self.choose(moment, n * ranks(), grid))
        told = self.decoder(encode_seen(vit, batch.pixels, batch.channels, seen), seen, asked, grid)
        told = told.view(n, asked.shape[1], len(vit.config.polarisations), -1)
        present = batch.channels >= 0
        which = batch.channels.clamp(min=0)[:, None, :, None]
        told = told.gather(2, which.expand(-1, asked.shape[1], -1, told.shape[3]))
        with torch.no_grad():
            wanted = self.target(batch.pixels.float(), batch.channels)
            wanted = wanted.gather(1, asked[:, :, None, None].expand(-1, -1, C, wanted.shape[3]))
        error = (told.float() - wanted).square().mean((1, 3)) * present
        loss = error.sum() * (ranks() / total(present.sum()))
        return {self.reported[0]: loss, "total": loss}


class SarJepa(Mae):
    """SAR-JEPA: the gradients of hidden patches in a local window, from the rest of the window.

    A window of 7 by 7 patches is drawn for each image, or the whole image where it is smaller; nothing outside it is
    seen. Published are several windows an image and relative positions in the encoder; here it is one window and the
    encoder's own positions, so that the encoder stays the one that all objectives train.
    """

    reported = ("gradients", "total")
    WINDOW = 7

    def values(self, patch_size: int) -> int:
        """Values wanted of a patch, for each polarisation."""
        return patch_size**2 * len(RADII)

    def target(self, pixels: Tensor, channels: Tensor) -> Tensor:
        """Pixels `(B, C, H, W)` and channels `(B, C)` to gradients of each patch and channel `(B, N, C, values)`."""
        # pixels are dB less a mean, over a spread; the mean has no say in a ratio
        config = self.model.config
        processor = Processor.from_dict(config.processor) if config.processor else Processor()
        spread_db = pixels.new_tensor([processor.level_db[p][1] for p in config.vit.polarisations])
        power = 10 ** (pixels * (spread_db[channels.clamp(min=0)] / 10)[..., None, None])
        size = self.model.config.vit.patch_size
        return torch.cat([patches(ratio_gradient(power, radius), size) for radius in RADII], -1)

    def choose(self, moment: Moment, images: int, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Patches of each image's window that are seen `(B, R)` and those asked for `(B, M)`."""
        rows, columns = (min(self.WINDOW, side) for side in grid)
        corner = torch.rand(images, 2, generator=moment.generator) * torch.tensor(
            [grid[0] - rows + 1, grid[1] - columns + 1]
        )
        top, left = corner.long().unbind(1)
        window = (torch.arange(rows)[:, None] * grid[1] + torch.arange(columns)).flatten()
        window = window + (top * grid[1] + left)[:, None]
        order = torch.rand(images, rows * columns, generator=moment.generator).argsort(1)
        seen = max(1, round((1 - self.config.loss.mask_patches) * order.shape[1]))
        return window.gather(1, order[:, :seen]), window.gather(1, order[:, seen:])


def encode_seen(vit: ViT, pixels: Tensor, channels: Tensor, seen: Tensor) -> Tensor:
    """Encode images of which only some patches are seen.

    Args:
        pixels: `(B, C, H, W)`.
        channels: `(B, C)`.
        seen: `(B, R)` patches that are seen; all others are blank before the stem and dropped after it.

    Returns:
        Tokens `(B, 1 + R, D)`, CLS first.
    """
    size = vit.config.patch_size
    rows, columns = pixels.shape[2] // size, pixels.shape[3] // size
    mask = pixels.new_zeros(len(pixels), rows * columns).scatter(1, seen, 1.0).view(-1, 1, rows, columns)
    x: Tensor = vit.patch_embed(pixels * F.interpolate(mask, scale_factor=size), channels)
    positions = vit.positions(rows, columns)
    x = x.flatten(2).transpose(1, 2) + positions[:, 1:]
    x = x.gather(1, seen[..., None].expand(-1, -1, x.shape[2]))
    x = torch.cat([(vit.cls_token + positions[:, :1]).expand(len(x), -1, -1), x], 1)
    for block in vit.blocks:
        x = block(x)
    tokens: Tensor = vit.norm(x)
    return tokens


def patches(x: Tensor, size: int) -> Tensor:
    """Images `(B, C, H, W)` to their patches `(B, N, C, size * size)`, N in row order."""
    B, C, H, W = x.shape
    x = x.view(B, C, H // size, size, W // size, size).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(B, (H // size) * (W // size), C, size * size)


def sine_positions(rows: int, columns: int, width: int, device: torch.device) -> Tensor:
    """Fixed position embeddings `(rows * columns, width)`: sines and cosines of the row, then of the column.

    Source: He et al. 2022; Vaswani et al. 2017 for the frequencies. `width` is a multiple of 4.
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, device=device) / (width // 4))
    waves = []
    for place in (torch.arange(rows, device=device)[:, None], torch.arange(columns, device=device)[None]):
        angle = place.expand(rows, columns).reshape(-1, 1) * frequency
        waves += [angle.sin(), angle.cos()]
    return torch.cat(waves, 1)
