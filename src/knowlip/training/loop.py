"""The training loop: steps that depend on nothing but the seed and their number."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from knowlip.core.errors import ConfigError, CorpusError, ModelError
from knowlip.core.folder import cannot_write
from knowlip.core.scene import POLARISATIONS
from knowlip.corpus.store import DROPPED, Corpus
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.momentum import Momentum
from knowlip.model.presets import PRESETS, preset
from knowlip.model.processor import Processor
from knowlip.model.tokenizer import Tokenizer
from knowlip.training.checkpoint import load_checkpoint, save_checkpoint
from knowlip.training.config import OptimConfig, PretrainConfig
from knowlip.training.data import PretrainData, Sentence, TileSource, sentences_of
from knowlip.training.losses import pretrain_losses
from knowlip.training.start import read_start, started

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass
class Run:
    """A pretraining run in progress: what a step changes, and where it is kept.

    Attributes:
        momentum: The model's slow copy and its queue, where the configuration has one.
        step: Steps done.
        total_steps: Steps that the schedule is laid out for.
    """

    model: KnowLIP
    momentum: Momentum | None
    tokenizer: Tokenizer
    optimizers: tuple[torch.optim.Optimizer, ...]
    source: TileSource
    config: PretrainConfig
    out: Path
    step: int
    total_steps: int

    @property
    def state(self) -> nn.Module:
        """All that a checkpoint holds besides the optimisers."""
        return _state(self.model, self.momentum)


def _state(model: KnowLIP, momentum: Momentum | None) -> nn.Module:
    return model if momentum is None else nn.ModuleDict({"model": model, "momentum": momentum})


def training_texts(corpus: Corpus, tokenizer: Tokenizer, round_: int) -> dict[str, list[Sentence]]:
    """Tokenised statements of the training split as they stand after a round."""
    texts: dict[str, list[Sentence]] = {t: [] for t in corpus.tile_ids("train")}
    rows = [r for r in corpus.statements(round_, texts).to_pylist() if r["status"] != DROPPED]
    for row, sentence in zip(rows, sentences_of(rows, tokenizer), strict=True):
        texts[row["tile_id"]].append(sentence)
    return texts


def begin(corpus: Corpus, config: PretrainConfig, out: Path) -> Run:
    """Make a new run, or take up the one in `out` where its last checkpoint left it.

    Raises:
        ConfigError: The preset is unknown.
        CorpusError: The corpus has no statements or no training tiles.
        ModelError: `out` holds something else.
        OutputError: `out` cannot be written.
    """
    if config.preset not in PRESETS:
        raise ConfigError(f"preset '{config.preset}'", "is not known", f"Choose one of {', '.join(PRESETS)}")
    train = corpus.tile_ids("train")
    if len(train) < 2:
        raise CorpusError(
            corpus.folder.path(),
            f"has {len(train)} training tiles",
            "Build a corpus of more scenes, or with smaller tiles",
        )
    if config.threads:
        torch.set_num_threads(config.threads)
    processor, start = processor_of(corpus), read_start(config.init)
    torch.manual_seed(config.seed)
    identity = {"config": config.model_dump(), "corpus": corpus.info["fingerprint"], "weights": dict(start.digests)}
    tokenizer = start.tokenizer or _vocabulary(corpus, config)
    # before anything is written: weights may not fit
    shape = model_config(config.preset, tokenizer.vocab_size, processor, config.data.geo_tokens)
    model = started(shape, start)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _claim(out, identity, tokenizer)
    except OSError as error:
        raise cannot_write(str(out), error) from error
    model.train()
    optimizers = make_optimizers(model, config.optim)
    momentum = Momentum(model, config.loss.queue, config.loss.momentum) if config.loss.queue else None
    step = load_checkpoint(out / "checkpoint", _state(model, momentum), optimizers)
    source = TileSource(corpus, processor, model.config.vit.polarisations, config.data.geo_tokens)
    total = config.optim.steps + (config.scio.steps_after if config.scio.rounds else 0)
    return Run(model, momentum, tokenizer, optimizers, source, config, out, step, total)


def processor_of(corpus: Corpus) -> Processor:
    """What a model trained on a corpus reads: its tiles' size, polarisations and ground sample distances."""
    tiles = corpus.tiles[corpus.tiles["knowlip:split"] == "train"]
    gsd_m = tiles["gsd"].dropna()
    found = {str(p) for row in tiles["sar:polarizations"] for p in (("unknown",) if row is None else row)}
    return Processor(
        image_size=int(corpus.tiles["proj:shape"].iloc[0][0]),
        polarisations=tuple(sorted(found)),
        gsd_range_m=(float(gsd_m.min()), float(gsd_m.max())) if len(gsd_m) else None,
    )


def model_config(name: str, vocab_size: int, processor: Processor, geo_tokens: tuple[str, ...] = ()) -> KnowLIPConfig:
    """A preset for tiles of the processor's size, with a channel for bands whose polarisation is not told.

    Raises:
        ConfigError: The tile size is not a whole number of the preset's patches.
    """
    try:
        config = preset(name, vocab_size, processor.image_size)
    except ValueError as error:
        raise ConfigError(f"preset '{name}'", str(error), "Build the corpus with another --tile-size") from error
    vit = replace(config.vit, polarisations=(*POLARISATIONS, "unknown"), geo_tokens=geo_tokens)
    return replace(config, vit=vit, processor=processor.to_dict())


def _vocabulary(corpus: Corpus, config: PretrainConfig) -> Tokenizer:
    words = [r["text"] for r in corpus.statements(0, corpus.tile_ids("train")).select(["text"]).to_pylist()]
    return Tokenizer.train(words, config.data.vocab_size)


