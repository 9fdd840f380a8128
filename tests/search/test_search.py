import numpy as np
import pytest

from knowlip.core.errors import ConfigError
from knowlip.model.embedder import load_embedder
from knowlip.search.index import build_index, index_is_current, search


@pytest.fixture
def indexed(trained):
    _, corpus, folder = trained
    embedder = load_embedder(folder)
    assert build_index(corpus, embedder) == len(corpus.tiles)
    return corpus, embedder


def test_search_gives_tiles_with_place_score_and_coordinates(indexed):
    corpus, embedder = indexed
    hits = search(corpus, embedder, "open water", 5)
    assert len(hits) == 5
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    for h in hits:
        tile = corpus.tiles.loc[h.tile_id]
        assert (h.lon_deg, h.lat_deg) == (tile["proj:centroid"]["lon"], tile["proj:centroid"]["lat"])
        assert tile["knowlip:country"] in h.place


def test_similarity_is_the_cosine_of_the_embeddings(indexed):
    corpus, embedder = indexed
    hits = search(corpus, embedder, "dense buildings", 3)
    wanted = embedder.corpus_images(corpus, [h.tile_id for h in hits]) @ embedder.texts(["dense buildings"])[0]
    assert np.allclose([h.similarity for h in hits], wanted, atol=1e-3)


def test_place_name_in_the_query_brings_its_tiles_first(indexed):
    corpus, embedder = indexed
    city = corpus.tiles["knowlip:nearest_city"].iloc[0]
    assert city in search(corpus, embedder, f"buildings in {city}", 1)[0].place


def test_filter_keeps_what_it_says(indexed):
    corpus, embedder = indexed
    country = corpus.tiles["knowlip:country"].iloc[-1]
    hits = search(corpus, embedder, "water", 50, where=f"country = '{country}'")
    assert hits
    assert {corpus.tiles.at[h.tile_id, "knowlip:country"] for h in hits} == {country}


def test_index_knows_when_it_is_stale(indexed):
    corpus, embedder = indexed
    assert index_is_current(corpus, embedder)
    with (embedder.folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert not index_is_current(corpus, embedder)


@pytest.mark.parametrize(
    ("query", "limit", "where", "says"),
    [
        ("  ", 5, None, "is empty"),
        ("water", 0, None, "out of range"),
        ("water", 10**6, None, "out of range"),
        ("water", 5, "colour = 1 AND", "not understood"),
    ],
)
def test_wrong_query_is_explained(indexed, query, limit, where, says):
    with pytest.raises(ConfigError, match=says):
        search(*indexed, query, limit, where)


@pytest.mark.parametrize("query", ['"quoted" AND (odd', "Zürich 北京", "ship's wake; DROP TABLE tiles", "a" * 5000])
def test_any_words_can_be_asked(indexed, query):
    assert len(search(*indexed, query, 3)) == 3
