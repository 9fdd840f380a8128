"""The training loop: steps that depend on nothing but the seed and their number."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
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
from knowlip.model.presets import PRESETS, preset
from knowlip.model.processor import Processor
from knowlip.model.tokenizer import Tokenizer
from knowlip.training.checkpoint import load_checkpoint, save_checkpoint
from knowlip.training.config import PretrainConfig
from knowlip.training.data import Batch, PretrainData, Sentence, TileSource, sentences_of
from knowlip.training.journal import Journal
from knowlip.training.objectives import OBJECTIVES, Bank, Moment, Objective
from knowlip.training.optim import Average, clip_gradients, make_optimizers, schedule, set_rates
from knowlip.training.ranks import any_rank, join_ranks, once, rank, ranks, total
from knowlip.training.sharding import spread, whole_model, without_sync
from knowlip.training.start import read_start, started

Progress = Callable[[int, int, dict[str, float]], None]

MACHINE_KEYS = ("activation_checkpointing", "checkpoint_every", "sharding", "threads", "tracker")
"""Keys of the configuration that may be others when a run is taken up again."""


@dataclass
class Run:
    """A pretraining run in progress: what a step changes, and where it is kept.

    Attributes:
        objective: What is learned; its `model` is `model`.
        spread: The objective as it lies on the ranks, called in its place.
        average: Moving average of the weights, where one is kept.
        step: Steps done.
        total_steps: Steps that the schedule is laid out for.
    """

    model: KnowLIP
    objective: Objective
    spread: nn.Module
    average: Average | None
    device: torch.device
    tokenizer: Tokenizer
    optimizers: tuple[torch.optim.Optimizer, ...]
    source: TileSource
    config: PretrainConfig
    out: Path
    step: int
    total_steps: int


def training_texts(corpus: Corpus, tokenizer: Tokenizer, round_: int) -> dict[str, list[Sentence]]:
    """Tokenised statements of the training split as they stand after a round."""
    train = corpus.tile_ids("train")
    return texts_of(corpus.statements(round_, train).to_pylist(), train, tokenizer)


def texts_of(
    rows: Sequence[dict[str, Any]], tile_ids: Iterable[str], tokenizer: Tokenizer
) -> dict[str, list[Sentence]]:
    """Tokenised statements by tile, without dropped ones; tiles without any have none."""
    texts: dict[str, list[Sentence]] = {t: [] for t in tile_ids}
    rows = [r for r in rows if r["status"] != DROPPED]
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
    device = join_ranks()
    processor, start = processor_of(corpus), read_start(config.init)
    identity = {"config": config.model_dump(), "corpus": corpus.info["fingerprint"], "weights": dict(start.digests)}
    torch.manual_seed(config.seed)
    tokenizer = start.tokenizer or _vocabulary(corpus, config, out)
    # before anything is written: weights may not fit
    shape = model_config(config.preset, tokenizer.vocab_size, processor, config.data.geo_tokens)
    model = started(shape, start)
    try:
        once(lambda: out.mkdir(parents=True, exist_ok=True))
        once(lambda: _claim(out, identity, tokenizer))
    except OSError as error:
        raise cannot_write(str(out), error) from error
    model.train()
    objective = OBJECTIVES[config.objective](model, config, tokenizer.mask_id)
    laid = spread(objective, config, device)
    optimizers = make_optimizers(objective, config.optim)
    average = Average(model, config.optim.ema) if config.optim.ema else None
    step = load_checkpoint(out / "checkpoint", objective, optimizers, average.weights if average else None)
    source = TileSource(corpus, processor, model.config.vit.polarisations, config.data.geo_tokens)
    last = config.optim.steps + (config.scio.steps_after if config.rounds else 0)
    return Run(model, objective, laid, average, device, tokenizer, optimizers, source, config, out, step, last)


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


def _vocabulary(corpus: Corpus, config: PretrainConfig, out: Path) -> Tokenizer:
    """The vocabulary of the run that is taken up, or of the corpus's training texts."""
    if (out / "run.json").is_file():
        return Tokenizer.load(out)
    words = [r["text"] for r in corpus.statements(0, corpus.tile_ids("train")).select(["text"]).to_pylist()]
    return Tokenizer.train(words, config.data.vocab_size)


def _learned(identity: dict[str, Any]) -> dict[str, Any]:
    """What a run's identity says of what is learned, without what only says how machines do it."""
    config = {k: v for k, v in identity["config"].items() if k not in MACHINE_KEYS}
    return json.loads(json.dumps({**identity, "config": config}))


def _claim(out: Path, identity: dict[str, Any], tokenizer: Tokenizer) -> None:
    record = out / "run.json"
    text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
    if record.is_file():
        known = json.loads(record.read_text())
        if _learned(known) != _learned(identity):
            raise ModelError(
                out, "holds a run with another configuration or corpus", "Choose another --out, or remove it"
            )
        return
    if any(out.iterdir()):
        raise ModelError(out, "is not empty and holds no run", "Choose an empty or new folder for --out")
    tokenizer.save(out)
    # last, since its presence says that the tokenizer is there
    record.write_text(text)


