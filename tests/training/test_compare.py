import json

import numpy as np
import pytest

from knowlip.cli.app import main
from knowlip.core.errors import ConfigError, ModelError
from knowlip.training.compare import plot, read_run, table


@pytest.fixture
def runs(tmp_path):
    """Two runs as `pretrain` leaves them: the second with a third of the learning rate, contrast alone."""
    for name, rate, extra in (("a", 0.003, {"itm": 0.5}), ("b", 0.001, {})):
        folder = tmp_path / name
        folder.mkdir()
        config = {"objective": "knowlip", "data": {"batch_size": 8}, "optim": {"learning_rate": rate}}
        (folder / "run.json").write_text(json.dumps({"config": config, "corpus": "f" * 64}))
        lines = []
        for step in range(1, 41):
            other = {k: v if step > 20 else 0.0 for k, v in extra.items()}
            loss = {"itc": 4.0 / step, **other, "total": 4.0 / step + sum(other.values())}
            lines.append(json.dumps({"step": step, **loss, "lr": rate, "gradient_norm": 1.0, "seconds": 0.5}))
        (folder / "losses.jsonl").write_text("\n".join(lines) + "\n" + '{"step": 41, "itc"')
    return tmp_path


def test_table_has_what_differs_and_what_they_came_to(runs):
    rows = {row[0]: row[1:] for row in table([read_run(runs / "a"), read_run(runs / "b")])}
    assert rows[""] == ("a", "b")
    assert rows["optim.learning_rate"] == ("0.003", "0.001")
    assert "data.batch_size" not in rows
    assert rows["tiles a second"] == ("16", "16")
    assert rows["loss itm"] == ("0.5", "-")
    assert float(rows["loss itc"][0]) == pytest.approx(np.mean([4.0 / s for s in (37, 38, 39, 40)]), rel=1e-3)


def test_curves_are_drawn(runs, tmp_path):
    plot([read_run(runs / "a"), read_run(runs / "b")], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_command_prints_the_table_and_the_same_as_json(runs, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["runs", "compare", str(runs / "a"), str(runs / "b")])
    assert "optim.learning_rate  0.003  0.001" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["runs", "compare", str(runs / "a"), "--json"])
    assert json.loads(capsys.readouterr().out)["a"]["figures"]["steps"] == 40


def test_folder_without_a_run_is_named(runs, tmp_path):
    with pytest.raises(ModelError, match="holds no run"):
        read_run(tmp_path)


def test_picture_of_an_unknown_kind_is_refused(runs):
    with pytest.raises(ConfigError, match="not the name of a picture"):
        plot([read_run(runs / "a")], runs / "curves.docx")
