"""Text to token ids and back: BERT's WordPiece, from a given vocabulary or trained on the corpus's statements.

A vocabulary trained here keeps every number below 1000 as one token, so that a count or a size in metres is one slot
and not a row of digits, and it depends on the texts alone, never on the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WHOLE_NUMBERS = 1000

# What splitting at punctuation has torn apart. A full stop between two digits is taken for a decimal point.
_REPAIRS = (
    (re.compile(r"(?<=\d) ?\. ?(?=\d)"), "."),
    (re.compile(r"(?<=\w) ([-/]) (?=\w)"), r"\1"),
    (re.compile(r"([(\[]) "), r"\1"),
    (re.compile(r" ([)\]:;%°])"), r"\1"),
)


@dataclass(frozen=True)
class Encoded:
    """A padded batch of texts.

    Args:
        ids: Token ids (B, L) int64: CLS, the text, SEP, padding.
        mask: True where there is a token (B, L).
        offsets: Start and end of each token in its original text (B, L, 2) int64, in characters; 0, 0 for CLS, SEP
            and padding.
    """

    ids: Tensor
    mask: Tensor
    offsets: Tensor

    def to(self, device: torch.device | str) -> Encoded:
        """The same batch on a device; the offsets stay, as only the host reads them."""
        return Encoded(self.ids.to(device), self.mask.to(device), self.offsets)


class Tokenizer:
    """BERT's tokenizer: normalise, split at spaces and punctuation, WordPiece.

    Args:
        inner: A tokenizer of the `tokenizers` library whose vocabulary has BERT's special tokens.

    Raises:
        ValueError: A special token is missing.
    """

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        vocab = inner.get_vocab()
        if missing := [token for token in SPECIAL_TOKENS if token not in vocab]:
            raise ValueError(f"the vocabulary has no {', '.join(missing)}")
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._ids = {token: vocab[token] for token in SPECIAL_TOKENS}

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 4000) -> Tokenizer:
        """Learn a lowercase WordPiece vocabulary.

        Args:
            texts: The texts; the same ones give the same vocabulary.
            vocab_size: Most entries wanted. The special tokens (0 to 4), the numbers 0 to 999 and every character of
                the texts are always in, even beyond it.
        """
        texts = list(texts)
        # The library numbers continued characters in the order of a hash table, which differs from run to run and
        # decides ties between merges. Handing it the alphabet in order, as if it were special, fixes both.
        draft = _wordpiece({"[UNK]": 0})
        draft.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=0, show_progress=False))
        digits = {f"##{digit}" for digit in range(10)}
        numbers = [str(number) for number in range(WHOLE_NUMBERS)]
        alphabet = sorted({*draft.get_vocab(), *digits} - {*numbers, *SPECIAL_TOKENS})
        first = [*SPECIAL_TOKENS, *numbers, *alphabet]
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size, min_frequency=2, special_tokens=first, show_progress=False
        )
        draft.train_from_iterator(texts, trainer)
        return cls(_wordpiece(draft.get_vocab()))

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a vocabulary.

        Args:
            path: A `tokenizer.json`, a BERT `vocab.txt` (taken as lowercase), or a folder with either.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The vocabulary has not BERT's special tokens.
        """
        path = Path(path)
        if path.is_dir():
            found = [path / name for name in ("tokenizer.json", "vocab.txt") if (path / name).is_file()]
            if not found:
                raise FileNotFoundError(f"{path} has neither tokenizer.json nor vocab.txt")
            path = found[0]
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return cls(tokenizers.Tokenizer.from_str(text))
        return cls(_wordpiece({token: i for i, token in enumerate(text.rstrip("\n").split("\n"))}))

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json`, readable by the `tokenizers` and `transformers` libraries.

        Args:
            path: The file, or the folder to put `tokenizer.json` in.
        """
        path = Path(path)
        if path.suffix != ".json":
            path.mkdir(parents=True, exist_ok=True)
            path = path / "tokenizer.json"
        path.write_text(self._inner.to_str(pretty=True) + "\n", encoding="utf-8")

    def encode(self, texts: Sequence[str], max_length: int) -> Encoded:
        """Texts to a batch padded to its longest.

        `[MASK]` in a text becomes the mask token. What does not fit is cut at the end; SEP stays.

        Args:
            texts: B texts.
            max_length: Most tokens of a text, CLS and SEP included.
        """
        if max_length < 2:
            raise ValueError(f"max_length {max_length} leaves no room for CLS and SEP")
        # Padding and truncation are done here: the library keeps them as state, which threads of a server would share.
        encodings = self._inner.encode_batch(list(texts), add_special_tokens=False)
        lengths = [min(len(encoding), max_length - 2) for encoding in encodings]
        L = max(lengths, default=0) + 2
        ids = np.full((len(texts), L), self.pad_id, np.int64)
        offsets = np.zeros((len(texts), L, 2), np.int64)
        ids[:, 0] = self.cls_id
        for row, (encoding, n) in enumerate(zip(encodings, lengths, strict=True)):
            ids[row, 1 : n + 1] = encoding.ids[:n]
            ids[row, n + 1] = self.sep_id
            if n:
                offsets[row, 1 : n + 1] = encoding.offsets[:n]
        mask = np.arange(L) < np.array(lengths, np.int64)[:, None] + 2
        return Encoded(torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(offsets))

    def decode(self, ids: Sequence[int] | Tensor) -> str:
        """Token ids of one text (L,) to text, lowercase, without special tokens."""
        text: str = self._inner.decode([int(i) for i in ids], skip_special_tokens=True)
        for pattern, repair in _REPAIRS:
            text = pattern.sub(repair, text)
        return text

    def token(self, token_id: int) -> str:
        """The vocabulary entry of an id; pieces that continue a word begin with `##`."""
        token = self._inner.id_to_token(token_id)
        if token is None:
            raise IndexError(f"no token has the id {token_id}")
        return token

    @property
    def vocab_size(self) -> int:
        """Number of entries."""
        size: int = self._inner.get_vocab_size()
        return size

    @property
    def pad_id(self) -> int:
        """Id of the padding."""
        return self._ids["[PAD]"]

    @property
    def cls_id(self) -> int:
        """Id of the first token of every text."""
        return self._ids["[CLS]"]

    @property
    def sep_id(self) -> int:
        """Id of the last token of every text."""
        return self._ids["[SEP]"]

    @property
    def mask_id(self) -> int:
        """Id that stands for a word to be filled."""
        return self._ids["[MASK]"]

    @property
    def unk_id(self) -> int:
        """Id of what the vocabulary cannot spell."""
        return self._ids["[UNK]"]


def _wordpiece(vocab: dict[str, int]) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    if "[CLS]" in vocab and "[SEP]" in vocab:
        ends = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
        inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
        inner.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocab])
    return inner
