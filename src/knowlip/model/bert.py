"""The text encoder: BERT whose upper layers can also look at an image.

- post-norm, learned positions, exact GELU: BERT and BLIP weights fit
- the same layers run unimodal without an image and with cross-attention when image tokens are given (BLIP's mixture)
- always bidirectional: matching and slot filling both see the words on either side
- the layers below the first cross-attention never see the image, so their result is shared by all passes over a text
- the last layer can be computed at chosen positions only: CLS for matching, the masked words for slot filling

Parameter names are those of Hugging Face's BertModel, with BLIP's `crossattention`. There is only ever one segment, so
BERT's token-type vector is a constant that `fold_token_types` adds to the positions. There is no dropout: pretraining
masks words and drops patches instead, and a pass is then the same in training and evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class BertConfig:
    """The shape of the text encoder.

    Args:
        vocab_size: Number of words the tokenizer knows.
        width: Size of a token.
        depth: Number of layers.
        heads: Attention heads; divides `width`.
        max_length: Longest text in tokens, CLS and SEP included.
        mlp_ratio: Hidden size of the MLP over `width`.
        layer_norm_eps: Epsilon of every LayerNorm.
        cross_attention_from: First layer with cross-attention; `depth` for none at all.
        image_width: Size of an image token.

    Raises:
        ValueError: The numbers do not fit each other.
    """

    vocab_size: int
    width: int = 768
    depth: int = 12
    heads: int = 12
    max_length: int = 192
    mlp_ratio: float = 4.0
    layer_norm_eps: float = 1e-12
    cross_attention_from: int = 0
    image_width: int = 768

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if not 0 <= self.cross_attention_from <= self.depth:
            raise ValueError(f"cross_attention_from {self.cross_attention_from} is not within 0 to depth {self.depth}")


class BertEmbeddings(nn.Module):
    """Word plus position, normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.width)
        self.position_embeddings = nn.Embedding(config.max_length, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, config.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, L) to tokens (B, L, D)."""
        x: Tensor = self.LayerNorm(self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]])
        return x


class BertHeads(nn.Module):
    """Multi-head attention from `x` to `source`: to itself, or to an image."""

    def __init__(self, width: int, heads: int, source_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(source_width, width)
        self.value = nn.Linear(source_width, width)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens (B, L, D), source (B, S, Ds), mask (B, 1, 1, S) True where visible, to tokens (B, L, D)."""
        q = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k = self.key(source).unflatten(2, (self.heads, -1)).transpose(1, 2)
        v = self.value(source).unflatten(2, (self.heads, -1)).transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class BertOutput(nn.Module):
    """Project, add the residual, normalise: the end of every BERT sub-layer."""

    def __init__(self, hidden: int, width: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, width)
        self.LayerNorm = nn.LayerNorm(width, eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Hidden (B, L, H) and residual (B, L, D) to tokens (B, L, D)."""
        out: Tensor = self.LayerNorm(self.dense(x) + residual)
        return out


class BertAttention(nn.Module):
    """Attention with its output projection, residual and norm."""

    def __init__(self, config: BertConfig, source_width: int) -> None:
        super().__init__()
        self.self = BertHeads(config.width, config.heads, source_width)
        self.output = BertOutput(config.width, config.width, config.layer_norm_eps)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens (B, L, D) and source (B, S, Ds) to tokens (B, L, D)."""
        out: Tensor = self.output(self.self(x, source, mask), x)
        return out


class BertIntermediate(nn.Module):
    """The widening half of the MLP."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, L, D) to hidden (B, L, H)."""
        return F.gelu(self.dense(x))


class BertLayer(nn.Module):
    """Self-attention, cross-attention when there is an image, MLP."""

    def __init__(self, config: BertConfig, cross: bool) -> None:
        super().__init__()
        hidden = int(config.width * config.mlp_ratio)
        self.attention = BertAttention(config, config.width)
        self.crossattention = BertAttention(config, config.image_width) if cross else None
        self.intermediate = BertIntermediate(config.width, hidden)
        self.output = BertOutput(hidden, config.width, config.layer_norm_eps)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        image: Tensor | None = None,
        image_mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Tokens (B, L, D) to tokens (B, L, D), or (B, M, D) at the positions `at` (B, M)."""
        query = x if at is None else x.gather(1, at[..., None].expand(-1, -1, x.shape[2]))
        query = self.attention(query, x, mask)
        if image is not None and self.crossattention is not None:
            query = self.crossattention(query, image, image_mask)
        out: Tensor = self.output(self.intermediate(query), query)
        return out


class BertEncoder(nn.Module):
    """The stack of layers; a module of its own because BERT's parameter names have it."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config, i >= config.cross_attention_from) for i in range(config.depth))


class Bert(nn.Module):
    """Texts, with or without images, to tokens.

    Source: Devlin et al., "BERT", NAACL 2019; Li et al., "BLIP", ICML 2022, section 3.1.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertEncoder(config)
        initialise_bert(self, config.width)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        image: Tensor | None = None,
        image_mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Encode a batch of texts.

        Args:
            ids: Token ids (B, L), CLS first.
            mask: True or 1 where there is a token (B, L).
            image: Image tokens (B, N, Dv) to attend to, or None for the text alone.
            image_mask: True or 1 where there is an image token (B, N); None when all are.
            at: Positions (B, M) at which the result is wanted; None for all. Saves most of the last layer.

        Returns:
            Tokens (B, L, D), or (B, M, D) with `at`. What stands at padding positions has no meaning.

        Raises:
            ValueError: The text is longer than `config.max_length`.
        """
        return self.upper(self.lower(ids, mask), mask, image, image_mask, at)

    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The embeddings and the layers below the first cross-attention: ids, mask (B, L) to tokens (B, L, D)."""
        if ids.shape[1] > self.config.max_length:
            raise ValueError(f"a text of {ids.shape[1]} tokens is longer than the model's {self.config.max_length}")
        x: Tensor = self.embeddings(ids)
        visible = mask.bool()[:, None, None, :]
        for layer in self.encoder.layer[: self.config.cross_attention_from]:
            x = layer(x, visible)
        return x

    def upper(
        self,
        x: Tensor,
        mask: Tensor,
        image: Tensor | None = None,
        image_mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """The layers from the first cross-attention on, over the result of `lower` (B, L, D); see `forward`."""
        visible = mask.bool()[:, None, None, :]
        image_visible = None if image_mask is None else image_mask.bool()[:, None, None, :]
        layers = self.encoder.layer[self.config.cross_attention_from :]
        for i, layer in enumerate(layers):
            x = layer(x, visible, image, image_visible, at if i == len(layers) - 1 else None)
        if at is not None and not len(layers):
            x = x.gather(1, at[..., None].expand(-1, -1, x.shape[2]))
        return x


class MlmHead(nn.Module):
    """Tokens to scores over the vocabulary, with the word embeddings as the output matrix.

    The embedding matrix is an argument, not a second parameter: nothing is tied that saving or sharding could untie.
    Equals Hugging Face's `cls.predictions`.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = MlmTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        initialise_bert(self, config.width)

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Tokens (..., D) and word embeddings (V, D) to scores (..., V).

        Give it the masked positions only: the product with the vocabulary is the dearest of the whole text side.
        """
        return F.linear(self.transform(hidden), word_embeddings, self.bias)


class MlmTransform(nn.Module):
    """Dense, GELU, LayerNorm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., D) to tokens (..., D)."""
        out: Tensor = self.LayerNorm(F.gelu(self.dense(x)))
        return out


def initialise_bert(root: nn.Module, width: int) -> None:
    """Normal weights and zero biases of a module and all below; the spread is BERT's 0.02 at a width of 768.

    It grows as the model gets narrower: at 128 wide, 0.02 leaves so little of a text in CLS that contrast stands still.
    """
    std = (3 * width) ** -0.5
    for module in root.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def fold_token_types(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the vector of BERT's first segment to the position embeddings, and drop what this model does not have.

    Args:
        state: Parameters by Hugging Face's BertModel names, without a prefix.

    Returns:
        Parameters by the names of `Bert`. Position embeddings keep their length; a caller cuts them to `max_length`.
    """
    folded = {k: v for k, v in state.items() if not k.startswith(("pooler.", "embeddings.position_ids"))}
    types = folded.pop("embeddings.token_type_embeddings.weight", None)
    if types is not None:
        name = "embeddings.position_embeddings.weight"
        folded[name] = folded[name] + types[0]
    return folded
