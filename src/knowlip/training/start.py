"""What a run starts from: random weights, published encoders, or a whole model trained before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from knowlip.core.errors import ConfigError, ModelError
from knowlip.model.embedder import load_embedder
from knowlip.model.importers.models import built, import_towers, same_size
from knowlip.model.importers.weights import Weights, read_weights
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.tokenizer import Tokenizer
from knowlip.model.vit import resample_positions
from knowlip.training.config import InitConfig


@dataclass(frozen=True)
class Start:
    """Weights to start from, read and not yet fitted.

    Attributes:
        image, text: Published encoders.
        model: A model of this package, which comes with its vocabulary.
        tokenizer: The vocabulary that the weights were trained with, where they hold a text encoder.
        digests: SHA-256 of each file by the part that it starts: a run is another one when they change.
    """

    image: Weights | None = None
    text: Weights | None = None
    model: KnowLIP | None = None
    tokenizer: Tokenizer | None = None
    digests: tuple[tuple[str, str], ...] = ()


def read_start(init: InitConfig) -> Start:
    """Read the weights that a configuration names.

    Raises:
        ConfigError: A whole model is named beside an encoder.
        ModelError: Weights cannot be read, or a text encoder comes without its vocabulary.
    """
    if init.model and (init.image or init.text):
        raise ConfigError("init.model", "is a whole model, and an encoder is named too", "Name one of them")
    if init.model:
        opened = load_embedder(init.model)
        digest = _digest(opened.folder / "model.safetensors")
        return Start(model=opened.model, tokenizer=opened.tokenizer, digests=(("model", digest),))
    image, text = _published(init.image), _published(init.text)
    digests = tuple((part, _digest(w.path)) for part, w in (("image", image), ("text", text)) if w)
    return Start(image, text, None, _vocabulary(text) if text else None, digests)


def started(config: KnowLIPConfig, start: Start) -> KnowLIP:
    """A model of this configuration with the weights of `start`; what they do not hold is random.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    if start.model is not None:
        return _again(config, start.model)
    path = next((w.path for w in (start.image, start.text) if w), "")
    config, state = import_towers(config, start.image, start.text)
    return built(config, state, path)[0]


def _published(path: str) -> Weights | None:
    weights = read_weights(path) if path else None
    if weights is not None and {"vit", "bert"} <= weights.config.keys():
        raise ModelError(weights.path, "is a whole model of this package", "Name its folder as init.model")
    return weights


def _again(config: KnowLIPConfig, model: KnowLIP) -> KnowLIP:
    old = model.config
    for part in ("vit", "bert"):
        same_size("init.model", getattr(old, part), getattr(config, part), "image" if part == "vit" else "text")
    if old.vit.polarisations != config.vit.polarisations or config.vit.image_size % old.vit.patch_size:
        raise ModelError("init.model", "reads other polarisations or tile sizes", "Name another model")
    vit = replace(old.vit, image_size=config.vit.image_size, geo_tokens=config.vit.geo_tokens)
    new = replace(old, vit=vit, processor=config.processor, training={})
    side = new.vit.image_size // new.vit.patch_size
    same = old.vit.geo_tokens == vit.geo_tokens
    state = {n: v for n, v in model.state_dict().items() if same or not n.startswith("vit.geo_embed.")}
    state["vit.pos_embed"] = resample_positions(state["vit.pos_embed"], side, side)
    return built(new, state, "init.model")[0]


def _vocabulary(text: Weights) -> Tokenizer:
    try:
        return Tokenizer.load(text.path.parent)
    except (OSError, ValueError) as error:
        raise ModelError(
            text.path, f"comes without a vocabulary ({error})", "Put its vocab.txt or tokenizer.json beside it"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
