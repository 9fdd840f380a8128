"""How rich, sure and fast the words of annotated tiles are, beside the published example records.

    python benchmarks/words.py [--quick] [--corpus FOLDER] [--published FILE]

Facts come from an annotated corpus, or from scenes that are simulated, cut into tiles and annotated for the occasion:
10,000 tiles, with `--quick` some hundreds. The words are then written from these facts alone, in one process, and timed
by its processor time. MTLD is taken over the records' texts one after the other; a record is a tile's statements, a
description, or a caption. `--published` names the reference's example records (`landform_statements.json`), whose text
is measured by the same code. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from knowlip.core.statements import Fact
from knowlip.corpus.store import open_corpus
from knowlip.hcot.phrasing import HEDGES
from knowlip.hcot.sentences import statements
from knowlip.hcot.surface import surface
from knowlip.hcot.view import Facts

FULL_TILES, QUICK_TILES = 10_000, 320
CITIES, SCENE_PX, TILE_PX = 135, 512, 128
TILES_A_SCENE = (SCENE_PX // TILE_PX) ** 2

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
    """An annotated corpus of simulated Sentinel-1 scenes, of so many tiles or a few more."""
    from knowlip.corpus.build import BuildConfig, build_corpus
    from knowlip.corpus.grids import TileSpec
    from knowlip.hcot.annotate import annotate
    from knowlip.simulation.simulate import simulate

    scenes = -(-tiles // TILES_A_SCENE)
    cities = min(CITIES, scenes)
    simulate(folder / "scenes", cities, -(-scenes // cities), "sentinel1-iw", SCENE_PX, 0, workers=workers)
    config = BuildConfig(tiles=TileSpec(tile_size=TILE_PX))
    annotate(build_corpus([folder / "scenes"], str(folder / "corpus"), config).corpus, workers=workers)
    return str(folder / "corpus")


def text_figures(texts: Sequence[str]) -> dict[str, float]:
    """What is measured of any records, one text each."""
    words = words_of(" ".join(texts))
    return {
        "records": len(texts),
        "mtld": round(mtld(words), 1),
        "hedging_share": round(sum(bool(HEDGES.search(t)) for t in texts) / len(texts), 3),
        "mean_words": round(len(words) / len(texts), 1),
    }


def hedges_anywhere(tile: dict[str, Any]) -> bool:
    """Whether anything said of a tile hedges: a statement, its description or a caption."""
    texts = [s["text"] for kind in ("statements", "captions") for s in tile[kind]]
    return any(HEDGES.search(t) for t in [*texts, (tile["description"] or {"text": ""})["text"]])


def published_texts(path: Path) -> list[str]:
    """The reference's example records, their dimensions joined."""
    return [". ".join(v for v in r.values() if isinstance(v, str)) for r in json.loads(path.read_text())]


def measured(tiles: Sequence[tuple[str, Facts]]) -> dict[str, object]:
    """Write everything once, and measure it."""
    statements("", tiles[0][1])  # the phrases are read once
    start = time.process_time()
    said = [statements(tile_id, facts) for tile_id, facts in tiles]
    middle = time.process_time()
    whole = [surface(tile_id, facts) for tile_id, facts in tiles]
    end = time.process_time()
    sentences = [s.text for tile in said for s in tile]
    paragraphs = [w["description"]["text"] for w in whole if w["description"]]
    captions = [c["text"] for w in whole for c in w["captions"]]
    lengths = sorted(len(words_of(p)) for p in paragraphs)
    return {
        "statements": text_figures([" ".join(s.text for s in tile) for tile in said]),
        "descriptions": text_figures(paragraphs)
        | {"words_5_percent": lengths[len(lengths) // 20], "words_95_percent": lengths[-len(lengths) // 20]},
        "captions": text_figures(captions) if captions else {"records": 0},
        "tiles_that_hedge": round(sum(map(hedges_anywhere, whole)) / len(tiles), 3),
        "sentences": len(sentences),
        "distinct_sentences": len(set(sentences)),
        "answers": sum(len(w["answers"]) for w in whole),
        "statements_per_s": round(len(sentences) / (middle - start)),
        "everything_ms_per_tile": round(1e3 * (end - middle) / len(tiles), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--corpus", help="an annotated corpus, instead of simulated scenes")
    parser.add_argument("--published", type=Path, help="landform_statements.json of the reference's authors")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    wanted = QUICK_TILES if given.quick else FULL_TILES
    with tempfile.TemporaryDirectory() as name:
        corpus = given.corpus or simulated(Path(name), wanted, given.workers)
        figures = measured(list(facts_of(corpus, wanted)))
    published = text_figures(published_texts(given.published)) if given.published else None
    print(f"{'':16}{'records':>9}{'MTLD':>8}{'hedging':>9}{'words':>8}")
    for kind in ("statements", "descriptions", "captions", "published"):
        row = published if kind == "published" else figures[kind]
        if row and row["records"]:
            print(f"{kind:16}{row['records']:9}{row['mtld']:8}{100 * row['hedging_share']:8.1f}%{row['mean_words']:8}")
    print(json.dumps(figures | {"published": published}))


if __name__ == "__main__":
    main()
