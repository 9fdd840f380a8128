"""Configuration of a pretraining run: typed, documented, refused when a key is not known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from knowlip.core.settings import read_settings
from knowlip.model.geo import GEO_PROPERTIES


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Part):
    """What a step sees.

    Attributes:
        batch_size: Tiles a step.
        sentences: Most sentences of a tile that are joined into one text; how many is drawn anew each time.
        max_tokens: Longest text.
        vocab_size: Most entries of the vocabulary, where one is trained.
        speckle_looks: Looks of the multiplicative noise laid over training tiles; 0 for none.
        level_jitter_db: Spread of a random shift of a tile's level.
        geo_tokens: Properties of a tile that the image encoder reads as tokens, from `GEO_PROPERTIES`.
    """

    batch_size: int = Field(default=48, ge=2)
    sentences: int = Field(default=5, ge=1, le=16)
    max_tokens: int = Field(default=112, ge=16, le=192)
    vocab_size: int = Field(default=2000, ge=100)
    speckle_looks: float = Field(default=8.0, ge=0)
    level_jitter_db: float = Field(default=1.0, ge=0)
    geo_tokens: tuple[str, ...] = ()

    @field_validator("geo_tokens")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names) & set(GEO_PROPERTIES)) < len(names):
            raise ValueError(f"each once, of {', '.join(GEO_PROPERTIES)}")
        return names


class OptimConfig(_Part):
    """How weights are stepped: optimiser, learning rates over time, and what is averaged.

    Attributes:
        optimizer: `muon` for Muon on the weight matrices of the blocks and AdamW on all else; `adamw` for AdamW alone.
        steps: Optimiser steps in all.
        learning_rate: Peak of AdamW.
        matrix_learning_rate: Peak of Muon.
        schedule: `cosine`, or `wsd`: warm-up, stable, decay.
        warmup: Share of the steps.
        decay: Share of the steps at the end of `wsd` in which the rate falls.
        clip: Largest gradient norm.
        accumulate: Parts that a step's tiles are passed in, one after the other.
        ema: Decay of the exponential moving average of the weights, which is then the model; 0 for none.
    """

    optimizer: Literal["muon", "adamw"] = "muon"
    steps: int = Field(default=240, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    matrix_learning_rate: float = Field(default=6e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    schedule: Literal["cosine", "wsd"] = "cosine"
    warmup: float = Field(default=0.1, ge=0, le=1)
    decay: float = Field(default=0.2, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0)
    accumulate: int = Field(default=1, ge=1)
    ema: float = Field(default=0.0, ge=0, lt=1)


class LossConfig(_Part):
    """Weights of the losses, and what is masked.

    Attributes:
        itc, itm, mlm: Weights of contrast, matching and slot filling; for `blip`, `mlm` weighs its language model.
        mask_slots: Share of the slots masked for slot filling.
        contrast_first: Share of the steps with contrast alone. It is the cheapest loss, and hard negatives of matching
            mean something only once similarities do.
        keep_patches: Share of the patches that the image encoder sees in a step.
        mask_patches: Share of the patches that `mae` (of the image) and `sarjepa` (of its window) hide.
        momentum: Momentum of `mocov3`'s copy of the encoder at the start; it rises to 1 on a cosine.
        queue: For `knowlip` and `blip`, embeddings of earlier steps that contrast also takes for wrong ones, as ALBEF
            does with slowly following copies of the encoders; 0 for none, and no copies.
        queue_momentum: Momentum of these copies.
        soft_targets: Share of the target that these copies set instead of the pairs.
    """

    itc: float = Field(default=1.0, ge=0)
    itm: float = Field(default=0.5, ge=0)
    mlm: float = Field(default=1.0, ge=0)
    mask_slots: float = Field(default=0.5, gt=0, le=1)
    contrast_first: float = Field(default=0.5, ge=0, le=1)
    keep_patches: float = Field(default=1.0, gt=0, le=1)
    mask_patches: float = Field(default=0.75, gt=0, lt=1)
    momentum: float = Field(default=0.99, ge=0, le=1)
    queue: int = Field(default=0, ge=0)
    queue_momentum: float = Field(default=0.995, ge=0, le=1)
    soft_targets: float = Field(default=0.4, ge=0, le=1)


class ScioConfig(_Part):
    """The round after training: self-consistent, or for `blip+capfilt` that of its captioner and filter.

    Attributes:
        rounds: 0 or 1 rounds of screening and rebuilding.
        margin: Log likelihood by which another value must beat a slot's own to make it suspicious.
        steps_after: Steps trained on the repaired text.
    """

    rounds: int = Field(default=1, ge=0, le=1)
    margin: float = Field(default=2.5, gt=0)
    steps_after: int = Field(default=20, ge=0)


class InitConfig(_Part):
    """Weights that the encoders start from; files or folders, see docs/how-to/weights.md.

    Attributes:
        image: A ViT of timm, DeiT, MAE, MoCo v3, SAR-JEPA, BLIP, CLIP or transformers; empty for random weights.
        text: A BERT, alone or of BLIP, with its vocabulary beside it.
        model: A model folder of this package of the same shape, all of it; then neither of the others.
    """

    image: str = ""
    text: str = ""
    model: str = ""


class PretrainConfig(_Part):
    """A pretraining run.

    Attributes:
        objective: What is learned; all but `knowlip` are controls.
        preset: Model size.
        seed: Fixes weights, order, masks and noise.
        checkpoint_every: Steps between checkpoints.
        threads: Processor threads of torch; 0 leaves torch's own choice.
        precision: Of the activations: `auto` is bfloat16 on accelerators that have it and float32 elsewhere.
        activation_checkpointing: Recompute each block in the backward pass instead of keeping its activations.
        sharding: `ddp` keeps the whole model on every rank, `fsdp` shards weights and optimiser over the ranks.
        tracker: A service that figures are also sent to.
    """

    objective: Literal["knowlip", "clip", "siglip", "blip", "blip+capfilt", "mae", "mocov3", "sarjepa"] = "knowlip"
    preset: str = "micro"
    seed: int = 0
    checkpoint_every: int = Field(default=100, ge=1)
    threads: int = Field(default=0, ge=0)
    init: InitConfig = Field(default_factory=InitConfig)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    activation_checkpointing: bool = False
    sharding: Literal["ddp", "fsdp"] = "ddp"
    tracker: Literal["none", "wandb", "trackio"] = "none"
    data: DataConfig = Field(default_factory=DataConfig)
    optim: OptimConfig = Field(default_factory=OptimConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    scio: ScioConfig = Field(default_factory=ScioConfig)

    @property
    def reads_text(self) -> bool:
        """Whether the objective learns from text, so that the model can be searched with."""
        return self.objective not in ("mae", "mocov3", "sarjepa")

    @property
    def rounds(self) -> int:
        """Rounds of SCIO, which needs the system's own objective to fill slots, or of CapFilt."""
        return self.scio.rounds if self.objective in ("knowlip", "blip+capfilt") else 0


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Read a YAML file and apply `a.b=c` overrides.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown (the nearest right one is named), or a value is
            out of range.
    """
    return read_settings(PretrainConfig, path, overrides, "optim.steps=500")
