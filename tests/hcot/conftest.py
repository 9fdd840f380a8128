"""A corpus of a few simulated tiles, not annotated, and a model's server that does as it is told."""

import shutil

import pytest

from fakes_vlm import KEY, serving


@pytest.fixture(scope="session")
def _bare(tmp_path_factory):
    from knowlip.corpus.build import BuildConfig, build_corpus
    from knowlip.corpus.grids import TileSpec
    from knowlip.simulation.simulate import simulate

    folder = tmp_path_factory.mktemp("bare")
    simulate(folder / "scenes", 3, 1, "sentinel1-iw", 256, 3)
    build_corpus([folder / "scenes"], str(folder / "corpus"), BuildConfig(tiles=TileSpec(tile_size=256)))
    return folder / "corpus"


@pytest.fixture
def bare(_bare, tmp_path):
    """Makes private copies of a corpus that nobody has described yet."""
    from knowlip.corpus.store import open_corpus

    return lambda name="corpus": open_corpus(str(shutil.copytree(_bare, tmp_path / name)))


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def evident(_bare, tmp_path_factory):
    """The corpus, described by evidence alone."""
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import annotate

    corpus = shutil.copytree(_bare, tmp_path_factory.mktemp("evident") / "corpus")
    annotate(open_corpus(str(corpus)), "evidence", ("places", "airports"))
    return open_corpus(str(corpus))


@pytest.fixture(scope="session")
def quiet(_bare, tmp_path_factory):
    """The corpus, described with a model whose server has no troubles."""
    from knowlip.core.folder import Folder
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import Model, annotate
    from knowlip.hcot.engines.config import VlmConfig

    folder = tmp_path_factory.mktemp("quiet")
    corpus = shutil.copytree(_bare, folder / "corpus")
    with serving() as stub:
        model = Model(VlmConfig(base_url=stub.url, model="stub"), Folder(str(folder / "cache")))
        annotate(open_corpus(str(corpus)), "vlm", ("places", "airports"), model=model)
    return open_corpus(str(corpus))
