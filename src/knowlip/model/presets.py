"""Named model sizes, as data."""

from __future__ import annotations

from typing import Any

from knowlip.model.bert import BertConfig
from knowlip.model.knowlip import KnowLIPConfig
from knowlip.model.vit import ViTConfig

# Heads are 64 wide as in ViT and BERT, except in micro, where two heads would be too few. The small models have the
# convolutional stem, which learns from few images; base and large have the patch stem that published weights fit.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "micro": {
        "vit": {"width": 128, "depth": 4, "heads": 4, "patch_size": 32, "stem": "sar"},
        "bert": {"width": 128, "depth": 4, "heads": 4, "cross_attention_from": 2},
        "heads": {"projection": 128},
    },
    "tiny": {
        "vit": {"width": 192, "depth": 6, "heads": 3, "patch_size": 16, "stem": "sar"},
        "bert": {"width": 192, "depth": 6, "heads": 3, "cross_attention_from": 3},
        "heads": {"projection": 256},
    },
    "small": {
        "vit": {"width": 384, "depth": 12, "heads": 6, "patch_size": 16, "stem": "sar"},
        "bert": {"width": 384, "depth": 6, "heads": 6, "cross_attention_from": 3},
        "heads": {"projection": 256},
    },
    "base": {
        "vit": {"width": 768, "depth": 12, "heads": 12, "patch_size": 16, "stem": "patch"},
        "bert": {"width": 768, "depth": 12, "heads": 12, "cross_attention_from": 0},
        "heads": {"projection": 256},
    },
    "large": {
        "vit": {"width": 1024, "depth": 24, "heads": 16, "patch_size": 16, "stem": "patch"},
        "bert": {"width": 768, "depth": 12, "heads": 12, "cross_attention_from": 0},
        "heads": {"projection": 256},
    },
}


def preset(name: str, vocab_size: int, image_size: int = 256) -> KnowLIPConfig:
    """The configuration of a named size.

    Args:
        name: `micro`, `tiny`, `small`, `base` (the reference) or `large`.
        vocab_size: Number of words the tokenizer knows.
        image_size: Side of the images in pixels.

    Returns:
        A configuration; `dataclasses.replace` changes what differs.

    Raises:
        ValueError: There is no such preset, or `image_size` is not a whole number of its patches.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; allowed: {', '.join(PRESETS)}")
    size = PRESETS[name]
    vit = ViTConfig(image_size=image_size, **size["vit"])
    return KnowLIPConfig(vit, BertConfig(vocab_size, image_width=vit.width, **size["bert"]), **size["heads"])
