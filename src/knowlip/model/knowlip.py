"""KnowLIP: the image encoder, the text encoder, and the heads that join them.

Source: SAR-KnowLIP, arXiv 2509.23927, section 4; Li et al., "BLIP", ICML 2022, for the mixture of encoders.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from knowlip.model.bert import Bert, BertConfig, MlmHead, initialise_bert
from knowlip.model.card import model_card
from knowlip.model.vit import ViT, ViTConfig

TEMPERATURE_INIT = 0.07
TEMPERATURE_RANGE = (0.001, 0.5)


@dataclass(frozen=True)
class KnowLIPConfig:
    """Everything needed to build the model and to feed it.

    Args:
        vit: The image encoder.
        bert: The text encoder; its `image_width` is the image encoder's width.
        projection: Size of the contrastive embeddings.
        processor: How images were prepared for this model; carried with it, not read here. JSON values only.
        training: How it came about: corpus, settings, figures; what its card is written from. JSON values only.

    Raises:
        ValueError: The encoders do not fit each other.
    """

    vit: ViTConfig
    bert: BertConfig
    projection: int = 256
    processor: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bert.image_width != self.vit.width:
            raise ValueError(f"bert.image_width {self.bert.image_width} is not vit.width {self.vit.width}")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON values."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value

    def to_json(self) -> str:
        """The content of `config.json`."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> KnowLIPConfig:
        """The configuration of `to_dict`; entries of later versions that are not known here are ignored."""
        vit = {f.name: value["vit"][f.name] for f in fields(ViTConfig) if f.name in value["vit"]}
        bert = {f.name: value["bert"][f.name] for f in fields(BertConfig) if f.name in value["bert"]}
        vit |= {name: tuple(vit[name]) for name in ("polarisations", "geo_tokens") if name in vit}
        carried = (dict(value.get(name, {})) for name in ("processor", "training"))
        return cls(ViTConfig(**vit), BertConfig(**bert), value["projection"], *carried)


