"""Writing: texts from images, a token at a time, as BLIP's decoder does.

- keys and values of words are kept where they were written, and those of an image are made once for all of its beams
- query, key and value are one product
- images whose text has ended leave the batch, and the last ones take their places

Greedy and beam search write the same tokens as `transformers` with the same weights, in its defaults: length penalty 1,
no early stopping.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from knowlip.model.bert import BertAttention, BertLayer, BertOutput
from knowlip.model.knowlip import KnowLIP

_NEVER = -1e9
"""Log likelihood of what cannot be."""


@dataclass(frozen=True)
class Writing:
    """How texts are written.

    Attributes:
        prompt: Ids that every text begins with, at least the one that says so: CLS here, `bos` in BLIP.
        end: Id that ends a text.
        most: Most tokens written after the prompt, the end included.
        beams: Texts of an image that are followed at once; 1 for greedy search.
        repetition_penalty: What scores of words already there are divided by, multiplied where negative; 1 for none.
            Source: Keskar et al. 2019, "CTRL", section 4.1, with the sign as in `transformers`.
        top_p: Words are drawn from the likeliest that have this probability together; 0 for none drawn.
            Source: Holtzman et al. 2020, "The curious case of neural text degeneration" (nucleus sampling).
        seed: Fixes what is drawn, for each image by its row.

    Raises:
        ValueError: There is no prompt or nothing to write, or beams are to be drawn.
    """

    prompt: tuple[int, ...]
    end: int
    most: int = 40
    beams: int = 1
    repetition_penalty: float = 1.0
    top_p: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.prompt or self.most < 1 or self.beams < 1:
            raise ValueError("a text needs a first token, a length and a beam")
        if self.beams > 1 and self.top_p:
            raise ValueError("drawing follows one text at a time, so beams must be 1")


@torch.inference_mode()
def write(
    model: KnowLIP, image_tokens: Tensor, how: Writing, attentions: Iterable[BertAttention] | None = None
) -> list[list[int]]:
    """Write a text for each image.

    Args:
        model: Whose text layers, head and word embeddings write.
        image_tokens: Tokens of `encode_image` (B, N, Dv).
        how: Length, search and penalties.
        attentions: Self-attention of each text layer, where a writer has its own; None for the model's, as in an
            imported captioner of BLIP.

    Returns:
        Token ids of each text after the prompt, the end included where it was reached.

    Raises:
        ValueError: The longest text is longer than the model's.
    """
    longest = len(how.prompt) + how.most - 1
    if longest > model.config.bert.max_length:
        raise ValueError(f"a text of {longest} tokens is longer than the model's {model.config.bert.max_length}")
    if attentions is None:
        attentions = [layer.attention for layer in model.bert.encoder.layer if isinstance(layer, BertLayer)]
    state = _Decoder(model, list(attentions), image_tokens, how.beams, longest)
    if not len(image_tokens):
        return []
    return _beams(state, how) if how.beams > 1 else _one_by_one(state, how)


class _Layer:
    """A text layer as a step needs it: query, key and value in one product, what scores are divided by in the query."""

    def __init__(self, layer: BertLayer, own: BertAttention, image_tokens: Tensor) -> None:
        heads = own.self.heads
        self.scale = (own.self.query.out_features // heads) ** -0.5
        parts = own.self.query, own.self.key, own.self.value
        scales = self.scale, 1.0, 1.0
        self.qkv = torch.cat([p.weight * s for p, s in zip(parts, scales, strict=True)])
        self.qkv_bias = torch.cat([p.bias * s for p, s in zip(parts, scales, strict=True)])
        self.own, self.cross, self.widen, self.narrow = own.output, None, layer.intermediate.dense, layer.output
        if layer.crossattention is not None:
            cross = layer.crossattention
            self.cross = cross.output
            self.query, self.query_bias = cross.self.query.weight * self.scale, cross.self.query.bias * self.scale
            self.image_keys, self.image_values = (
                of(image_tokens).unflatten(2, (heads, -1)).transpose(1, 2).contiguous()
                for of in (cross.self.key, cross.self.value)
            )


class _Decoder:
    """The decoder in the middle of its texts: keys and values by image, those of the first `n` places in use.

    Words of all beams of an image lie side by side, and each beam sees those of its own line: nothing moves when beams
    go on from one another, and both attentions are of K queries to the keys of one image.

    Args:
        attentions: Self-attention of each layer.
        image_tokens: `(B, N, Dv)`.
        beams: K texts of an image.
        longest: T, most words read.
    """

    def __init__(
        self, model: KnowLIP, attentions: Sequence[BertAttention], image_tokens: Tensor, beams: int, longest: int
    ) -> None:
        config = model.config.bert
        self.model, self.n, self.beams, self.at = model, len(image_tokens), beams, 0
        self.heads, self.width = config.heads, config.width // config.heads
        layers = [layer for layer in model.bert.encoder.layer if isinstance(layer, BertLayer)]
        self.layers = [_Layer(*pair, image_tokens) for pair in zip(layers, attentions, strict=True)]
        self.words = image_tokens.new_empty(len(layers), 2, self.n, self.heads, longest * beams, self.width)
        self.line = torch.empty(self.n, beams, 0, dtype=torch.long, device=image_tokens.device)

    def step(self, ids: Tensor) -> Tensor:
        """Read the next token of each text (n * K,) and score the one after it (n * K, V)."""
        n, K, h, d = self.n, self.beams, self.heads, self.width
        first, stop = self.at * K, (self.at + 1) * K
        unseen = self._unseen()
        embeddings = self.model.bert.embeddings
        x: Tensor = embeddings.word_embeddings(ids) + embeddings.position_embeddings.weight[self.at]
        x = embeddings.LayerNorm(x)
        for layer, words in zip(self.layers, self.words, strict=True):
            qkv = F.linear(x, layer.qkv, layer.qkv_bias).view(n, K, 3, h, d).permute(2, 0, 3, 1, 4)
            words[:, :n, :, first:stop] = qkv[1:]
            seen = _attend(qkv[0], words[0, :n, :, :stop], words[1, :n, :, :stop], unseen)
            x = _closed(layer.own, seen, x)
            if layer.cross is not None:
                query = F.linear(x, layer.query, layer.query_bias).view(n, K, h, d).transpose(1, 2)
                x = _closed(layer.cross, _attend(query, layer.image_keys[:n], layer.image_values[:n]), x)
            x = _closed(layer.narrow, F.gelu(F.linear(x, layer.widen.weight, layer.widen.bias)), x)
        self.at += 1
        return self.model.mlm_logits(x)

    def _unseen(self) -> Tensor | None:
        """Added to the scores of words, (n, 1, K, (at + 1) * K): minus infinity where they are of another line."""
        if self.beams == 1:
            return None
        beams = torch.arange(self.beams, device=self.line.device)
        self.line = torch.cat([self.line, beams[:, None].expand(self.n, -1, 1)], 2)
        own = (self.line[..., None] == beams).flatten(2)[:, None]
        return self.words.new_zeros(()).where(own, -torch.inf)

    def prompt(self, ids: Sequence[int]) -> Tensor:
        """Read a prompt that all texts begin with; scores of the first word (n * K, V)."""
        for token in ids:
            scores = self.step(torch.full((self.n * self.beams,), token, device=self.words.device))
        return scores

    def follow(self, parents: Tensor) -> None:
        """Let each beam go on from another one of its image: (n, K)."""
        self.line = self.line.gather(1, parents[..., None].expand(-1, -1, self.at))

    def leave(self, ended: Tensor) -> Tensor:
        """Let images (n,) leave; returns which of the images before is now in each place."""
        stay = int((~ended).sum())
        order = torch.arange(self.n, device=ended.device)
        free, movers = order[:stay][ended[:stay]], order[stay:][~ended[stay:]]
        order[free] = movers
        for layer in self.layers:
            if layer.cross is not None:
                for kept in (layer.image_keys, layer.image_values):
                    kept[free] = kept[movers]
        read = self.words[..., : self.at * self.beams, :]
        read[:, :, free] = read[:, :, movers]
        self.n, self.line = stay, self.line[order[:stay]]
        return order[:stay]


def _attend(query: Tensor, keys: Tensor, values: Tensor, unseen: Tensor | None = None) -> Tensor:
    """Scaled queries (n, h, K, d) to keys and values (n, h, S, d): what they see (n * K, h * d).

    Few queries to few keys take half the time this way that they take in torch's fused attention on a processor.
    """
    n, h, K, d = query.shape
    scores = torch.bmm(query.reshape(n * h, K, d), keys.flatten(0, 1).transpose(1, 2))
    if unseen is not None:
        scores.view(n, h, K, -1).add_(unseen)
    seen = torch.bmm(scores.softmax(2), values.flatten(0, 1))
    return seen.view(n, h, K, d).transpose(1, 2).reshape(n * K, h * d)


def _closed(end: BertOutput, hidden: Tensor, x: Tensor) -> Tensor:
    """The end of a sub-layer, without the price of calling modules."""
    dense, norm = end.dense, end.LayerNorm
    return F.layer_norm(
        F.linear(hidden, dense.weight, dense.bias).add_(x), x.shape[1:], norm.weight, norm.bias, norm.eps
    )


def _one_by_one(state: _Decoder, how: Writing) -> list[list[int]]:
    """The likeliest word each time, or a drawn one."""
    texts: list[list[int]] = [[] for _ in range(state.n)]
    generator = torch.Generator().manual_seed(how.seed)
    whose = torch.arange(state.n)
    ids = torch.tensor(how.prompt, device=state.words.device).repeat(state.n, 1)
    scores = state.prompt(how.prompt)
    for left in reversed(range(how.most)):
        scores = _penalised(scores, ids, how.repetition_penalty)
        if how.top_p:
            # for all images, so that none depends on which of the others have ended
            chance = torch.rand(len(texts), generator=generator)[whose].to(scores.device)
            word = draw(scores, how.top_p, chance)
        else:
            word = scores.argmax(1)
        for text, token in zip(whose.tolist(), word.tolist(), strict=True):
            texts[text].append(token)
        ids = torch.cat([ids, word[:, None]], 1)
        ended = word == how.end
        if not left or ended.all():
            break
        if ended.any():
            order = state.leave(ended)
            whose, ids = whose[order.cpu()], ids[order]
        scores = state.step(ids[:, -1])
    return texts


def _penalised(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Scores (R, V) with those of the words already there (R, L) made worse."""
    if penalty == 1.0:
        return scores
    there = scores.gather(1, ids)
    return scores.scatter(1, ids, torch.where(there < 0, there * penalty, there / penalty))


