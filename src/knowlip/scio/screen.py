"""Screening: for every slot, how much better than its own value does another fit the image?

Evidence from the slot filling head: each is masked in turn and predicted from the image and the rest of its sentence.
A slot is suspicious when the best other value of its vocabulary beats its own by a margin in log likelihood.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from knowlip.model.knowlip import KnowLIP
from knowlip.model.tokenizer import Tokenizer
from knowlip.training.data import TileSource

SlotKey = tuple[str, str, str, tuple[str, ...]]
"""Schema, dimension, slot name, and the sorted names of all slots of the sentence: slots of one key share their values.

"No" is a density where a sentence says no more, and nonsense where it goes on to say in which part and how much.
"""

CANDIDATES = 12
_ROWS = 256


@dataclass(frozen=True)
class Suspect:
    """A slot that its image speaks against.

    Attributes:
        row: The statement's row.
        slot: Index of the slot in it.
        margin: Log likelihood of the best other value over its own.
        candidates: Other values that fit better, best first.
    """

    row: dict[str, Any]
    slot: int
    margin: float
    candidates: tuple[str, ...]


def slot_key(row: dict[str, Any], slot: dict[str, Any]) -> SlotKey:
    """The vocabulary that a slot's values come from."""
    names = tuple(sorted(s["name"] for s in row["slots"]))
    return row["schema"], row["dimension"], slot["name"].rstrip("0123456789"), names


def slot_values(rows: Sequence[dict[str, Any]]) -> dict[SlotKey, list[str]]:
    """The values seen in each kind of slot, lowercase, most frequent first, at most `CANDIDATES`."""
    counts: dict[SlotKey, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for slot in row["slots"]:
            counts[slot_key(row, slot)][slot["value"].lower()] += 1
    return {k: [v for v, _ in sorted(c.items(), key=lambda p: (-p[1], p[0]))[:CANDIDATES]] for k, c in counts.items()}


def with_value(row: dict[str, Any], slot: int, value: str) -> str:
    """The statement's text with another value in one slot."""
    s = row["slots"][slot]
    return str(row["text"][: s["start"]] + value + row["text"][s["end"] :])


@torch.inference_mode()
def screen(
    model: KnowLIP, tokenizer: Tokenizer, source: TileSource, rows: Sequence[dict[str, Any]], margin: float
) -> tuple[list[Suspect], int]:
    """Find the suspicious slots of some tiles' statements.

    Returns:
        Suspects, and the number of slots looked at.
    """
    model.eval()
    values = slot_values(rows)
    suspects: list[Suspect] = []
    looked = 0
    for tokens, mine in by_tile(model, source, rows):
        asked: list[tuple[dict[str, Any], int, list[str]]] = []
        for row in mine:
            for k, slot in enumerate(row["slots"]):
                others = [v for v in values[slot_key(row, slot)] if v != slot["value"].lower()]
                if others:
                    asked.append((row, k, [slot["value"].lower(), *others]))
        looked += len(asked)
        scores = _fill_scores(model, tokenizer, tokens, asked)
        for (row, k, options), score in zip(asked, scores, strict=True):
            order = np.argsort(-score[1:], kind="stable")
            best = float(score[1:][order[0]] - score[0])
            if best > margin:
                better = tuple(options[1 + int(i)] for i in order if score[1 + int(i)] > score[0])
                suspects.append(Suspect(row, k, best, better[:3]))
    return suspects, looked


def by_tile(
    model: KnowLIP, source: TileSource, rows: Sequence[dict[str, Any]], tiles: int = 16
) -> Iterator[tuple[Tensor, list[dict[str, Any]]]]:
    """Image tokens `(1, N, D)` and statements of each tile, images encoded several at once."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["tile_id"]].append(row)
    ids = sorted(grouped)
    for start in range(0, len(ids), tiles):
        chunk = ids[start : start + tiles]
        pixels, channels = source(chunk)
        tokens, _ = model.encode_image(torch.from_numpy(pixels), torch.from_numpy(channels), source.geo(chunk))
        for i, tile_id in enumerate(chunk):
            yield tokens[i : i + 1], grouped[tile_id]


def _fill_scores(
    model: KnowLIP, tokenizer: Tokenizer, tokens: Tensor, asked: Sequence[tuple[dict[str, Any], int, list[str]]]
) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Mean log likelihood per token of each candidate in its masked slot.

    Candidates of the same length share one pass: the slot masked with that many masks gives the likelihood of them all.
    """
    scores = [np.full(len(options), -np.inf, np.float32) for _, _, options in asked]
    passes: list[tuple[int, int, list[tuple[int, list[int]]]]] = []
    texts = []
    pieces = {v: _pieces(tokenizer, v) for _, _, options in asked for v in options}
    for a, (row, k, options) in enumerate(asked):
        lengths: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
        for o, value in enumerate(options):
            lengths[len(pieces[value])].append((o, pieces[value]))
        for n, group in sorted(lengths.items()):
            passes.append((a, n, group))
            texts.append(with_value(row, k, " ".join(["[MASK]"] * n)))
    for start in range(0, len(texts), _ROWS):
        encoded = tokenizer.encode(texts[start : start + _ROWS], 96)
        masked = encoded.ids == tokenizer.mask_id
        width = max(1, int(masked.sum(1).max()))
        at = torch.argsort((~masked).int(), dim=1, stable=True)[:, :width]
        fused = model.fuse(encoded.ids, encoded.mask, tokens.expand(len(at), -1, -1), at=at)
        likelihood = torch.log_softmax(model.mlm_logits(fused.flatten(0, 1)), -1).view(*at.shape, -1).numpy()
        for i, (a, n, group) in enumerate(passes[start : start + _ROWS]):
            for o, ids in group:
                scores[a][o] = likelihood[i, np.arange(n), ids].mean()
    return scores


def _pieces(tokenizer: Tokenizer, text: str) -> list[int]:
    encoded = tokenizer.encode([text], 64)
    return [int(i) for i in encoded.ids[0, 1 : int(encoded.mask.sum()) - 1]]