def train(run: Run, texts: dict[str, list[Sentence]], stop: int, progress: Progress) -> None:
    """Train until `stop` steps are done, with a checkpoint now and then and one at the end.

    SIGTERM and Ctrl-C are obeyed between two steps, after a checkpoint; a second one is obeyed at once.

    Raises:
        ConfigError: The batch cannot be shared by so many ranks and parts.
        CorpusError: A tile cannot be read; the last checkpoint stays.
        KeyboardInterrupt: The run was told to end.
        ModelError: The loss is not a number, memory is short, or a rank was lost; the last good checkpoint stays.
    """
    if run.step >= stop:
        return
    config = run.config
    parts = config.optim.accumulate
    data = PretrainData(run.source, texts, run.tokenizer, config.data, config.seed, rank(), ranks(), parts)
    run.spread.train()
    try:
        with (
            Journal(run.out, config, run.step) as journal,
            closing(data.batches(run.step, stop)) as batches,
            _told_to_end() as told,
            _explained(run),
        ):
            for batch in batches:
                started = time.perf_counter()
                values, others = _step(run, batch.to(run.device).parts(parts))
                seconds = time.perf_counter() - started
                run.step += 1
                journal.write(run.step, values, others | {"seconds": round(seconds, 4)})
                ends = any_rank(told.is_set(), run.device)
                if ends or run.step % config.checkpoint_every == 0 or run.step == stop:
                    journal.flush()
                    _save(run)
                progress(run.step, run.total_steps, values)
                if ends:
                    raise KeyboardInterrupt
    except OSError as error:
        raise cannot_write(str(run.out), error) from error


def _step(run: Run, parts: list[Batch]) -> tuple[dict[str, float], dict[str, float]]:
    """One step of the optimisers; losses by name, and what else the log has."""
    config, step = run.config, run.step
    seed = config.seed * 1_000_003 + step
    # chance in the model differs between ranks, chance in the objective does not
    torch.manual_seed(seed + 7919 * rank())
    moment = Moment(step, run.total_steps, torch.Generator().manual_seed(seed))
    share = schedule(step, run.total_steps, config.optim)
    set_rates(run.optimizers, share)
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=_is_bfloat16(config, run.device)):
        bank = _bank(run.objective, parts)
        sums: dict[str, torch.Tensor] = {}
        for number, part in enumerate(parts):
            now = replace(moment, bank=replace(bank, part=number) if bank else None)
            with without_sync(run.spread, number < len(parts) - 1):
                losses = run.spread(part, now)
                _backward(losses["total"] / len(parts))
            sums = {k: sums.get(k, 0.0) + v.detach().float() / len(parts) for k, v in losses.items()}
    norm = clip_gradients(run.objective.parameters(), config.optim.clip)
    values = dict(zip(sums, (total(torch.stack(list(sums.values()))) / ranks()).tolist(), strict=True))
    if not math.isfinite(values["total"]) or not math.isfinite(norm):
        raise ModelError(
            run.out,
            f"the loss is not a number at step {step}",
            "Lower optim.learning_rate and optim.matrix_learning_rate and start again in a new folder",
        )
    for optimizer in run.optimizers:
        optimizer.step()
    run.objective.after_step(moment)
    if run.average:
        run.average.update(run.model, step)
    rounded = {k: round(values[k], 5) for k in run.objective.reported}
    return rounded, {"lr": round(share * config.optim.learning_rate, 8), "gradient_norm": round(norm, 5)}


def _backward(loss: torch.Tensor) -> None:
    # gradients are taken in the precision that the forward pass chose for each operation
    with torch.autocast(loss.device.type, enabled=False):
        loss.backward()  # type: ignore[no-untyped-call]


def _bank(objective: Objective, parts: list[Batch]) -> Bank | None:
    """Embeddings of all parts without gradient, where an objective contrasts a step of several."""
    if len(parts) == 1 or not objective.contrasts:
        return None
    # what chance drops from an image must be the same in both passes
    device = parts[0].pixels.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        image, text, ids = (torch.cat(made) for made in zip(*(objective.embed(part) for part in parts), strict=True))
    return Bank(image, text, ids, 0, len(parts))


def _is_bfloat16(config: PretrainConfig, device: torch.device) -> bool:
    if config.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return config.precision == "bfloat16"


def _save(run: Run) -> None:
    average = run.average.weights if run.average else None
    save_checkpoint(run.out / "checkpoint", run.objective, run.optimizers, run.step, average)


@contextmanager
def _told_to_end() -> Generator[threading.Event]:
    """A flag that SIGTERM and SIGINT raise the first time; handlers as they were afterwards."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def tell(number: int, frame: Any) -> None:
        if told.is_set():
            raise KeyboardInterrupt
        told.set()

    for number in before:
        signal.signal(number, tell)
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _explained(run: Run) -> Generator[None]:
    """What torch says of short memory and lost ranks, in words that help."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = str(error).lower()
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in words:
            raise ModelError(
                run.out,
                f"step {run.step} does not fit into memory",
                "Raise optim.accumulate, set activation_checkpointing=true or lower data.batch_size, in a new --out",
            ) from error
        if ranks() > 1 and any(sign in words for sign in ("gloo", "nccl", "connection", "timed out", "timeout")):
            raise ModelError(
                run.out,
                f"another rank was lost in step {run.step}",
                "Start the same command again, with any number of ranks; it goes on from the last checkpoint",
            ) from error
        raise


def trained_model(run: Run) -> KnowLIP:
    """The model as it is now, averaged where an average is kept, on the processor; all ranks call it together."""
    return whole_model(run.model, run.average.weights if run.average else None)


def finish(run: Run) -> None:
    """Write the trained model with its card; the checkpoint is no longer needed."""
    model = trained_model(run).eval()
    model.config = replace(model.config, training=_record(run))
    once(lambda: model.save_pretrained(run.out))


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
        "last_losses": {k: log[-1][k] for k in run.objective.reported if k != "total"} if log else {},
        "started_from": started or "random weights",
        "config": settings,
    }
