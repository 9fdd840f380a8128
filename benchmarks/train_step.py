"""A pretraining step beside the same step written plainly with transformers' BLIP.

    python benchmarks/train_step.py [--quick] [--threads N]

Both train contrast, matching with hard negatives and slot filling with AdamW on the same batches at the same precision,
and have the same architecture: a ViT with 16-pixel patches on 128-pixel tiles and a BERT with cross-attention, once in
every layer, as BLIP (`all`), once in the upper half, as our small presets (`upper`). The plain step is what BLIP's
published training does with the modules of transformers: one pass for contrast, one for right pairs, one for wrong
pairs, one for filling with scores at every position. Steps alternate in one process; each one's memory is measured in
a process of its own, as how far the peak lies above the weights, gradients and optimiser. Last, the share of the
machine's peak that a step reaches: its matrix products by torch's counter, over the time, over the rate of the best
large matrix product measured in between. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from knowlip.model.bert import BertConfig
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.vit import ViTConfig
from knowlip.training.config import load_config
from knowlip.training.data import Batch
from knowlip.training.objectives import OBJECTIVES, Moment
from knowlip.training.objectives.knowlip import mask_slots

WIDTH, DEPTH, HEADS, VOCABULARY, LENGTH, SIDE = 192, 9, 3, 2000, 96, 128
MASK = 4
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CROSS_FROM = {"all": 0, "upper": DEPTH // 2}
"""First text layer that sees the image."""
KINDS = tuple(f"{way}_{reach}" for reach in CROSS_FROM for way in ("plain", "ours"))


def batch_of(size: int, seed: int) -> Batch:
    """Noise for tiles, and texts of 60 to 96 words with a slot in every third word, as corpora have about."""
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, VOCABULARY, (size, LENGTH), generator=rng)
    length = torch.randint(60, LENGTH + 1, (size, 1), generator=rng)
    place = torch.arange(LENGTH)
    mask = place < length
    slots = torch.where((place % 3 == 1) & mask, place // 3, -1)
    pixels = torch.randn(size, 1, SIDE, SIDE, generator=rng)
    return Batch(pixels, torch.zeros(size, 1, dtype=torch.long), ids, mask, slots).to(DEVICE)


def ours(cross_attention_from: int) -> tuple[nn.Module, Callable[[Batch, int], Tensor]]:
    """Our objective, and from a batch and a step's number its loss."""
    vit = ViTConfig(SIDE, 16, WIDTH, DEPTH, HEADS, stem="patch", polarisations=("VV",))
    bert = BertConfig(VOCABULARY, WIDTH, DEPTH, HEADS, LENGTH, image_width=WIDTH)
    bert = replace(bert, cross_attention_from=cross_attention_from)
    model = KnowLIP(KnowLIPConfig(vit, bert, 128)).to(DEVICE)
    objective = OBJECTIVES["knowlip"](model, load_config(None, ["loss.contrast_first=0"]), MASK).to(DEVICE)
    return objective, lambda batch, step: objective(batch, Moment(step, 100, torch.Generator().manual_seed(step)))[
        "total"
    ]