def _claim(out: Path, identity: dict[str, Any], tokenizer: Tokenizer) -> None:
    record = out / "run.json"
    text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
    if record.is_file():
        if record.read_text() != text:
            raise ModelError(
                out, "holds a run with another configuration or corpus", "Choose another --out, or remove it"
            )
        return
    if any(out.iterdir()):
        raise ModelError(out, "is not empty and holds no run", "Choose an empty or new folder for --out")
    tokenizer.save(out)
    # last, since its presence says that the tokenizer is there
    record.write_text(text)


def make_optimizers(model: nn.Module, config: OptimConfig) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the blocks, AdamW for embeddings, heads, convolutions, norms and biases.

    Source: Jordan et al. 2024, "Muon"; the learning rate is scaled to AdamW's update size as in Liu et al. 2025, "Muon
    is scalable for LLM training". Each group remembers its peak as `peak`.
    """
    inside = ("blocks.", ".layer.")
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and any(part in n for part in inside)]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    # biases, norms and the temperature are not pulled to zero
    decayed, free = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
    muon = torch.optim.Muon(
        matrices,
        lr=config.matrix_learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.95,
        adjust_lr_fn="match_rms_adamw",
    )
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    for group in (*muon.param_groups, *adamw.param_groups):
        group["peak"] = group["lr"]
    return muon, adamw


def schedule(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine to a hundredth."""
    first = max(1, round(warmup * total))
    if step < first:
        return (step + 1) / first
    share = (step - first) / max(1, total - first)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def train(run: Run, texts: dict[str, list[Sentence]], stop: int, progress: Progress) -> None:
    """Train until `stop` steps are done, with a checkpoint now and then and one at the end.

    Raises:
        ModelError: The loss is not a number; the last good checkpoint stays.
    """
    if run.step >= stop:
        return
    data = PretrainData(run.source, texts, run.tokenizer, run.config.data, run.config.seed)
    log = _log_until(run.out / "losses.jsonl", run.step)
    generator = torch.Generator()
    run.model.train()
    try:
        with log.open("a") as file, closing(data.batches(run.step, stop)) as batches:
            for batch in batches:
                started = time.perf_counter()
                seed = run.config.seed * 1_000_003 + run.step
                torch.manual_seed(seed)
                generator.manual_seed(seed)
                share = schedule(run.step, run.total_steps, run.config.optim.warmup)
                for optimizer in run.optimizers:
                    optimizer.zero_grad(set_to_none=True)
                    for group in optimizer.param_groups:
                        group["lr"] = share * group["peak"]
                early = run.step < run.config.loss.contrast_first * run.config.optim.steps
                warm = run.step / max(1, run.config.optim.warmup * run.total_steps)
                softness = run.config.loss.soft_targets * min(1.0, warm)
                losses = pretrain_losses(
                    run.model, batch, run.config.loss, run.tokenizer.mask_id, generator, early, run.momentum, softness
                )
                if not torch.isfinite(losses.total):
                    raise ModelError(
                        run.out,
                        f"the loss is not a number at step {run.step}",
                        "Lower optim.learning_rate and start again",
                    )
                losses.total.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(run.model.parameters(), run.config.optim.clip)
                for optimizer in run.optimizers:
                    optimizer.step()
                run.step += 1
                values = {k: round(float(v.detach()), 5) for k, v in vars(losses).items()}
                seconds = round(time.perf_counter() - started, 4)
                print(
                    json.dumps(
                        {
                            "step": run.step,
                            **values,
                            "lr": round(share * run.config.optim.learning_rate, 8),
                            "seconds": seconds,
                        }
                    ),
                    file=file,
                )
                if run.step % run.config.checkpoint_every == 0 or run.step == stop:
                    file.flush()
                    save_checkpoint(run.out / "checkpoint", run.state, run.optimizers, run.step)
                progress(run.step, run.total_steps, values)
    except OSError as error:
        raise cannot_write(str(run.out), error) from error


def _log_until(path: Path, step: int) -> Path:
    """The log without the lines of steps that are about to be done again."""
    if path.is_file():
        lines = [
            line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step
        ]
        path.write_text("".join(line + "\n" for line in lines))
    return path


def finish(run: Run) -> None:
    """Write the trained model with its card; the checkpoint is no longer needed."""
    run.model.eval()
    run.model.config = replace(run.model.config, training=_record(run))
    run.model.save_pretrained(run.out)


def _record(run: Run) -> dict[str, Any]:
    """How a model came about: what its card is written from."""
    corpus, tiles = run.source.corpus, run.source.corpus.tiles
    train = tiles[tiles["knowlip:split"] == "train"]
    log = [json.loads(line) for line in (run.out / "losses.jsonl").read_text().splitlines()]
    settings = run.config.model_dump()
    started = {part: Path(path).name for part, path in settings.pop("init").items() if path}
    return {
        "name": run.out.name,
        "corpus": {
            "name": corpus.info["name"],
            "fingerprint": corpus.info["fingerprint"],
            "licence": corpus.info["licence"],
            "training_tiles": len(train),
            "training_scenes": int(train["knowlip:scene"].nunique()),
            "platforms": sorted(map(str, train["platform"].dropna().unique())),
            "frequency_bands": sorted(map(str, train["sar:frequency_band"].dropna().unique())),
        },
        "steps": run.step,
        "last_losses": {k: log[-1][k] for k in ("itc", "itm", "mlm")} if log else {},
        "started_from": started or "random weights",
        "config": settings,
    }
