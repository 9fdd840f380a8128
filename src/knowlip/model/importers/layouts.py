"""How others name the parameters of a ViT, a BERT and CLIP's text encoder, and what they become here.

Sources: the modules of timm, DeiT, MAE, MoCo v3, SAR-JEPA, BLIP, CLIP and open_clip, and of `transformers`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from knowlip.core.errors import ModelError
from knowlip.model.importers.weights import Weights


@dataclass(frozen=True)
class Layout:
    """Names of one family.

    Attributes:
        name: Family, for errors.
        mark: Parameter that every member has, by which the family is known.
        prefixes: What may stand before its names; parameters without it belong to other parts of the file.
        rules: Patterns and replacements, applied to each name in turn.
        others: Parameters that the family may have and this encoder has no use for: heads, decoders, masks.
        eps: Epsilon of its LayerNorms where no configuration says.
        clip: CLIP's activation where no configuration says.
    """

    name: str
    mark: str
    prefixes: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    others: str = r"(?!)"
    eps: float = 1e-6
    clip: bool = False


IMAGE_LAYOUTS = (
    Layout(
        "timm's ViT",
        "patch_embed.proj.weight",
        ("", "visual_encoder.", "base_encoder.", "encoder.", "backbone."),
        (),
        # `rpe` are SAR-JEPA's tables of relative positions, which its blocks add to attention and ours do not have
        r"(head|head_dist|fc_norm|decoder\w*|encoder_pred|pre_logits|sarfeature\d?)\..*|mask_token|decoder_pos_embed"
        r"|blocks\.\d+\.attn\.rpe_.*",
    ),
    Layout(
        "transformers' ViT",
        "embeddings.patch_embeddings.projection.weight",
        ("", "vit.", "deit."),
        (
            (r"^embeddings\.cls_token$", "cls_token"),
            (r"^embeddings\.position_embeddings$", "pos_embed"),
            (r"^embeddings\.distillation_token$", "dist_token"),
            (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
            (r"^(encoder\.layer|encoder\.layers|layers)\.", "blocks."),
            (r"\.attention\.(?:attention\.)?(query|key|value)\.", r".attn.\1."),
            (r"\.attention\.(q|k|v)_proj\.", r".attn.\1_proj."),
            (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
            (r"\.intermediate\.dense\.", ".mlp.fc1."),
            (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
            (r"\.layernorm_before\.", ".norm1."),
            (r"\.layernorm_after\.", ".norm2."),
            (r"^layernorm\.", "norm."),
        ),
        r"embeddings\.mask_token|(pooler|classifier|decoder|cls_classifier|distillation_classifier)\..*",
        1e-12,
    ),
    Layout(
        "transformers' BLIP or CLIP",
        "embeddings.patch_embedding.weight",
        ("vision_model.", ""),
        (
            (r"^embeddings\.class_embedding$", "cls_token"),
            (r"^embeddings\.position_embedding(\.weight)?$", "pos_embed"),
            (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
            (r"^encoder\.layers\.", "blocks."),
            (r"\.self_attn\.(projection|out_proj)\.", ".attn.proj."),
            (r"\.self_attn\.", ".attn."),
            (r"\.layer_norm([12])\.", r".norm\1."),
            (r"^pre_layrnorm\.", "norm_pre."),
            (r"^post_layernorm\.", "norm."),
        ),
        r"embeddings\.position_ids",
        1e-5,
        True,
    ),
    Layout(
        "CLIP or open_clip",
        "conv1.weight",
        ("visual.", ""),
        (
            (r"^class_embedding$", "cls_token"),
            (r"^positional_embedding$", "pos_embed"),
            (r"^conv1\.", "patch_embed.proj."),
            (r"^transformer\.resblocks\.", "blocks."),
            (r"\.attn\.in_proj_", ".attn.qkv."),
            (r"\.attn\.out_proj\.", ".attn.proj."),
            (r"\.ln_([12])\.", r".norm\1."),
            (r"\.c_fc\.", ".fc1."),
            (r"\.c_proj\.", ".fc2."),
            (r"^ln_pre\.", "norm_pre."),
            (r"^ln_post\.", "norm."),
        ),
        r"proj",
        1e-5,
        True,
    ),
)

TEXT_LAYOUTS = (
    Layout(
        "BERT",
        "embeddings.word_embeddings.weight",
        ("", "bert.", "0.auto_model.", "text_encoder.", "text_encoder.bert.", "text_decoder.bert."),
        ((r"\.gamma$", ".weight"), (r"\.beta$", ".bias")),
        r"pooler\..*|embeddings\.position_ids|cls\..*|classifier\..*|qa_outputs\..*",
        1e-12,
    ),
)

CLIP_TEXT_LAYOUTS = (
    Layout(
        "transformers' CLIP",
        "embeddings.token_embedding.weight",
        ("text_model.",),
        (
            (r"^embeddings\.token_embedding\.", "token_embedding."),
            (r"^embeddings\.position_embedding\.weight$", "positional_embedding"),
            (r"^encoder\.layers\.", "blocks."),
            (r"\.self_attn\.out_proj\.", ".attn.proj."),
            (r"\.self_attn\.", ".attn."),
            (r"\.layer_norm([12])\.", r".norm\1."),
            (r"^final_layer_norm\.", "norm."),
        ),
        r"embeddings\.position_ids",
        1e-5,
        True,
    ),
    Layout(
        "CLIP or open_clip",
        "token_embedding.weight",
        ("", "text."),
        (
            (r"^transformer\.resblocks\.", "blocks."),
            (r"\.attn\.in_proj_", ".attn.qkv."),
            (r"\.attn\.out_proj\.", ".attn.proj."),
            (r"\.ln_([12])\.", r".norm\1."),
            (r"\.c_fc\.", ".fc1."),
            (r"\.c_proj\.", ".fc2."),
            (r"^ln_final\.", "norm."),
        ),
        r"(visual\..*|text_projection|logit_scale|attn_mask|input_resolution|context_length|vocab_size)",
        1e-5,
        True,
    ),
)


def find_layout(weights: Weights, layouts: Iterable[Layout], what: str) -> tuple[Layout, str]:
    """The family that a file's names belong to, and the prefix before them.

    Raises:
        ModelError: None of them; the nearest names are told.
    """
    marks = []
    for layout in layouts:
        for prefix in layout.prefixes:
            if prefix + layout.mark in weights.state:
                return layout, prefix
        marks.append(layout.mark)
    found = {near for mark in marks for near in difflib.get_close_matches(mark, weights.state, 1)}
    have = f"; nearest are {', '.join(sorted(found))}" if found else f"; it begins with {next(iter(weights.state))}"
    raise ModelError(weights.path, f"holds no {what} of a known kind{have}", f"Known by one of {', '.join(marks)}")


def renamed(weights: Weights, layout: Layout, prefix: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """An encoder's parameters by this package's names, query, key and value joined; and the names left out."""
    state, left_out = {}, []
    for name, value in weights.state.items():
        if not name.startswith(prefix):
            continue
        name = name.removeprefix(prefix)
        if re.fullmatch(layout.others, name):
            left_out.append(name)
            continue
        for pattern, replacement in layout.rules:
            name = re.sub(pattern, replacement, name)
        state[name] = value
    return _joined(state), tuple(left_out)


def _joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for name in [n for n in state if re.search(r"\.attn\.(q|query)(_proj)?\.", n)]:
        names = [re.sub(r"\.attn\.(?:q|query)(_proj)?\.", rf".attn.{k}.", name) for k in _KEYS[".query." in name]]
        if all(n in state for n in names):
            state[re.sub(r"\.attn\.(?:q|query)(_proj)?\.", ".attn.qkv.", name)] = torch.cat(
                [state.pop(n) for n in names]
            )
    return state


_KEYS = {True: ("query", "key", "value"), False: ("q_proj", "k_proj", "v_proj")}


def fitted(
    path: object, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], may_lack: str = r"(?!)"
) -> dict[str, Tensor]:
    """Check parameters against those of a module.

    Args:
        state: What was read, by this package's names.
        wanted: The module's own parameters; only their shapes are read.
        may_lack: Pattern of names that keep their initial values where they are absent.

    Raises:
        ModelError: One is missing, has another shape, or has no place; the nearest right names are told.
    """
    missing = [n for n in wanted if n not in state and not re.fullmatch(may_lack, n)]
    spare = [n for n in state if n not in wanted]
    if missing:
        near = difflib.get_close_matches(missing[0], spare or state, 1)
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        hint = f"; the nearest it has is {near[0]}" if near else ""
        raise ModelError(path, f"lacks {missing[0]}{more}{hint}", "Name weights of the same kind of model")
    if spare:
        near = difflib.get_close_matches(spare[0], wanted, 1)
        more = f" and {len(spare) - 1} more" if len(spare) > 1 else ""
        hint = f"; the nearest right name is {near[0]}" if near else ""
        raise ModelError(path, f"holds {spare[0]}{more}, which has no place here{hint}", "Name weights without it")
    for name, value in state.items():
        if value.shape != wanted[name].shape:
            have, want = "x".join(map(str, value.shape)), "x".join(map(str, wanted[name].shape))
            raise ModelError(path, f"holds {name} as {have}, not {want}", "Name weights of the same shape")
    return dict(state)