def without_image(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What a layer without cross-attention is called with."""
    if len(args) > 1:
        return (args[0], None, *args[2:]), kwargs
    return args, kwargs | {"encoder_hidden_states": None}


class PlainBlip(nn.Module):
    """The three losses with the modules of transformers."""

    def __init__(self, cross_attention_from: int) -> None:
        from transformers import BlipTextConfig, BlipVisionConfig
        from transformers.models.blip.modeling_blip import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextLMHeadModel

        super().__init__()
        vision = BlipVisionConfig(
            hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS,
            image_size=SIDE, patch_size=16, attention_dropout=0.0,
        )  # fmt: skip
        text = BlipTextConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, encoder_hidden_size=WIDTH, intermediate_size=4 * WIDTH,
            num_hidden_layers=DEPTH, num_attention_heads=HEADS, max_position_embeddings=LENGTH, is_decoder=True,
            bos_token_id=2, eos_token_id=3, sep_token_id=3, pad_token_id=0,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.vision, self.text = BlipVisionModel(vision), BlipTextLMHeadModel(text)
        for layer in self.text.bert.encoder.layer[:cross_attention_from]:
            del layer.crossattention
            layer.register_forward_pre_hook(without_image, with_kwargs=True)
        self.vision_proj, self.text_proj = nn.Linear(WIDTH, 128), nn.Linear(WIDTH, 128)
        self.itm_head = nn.Linear(WIDTH, 2)
        self.logit_scale = nn.Parameter(torch.tensor(2.66))

    def forward(self, batch: Batch, step: int) -> Tensor:
        """The sum of the losses, weighted as ours."""
        n, generator = len(batch.ids), torch.Generator().manual_seed(step)
        # three channels, as transformers' stem has
        tokens = self.vision(batch.pixels.expand(-1, 3, -1, -1)).last_hidden_state
        bert = self.text.bert
        alone = bert(batch.ids, batch.mask.long(), is_decoder=False, use_cache=False).last_hidden_state[:, 0]
        image = F.normalize(self.vision_proj(tokens[:, 0]), dim=-1)
        text = F.normalize(self.text_proj(alone), dim=-1)
        similarity = self.logit_scale.exp() * image @ text.T
        target = torch.arange(n, device=DEVICE)
        itc = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2

        with torch.no_grad():
            weight = similarity.softmax(1).cpu() + 1e-4
            weight.fill_diagonal_(0)
            wrong_text = torch.multinomial(weight, 1, generator=generator)[:, 0].to(DEVICE)
            weight = similarity.T.softmax(1).cpu() + 1e-4
            weight.fill_diagonal_(0)
            wrong_image = torch.multinomial(weight, 1, generator=generator)[:, 0].to(DEVICE)
        right = self._fused(batch.ids, batch.mask, tokens)
        ids, mask = torch.cat([batch.ids, batch.ids[wrong_text]]), torch.cat([batch.mask, batch.mask[wrong_text]])
        wrong = self._fused(ids, mask, torch.cat([tokens[wrong_image], tokens]))
        matched = torch.cat([torch.ones(n), torch.zeros(2 * n)]).long().to(DEVICE)
        itm = F.cross_entropy(self.itm_head(torch.cat([right, wrong])[:, 0]), matched)

        chosen = torch.rand(n, int(batch.slots.max()) + 1, generator=generator).to(DEVICE) < 0.5
        hidden, _, _ = mask_slots(batch.ids, batch.slots, chosen, MASK)
        scores = self.text.cls(self._fused(hidden, batch.mask, tokens))
        wanted = torch.where(hidden == batch.ids, -100, batch.ids)
        mlm = F.cross_entropy(scores.flatten(0, 1), wanted.flatten())
        return itc + 0.5 * itm + mlm

    def _fused(self, ids: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        return self.text.bert(
            ids, mask.long(), encoder_hidden_states=tokens, is_decoder=False, use_cache=False
        ).last_hidden_state


class Trainer:
    """One way to make a step."""

    def __init__(self, kind: str) -> None:
        torch.manual_seed(0)
        way, reach = kind.split("_")
        if way == "plain":
            self.module: nn.Module = PlainBlip(CROSS_FROM[reach]).to(DEVICE).train()
            self.loss: Callable[[Batch, int], Tensor] = self.module
        else:
            self.module, self.loss = ours(CROSS_FROM[reach])
        self.optimizer = torch.optim.AdamW(self.module.parameters(), 1e-4, fused=True)
        self.parameters = sum(p.numel() for p in self.module.parameters())

    def step(self, batch: Batch, number: int) -> None:
        """Forward, backward, clipping and the optimiser's step."""
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=DEVICE.type == "cuda"):
            loss = self.loss(batch, number)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        wait()


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def peak_memory(kind: str, size: int) -> float:
    """MB that steps need beside weights, gradients and optimiser; called in a process of its own, on Linux."""
    trainer = Trainer(kind)
    trainer.step(batch_of(2, 0), 0)
    batch = batch_of(size, 1)
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        trainer.step(batch, 1)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    # the kernel's own high-water mark, set back to what is in use
    Path("/proc/self/clear_refs").write_text("5")
    before = status_kb("VmRSS")
    trainer.step(batch, 1)
    return (status_kb("VmHWM") - before) / 1e3


def status_kb(name: str) -> int:
    """A figure of this process's memory, KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def matmul_peak(side: int) -> float:
    """The rate of one large matrix product, FLOP/s."""
    dtype = torch.bfloat16 if DEVICE.type == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=DEVICE, dtype=dtype) for _ in range(2))
    a @ b
    wait()
    started = time.perf_counter()
    for _ in range(3):
        a @ b
    wait()
    return 3 * 2 * side**3 / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small batch and few rounds")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; torch's own choice without it")
    parser.add_argument("--memory", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    size = (512 if DEVICE.type == "cuda" else 32) if not options.quick else 8
    if options.memory:
        print(json.dumps(peak_memory(options.memory, size)))
        return
    rounds = 3 if options.quick else 5
    trainers = {kind: Trainer(kind) for kind in KINDS}
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    peaks: list[float] = []
    batch = batch_of(size, 0)
    counters = {}
    for kind, trainer in trainers.items():
        with FlopCounterMode(display=False) as counter:
            trainer.step(batch, 0)
        counters[kind] = counter.get_total_flops()
    for number in range(1, rounds + 1):
        batch = batch_of(size, number)
        for kind, trainer in trainers.items():
            started = time.perf_counter()
            trainer.step(batch, number)
            times[kind].append(time.perf_counter() - started)
        peaks.append(matmul_peak(8192 if DEVICE.type == "cuda" else 1536))
    command = [sys.executable, __file__, *(["--quick"] if options.quick else []), "--memory"]
    memory = {
        kind: float(subprocess.run([*command, kind], check=True, capture_output=True, text=True).stdout.split()[-1])
        for kind in KINDS
    }
    figures: dict[str, float | str] = {"device": str(DEVICE), "threads": torch.get_num_threads(), "batch": size}
    print(f"{'':12}{'M parameters':>14}{'tiles/s':>10}{'MB':>8}{'GFLOP/step':>12}{'share of peak':>15}")
    for kind in KINDS:
        rate, share = size / median(times[kind]), counters[kind] / median(times[kind]) / max(peaks)
        values = trainers[kind].parameters / 1e6, rate, memory[kind], counters[kind] / 1e9, share
        print(f"{kind:12}{values[0]:14.1f}{values[1]:10.1f}{values[2]:8.0f}{values[3]:12.1f}{values[4]:15.2f}")
        figures |= {f"{kind}_tiles_per_s": rate, f"{kind}_memory_mb": memory[kind], f"{kind}_share_of_peak": share}
    for reach in CROSS_FROM:
        plain, mine = f"plain_{reach}", f"ours_{reach}"
        faster = median(p / o for p, o in zip(times[plain], times[mine], strict=True))
        figures |= {f"{reach}_speed_ratio": faster, f"{reach}_memory_ratio": memory[mine] / memory[plain]}
        print(f"{reach}: {faster:.2f} times the speed, {memory[mine] / memory[plain]:.2f} of the memory")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
