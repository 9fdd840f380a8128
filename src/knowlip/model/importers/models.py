"""Whole models of published weights: BLIP as a `KnowLIP`, CLIP as a `Clip`, and encoders for a new `KnowLIP`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from knowlip.core.errors import ModelError
from knowlip.model.bert import BertConfig
from knowlip.model.clip import Clip, ClipTextConfig
from knowlip.model.importers.layouts import CLIP_TEXT_LAYOUTS, find_layout, fitted, renamed
from knowlip.model.importers.towers import HEAD_WIDTH, Tower, image_tower, text_tower
from knowlip.model.importers.weights import Weights
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.vit import Activation, ViTConfig

_HEADS = ("vision_proj", "text_proj", "itm_head")


@dataclass(frozen=True)
class Imported:
    """A model made of published weights.

    Attributes:
        new: Parameters that the file has not, which keep their random start.
        left_out: Parameters of the file's encoders that have no place here.
    """

    model: KnowLIP
    new: tuple[str, ...]
    left_out: tuple[str, ...]


def import_blip(
    weights: Weights, image_size: int | None = None, polarisations: tuple[str, ...] | None = None
) -> Imported:
    """BLIP, in Salesforce's layout or in that of `transformers`, as a KnowLIP.

    Args:
        image_size: Side in pixels that position embeddings are resampled for; None keeps the file's.
        polarisations: Channels wanted, see `image_tower`.

    Raises:
        ModelError: The file holds no BLIP, or not all of an encoder.
    """
    image, text = image_tower(weights, image_size, polarisations), text_tower(weights)
    sizes = {len(weights.state[f"{n}.weight"]) for n in _HEADS[:2] if f"{n}.weight" in weights.state}
    config = KnowLIPConfig(image.config, _facing(text.config, image.config), sizes.pop() if sizes else 256)
    heads = {n: v for n, v in weights.state.items() if n.rpartition(".")[0] in _HEADS}
    if "temp" in weights.state:
        heads["logit_scale"] = -weights.state["temp"].reshape(()).log()
    model, new = built(config, {**joined(image, text), **heads}, weights.path)
    return Imported(model, new, image.left_out + text.left_out)


def import_towers(
    config: KnowLIPConfig, image: Weights | None = None, text: Weights | None = None
) -> tuple[KnowLIPConfig, dict[str, Tensor]]:
    """A configuration whose encoders start from published weights, and these weights.

    The encoder of the weights replaces the one of the configuration, which must be as wide and as deep: heads, stem,
    patch, norms and vocabulary are those of the weights; image size, polarisations, geo tokens and the layer where
    cross-attention begins stay those of the configuration.

    Args:
        config: Of the model to start, such as a preset's.
        image: Holds the image encoder; None leaves it as it is.
        text: Holds the text encoder.

    Returns:
        The configuration to build, and parameters by the names of `KnowLIP`; all others keep their random start.

    Raises:
        ModelError: The weights do not fit.
    """
    state: dict[str, Tensor] = {}
    vit, bert = config.vit, config.bert
    if image is not None:
        found = image_tower(image, vit.image_size, vit.polarisations)
        same_size(image.path, found.config, vit, "image")
        vit = replace(found.config, geo_tokens=vit.geo_tokens)
        state |= {f"vit.{n}": v for n, v in found.state.items()}
    if text is not None:
        read = text_tower(text, bert.max_length)
        same_size(text.path, read.config, bert, "text")
        crossed = read.config.cross_attention_from
        same = crossed < read.config.depth and read.config.image_width == vit.width
        start = crossed if same else bert.cross_attention_from
        bert = replace(read.config, cross_attention_from=start)
        state |= {f"bert.{n}": v for n, v in read.state.items() if same or "crossattention" not in n}
        state |= {f"mlm_head.{n}": v for n, v in read.mlm.items()}
    return replace(config, vit=vit, bert=_facing(bert, vit)), state


def joined(image: Tower[ViTConfig], text: Tower[BertConfig]) -> dict[str, Tensor]:
    """The parameters of two encoders by the names of `KnowLIP`."""
    return {
        **{f"vit.{n}": v for n, v in image.state.items()},
        **{f"bert.{n}": v for n, v in text.state.items()},
        **{f"mlm_head.{n}": v for n, v in text.mlm.items()},
    }


def built(config: KnowLIPConfig, state: dict[str, Tensor], path: object) -> tuple[KnowLIP, tuple[str, ...]]:
    """A model with these parameters, in evaluation mode, and the names of those that keep their random start."""
    model = KnowLIP(config)
    wanted = model.state_dict()
    new = tuple(n for n in wanted if n not in state)
    model.load_state_dict(fitted(path, state, wanted, may_lack=r".*"), strict=False)
    return model.eval(), new


def import_clip(
    weights: Weights,
    image_size: int | None = None,
    polarisations: tuple[str, ...] | None = None,
    activation: Activation | None = None,
) -> Clip:
    """CLIP and its kin (RemoteCLIP, GeoRSCLIP, SkyCLIP), in the layout of OpenAI and open_clip or of `transformers`.

    Args:
        image_size: Side in pixels that position embeddings are resampled for; None keeps the file's.
        polarisations: Channels wanted, see `image_tower`.
        activation: None for what the configuration says, or OpenAI's; open_clip's own weights need `gelu`.

    Raises:
        ModelError: The file holds no CLIP, or not all of it.
    """
    image = image_tower(weights, image_size, polarisations, activation=activation)
    layout, prefix = find_layout(weights, CLIP_TEXT_LAYOUTS, "CLIP text encoder")
    state, _ = renamed(weights, layout, prefix)
    state = {n: v for n, v in state.items() if n not in ("vision_proj.weight", "text_proj.weight")}
    vision_proj, text_proj = _projections(weights)
    said = weights.config.get("text_config", {})
    depth = len({n.split(".")[1] for n in state if n.startswith("blocks.")})
    for name in ("token_embedding.weight", "positional_embedding", "blocks.0.mlp.fc1.bias"):
        if name not in state:
            raise ModelError(weights.path, f"lacks {name} of CLIP's text encoder", "Name weights of a whole CLIP")
    vocab_size, width = state["token_embedding.weight"].shape
    text = ClipTextConfig(
        vocab_size,
        width,
        depth,
        int(said.get("num_attention_heads", max(1, width // HEAD_WIDTH))),
        len(state["positional_embedding"]),
        state["blocks.0.mlp.fc1.bias"].shape[0] / width,
        float(said.get("layer_norm_eps", layout.eps)),
        image.config.activation,
    )
    model = Clip(image.config, text, len(vision_proj))
    found = {
        **{f"vit.{n}": v for n, v in image.state.items()},
        **{f"text.{n}": v for n, v in state.items()},
        "vision_proj.weight": vision_proj,
        "text_proj.weight": text_proj,
    }
    if "logit_scale" in weights.state:
        found["logit_scale"] = weights.state["logit_scale"].reshape(())
    model.load_state_dict(fitted(weights.path, found, model.state_dict(), may_lack="logit_scale"), strict=False)
    return model.eval()


def _projections(weights: Weights) -> tuple[Tensor, Tensor]:
    state = weights.state
    if "visual_projection.weight" in state and "text_projection.weight" in state:
        return state["visual_projection.weight"], state["text_projection.weight"]
    if "visual.proj" in state and "text_projection" in state:
        return state["visual.proj"].T, state["text_projection"].T
    raise ModelError(weights.path, "lacks CLIP's two projections", "Name weights of a whole CLIP")


def _facing(bert: BertConfig, vit: ViTConfig) -> BertConfig:
    return replace(bert, image_width=vit.width)


def same_size(path: object, found: ViTConfig | BertConfig, wanted: ViTConfig | BertConfig, what: str) -> None:
    """Refuse an encoder that is not as wide and deep as wanted."""
    if (found.width, found.depth) != (wanted.width, wanted.depth):
        raise ModelError(
            path,
            f"has the {what} encoder {found.width} wide and {found.depth} deep, the preset {wanted.width} and "
            f"{wanted.depth}",
            "Choose the preset of its size, or other weights",
        )
