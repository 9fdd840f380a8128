"""The vision-language model: image encoder, text encoder, heads, tokenizer, presets.

The names below load on first use, because a command that only reads a corpus must not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from knowlip.model.bert import Bert, BertConfig
    from knowlip.model.geo import GEO_PROPERTIES
    from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
    from knowlip.model.presets import PRESETS, preset
    from knowlip.model.tokenizer import Encoded, Tokenizer
    from knowlip.model.vit import ViT, ViTConfig

__all__ = [
    "GEO_PROPERTIES",
    "PRESETS",
    "Bert",
    "BertConfig",
    "Encoded",
    "KnowLIP",
    "KnowLIPConfig",
    "Tokenizer",
    "ViT",
    "ViTConfig",
    "preset",
]

_MODULE_OF = {
    "GEO_PROPERTIES": "geo",
    "ViT": "vit",
    "ViTConfig": "vit",
    "Bert": "bert",
    "BertConfig": "bert",
    "KnowLIP": "knowlip",
    "KnowLIPConfig": "knowlip",
    "PRESETS": "presets",
    "preset": "presets",
    "Encoded": "tokenizer",
    "Tokenizer": "tokenizer",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
