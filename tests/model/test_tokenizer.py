"""Claims about the tokenizer; the independent truth for a given vocabulary is transformers' BertTokenizer."""

import subprocess
import sys
import threading

import pytest
import torch

from knowlip.model.tokenizer import Tokenizer

TEXTS = [
    "There are 3 aircraft near the runway in the upper-left part.",
    "The target length is about 30.5 m (347 pixels), heading 271°.",
    "Dense buildings in the centre; a grid of roads, 12 % water.",
    "Low-density residential area with farmland to the south-east.",
    "São Paulo: an industrial/residential zone, 1250 m from the port.",
] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS, vocab_size=1400)


def test_special_tokens_have_the_first_ids(tokenizer):
    assert [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert [tokenizer.token(i) for i in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert 1000 < tokenizer.vocab_size <= 1400


def test_numbers_of_up_to_three_digits_are_one_token(tokenizer):
    numbers = [str(n) for n in range(1000)]
    encoded = tokenizer.encode(numbers, 8)
    assert encoded.ids.shape == (1000, 3)
    assert [tokenizer.token(i) for i in encoded.ids[:, 1].tolist()] == numbers


def test_trained_texts_come_back(tokenizer):
    encoded = tokenizer.encode(TEXTS[:4], 64)
    for text, ids in zip(TEXTS, encoded.ids, strict=False):
        decoded = tokenizer.decode(ids)
        assert decoded.replace(" %", "%") == text.lower().replace(" %", "%")


def test_offsets_point_into_the_original_text(tokenizer):
    text = TEXTS[4]
    encoded = tokenizer.encode([text, "water"], 64)
    words = [text[a:b] for a, b in encoded.offsets[0].tolist() if b > a]
    assert "".join(words) == text.replace(" ", "")
    assert words[0] == "São"
    assert encoded.offsets[0, 0].tolist() == [0, 0]
    assert encoded.offsets[1, 2:].sum() == 0


def test_batch_is_padded_and_masked(tokenizer):
    encoded = tokenizer.encode(["3 aircraft", "water", ""], 64)
    assert encoded.ids.dtype == encoded.offsets.dtype == torch.int64
    assert encoded.mask.dtype == torch.bool
    assert encoded.ids.shape == encoded.mask.shape == encoded.offsets.shape[:2] == (3, 4)
    assert encoded.mask.sum(1).tolist() == [4, 3, 2]
    assert (encoded.ids[:, 0] == tokenizer.cls_id).all()
    assert encoded.ids[range(3), encoded.mask.sum(1) - 1].tolist() == [tokenizer.sep_id] * 3
    assert (encoded.ids[~encoded.mask] == tokenizer.pad_id).all()
    assert tokenizer.encode([], 64).ids.shape == (0, 2)


def test_long_text_is_cut_and_keeps_sep(tokenizer):
    encoded = tokenizer.encode([TEXTS[0]], 8)
    whole = tokenizer.encode([TEXTS[0]], 192)
    assert encoded.ids.shape == (1, 8)
    assert encoded.ids[0, :7].tolist() == whole.ids[0, :7].tolist()
    assert encoded.ids[0, 7] == tokenizer.sep_id
    with pytest.raises(ValueError, match="max_length 1"):
        tokenizer.encode(["x"], 1)


def test_mask_in_a_text_is_the_mask_token(tokenizer):
    assert tokenizer.encode(["there are [MASK] aircraft"], 16).ids[0, 3] == tokenizer.mask_id


def test_unknown_characters_are_unknown(tokenizer):
    assert tokenizer.encode(["☃"], 16).ids[0, 1] == tokenizer.unk_id


def test_saved_tokenizer_loads_equal(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = Tokenizer.load(path)
        assert torch.equal(loaded.encode(TEXTS, 64).ids, tokenizer.encode(TEXTS, 64).ids)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    with pytest.raises(FileNotFoundError):
        Tokenizer.load(tmp_path / "nowhere")


def test_training_does_not_depend_on_the_run(tokenizer, tmp_path):
    code = (
        "import sys; from pathlib import Path; from knowlip.model.tokenizer import Tokenizer\n"
        "texts = Path(sys.argv[1]).read_text(encoding='utf-8').split('\\n')\n"
        "Tokenizer.train(texts, vocab_size=1400).save(sys.argv[2])"
    )
    (tmp_path / "texts").write_text("\n".join(TEXTS), encoding="utf-8")
    tokenizer.save(tmp_path / "here.json")
    subprocess.run([sys.executable, "-c", code, tmp_path / "texts", tmp_path / "there.json"], check=True)
    assert (tmp_path / "here.json").read_bytes() == (tmp_path / "there.json").read_bytes()


def test_given_vocabulary_equals_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    words = [
        "[PAD]",
        "there",
        "are",
        "air",
        "##craft",
        "3",
        "##0",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ".",
        "-",
        "sao",
    ]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    ours = Tokenizer.load(tmp_path / "vocab.txt")
    theirs = transformers.BertTokenizer(str(tmp_path / "vocab.txt"))
    texts = ["There are 30 aircraft.", "SÃO - 3", "are unheard [MASK]"]
    expected = theirs(texts, padding=True, return_tensors="pt")
    encoded = ours.encode(texts, 64)
    assert torch.equal(encoded.ids, expected["input_ids"])
    assert torch.equal(encoded.mask.long(), expected["attention_mask"])
    assert ours.mask_id == 10


def test_vocabulary_without_special_tokens_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("[UNK]\nwater\n")
    with pytest.raises(ValueError, match=r"no \[PAD\], \[CLS\], \[SEP\], \[MASK\]"):
        Tokenizer.load(tmp_path / "vocab.txt")


def test_threads_may_share_a_tokenizer(tokenizer):
    errors = []

    def work(length):
        try:
            for _ in range(50):
                assert tokenizer.encode(TEXTS, length).ids.shape[1] <= length
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(length,)) for length in (5, 9, 64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
