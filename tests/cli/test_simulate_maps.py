"""`knowlip simulate --maps`, and annotation with what it writes."""

import json

import pyarrow.parquet as pq


def test_the_command_writes_maps_that_annotation_takes(knowlip, tmp_path):
    scenes, maps, corpus = tmp_path / "scenes", tmp_path / "maps", tmp_path / "corpus"
    args = ("simulate", "-o", scenes, "--cities", 1, "--size", 512, "--seed", 4, "--maps", maps, "-j", 1)
    done = knowlip(*args)
    assert done.code == 0, done.err
    assert f"--land-cover {maps / 'landcover'}" in done.out
    assert knowlip("corpus", "build", scenes, "-o", corpus, "--tile-size", 256, "--quiet").code == 0
    options = ("--land-cover", maps / "landcover", "--dem", maps / "dem", "--osm", maps / "features")
    said = knowlip("annotate", corpus, "--sources", "places", *options, "--quiet", "-j", 1)
    assert said.code == 0, said.err
    facts = pq.read_table(corpus / "facts.parquet").to_pylist()
    names = {f["name"] for f in facts}
    assert {"map.cover.water.share", "slope.mean_deg", "map.water.share"} <= names
    missing = [r for f in facts if f["name"] == "knowledge.missing" for r in json.loads(f["value"])]
    assert not any("land-cover" in reason for reason in missing)
