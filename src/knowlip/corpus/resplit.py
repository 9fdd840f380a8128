"""The splits of a finished corpus made anew; its tiles' files, statements and everything else stay."""

from __future__ import annotations

import hashlib

import pyarrow.compute as pc

from knowlip import __version__
from knowlip.core.folder import Folder
from knowlip.corpus.croissant import croissant
from knowlip.corpus.placing import where_of, with_splits
from knowlip.corpus.splits import SplitSpec, split_by_place, split_counts
from knowlip.corpus.stac import tile_schema
from knowlip.corpus.store import SPLIT_STAGE, Corpus, open_corpus, take_split


def resplit(corpus: Corpus, spec: SplitSpec) -> Corpus:
    """Divide a corpus's places anew.

    All new files are written aside first and then take their places; a run that was stopped in between is finished by
    the next one, or by whatever opens the corpus first.

    Raises:
        OutputError: The corpus cannot be written.
    """
    folder = corpus.folder
    splits = split_by_place(where_of(corpus.tile_batches()), spec)
    same = splits == corpus.tile_column("knowlip:split").to_pylist()
    if same and corpus.info["build"].get("split") == spec.model_dump():
        return corpus
    stage = Folder(folder.path(SPLIT_STAGE))
    at = 0
    with stage.table_writer("tiles.parquet", tile_schema()) as write:
        for table in corpus.tile_batches():
            write(with_splits(table, splits[at : at + len(table)]).cast(tile_schema()))
            at += len(table)
    entry = {"verb": "split", "made_with": f"sar-knowlip {__version__}", "before": corpus.info["fingerprint"]}
    history = [*corpus.info.get("history", []), entry | {"split": spec.model_dump()}]
    info = corpus.info | {
        "fingerprint": hashlib.sha256(repr(history[-1]).encode()).hexdigest(),
        "counts": corpus.info["counts"] | split_counts(splits),
        "build": corpus.info["build"] | {"split": spec.model_dump()},
        "history": history,
    }
    stage.write_json("croissant.json", croissant(stage, info))
    stage.write_json("corpus.json", info)
    stage.write_json("ready.json", {})
    take_split(folder)
    return open_corpus(folder.root)


def tiles_without_split(corpus: Corpus) -> int:
    """How many tiles lie too near to another split to be in any."""
    return int(pc.sum(pc.is_null(corpus.tile_column("knowlip:split"))).as_py() or 0)
