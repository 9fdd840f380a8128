from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowlip.corpus.splits import SplitSpec, Where, split_by_place

KM_PER_DEGREE = 110.574
"""Length of a degree of latitude at the equator of WGS 84, the shortest there is."""


def scene(name, lon, lat, rows, cols, size_km, stratum="a"):
    """Tiles of a scene whose upper left corner lies at a place, without overlap."""
    dy = size_km / KM_PER_DEGREE
    dx = dy / np.cos(np.radians(lat))
    tiles = []
    for r in range(rows):
        for c in range(cols):
            west = (lon + c * dx + 180) % 360 - 180
            bbox = (west, lat - (r + 1) * dy, west + dx, lat - r * dy)
            tiles.append(Where(f"{name}_r{r}_c{c}", name, stratum, bbox, size_km))
    return tiles


@st.composite
def layouts(draw):
    """Scenes that overlap, touch or lie apart around a few places, some on the antimeridian or far north."""
    places = draw(
        st.lists(
            st.tuples(st.sampled_from([-180.0, 179.95, -118.0, 3.0, 179.0]), st.floats(-70, 80)), min_size=1, max_size=3
        )
    )
    sizes = draw(st.lists(st.sampled_from([0.6, 1.28, 2.56, 5.0]), min_size=1, max_size=2))
    tiles = []
    for n in range(draw(st.integers(1, 10))):
        lon, lat = draw(st.sampled_from(places))
        east, north = draw(st.floats(-0.4, 0.4)), draw(st.floats(-0.2, 0.2))
        shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
        size, stratum = draw(st.sampled_from(sizes)), draw(st.sampled_from("aab"))
        tiles += scene(f"s{n}", lon + east, lat + north, *shape, size, stratum)
    return tiles


def gap_km(tiles):
    """How far apart the boxes of each two tiles are, along the axis where they are farther apart, in km (N, N)."""
    west, south, east, north = np.array([t.bbox for t in tiles]).T

    def between(low, high, turn=0.0):
        return np.maximum(low[:, None] + turn - high[None, :], low[None, :] - turn - high[:, None])

    nearest = np.minimum.reduce([between(west, east, turn) for turn in (-360.0, 0.0, 360.0)])
    lat = np.maximum.outer(np.abs(north), np.abs(north))
    return np.maximum(nearest * KM_PER_DEGREE * np.cos(np.radians(lat)), between(south, north) * KM_PER_DEGREE)


def smallest_gap_in_tiles(tiles, splits):
    """Least distance between tiles of different splits, in widths of the smaller tile."""
    used = [i for i, s in enumerate(splits) if s]
    kept, name = [tiles[i] for i in used], np.array([splits[i] for i in used])
    if len(set(name)) < 2:
        return np.inf
    size = np.array([t.size_km for t in kept])
    return (gap_km(kept) / np.minimum.outer(size, size))[name[:, None] != name[None, :]].min()


@given(layouts(), st.integers(0, 5), st.sampled_from([2.0, 10.0, 20.0]))
def test_tiles_of_different_splits_are_at_least_one_tile_apart(tiles, seed, block_km):
    splits = split_by_place(tiles, SplitSpec(seed=seed, block_km=block_km))
    assert set(splits) <= {"train", "val", "test", None}
    # a hundredth of a tile is left to the difference between sphere and ellipsoid
    assert smallest_gap_in_tiles(tiles, splits) > 0.98


@settings(max_examples=40)
@given(layouts(), st.randoms(use_true_random=False))
def test_splits_do_not_depend_on_the_order_of_tiles(tiles, random):
    splits = dict(zip((t.tile_id for t in tiles), split_by_place(tiles, SplitSpec()), strict=True))
    shuffled = random.sample(tiles, len(tiles))
    again = dict(zip((t.tile_id for t in shuffled), split_by_place(shuffled, SplitSpec()), strict=True))
    assert again == splits


def towns(n):
    return [t for k in range(n) for t in scene(f"town{k}", -170 + 3.3 * k, -50 + (k * 37) % 100, 4, 4, 1.28)]


def test_whole_towns_go_to_one_split_and_nothing_is_left_out():
    tiles = towns(100)
    splits = split_by_place(tiles, SplitSpec())
    assert None not in splits
    of_town = {(t.scene_id, s) for t, s in zip(tiles, splits, strict=True)}
    assert len(of_town) == 100


@pytest.mark.parametrize(("train", "val", "test"), [(0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0)])
def test_shares_are_those_asked_for(train, val, test):
    tiles = towns(100)
    counts = Counter(split_by_place(tiles, SplitSpec(train=train, val=val, test=test)))
    for name, share in (("train", train), ("val", val), ("test", test)):
        assert counts[name] / len(tiles) == pytest.approx(share, abs=0.02)


def test_each_platform_is_represented_in_each_split():
    tiles = [Where(t.tile_id, t.scene_id, "ab"[int(t.scene_id[4:]) % 2], t.bbox, t.size_km) for t in towns(60)]
    splits = split_by_place(tiles, SplitSpec())
    assert {(t.stratum, s) for t, s in zip(tiles, splits, strict=True)} == {
        (p, s) for p in "ab" for s in ("train", "val", "test")
    }


def test_the_seed_decides_which_places_go_where():
    tiles = towns(40)
    results = {tuple(split_by_place(tiles, SplitSpec(seed=seed))) for seed in range(4)}
    assert len(results) == 4
    assert split_by_place(tiles, SplitSpec(seed=3)) == split_by_place(tiles, SplitSpec(seed=3))


def test_one_large_area_is_cut_into_blocks_with_most_tiles_kept():
    tiles = scene("area", 10.0, 50.0, 40, 40, 2.56)
    splits = split_by_place(tiles, SplitSpec())
    assert set(splits) == {"train", "val", "test", None}
    assert splits.count(None) < 0.35 * len(tiles)


def test_an_area_across_the_antimeridian_is_cut_as_anywhere_else():
    far = split_by_place(scene("area", 179.5, -17.0, 30, 60, 2.56), SplitSpec())
    assert set(far) == {"train", "val", "test", None}
    assert far.count(None) < 0.35 * len(far)


def test_no_tiles_have_no_splits():
    assert split_by_place([], SplitSpec()) == []


def test_ground_that_several_platforms_saw_is_one_place_for_all_of_them():
    """Thirty cities, each seen by three platforms of other tile sizes: nothing has to be left out between splits."""
    tiles = []
    for k in range(30):
        lon, lat = 3.0 * k, 40.0
        tiles += scene(f"a{k}", lon, lat, 4, 4, 2.56, "a")
        tiles += scene(f"b{k}", lon + 0.01, lat - 0.02, 5, 5, 0.512, "b")
        tiles += scene(f"c{k}", lon + 0.03, lat - 0.03, 5, 5, 0.09, "c")
    splits = split_by_place(tiles, SplitSpec())
    assert None not in splits
    for k in range(30):
        assert len({s for t, s in zip(tiles, splits, strict=True) if t.scene_id[1:] == str(k)}) == 1
    for stratum, of_city in (("a", 16), ("b", 25), ("c", 25)):
        count = Counter(s for t, s in zip(tiles, splits, strict=True) if t.stratum == stratum)
        assert abs(count["train"] - 0.7 * 30 * of_city) <= of_city
        assert abs(count["test"] - 0.2 * 30 * of_city) <= of_city
