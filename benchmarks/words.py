"""How rich, sure and fast the words of annotated tiles are, beside the published example records.

    python benchmarks/words.py [--quick] [--corpus FOLDER] [--published FILE]

Facts come from an annotated corpus, or from scenes that are simulated, cut into tiles and annotated for the occasion:
10,000 tiles, with `--quick` some hundreds. The words are then written from these facts alone, in one process. MTLD is
taken over the tiles' texts one after the other. `--published` names the reference's example records
(`landform_statements.json`), whose text is measured by the same code. The last line is a JSON object.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from knowlip.core.statements import Fact
from knowlip.corpus.store import open_corpus
from knowlip.hcot.view import Facts

THRESHOLD = 0.72
"""Type-token ratio at which a factor ends. Source: McCarthy and Jarvis 2010, Behavior Research Methods 42(2)."""


def words_of(text: str) -> list[str]:
    """Lowercase words and numbers, without punctuation."""
    return re.findall(r"[a-z0-9]+(?:[-'][a-z0-9]+)*", text.lower())


def _factors(words: Sequence[str]) -> float:
    factors, types, tokens = 0.0, set[str](), 0
    for word in words:
        types.add(word)
        tokens += 1
        if len(types) / tokens <= THRESHOLD:
            factors, tokens = factors + 1, 0
            types.clear()
    if tokens:
        factors += (1 - len(types) / tokens) / (1 - THRESHOLD)
    return factors


def mtld(words: Sequence[str]) -> float:
    """Measure of textual lexical diversity: the mean of words a factor, read forwards and backwards.

    Source: McCarthy and Jarvis 2010, "MTLD, vocd-D, and HD-D".
    """
    both = [_factors(words), _factors(words[::-1])]
    return sum(len(words) / f if f else float(len(words)) for f in both) / 2


def facts_of(corpus_path: str, tiles: int | None) -> Iterator[tuple[str, Facts]]:
    """The facts of a corpus's tiles, as they were written."""
    grouped: dict[str, list[Fact]] = defaultdict(list)
    for row in open_corpus(corpus_path).table("facts").to_pylist():
        tile_id = row.pop("tile_id")
        row.pop("number")
        if tile_id not in grouped and tiles is not None and len(grouped) == tiles:
            break
        grouped[tile_id].append(Fact(**row | {"value": json.loads(row["value"])}))
    for tile_id, facts in grouped.items():
        yield tile_id, Facts(facts)


def simulated(folder: Path, tiles: int, workers: int) -> str:
    """An annotated corpus of simulated Sentinel-1 scenes with so many tiles or a few more."""
    from knowlip.corpus.build import BuildConfig, build_corpus
    from knowlip.corpus.grids import TileSpec
    from knowlip.hcot.annotate import annotate
    from knowlip.simulation.simulate import simulate

    # sixteen tiles of 128 pixels a scene
    cities = min(135, -(-tiles // 16))
    simulate(folder / "scenes", cities, -(-tiles // (16 * cities)), "sentinel1-iw", 512, 0, workers=workers)
    corpus = build_corpus(
        [folder / "scenes"], str(folder / "corpus"), BuildConfig(tiles=TileSpec(tile_size=128))
    ).corpus
    annotate(corpus, workers=workers)
    return str(folder / "corpus")
