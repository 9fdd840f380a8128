import json

import pytest


def test_figures_of_a_benchmark_come_into_the_card(knowlip, trained, tmp_path):
    folder = trained[2]
    row = {"task": "count", "metric": "accuracy", "model": f"knowlip:{folder.name}", "value": 0.5, "low": 0.4}
    row |= {"high": 0.6, "n": 12, "chance": 0.3, "truth": "simulation"}
    (tmp_path / "results.json").write_text(json.dumps({"rows": [row]}))
    ran = knowlip("model", "card", folder, "--results", tmp_path, "--json")
    assert json.loads(ran.out) == {"card": str(folder / "README.md"), "figures": 1}
    assert "| count | accuracy | 0.500 |" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "arguments", [("export", "{}", "--out", "{}-onnx"), ("card", "{}", "--results", "{}"), ("push", "{}", "a/b")]
)
def test_folder_without_a_model_is_refused_in_one_line(knowlip, tmp_path, arguments):
    ran = knowlip("model", *(a.format(tmp_path / "nothing") for a in arguments))
    assert "no such model folder" in ran.refusal


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("init.image=/nowhere/vit.pth", "/nowhere/vit.pth: no such file or folder"),
        ("init.imag=vit.pth", "Did you mean 'init.image'?"),
        ("data.geo_tokens=[wind]", "each once, of gsd_m"),
    ],
)
def test_wrong_start_of_a_run_is_refused_in_one_line_and_leaves_nothing(knowlip, trained, tmp_path, key, line):
    ran = knowlip("pretrain", trained[1].folder.path(), "--out", tmp_path / "out", "--set", key)
    assert line in ran.refusal
    assert not (tmp_path / "out").exists()
