import math
import os
import signal
import sys

import pytest

from corpora import CONFIG
from fakes import files_of
from knowlip.core import folder as folder_module
from knowlip.core.errors import ConfigError, CorpusError
from knowlip.core.parallel import map_items
from knowlip.corpus.build import build_corpus
from knowlip.corpus.store import open_corpus


def test_without_ray_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match="cluster"):
        list(map_items(math.isqrt, [1, 2], 2, "ray"))


@pytest.fixture
def two_nodes():
    ray = pytest.importorskip("ray", reason="needs Ray (pip install sar-knowlip[cluster])")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield ray
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_build_on_two_ray_nodes_has_the_same_bytes(tmp_path, two_scenes, two_nodes):
    assert sum(node["Alive"] for node in two_nodes.nodes()) == 2
    assert list(map_items(math.isqrt, range(50), 2, "ray")) == [math.isqrt(n) for n in range(50)]
    with pytest.raises(CorpusError, match="no such folder"):
        list(map_items(open_corpus, [str(tmp_path / "nowhere")], 2, "ray"))
    build_corpus([two_scenes], str(tmp_path / "local"), CONFIG)
    build_corpus([two_scenes], str(tmp_path / "ray"), CONFIG, engine="ray")
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def tiled_by_a_mortal(job):
    """Cut a scene; the first process that tries is killed in the middle of its writes."""
    from knowlip.corpus import build

    marker = job.out.path("../killed")
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return build.tile_scene(job)
    folder_module.os.replace = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)
    return build.tile_scene(job)


@pytest.mark.slow
def test_a_build_whose_ray_worker_is_killed_has_the_same_bytes(tmp_path, two_scenes, two_nodes, monkeypatch):
    build_corpus([two_scenes], str(tmp_path / "local"), CONFIG)
    two_nodes.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr("knowlip.corpus.build._tiled", tiled_by_a_mortal)
    build_corpus([two_scenes], str(tmp_path / "ray"), CONFIG, engine="ray")
    assert (tmp_path / "killed").exists()
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")
