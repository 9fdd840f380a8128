"""`pretrain`: learn from all statements, screen and rebuild them, learn on from what is consistent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from knowlip.core.folder import Folder
from knowlip.corpus.store import REBUILT, STATEMENT_SCHEMA, Corpus
from knowlip.model.knowlip import KnowLIP
from knowlip.scio.rebuild import rebuild
from knowlip.scio.screen import screen
from knowlip.training.capfilt import bootstrapped
from knowlip.training.config import PretrainConfig
from knowlip.training.loop import Progress, Run, begin, finish, train, trained_model, training_texts
from knowlip.training.ranks import once


@dataclass(frozen=True)
class ScioOutcome:
    """What one round did.

    Attributes:
        slots: Slots looked at.
        screened: Slots found suspicious.
        rebuilt, masked: Statements that were rewritten, or keep masked slots.
    """

    slots: int
    screened: int
    rebuilt: int
    masked: int


@dataclass(frozen=True)
class Pretrained:
    """A finished run."""

    out: Path
    steps: int
    train_seconds: float
    parameters: int
    scio: ScioOutcome | None


def pretrain(
    corpus: Corpus, config: PretrainConfig, out: Path, progress: Progress = lambda done, total, losses: None
) -> Pretrained:
    """Pretrain on the training split of an annotated corpus; a stopped run goes on from its last checkpoint.

    Three phases: all statements as they are; one round of screening and rebuilding, written to the corpus as round 1;
    and on from the repaired statements. Controls, which cannot fill slots, have the first alone;
    `blip+capfilt` has a round of its own in place of the second, kept in the run.

    Args:
        out: Folder of the model: weights, tokenizer, configuration, losses, checkpoint.
        progress: Called with (steps done, steps in all, losses).
    """
    run = begin(corpus, config, out)
    summary = out / "pretrained.json"
    if summary.is_file():
        known = json.loads(summary.read_text())
        scio = known.pop("scio")
        return Pretrained(out, scio=ScioOutcome(**scio) if scio else None, **known)
    train(run, training_texts(corpus, run.tokenizer, 0), config.optim.steps, progress)
    outcome = None
    if config.rounds and config.objective == "blip+capfilt":
        train(run, bootstrapped(run), run.total_steps, progress)
    elif config.rounds:
        model = trained_model(run)
        outcome = once(lambda: _round(run, model, corpus))
        train(run, training_texts(corpus, run.tokenizer, 1), run.total_steps, progress)
    finish(run)
    log = [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]
    done = {
        "steps": run.step,
        "train_seconds": round(sum(line["seconds"] for line in log), 1),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "scio": vars(outcome) if outcome else None,
    }
    once(lambda: Folder(str(out)).write_json("pretrained.json", done))
    return Pretrained(out, run.step, done["train_seconds"], done["parameters"], outcome)


def _round(run: Run, model: KnowLIP, corpus: Corpus) -> ScioOutcome:
    """Screen and rebuild the training split once; the log of changes is round 1 of the statements and in the run."""
    log = Folder(str(run.out))
    if log.exists("scio.json"):
        return ScioOutcome(**log.read_json("scio.json"))
    rows = corpus.statements(0, corpus.tile_ids("train")).to_pylist()
    suspects, looked = screen(model, run.tokenizer, run.source, rows, run.config.scio.margin)
    engine = "scio:" + hashlib.sha256((run.out / "run.json").read_bytes()).hexdigest()[:12]
    changed = rebuild(model, run.tokenizer, run.source, suspects, 1, engine)
    corpus.folder.remove("statements/round=01")
    corpus.folder.write_table(
        "statements/round=01/changes.parquet", pa.Table.from_pylist(changed, schema=STATEMENT_SCHEMA)
    )
    rebuilt = sum(r["status"] == REBUILT for r in changed)
    outcome = ScioOutcome(slots=looked, screened=len(suspects), rebuilt=rebuilt, masked=len(changed) - rebuilt)
    log.write_json("scio.json", vars(outcome))
    return outcome