def draw(scores: Tensor, top_p: float, chance: Tensor) -> Tensor:
    """Draw a word of each row's nucleus.

    Args:
        scores: `(R, V)` before the softmax.
        top_p: The nucleus is the fewest likeliest words that have at least this probability together.
        chance: `(R,)` within [0, 1): where in the nucleus, as a share of its probability.

    Returns:
        Token ids `(R,)`.
    """
    likely, words = scores.float().softmax(1).sort(1, descending=True)
    below = likely.cumsum(1) - likely
    likely = likely.where(below < top_p, likely.new_zeros(()))
    upto = likely.cumsum(1)
    place = (upto <= chance[:, None] * upto[:, -1:]).sum(1, keepdim=True)
    # rounding may put it behind the nucleus
    place = place.minimum((likely > 0).sum(1, keepdim=True) - 1)
    return words.gather(1, place)[:, 0]


def _beams(state: _Decoder, how: Writing) -> list[list[int]]:
    """Beam search: the best text by mean log likelihood of those that ended among the best K of their step.

    An image is done when its K best have ended and its running texts are no better than the worst of them.
    """
    K, start, place = how.beams, len(how.prompt), state.words.device
    B, V = state.n, state.model.config.bert.vocab_size
    texts: list[list[int]] = [[] for _ in range(B)]
    whose = torch.arange(B)
    ids = torch.tensor(how.prompt, device=place).repeat(B, K, 1)
    # all texts of an image are the same at first, so only one of them counts
    running = torch.full((B, K), _NEVER, device=place)
    running[:, 0] = 0.0
    best_scores = torch.full((B, K), _NEVER, device=place)
    best_ids = torch.full((B, K, how.most), how.end, device=place)
    has_ended = torch.zeros(B, K, dtype=torch.bool, device=place)
    scores = state.prompt(how.prompt)
    for written in range(1, how.most + 1):
        n = state.n
        likely = _penalised(F.log_softmax(scores.float(), 1), ids.flatten(0, 1), how.repetition_penalty)
        # twice as many as beams, as half of them may be ends
        top, where = (likely.view(n, K, V) + running[..., None]).flatten(1).topk(2 * K, 1)
        parent, word = where // V, where % V
        grown = torch.cat([ids.gather(1, parent[..., None].expand(-1, -1, ids.shape[2])), word[..., None]], 2)
        ends = (word == how.end) | (written == how.most)

        closed = ends.clone()
        closed[:, K:] = False
        merged = torch.cat([best_scores, (top / written).where(closed, _NEVER)], 1)
        best_scores, kept = merged.topk(K, 1)
        padded = F.pad(grown[:, :, start:], (0, how.most - written), value=how.end)
        best_ids = torch.cat([best_ids, padded], 1).gather(1, kept[..., None].expand(-1, -1, how.most))
        has_ended = torch.cat([has_ended, closed], 1).gather(1, kept)

        running, kept = top.where(~ends, top + _NEVER).topk(K, 1)
        ids = grown.gather(1, kept[..., None].expand(-1, -1, grown.shape[2]))
        parent = parent.gather(1, kept)
        done = has_ended.all(1) & (running[:, 0] / written <= best_scores.min(1).values)
        if written == how.most:
            done = torch.ones_like(done)
        if done.any():
            for text, found in zip(whose[done.cpu()].tolist(), best_ids[done, 0].tolist(), strict=True):
                texts[text] = found[: found.index(how.end) + 1] if how.end in found else found
            if done.all():
                break
        state.follow(parent)
        if done.any():
            order = state.leave(done)
            whose = whose[order.cpu()]
            ids, running, best_scores, best_ids, has_ended = (
                t[order] for t in (ids, running, best_scores, best_ids, has_ended)
            )
        scores = state.step(ids[:, :, -1].flatten())
    return texts
