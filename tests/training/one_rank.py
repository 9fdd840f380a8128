"""What each rank of the tests of several ranks does: some steps of a few configurations, and stop."""

import json
import os
import sys
from pathlib import Path

from knowlip.corpus.store import open_corpus
from knowlip.training.config import load_config
from knowlip.training.loop import begin, train, training_texts


def main(corpus: str, runs: str) -> None:
    opened = open_corpus(corpus)
    for out, stop, overrides in json.loads(runs):
        run = begin(opened, load_config(None, overrides), Path(out))

        def progress(step, total, losses, out=out):
            if Path(out).name == "lost" and (step, os.environ.get("RANK")) == (3, "1"):
                os._exit(9)

        train(run, training_texts(opened, run.tokenizer, 0), stop, progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
