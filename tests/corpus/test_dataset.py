import errno

import numpy as np
import pytest
import torch

from knowlip.core.errors import OutputError
from knowlip.core.radiometry import Radiometry
from knowlip.corpus.dataset import CHANNELS, TileDataset, TileLoader, collate, epoch_order
from knowlip.corpus.export import ExportSpec, export
from knowlip.corpus.normalise import Normaliser
from knowlip.corpus.shards import ShardDataset
from knowlip.model.processor import Processor


@pytest.fixture(scope="module")
def tiles(built):
    return TileDataset(built.corpus)


@pytest.fixture(scope="module")
def shards(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for pixels in ("tif", "npy"):
        export(built.corpus, "webdataset", str(folder / pixels), ExportSpec(None, 10, pixels))
    return folder


def test_pixels_are_those_that_the_model_s_processor_gives(built, tiles):
    processor = Processor()
    assert Normaliser().level_db == processor.level_db
    assert Normaliser().anchor_db == processor.anchor_db
    for i, tile_id in enumerate(built.corpus.tile_ids()):
        sample, truth = tiles[i], processor(built.corpus.pixels(tile_id))
        assert sample.tile_id == tile_id
        assert sample.pixels.dtype == np.float32
        np.testing.assert_array_equal(sample.pixels, truth)


def test_levels_of_a_band_win_over_those_of_the_polarisation():
    normaliser = Normaliser({"VV": (-10.0, 6.0), "L:VV": (-14.0, 4.0)})
    radiometry = Radiometry(quantity="db", convention="sigma0")
    pixels = np.full((1, 4, 4), -12, np.float32)
    for band, value in (("L", 0.5), ("C", -1 / 3), (None, -1 / 3)):
        got = normaliser.stored(pixels, None, radiometry, ("VV",), np.zeros(1, np.float32), band)
        assert got == pytest.approx(value)


def test_channels_name_the_polarisations(built, tiles):
    for i in range(len(tiles)):
        sample = tiles[i]
        assert tuple(CHANNELS[c] for c in sample.channels) == built.corpus.calibration(sample.tile_id)[1]


def test_a_batch_pads_tiles_of_fewer_channels(tiles):
    samples = [next(tiles[i] for i in range(len(tiles)) if len(tiles[i].channels) == n) for n in (1, 2)]
    batch = collate(samples)
    assert batch.pixels.shape[:2] == (2, 2)
    assert batch.channels[0, 1] == -1
    assert (batch.pixels[0, 1] == 0).all()


def ids_of(loader):
    return [b.tile_ids for b in loader]


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(tiles, workers):
    alone = list(TileLoader(tiles, 8, seed=3))
    together = list(TileLoader(tiles, 8, seed=3, workers=workers))
    assert [b.tile_ids for b in together] == [b.tile_ids for b in alone]
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a.pixels, b.pixels)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 3, 7])
def test_a_loader_resumes_within_an_epoch_with_the_next_batch(tiles, workers, stop):
    undisturbed = TileLoader(tiles, 8, seed=1)
    truth = ids_of(undisturbed) + ids_of(undisturbed)
    first = TileLoader(tiles, 8, seed=1, workers=workers)
    batches = iter(first)
    got = [next(batches).tile_ids for _ in range(stop)]
    state = first.state_dict()
    second = TileLoader(tiles, 8, seed=1, workers=2 - workers)
    second.load_state_dict(state)
    assert got + ids_of(second) + ids_of(second) == truth


def test_an_epoch_gives_each_tile_once_and_another_epoch_another_order(tiles):
    orders = [epoch_order(tiles, 0, epoch) for epoch in range(3)]
    assert all(sorted(o) == list(range(len(tiles))) for o in orders)
    assert len({tuple(o) for o in orders}) == 3


def test_ranks_share_a_batch(tiles):
    whole = ids_of(TileLoader(tiles, 8))
    halves = [ids_of(TileLoader(tiles, 4, rank=r, world=2)) for r in range(2)]
    assert [a + b for a, b in zip(*halves, strict=True)] == whole


def test_a_state_of_another_order_is_refused(tiles):
    state = TileLoader(tiles, 8, seed=1).state_dict()
    with pytest.raises(ValueError, match="seed 1"):
        TileLoader(tiles, 8, seed=2).load_state_dict(state)


@pytest.mark.parametrize("pixels", ["tif", "npy"])
def test_shards_give_the_samples_of_the_corpus(tiles, shards, pixels):
    found = ShardDataset(shards / pixels)
    of = {tiles[i].tile_id: tiles[i] for i in range(len(tiles))}
    assert len(found) == len(of)
    for i in range(len(found)):
        sample = found[i]
        np.testing.assert_array_equal(sample.pixels, of[sample.tile_id].pixels)
        np.testing.assert_array_equal(sample.channels, of[sample.tile_id].channels)


def test_shards_are_read_one_after_the_other_in_another_order_each_epoch(shards):
    found = ShardDataset(shards / "tif", "train")
    for epoch in range(3):
        order = epoch_order(found, 0, epoch)
        assert sorted(order) == list(range(len(found)))
        visited = found.shard_of[order]
        assert (np.diff(visited) != 0).sum() == len(found.paths) - 1
    loader = TileLoader(found, 6)
    next(iter(loader))
    again = TileLoader(found, 6)
    again.load_state_dict(loader.state_dict())
    assert ids_of(again) == ids_of(TileLoader(found, 6))[1:]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_keeps_pixels_to_a_hundredth_of_a_decibel(built, tiles, tmp_path, workers, monkeypatch):
    truth = {tiles[i].tile_id: tiles[i].pixels for i in range(len(tiles))}
    first, second = (TileLoader(TileDataset(built.corpus, cache=tmp_path), 3, workers=workers) for _ in range(2))
    batches = list(first)
    for batch in batches:
        for tile_id, pixels in zip(batch.tile_ids, batch.pixels.numpy(), strict=True):
            exact = truth[tile_id]
            scale = np.maximum(np.abs(exact), 1)
            assert (np.abs(pixels[: len(exact)] - exact) / scale).max() <= 2**-11
    # what the second epoch hands out was kept: the corpus is not asked again
    monkeypatch.setattr(type(built.corpus), "stored_pixels", None)
    for batch, again in zip(batches, second, strict=True):
        assert batch.tile_ids == again.tile_ids
        torch.testing.assert_close(batch.pixels, again.pixels, rtol=0, atol=0)


def test_a_cache_of_other_levels_is_another_cache(built, tmp_path):
    TileDataset(built.corpus, cache=tmp_path)[0]
    other = TileDataset(built.corpus, normaliser=Normaliser(anchor_db=dict.fromkeys(CHANNELS, -3.0)), cache=tmp_path)
    assert len(list(tmp_path.glob("*.float16"))) == 2
    exact = TileDataset(built.corpus, normaliser=other.normaliser)[0].pixels
    assert other[0].pixels == pytest.approx(exact, abs=0.01)


def test_a_cache_without_room_is_refused_at_once(built, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match="no space left"):
        TileDataset(built.corpus, cache=tmp_path)
    assert not list(tmp_path.iterdir())
