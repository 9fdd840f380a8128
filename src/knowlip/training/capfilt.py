"""CapFilt, BLIP's answer to noisy texts: a captioner writes a text for each image, and a filter removes bad ones.

Source: Li et al. 2022, "BLIP: bootstrapping language-image pre-training", section 3.3. Both start from the pretrained
model and are finetuned apart, the captioner with LM, the filter with ITC and ITM; captions are drawn from a nucleus of
.9; a text goes where the filter's ITM head takes it for unmatched, be it an original or a written one.

Where this must differ:

- both are finetuned on the training statements, as no texts of people are there to do it on; for as many steps as are
  trained afterwards, at a learning rate that is as much lower than before as published
- the unit of filtering is a statement, one of several sentences of a tile; a caption is one text more, of as many
  sentences as its writer says
- training goes on from the model instead of starting anew, as after SCIO: the same steps for all objectives
- a filter that leaves fewer tiles than a step takes has learned nothing yet, and is not obeyed
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from knowlip.core.folder import Folder
from knowlip.corpus.store import DROPPED, ORIGINAL, STATEMENT_SCHEMA
from knowlip.model.decode import Writing, write
from knowlip.model.knowlip import KnowLIP
from knowlip.model.tokenizer import Tokenizer
from knowlip.training.data import PretrainData, Sentence, TileSource
from knowlip.training.loop import Run, texts_of, trained_model
from knowlip.training.objectives import Moment
from knowlip.training.objectives.blip import Blip
from knowlip.training.ranks import once, rank, ranks, total

TOP_P = 0.9
"""Probability of the nucleus that captions are drawn from, as published."""
FINETUNING_RATE = 1e-5 / 3e-4
"""Learning rate of finetuning over that of pretraining, both as published for a ViT-B."""
_TILES = 16


@dataclass(frozen=True)
class Selection:
    """What CapFilt made of some statements.

    Attributes:
        kept: Rows that match their image.
        dropped: Rows that do not, with the status and the log odds that decided.
        written: Captions that match, as rows of the schema `synthetic`.
        refused: Captions that do not.
    """

    kept: list[dict[str, Any]]
    dropped: list[dict[str, Any]]
    written: list[dict[str, Any]]
    refused: list[dict[str, Any]]


@torch.inference_mode()
def capfilt(
    captioner: Blip,
    judge: KnowLIP,
    tokenizer: Tokenizer,
    source: TileSource,
    rows: Sequence[dict[str, Any]],
    most_tokens: int = 112,
    seed: int = 0,
) -> Selection:
    """Write a caption for each tile, and filter its statements and the caption.

    Args:
        captioner: Writes the captions.
        judge: The filter, whose matching head decides.
        source: Tiles' pixels by id.
        rows: Statements (columns of `statements/*.parquet`) of any tiles.
        most_tokens: Longest caption, its first and last token included.
        seed: Fixes the captions.
    """
    captioner.eval()
    judge.eval()
    by_tile: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_tile[row["tile_id"]].append(row)
    tile_ids = sorted(by_tile)
    found = Selection([], [], [], [])
    for start in range(0, len(tile_ids), _TILES):
        chunk = tile_ids[start : start + _TILES]
        seen = _Seen.of(source, chunk, next(judge.parameters()).device)
        how = Writing(
            (tokenizer.cls_id,), tokenizer.sep_id, most_tokens - 1, top_p=TOP_P, seed=seed * 1_000_003 + start
        )
        captions = write(captioner.model, seen.tokens(captioner.model), how, captioner.attentions)
        made = [_row(t, tokenizer.decode(ids)) for t, ids in zip(chunk, captions, strict=True)]
        asked = [r for t in chunk for r in by_tile[t]] + [r for r in made if r["text"]]
        where = torch.tensor([chunk.index(r["tile_id"]) for r in asked])
        odds = matching(judge, tokenizer, seen.tokens(judge), where, [r["text"] for r in asked])
        for row, value in zip(asked, odds.tolist(), strict=True):
            new = row["schema"] == "synthetic"
            if value > 0:
                (found.written if new else found.kept).append(row)
            else:
                told = {"status": DROPPED, "scores": json.dumps({"itm": round(value, 3)})}
                told |= {"previous": row["text"], "reason": "the filter takes it for unmatched"}
                (found.refused if new else found.dropped).append(row | told)
    return found


@dataclass(frozen=True)
class _Seen:
    """Tiles as a model takes them."""

    pixels: Tensor
    channels: Tensor
    geo: Tensor | None

    @classmethod
    def of(cls, source: TileSource, tile_ids: Sequence[str], device: torch.device) -> _Seen:
        pixels, channels = source(tile_ids)
        geo = source.geo(tile_ids)
        return cls(
            torch.from_numpy(pixels).to(device),
            torch.from_numpy(channels).to(device),
            None if geo is None else geo.to(device),
        )

    def tokens(self, model: KnowLIP) -> Tensor:
        tokens, _ = model.encode_image(self.pixels, self.channels, self.geo)
        return tokens


def matching(model: KnowLIP, tokenizer: Tokenizer, tokens: Tensor, where: Tensor, texts: Sequence[str]) -> Tensor:
    """Log odds (M,) that texts match images.

    Args:
        tokens: Image tokens (B, N, Dv).
        where: Image of each of the M texts.
    """
    odds = [torch.empty(0)]
    for start in range(0, len(texts), 64):
        encoded = tokenizer.encode(texts[start : start + 64], model.config.bert.max_length).to(tokens.device)
        first = encoded.ids.new_zeros(len(encoded.ids), 1)
        fused = model.fuse(encoded.ids, encoded.mask, tokens[where[start : start + 64].to(tokens.device)], at=first)
        logits = model.itm_logits(fused)
        odds.append((logits[:, 1] - logits[:, 0]).cpu())
    return torch.cat(odds)


def _row(tile_id: str, text: str) -> dict[str, Any]:
    """A caption as a statement."""
    said: dict[str, Any] = {"statement_id": f"{tile_id}/synthetic", "tile_id": tile_id, "text": text, "round": 1}
    said |= {"schema": "synthetic", "dimension": "caption", "status": ORIGINAL, "engine": "capfilt"}
    return dict.fromkeys(STATEMENT_SCHEMA.names) | {"slots": [], "facts": []} | said


def bootstrapped(run: Run) -> dict[str, list[Sentence]]:
    """The texts that training goes on with; what was removed and written stays in `capfilt.parquet` of the run.

    All ranks call it together. A run that is taken up again reads what it chose before.
    """
    folder, corpus = Folder(str(run.out)), run.source.corpus
    train = corpus.tile_ids("train")
    rows = [r for r in corpus.statements(0, train).to_pylist() if r["status"] != DROPPED]
    texts = texts_of(rows, train, run.tokenizer)
    if not once(lambda: folder.exists("capfilt.json")):
        captioner, judge = finetuned(run, texts, ("lm",)), finetuned(run, texts, ("itc", "itm"))
        once(lambda: _choose(run, folder, captioner, judge.model, rows))
    if not once(lambda: folder.read_json("capfilt.json"))["obeyed"]:
        return texts
    changed = once(lambda: folder.read_table("capfilt.parquet").to_pylist())
    gone = {r["statement_id"] for r in changed if r["status"] == DROPPED}
    rows = [r for r in rows + [r for r in changed if r["status"] != DROPPED] if r["statement_id"] not in gone]
    return texts_of(rows, train, run.tokenizer)


def _choose(run: Run, folder: Folder, captioner: Blip, judge: KnowLIP, rows: Sequence[dict[str, Any]]) -> None:
    config = run.config
    found = capfilt(captioner, judge, run.tokenizer, run.source, rows, config.data.max_tokens, config.seed)
    left, before = ({r["tile_id"] for r in part} for part in (found.kept + found.written, rows))
    changed = sorted(found.dropped + found.written + found.refused, key=lambda r: str(r["statement_id"]))
    folder.write_table("capfilt.parquet", pa.Table.from_pylist(changed, schema=STATEMENT_SCHEMA))
    counts = {name: len(part) for name, part in vars(found).items()}
    # last, since its presence says that the table is there
    folder.write_json("capfilt.json", counts | {"obeyed": len(left) >= min(config.data.batch_size, len(before))})


def finetuned(run: Run, texts: dict[str, list[Sentence]], losses: tuple[str, ...]) -> Blip:
    """The model as it is, finetuned with some of its losses alone; all ranks call it together.

    The same on any number of ranks: each passes its share of a step, and gradients are averaged.
    """
    config, steps = run.config, run.config.scio.steps_after
    loss = config.loss.model_copy(update={"queue": 0, "contrast_first": 0.0})
    objective = _copy(run, config.model_copy(update={"loss": loss}))
    data = PretrainData(
        run.source, texts, run.tokenizer, config.data, config.seed, rank(), ranks(), config.optim.accumulate
    )
    parameters = [*objective.parameters()]
    rate = config.optim.learning_rate * FINETUNING_RATE
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=config.optim.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for step in range(run.step, run.step + steps):
        seed = config.seed * 1_000_003 + step
        torch.manual_seed(seed + 7919 * rank())
        generator = torch.Generator().manual_seed(seed)
        parts = data.batch(step).to(run.device).parts(config.optim.accumulate)
        optimizer.zero_grad()
        for part in parts:
            told = objective(part, Moment(step, run.total_steps, generator))
            wanted = torch.stack([told[name] for name in losses]).sum() / len(parts)
            wanted.backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            # a loss alone does not reach all of them
            if parameter.grad is not None:
                parameter.grad = total(parameter.grad) / ranks()
        torch.nn.utils.clip_grad_norm_(parameters, config.optim.clip)
        optimizer.step()
        schedule.step()
    return objective


def _copy(run: Run, config: Any) -> Blip:
    """The objective with all its weights on this rank, to be changed."""
    assert isinstance(run.objective, Blip)
    whole = trained_model(run)
    model = KnowLIP(whole.config)
    model.load_state_dict(whole.state_dict())
    copy = Blip(model, config, run.tokenizer.mask_id)
    state = run.objective.attention.state_dict()
    copy.attention.load_state_dict({k: t.full_tensor() if isinstance(t, DTensor) else t for k, t in state.items()})
    return copy.to(run.device).train()