class KnowLIP(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="knowlip",
    license="apache-2.0",
    repo_url="https://github.com/sar-knowlip/sar-knowlip",
    paper_url="https://arxiv.org/abs/2509.23927",
    pipeline_tag="zero-shot-image-classification",
    tags=["sar", "remote-sensing"],
):
    """A SAR vision-language model with contrastive (ITC), matching (ITM) and slot-filling (MLM) heads.

    `save_pretrained(folder)` writes `config.json` and `model.safetensors`; `KnowLIP.from_pretrained(folder or name)`
    reads them, in evaluation mode.

    A training step in its cheapest form: `lower = text_lower(ids, mask)` once, then `encode_text(..., lower=lower,
    at=first)` for ITC and `fuse(..., lower=lower, at=first)` for ITM, where `first` is `zeros(B, 1)`; and for MLM
    `fuse(masked_ids, mask, image, at=positions)` with `mlm_logits` on the positions that count.
    """

    def __init__(self, config: KnowLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.vit = ViT(config.vit)
        self.bert = Bert(config.bert)
        self.vision_proj = nn.Linear(config.vit.width, config.projection)
        self.text_proj = nn.Linear(config.bert.width, config.projection)
        self.itm_head = nn.Linear(config.bert.width, 2)
        self.mlm_head = MlmHead(config.bert)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE_INIT)))
        for module in (self.vision_proj, self.text_proj, self.itm_head):
            initialise_bert(module, config.bert.width)

    def encode_image(
        self, pixels: Tensor, channels: Tensor, geo: Tensor | None = None, keep: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            pixels: Normalised images (B, C, H, W).
            channels: Index of each channel in `config.vit.polarisations` (B, C), -1 for an absent channel.
            geo: Properties (B, G) in the order of `config.vit.geo_tokens`, NaN for unknown; None when all are.
            keep: Share of the patches kept in training.

        Returns:
            Tokens (B, 1 + G + N, Dv), CLS first, and unit embeddings (B, E).
        """
        tokens = self.vit(pixels, channels, geo, keep)
        return tokens, F.normalize(self.vision_proj(tokens[:, 0]), dim=-1)

    def text_lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The part of the text encoder that never sees an image (B, L, D), to be shared by passes over one text."""
        return self.bert.lower(ids, mask)

    def encode_text(
        self, ids: Tensor, mask: Tensor, lower: Tensor | None = None, at: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encode texts without images.

        Args:
            ids: Token ids (B, L), CLS first.
            mask: True or 1 where there is a token (B, L).
            lower: `text_lower(ids, mask)` where it is at hand.
            at: Positions (B, M) at which tokens are wanted, position 0 first; None for all.

        Returns:
            Tokens (B, L, D), or (B, M, D) with `at`, and unit embeddings (B, E) from the first.
        """
        tokens = self.bert.upper(self.bert.lower(ids, mask) if lower is None else lower, mask, at=at)
        return tokens, F.normalize(self.text_proj(tokens[:, 0]), dim=-1)

    def fuse(
        self,
        ids: Tensor,
        mask: Tensor,
        image_tokens: Tensor,
        lower: Tensor | None = None,
        at: Tensor | None = None,
        image_mask: Tensor | None = None,
    ) -> Tensor:
        """Read texts while looking at images.

        Args:
            ids: Token ids (B, L), CLS first.
            mask: True or 1 where there is a token (B, L).
            image_tokens: Tokens of `encode_image` (B, N, Dv), row i for text i.
            lower: `text_lower(ids, mask)` where it is at hand.
            at: Positions (B, M) at which the result is wanted; None for all.
            image_mask: True or 1 where there is an image token (B, N); None when all are.

        Returns:
            Tokens (B, L, D), or (B, M, D) with `at`.
        """
        lower = self.bert.lower(ids, mask) if lower is None else lower
        return self.bert.upper(lower, mask, image_tokens, image_mask, at)

    def itm_logits(self, fused: Tensor) -> Tensor:
        """Scores (B, 2) of "does not match" and "matches" from fused tokens (B, L, D), whose first is CLS."""
        logits: Tensor = self.itm_head(fused[:, 0])
        return logits

    def mlm_logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary (M, V) from fused tokens (M, D), those of the masked positions."""
        logits: Tensor = self.mlm_head(hidden, self.bert.embeddings.word_embeddings.weight)
        return logits

    def scale(self) -> Tensor:
        """1 / temperature, what cosine similarities are multiplied by.

        The parameter itself is brought back into its range first, as a clamp in the graph would give it no gradient
        outside, and it would never return.
        """
        low, high = (-math.log(temperature) for temperature in reversed(TEMPERATURE_RANGE))
        with torch.no_grad():
            self.logit_scale.clamp_(low, high)
        return self.logit_scale.exp()

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: value.detach().contiguous() for name, value in self.state_dict().items()}
        save_file(state, save_directory / "model.safetensors", metadata={"format": "pt"})
        (save_directory / "config.json").write_text(self.config.to_json(), encoding="utf-8")

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card, from the configuration alone; `knowlip.model.card` says what is in it."""
        return ModelCard(model_card(self.config, sum(p.numel() for p in self.parameters())))

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str = "cpu",
        config: Any = None,
        **model_kwargs: Any,
    ) -> KnowLIP:
        # The mixin's own loader falls back to pickled weights, forgives missing ones, and prints.
        if config is None:
            raise FileNotFoundError(f"{model_id} has no config.json")
        if Path(model_id).is_dir():
            file = str(Path(model_id) / "model.safetensors")
        else:
            file = hf_hub_download(
                model_id,
                "model.safetensors",
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                token=token,
                local_files_only=local_files_only,
            )
        model = cls(config if isinstance(config, KnowLIPConfig) else KnowLIPConfig.from_dict(config))
        model.load_state_dict(load_file(file))
        return model.to(map_location).eval()
