"""Configuration of a pretraining run: typed, documented, refused when a key is not known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    """Muon for the weight matrices of the blocks, AdamW for all else; linear warm-up and cosine decay.

    Attributes:
        steps: Optimiser steps in all.
        learning_rate: Peak of AdamW.
        matrix_learning_rate: Peak of Muon.
        warmup: Share of the steps.
        clip: Largest gradient norm.
    """

    steps: int = Field(default=240, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    matrix_learning_rate: float = Field(default=6e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup: float = Field(default=0.1, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0)


class LossConfig(_Part):
    """Weights of the three losses, and what is masked.

    Attributes:
        itc, itm, mlm: Weights of contrast, matching and slot filling.
        mask_slots: Share of the slots masked for slot filling.
        contrast_first: Share of the steps with contrast alone. It is the cheapest loss, and hard negatives of matching
            mean something only once similarities do.
        keep_patches: Share of the patches that the image encoder sees in a step.
        queue: Embeddings of a momentum copy that contrast is taken against, besides the batch; 0 for neither.
        momentum: Share of itself that the copy keeps in a step.
        soft_targets: Share of the contrast's target that the copy's own similarities make up, once warmed up.
    """

    itc: float = Field(default=1.0, ge=0)
    itm: float = Field(default=0.5, ge=0)
    mlm: float = Field(default=1.0, ge=0)
    mask_slots: float = Field(default=0.5, gt=0, le=1)
    contrast_first: float = Field(default=0.5, ge=0, le=1)
    keep_patches: float = Field(default=1.0, gt=0, le=1)
    queue: int = Field(default=0, ge=0)
    momentum: float = Field(default=0.995, ge=0, lt=1)
    soft_targets: float = Field(default=0.4, ge=0, lt=1)


class ScioConfig(_Part):
    """The self-consistent round after training.

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
        preset: Model size.
        seed: Fixes weights, order, masks and noise.
        checkpoint_every: Steps between checkpoints.
        threads: Processor threads of torch; 0 leaves torch's own choice.
    """

    preset: str = "micro"
    seed: int = 0
    checkpoint_every: int = Field(default=100, ge=1)
    threads: int = Field(default=0, ge=0)
    init: InitConfig = Field(default_factory=InitConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    optim: OptimConfig = Field(default_factory=OptimConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    scio: ScioConfig = Field(default_factory=ScioConfig)


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Read a YAML file and apply `a.b=c` overrides.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown (the nearest right one is named), or a value is
            out of range.
    """
    return read_settings(PretrainConfig, path, overrides, "optim.steps=500")
