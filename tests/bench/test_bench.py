import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.bench.metrics import cluster_interval, recalls, retrieval_chance
from knowlip.bench.models.control import _BINS, HandMade, _histogram_patches, _histograms, _hog_patches
from knowlip.bench.questions import true_answers
from knowlip.bench.runner import CONTROLS, run
from knowlip.bench.tasks.retrieval import tile_texts
from knowlip.core.errors import ConfigError, CorpusError, ModelError


def test_perfect_similarity_recalls_everything():
    assert recalls(np.eye(20)).min() == 1


def test_recall_counts_the_rank():
    similarity = np.array([[0.5, 0.9, 0.1], [0.1, 0.9, 0.5], [0.9, 0.5, 0.1]])
    assert recalls(similarity)[:, 0].tolist() == [0, 1, 0]
    wide = np.tile(np.arange(20.0), (20, 1))
    assert recalls(wide).mean(0).tolist() == pytest.approx([1 / 20, 5 / 20, 10 / 20])


@given(st.integers(1, 30))
def test_texts_that_are_all_the_same_give_exactly_chance(n):
    assert recalls(np.zeros((n, n))).mean() == pytest.approx(retrieval_chance(n))


def test_random_similarity_is_near_chance():
    rng = np.random.default_rng(0)
    found = np.mean([recalls(rng.normal(size=(40, 40))).mean() for _ in range(100)])
    assert found == pytest.approx(retrieval_chance(40), abs=0.01)


def test_interval_over_clusters_is_wider_than_over_items_when_clusters_agree():
    values = np.repeat(np.random.default_rng(0).integers(0, 2, 12).astype(float), 10)
    clusters = np.repeat(np.arange(12).astype(str), 10)
    low, high = cluster_interval(values, clusters)
    low_items, high_items = cluster_interval(values, np.arange(120).astype(str))
    assert high - low > 2 * (high_items - low_items)
    assert low <= values.mean() <= high


def test_true_answers_are_those_of_the_land_cover_raster(described):
    truth = true_answers(described, "test")
    assert truth.main
    names = ["water", "woodland", "farmland", "building", "road", "bare"]
    for tile_id, main in truth.main.items():
        codes = described.landcover(tile_id)
        shares = [(codes == k + 1).mean() for k in range(6)]
        assert main == names[int(np.argmax(shares))]
        assert truth.present[tile_id] == tuple(n for n, s in zip(names, shares, strict=True) if s >= 0.03)
    objects = described.table("objects").to_pandas()
    known = objects[objects.tile_id.isin(truth.main)].groupby("tile_id").size().to_dict()
    assert truth.count == {t: known.get(t, 0) for t in truth.main}


def test_suite_runs_every_model_beside_chance(trained, tmp_path):
    _, corpus, model = trained
    rows = run(corpus, "core", [str(model), "control-histogram"], str(tmp_path / "out"))
    assert {r.model for r in rows} == {"knowlip:model", "control-histogram"}
    assert {"retrieval", "main landform", "all landforms"} <= {r.task for r in rows}
    for r in rows:
        assert 0 <= r.low <= r.value <= r.high <= 1
        assert 0 <= r.chance <= 1
        assert r.n > 0
    kept = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [k["value"] for k in kept] == [r.value for r in rows]
    assert (tmp_path / "out" / "results.csv").read_text().count("\n") == len(rows) + 1


def test_finished_rows_are_not_computed_again(trained, tmp_path, monkeypatch):
    _, corpus, _ = trained
    first = run(corpus, "questions", ["control-hog"], str(tmp_path))
    monkeypatch.setattr(HandMade, "patches", lambda *a: pytest.fail("computed again"))
    assert run(corpus, "questions", ["control-hog"], str(tmp_path)) == first


def test_control_is_fitted_on_training_tiles_only(described):
    texts = tile_texts(described, "test") | tile_texts(described, "train")
    train, test = described.tile_ids("train"), described.tile_ids("test")
    control = HandMade("histogram")
    all_of_test, first_of_test = (control.similarity(described, texts, train, t) for t in (test, test[:1]))
    assert all_of_test[0, 0] == pytest.approx(first_of_test[0, 0], abs=1e-5)


def test_histograms_of_patches_average_to_that_of_the_image():
    image = np.random.default_rng(0).normal(0, 1.5, (64, 96)).astype(np.float32)
    patches, whole = _histogram_patches(image), _histograms(image[None])
    assert patches.shape == (6, whole.shape[1])
    assert patches[:, :64].mean(0) == pytest.approx(whole[0, :64])
    assert whole[0, 32:64] == pytest.approx(np.histogram(image.reshape(16, 4, 24, 4).mean((1, 3)), _BINS)[0] / 384)


def test_gradients_of_a_patch_are_its_own():
    image = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    changed = image.copy()
    changed[:28, :28] = 0
    same = (_hog_patches(image) == _hog_patches(changed)).all(1)
    assert same.tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("suite", "models", "says"),
    [
        ("nosuch", ["control-hog"], "core"),
        ("core", [], "names no model"),
        ("core", ["nowhere"], "neither a control nor a folder"),
    ],
)
def test_wrong_call_is_explained(described, tmp_path, suite, models, says):
    with pytest.raises(ConfigError, match=says):
        run(described, suite, models, str(tmp_path))


def test_folder_without_a_model_is_refused(described, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        run(described, "retrieval", [str(tmp_path / "empty")], str(tmp_path / "out"))


def test_results_of_another_corpus_are_not_mixed(described, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"corpus": "other", "rows": []}))
    with pytest.raises(CorpusError, match="another corpus"):
        run(described, "core", [CONTROLS[0]], str(tmp_path))
