"""Small models of `transformers` with random weights, saved as others publish theirs."""

import re

import torch
from torch import nn

VISION = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "image_size": 64,
    "patch_size": 16,
}
TEXT = {
    "vocab_size": 100,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "max_position_embeddings": 32,
    "bos_token_id": 2,
    "sep_token_id": 3,
    "eos_token_id": 99,
    "pad_token_id": 0,
}


def randomised(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def timm_names(state):
    """Weights of transformers' ViTModel by timm's names."""
    renames = (
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"),
        ("layernorm.", "norm."),
        ("layers.", "blocks."),
        ("attention.o_proj", "attn.proj"),
    )
    out = {}
    for name, value in state.items():
        for old, new in renames:
            name = name.replace(old, new)
        out[name] = value
    for name in [n for n in out if ".attention.q_proj." in n]:
        parts = [out.pop(name.replace("q_proj", f"{k}_proj")) for k in "qkv"]
        out[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return out


def salesforce_names(state):
    """Weights of transformers' BLIP by Salesforce's names."""
    renames = (
        (r"^vision_model\.embeddings\.class_embedding", "visual_encoder.cls_token"),
        (r"^vision_model\.embeddings\.position_embedding", "visual_encoder.pos_embed"),
        (r"^vision_model\.embeddings\.patch_embedding\.", "visual_encoder.patch_embed.proj."),
        (r"^vision_model\.encoder\.layers\.", "visual_encoder.blocks."),
        (r"\.self_attn\.projection\.", ".attn.proj."),
        (r"\.self_attn\.qkv\.", ".attn.qkv."),
        (r"\.layer_norm([12])\.", r".norm\1."),
        (r"^vision_model\.post_layernorm\.", "visual_encoder.norm."),
    )
    out = {}
    for name, value in state.items():
        for old, new in renames:
            name = re.sub(old, new, name)
        out[name] = value
    # what BLIP's own checkpoints hold besides
    out["temp"] = torch.tensor(0.07)
    out["queue_ptr"] = torch.zeros(1, dtype=torch.long)
    out |= {n.replace("visual_encoder.", "visual_encoder_m."): v for n, v in out.items() if n.startswith("visual_")}
    return out


def openai_names(state):
    """Weights of transformers' CLIP by the names of OpenAI's CLIP and open_clip."""
    vision = (
        (r"^vision_model\.embeddings\.class_embedding", "visual.class_embedding"),
        (r"^vision_model\.embeddings\.position_embedding\.weight", "visual.positional_embedding"),
        (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
        (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
        (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
        (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
        (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
        (r"^text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
        (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
        (r"^text_model\.final_layer_norm\.", "ln_final."),
        (r"\.layer_norm([12])\.", r".ln_\1."),
        (r"\.fc1\.", ".c_fc."),
        (r"\.fc2\.", ".c_proj."),
        (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
    )
    out = {}
    for name, value in state.items():
        for old, new in vision:
            name = re.sub(old, new, name)
        out[name] = value
    for name in [n for n in out if ".self_attn.q_proj." in n]:
        parts = [out.pop(name.replace("q_proj", f"{k}_proj")) for k in "qkv"]
        out[name.replace(".self_attn.q_proj.", ".attn.in_proj_")] = torch.cat(parts)
    out["visual.proj"] = out.pop("visual_projection.weight").T.contiguous()
    out["text_projection"] = out.pop("text_projection.weight").T.contiguous()
    return out
