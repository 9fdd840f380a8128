"""Reconstruction: a suspicious slot takes the candidate that ITC and ITM both prefer, or stays masked."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from knowlip.corpus.store import MASKED, REBUILT
from knowlip.model.knowlip import KnowLIP
from knowlip.model.tokenizer import Tokenizer
from knowlip.scio.screen import Suspect, by_tile, with_value
from knowlip.training.data import TileSource

_ITM_MARGIN = 0.2
"""Log odds by which a rewrite must match its image better than the original did."""


@torch.inference_mode()
def rebuild(
    model: KnowLIP, tokenizer: Tokenizer, source: TileSource, suspects: Sequence[Suspect], round_: int, engine: str
) -> list[dict[str, Any]]:
    """New rows for the statements with suspicious slots.

    Every changed statement is one row: rebuilt when each of its suspicious slots found a value that raises both the
    matching and the contrastive score of the whole sentence, masked in the slots where none did.
    """
    model.eval()
    of_statement: dict[str, list[Suspect]] = defaultdict(list)
    for s in suspects:
        of_statement[s.row["statement_id"]].append(s)
    rows = [found[0].row for _, found in sorted(of_statement.items())]
    changed = []
    for tokens, mine in by_tile(model, source, rows):
        for row in mine:
            found = sorted(of_statement[row["statement_id"]], key=lambda s: -s.slot)
            changed.append(_rewrite(model, tokenizer, tokens, row, found, round_, engine))
    return sorted(changed, key=lambda r: str(r["statement_id"]))


def _rewrite(
    model: KnowLIP,
    tokenizer: Tokenizer,
    tokens: Tensor,
    row: dict[str, Any],
    suspects: Sequence[Suspect],
    round_: int,
    engine: str,
) -> dict[str, Any]:
    """One statement's new row. Slots are taken from the last to the first, so that earlier positions stay valid."""
    new = row | {"slots": [dict(s) for s in row["slots"]], "round": round_, "engine": engine, "previous": row["text"]}
    masked, scores, words = [], {}, []
    for suspect in suspects:
        name, before = new["slots"][suspect.slot]["name"], new["slots"][suspect.slot]["value"]
        options = [new["text"], *(with_value(new, suspect.slot, _cased(v, before)) for v in suspect.candidates)]
        itm, itc = _agreement(model, tokenizer, tokens, options)
        best = int(itm[1:].argmax()) + 1
        gain_itm, gain_itc = float(itm[best] - itm[0]), float(itc[best] - itc[0])
        scores[name] = {"mlm": round(suspect.margin, 3), "itm": round(gain_itm, 3), "itc": round(gain_itc, 4)}
        if gain_itm > _ITM_MARGIN and gain_itc > 0:
            value = _cased(suspect.candidates[best - 1], before)
            words.append(f"{name}: '{before}' to '{value}', matching and contrast both rise")
            _replace(new, suspect.slot, value)
        else:
            masked.append(name)
            words.append(f"{name}: '{before}' is doubtful, and no other value convinces")
    return new | {
        "masked_slots": masked,
        "status": MASKED if masked else REBUILT,
        "scores": json.dumps(scores),
        "reason": "; ".join(words),
    }


def _cased(value: str, like: str) -> str:
    return value[:1].upper() + value[1:] if like[:1].isupper() else value


def _replace(row: dict[str, Any], slot: int, value: str) -> None:
    """Put a value into a slot and move the slots behind it."""
    s = row["slots"][slot]
    row["text"] = with_value(row, slot, value)
    shift = len(value) - (s["end"] - s["start"])
    for later in row["slots"]:
        if later["start"] > s["start"]:
            later["start"] += shift
            later["end"] += shift
    s["value"], s["end"] = value, s["start"] + len(value)


def _agreement(model: KnowLIP, tokenizer: Tokenizer, tokens: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Matching log odds `(B,)` and cosine similarity `(B,)` of texts with one image."""
    encoded = tokenizer.encode(list(texts), 96)
    first = torch.zeros(len(texts), 1, dtype=torch.long)
    lower = model.text_lower(encoded.ids, encoded.mask)
    logits = model.itm_logits(
        model.fuse(encoded.ids, encoded.mask, tokens.expand(len(texts), -1, -1), lower=lower, at=first)
    )
    _, embedded = model.encode_text(encoded.ids, encoded.mask, lower=lower, at=first)
    image = torch.nn.functional.normalize(model.vision_proj(tokens[:, 0]), dim=-1)
    return logits[:, 1] - logits[:, 0], (embedded @ image.T)[:, 0]
