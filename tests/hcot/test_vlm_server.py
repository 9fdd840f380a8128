"""The engine against a real server program, `transformers serve`, and a vision model made on the spot.

The model has random weights and says nothing of sense; what is shown is that the protocol of a program that others
wrote is spoken, pictures included, and that nonsense leaves the evidence as it was.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from knowlip.core.folder import Folder
from knowlip.hcot.annotate import Model, annotate
from knowlip.hcot.engines.config import VlmConfig

for package in ("openai", "transformers", "fastapi", "uvicorn", "accelerate"):
    pytest.importorskip(package, reason=f"transformers serve needs {package}")

pytestmark = pytest.mark.slow

CHAT = (
    "{% for m in messages %}{{ m['role'] }}: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% endif %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def make_model(folder: Path) -> None:
    """A LLaVA of random weights, under 1 MB, with a tokenizer trained on the prompts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from knowlip.hcot.engines.dialogue import template_sources

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>", "<image>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokens.train_from_iterator(template_sources(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=16384
    )
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16384, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=3, vision_feature_layer=-1)
    )
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    size = {"shortest_edge": 56}
    images = CLIPImageProcessorPil(size=size, crop_size={"height": 56, "width": 56})
    LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", chat_template=CHAT,
        image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip


@pytest.fixture
def server(tmp_path):
    """Address and model name of a `transformers serve` on loopback."""
    folder = tmp_path / "model"
    make_model(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    log = (tmp_path / "server.log").open("w")
    command = [program, "serve", folder, "--host", "127.0.0.1", "--port", port, "--device", "cpu"]
    process = subprocess.Popen(
        [str(c) for c in command], stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", str(folder), tmp_path / "server.log"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def test_transformers_serve_is_spoken_to_with_pictures(bare, evident, server, tmp_path):
    url, name, log = server
    corpus = bare()
    config = VlmConfig(base_url=url, model=name, concurrency=2, max_tokens=16, timeout_s=60)
    model = Model(config, Folder(str(tmp_path / "cache")))
    done = annotate(corpus, "vlm", ("places", "airports"), model=model)
    assert done.spent["requests"] == 2 * 6 * len(corpus.tile_ids()), log.read_text()[-2000:]
    # the prompt's tokens, and 17 of the picture
    assert done.answers["prompt_tokens"] > 100 * done.spent["requests"]
    # random weights give no usable answer: everything stands as measured
    assert set(done.answers) == {"unanswered", "prompt_tokens", "completion_tokens"}
    assert corpus.folder.read_bytes("facts.parquet") == evident.folder.read_bytes("facts.parquet")
    replies = [json.loads(p.read_text()) for p in Path(tmp_path / "cache").rglob("*.json")]
    assert len(replies) == done.spent["requests"]
    assert any(r["text"] for r in replies)
