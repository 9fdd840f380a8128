"""A small simulated corpus, described and with a trained model: made once a session, copied by tests that change it."""

import shutil
from pathlib import Path

import pytest

TINY = (
    "data.batch_size=8",
    "optim.steps=8",
    "checkpoint_every=3",
    "scio.steps_after=2",
    "scio.margin=0.5",
    "threads=1",
)


@pytest.fixture(scope="session")
def simulated_scenes(tmp_path_factory):
    from knowlip.simulation.simulate import simulate

    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, 6, 1, "sentinel1-iw", 512, 3)
    return folder


@pytest.fixture(scope="session")
def _described(simulated_scenes, tmp_path_factory):
    from knowlip.corpus.build import BuildConfig, build_corpus
    from knowlip.corpus.grids import TileSpec
    from knowlip.corpus.splits import SplitSpec
    from knowlip.hcot.annotate import annotate

    out = tmp_path_factory.mktemp("described") / "corpus"
    config = BuildConfig(tiles=TileSpec(tile_size=128), split=SplitSpec(train=0.5, val=0.2, test=0.3))
    corpus = build_corpus([simulated_scenes], str(out), config).corpus
    annotate(corpus, sources=("places", "airports"))
    return out


@pytest.fixture
def described(_described, tmp_path):
    """A private copy of the described corpus."""
    from knowlip.corpus.store import open_corpus

    return open_corpus(str(shutil.copytree(_described, tmp_path / "corpus")))


@pytest.fixture(scope="session")
def _trained(_described, tmp_path_factory):
    from knowlip.corpus.store import open_corpus
    from knowlip.scio.loop import pretrain
    from knowlip.training.config import load_config

    folder = tmp_path_factory.mktemp("trained")
    corpus = open_corpus(str(shutil.copytree(_described, folder / "corpus")))
    return pretrain(corpus, load_config(None, TINY), folder / "model"), folder


@pytest.fixture
def trained(_trained, tmp_path):
    """What pretraining returned, and private copies: `(Pretrained, Corpus, model folder)`."""
    from knowlip.corpus.store import open_corpus

    result, folder = _trained
    copy = Path(shutil.copytree(folder, tmp_path / "run"))
    return result, open_corpus(str(copy / "corpus")), copy / "model"
