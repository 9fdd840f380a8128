import json

import pytest

from fakes import as_db, ground_power, write_scene
from fakes_vlm import KEY, failure, serving
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec

pytest.importorskip("openai", reason="needs the extra vlm")


@pytest.fixture
def corpus(tmp_path):
    write_scene(tmp_path / "s.tif", as_db(ground_power((140, 260), 0)), at=(3.0, 48.0))
    build_corpus([tmp_path / "s.tif"], str(tmp_path / "corpus"), BuildConfig(tiles=TileSpec(tile_size=128)))
    return tmp_path / "corpus"


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with serving() as server:
        yield server


def annotate(knowlip, corpus, *options):
    return knowlip("annotate", corpus, "--sources", "places", "-q", *options)


def test_a_model_annotates_by_command_and_is_replayed(knowlip, corpus, stub, tmp_path):
    cache = tmp_path / "cache"
    given = ("--engine", "vlm", "--vlm-model", "stub", "--cache", cache)
    refused = annotate(knowlip, corpus, *given)
    assert "--base-url" in refused.refusal
    prices = ("--set", "price_in=1", "--set", "price_out=2", "--set", "concurrency=2")
    ran = annotate(knowlip, corpus, *given, "--base-url", stub.url, *prices, "--json")
    assert ran.code == 0, ran.err
    shown = json.loads(ran.out)
    n = shown["spent"]["requests"]
    assert n == len(stub.requests) == 6 * shown["tiles"]
    assert shown["spent"]["cost"] == pytest.approx(n * (100 * 1 + 20 * 2) / 1e6)
    assert KEY not in ran.out + ran.err
    again = annotate(knowlip, corpus, *given, "--base-url", stub.url)
    assert "complete already" in again.out
    assert "the model's answers: " in again.out
    info = json.loads((corpus / "corpus.json").read_text())
    del info["annotation"]
    (corpus / "corpus.json").write_text(json.dumps(info))
    before = len(stub.requests)
    replayed = annotate(knowlip, corpus, *given, "--replay")
    assert f"0 requests, {n} from the cache" in replayed.out
    assert len(stub.requests) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "llm"), "evidence, vlm, hybrid"),
        (("--engine", "vlm"), "--vlm-model"),
        (("--engine", "hybrid", "--vlm-model", "m", "--base-url", "localhost:8000"), "is not an http address"),
        (("--engine", "vlm", "--vlm-model", "m", "--replay"), "holds no answer of m"),
        (("--engine", "vlm", "--max-cost", "1"), "price_in"),
        (("--engine", "vlm", "--set", "concurency=2"), "Did you mean 'concurrency'"),
        (("--engine", "vlm", "--config", "nowhere.yaml"), "no such file"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_the_corpus_as_it_was(knowlip, corpus, stub, tmp_path, options, said):
    refused = annotate(knowlip, corpus, "--cache", tmp_path / "cache", *options)
    assert said in refused.refusal
    assert not (corpus / "facts.parquet").exists()
    assert not (corpus / "claims.parquet").exists()


def test_a_refused_key_is_one_line_without_it(knowlip, corpus, stub, tmp_path):
    stub.behave = lambda request, n: failure(401, f"Incorrect API key provided: {KEY}")
    given = ("--engine", "vlm", "--vlm-model", "stub", "--cache", tmp_path / "cache", "--base-url", stub.url)
    refused = annotate(knowlip, corpus, *given)
    assert "OPENAI_API_KEY" in refused.refusal
    assert KEY not in refused.err


def test_a_misspelt_model_can_be_corrected(knowlip, corpus, stub, tmp_path):
    from fakes_vlm import good

    stub.behave = lambda r, n: good(r, n) if r["model"] == "stub" else failure(404, "no such model")
    given = ("--engine", "vlm", "--cache", tmp_path / "cache", "--base-url", stub.url, "--vlm-model")
    assert "--vlm-model stab" in annotate(knowlip, corpus, *given, "stab").refusal
    assert annotate(knowlip, corpus, *given, "stub").code == 0
