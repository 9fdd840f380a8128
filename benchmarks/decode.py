"""Writing captions beside transformers' `generate`, from the same image tokens with the same weights.

    python benchmarks/decode.py [--quick] [--threads N]

BLIP captioners with random weights, as wide and deep as the text encoders of our presets, with cross-attention in every
layer as published ones have it, write up to 20 words from 64 patches, greedy and with 3 beams. In `full` no text ends
before; in `ending` the end's score is such that it wins at about one of twelve words. The vocabulary has 2,000 words,
and BLIP's 30,524 in `base`, which --quick leaves out. Images are encoded beforehand, as that takes both the same. Both
alternate in one process, in float32; a rate counts the tokens of the texts that come back, a ratio is the median over
rounds. Texts must be the same to the token: `same` is their share, and what rounding decides otherwise shows there. The
last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from knowlip.model.decode import Writing, write
from knowlip.model.importers.models import import_blip
from knowlip.model.importers.weights import read_weights
from knowlip.model.knowlip import KnowLIP
from knowlip.model.presets import PRESETS

BEGIN, END, PAD = 2, 3, 0
TOKENS = 65
"""Patches of a 128-pixel tile, and CLS."""
MOST = 20
HAZARD = 1 / 12
"""Share of the words at which texts end in `ending`."""
BATCHES, BEAMS = (1, 8, 32), (1, 3)


def captioners(name: str, vocabulary: int) -> tuple[Any, KnowLIP]:
    """A captioner of transformers, and the same one here."""
    from transformers import BlipConfig, BlipForConditionalGeneration

    size = PRESETS[name]["bert"]
    width = size["width"]
    layers = {"hidden_size": width, "num_attention_heads": size["heads"], "intermediate_size": 4 * width}
    text = layers | {"vocab_size": vocabulary, "encoder_hidden_size": width, "num_hidden_layers": size["depth"]}
    text |= {"max_position_embeddings": 64, "bos_token_id": BEGIN, "sep_token_id": END, "pad_token_id": PAD}
    vision = layers | {"image_size": 128, "patch_size": 16, "num_hidden_layers": 1}
    theirs = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).eval()
    for part, module in theirs.named_modules():
        # words depend on images and on the words before, but not so sharply that layers amplify what rounding does
        if isinstance(module, nn.Linear) and "decoder" not in part.rpartition(".")[2]:
            nn.init.normal_(module.weight, std=(1.5 if "crossattention" in part else 0.7) * module.in_features**-0.5)
    theirs.text_decoder.bert.embeddings.word_embeddings.weight *= 4
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return theirs.text_decoder, import_blip(read_weights(folder)).model


def generated(theirs: Any, tokens: Tensor, beams: int, **more: Any) -> Any:
    """What transformers writes."""
    return theirs.generate(
        input_ids=torch.full((len(tokens), 1), BEGIN),
        encoder_hidden_states=tokens,
        encoder_attention_mask=torch.ones(tokens.shape[:2], dtype=torch.long),
        eos_token_id=END,
        pad_token_id=PAD,
        num_beams=beams,
        max_new_tokens=MOST,
        do_sample=False,
        **more,
    )


def until_end(ids: list[int]) -> list[int]:
    """A text without what fills its row."""
    return ids[: ids.index(END) + 1] if END in ids else ids


def end_scores(theirs: Any, tokens: Tensor) -> dict[str, float]:
    """What the end's score must be raised by for each kind of text."""
    told = generated(theirs, tokens, 1, output_logits=True, return_dict_in_generate=True)
    gaps = torch.cat([logits.max(1).values - logits[:, END] for logits in told.logits])
    return {"full": -1e4, "ending": float(gaps.quantile(HAZARD))}


def compared(theirs: Any, ours: KnowLIP, tokens: Tensor, beams: int, rounds: int) -> dict[str, float]:
    """Rates of both, their ratio, and the share of texts that are the same."""
    rates: list[tuple[float, float]] = []
    same = 0.0
    for number in range(rounds + 1):
        started = time.perf_counter()
        told = generated(theirs, tokens, beams)
        between = time.perf_counter()
        written = write(ours, tokens, Writing((BEGIN,), END, MOST, beams))
        ended = time.perf_counter()
        wanted = [until_end(row[1:]) for row in told.tolist()]
        same = sum(a == b for a, b in zip(wanted, written, strict=True)) / len(written)
        if number:  # the first one warms both up
            rates.append((sum(map(len, wanted)) / (between - started), sum(map(len, written)) / (ended - between)))
    plain, mine = (median(side) for side in zip(*rates, strict=True))
    return {"theirs": plain, "ours": mine, "ratio": median(b / a for a, b in rates), "same": same}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, without base")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; torch's own choice without it")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    print(f"{'':8}{'batch':>6}{'beams':>6}{'texts':>8}{'theirs/s':>10}{'ours/s':>10}{'ratio':>7}{'same':>6}")
    for name in ("micro", "tiny") if options.quick else ("micro", "tiny", "base"):
        theirs, ours = captioners(name, 30_524 if name == "base" else 2_000)
        pool = torch.randn(max(BATCHES), TOKENS, ours.config.vit.width)
        biases = theirs.cls.predictions.decoder.bias, ours.mlm_head.bias
        untouched = float(biases[0][END])
        for kind, raised in end_scores(theirs, pool[:8]).items():
            for bias in biases:
                bias[END] = untouched + raised
            for batch in BATCHES:
                for beams in BEAMS:
                    found = compared(theirs, ours, pool[:batch], beams, 2 if options.quick else 5)
                    figures |= {f"{name}_{batch}_{beams}_{kind}_{k}": round(v, 3) for k, v in found.items()}
                    shown = f"{found['theirs']:10.0f}{found['ours']:10.0f}{found['ratio']:7.2f}{found['same']:6.2f}"
                    print(f"{name:8}{batch:6}{beams:6}{kind:>8}{shown}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
