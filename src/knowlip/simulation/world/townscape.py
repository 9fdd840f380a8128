"""Streets, roads and rails drawn on the ground, and all that is built along them."""

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, LandCover, Structures, Zone
from knowlip.simulation.world import roads
from knowlip.simulation.world.airfield import Airfield
from knowlip.simulation.world.blocks import Blocks
from knowlip.simulation.world.buildings import Sites, build_up
from knowlip.simulation.world.cells import Cells
from knowlip.simulation.world.countryside import Countryside
from knowlip.simulation.world.grid import Coarse, Grid
from knowlip.simulation.world.harbour import Harbour
from knowlip.simulation.world.plots import PORT_LATTICE, Plots
from knowlip.simulation.world.raster import fill_in_parts, paint, unbroken_m
from knowlip.simulation.world.styles import Style
from knowlip.simulation.world.surface import HOUSES_BELOW_M
from knowlip.simulation.world.towns import Town
from knowlip.simulation.world.waters import Waters

_STREET_M, _AVENUE_M, _LANE_M = 10.0, 17.0, 5.0
_CRANE_PITCH_M = 75.0
_OPEN = (Zone.FARMLAND, Zone.BARE, Zone.WOODLAND)


def furnish(
    coarse: Coarse,
    towns: tuple[Town, ...],
    cells: Cells,
    blocks: Blocks,
    plots: Plots,
    net: NDArray[np.int32],
    waters: Waters,
    airfield: Airfield | None,
    country: Countryside,
    rng: np.random.Generator,
) -> Structures:
    """Draw streets, roads, rails and pavements into the land cover, in place, and give all structures.

    Args:
        coarse: The world's coarse nodes.
        towns: Main town first.
        cells: The neighbourhoods.
        blocks: Their blocks.
        plots: The plots.
        net: Net of streets each pixel belongs to (H, W); set to -1, in place, where nothing more may be built.
        waters: Water bodies.
        airfield: The airport, if any.
        country: The ground; its land cover and zones are changed.
        rng: Source of all choices.
    """
    grid, water = coarse.grid, waters.water
    landcover, zone = country.landcover, country.zone
    zone[waters.lake] = Zone.WATER
    zone[waters.river] = Zone.RIVER
    zone[waters.sea] = Zone.SEA if waters.coastal else Zone.RIVER
    net[waters.mole] = -1
    width = _streets(grid, blocks, plots, landcover, net)

    trunk, country_roads = roads.trunks(grid, towns, waters.rivers, rng)
    rail = roads.railways(grid, towns[0], rng)
    on_land, carried, bridges = roads.over_water(grid, trunk, water, waters.sea)
    lanes, lanes_carried, lane_bridges = roads.over_water(grid, roads.between(cells, rng), water, waters.sea)
    track, track_carried, track_bridges = roads.over_water(grid, rail, water, waters.sea, 4.0)
    keep_off = _mask(grid, airfield, waters.harbour) | waters.mole
    least = unbroken_m(0, grid.gsd_m)
    road = np.zeros(grid.shape, bool)
    for lines in (lanes, on_land):
        paint(road, grid, lines.strips(least), True)
    rail_ground = np.zeros(grid.shape, bool)
    paint(rail_ground, grid, track.strips(least), True)
    dry = ~(keep_off | water)
    for mask, cover in ((rail_ground, LandCover.BARE), (road, LandCover.ROAD)):
        mask &= dry
        np.copyto(landcover, np.uint8(cover), where=mask)
        np.copyto(net, np.int32(-1), where=mask)
    np.copyto(net, np.int32(-1), where=water)
    np.copyto(landcover, np.uint8(LandCover.WATER), where=water)
    for lines in (carried, lanes_carried, track_carried):
        paint(landcover, grid, lines.strips(least), LandCover.ROAD)
    tables = [bridges, lane_bridges, track_bridges]
    track = track.take(~keep_off[grid.pixel(*(0.5 * (track.start_xy_m + track.end_xy_m)).T)])
    tables.append(roads.rails(grid, _chained(track, track_carried)))
    if airfield is not None:
        paint(landcover, grid, airfield.pavement, LandCover.ROAD)
        tables.append(airfield.structures.take(_inside(airfield.structures, grid)))
    sites, home = _sites(blocks, plots, waters.harbour, width)
    buildings, site = build_up(sites, rng)
    buildings = buildings.take(_fits(grid, buildings, home[site], net))
    tables.append(buildings)
    cottages = roads.ribbons(country_roads, rng)
    cottages = cottages.take(_inside(cottages, grid))
    cottages = cottages.take(np.isin(zone[grid.pixel(cottages.x_m, cottages.y_m)], _OPEN))
    tables.append(cottages.take(_fits(grid, cottages, None, net)))
    tables.append(_chimneys(zone, buildings, grid, rng))
    if waters.harbour is not None:
        tables.append(_cranes(waters.harbour, grid, water, rng))
    open_ground = np.isin(zone, _OPEN) & (net != -1)
    tables.append(roads.pylons(grid, open_ground, rng))
    return Structures.join(tables)


def _chained(track: roads.Lines, carried: roads.Lines) -> roads.Lines:
    """Pieces on land joined to longer ones, and those on bridges."""
    start, end = track.start_xy_m, track.end_xy_m
    if not len(start):
        return carried
    joined = np.concatenate([[False], (np.abs(start[1:] - end[:-1]).max(axis=1) < 1e-6)])
    run = np.cumsum(~joined)
    first = np.concatenate([[True], np.diff(run) > 0])
    index = np.arange(len(start)) - np.maximum.accumulate(np.where(first, np.arange(len(start)), 0))
    head = first | (index % 5 == 0)
    at = np.nonzero(head)[0]
    tail = np.concatenate([at[1:] - 1, [len(start) - 1]])
    return roads.Lines(
        np.concatenate([start[at], carried.start_xy_m]),
        np.concatenate([end[tail], carried.end_xy_m]),
        np.concatenate([track.width_m[at], carried.width_m]),
        np.arange(len(at) + len(carried.line)),
    )


def _mask(grid: Grid, airfield: Airfield | None, harbour: Harbour | None) -> NDArray[np.bool_]:
    """Ground that through roads keep off (H, W)."""
    mask = np.zeros(grid.shape, bool)
    if airfield is not None:
        paint(mask, grid, airfield.fence[None], True)
    if harbour is not None:
        paint(mask, grid, harbour.ground, True)
    return mask


def _streets(
    grid: Grid, blocks: Blocks, plots: Plots, landcover: NDArray[np.uint8], net: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Draw the streets of built-up blocks and the lanes between fields; gives the width along each block's row."""
    built = plots.built[plots.first_block :]
    park = plots.zone[plots.first_block :] == Zone.PARK
    lanes = ~built & ((blocks.row % 4 == 0) | park) & (blocks.lattice % 3 != 0)
    avenue = built & (blocks.row % 5 == 0)
    along = np.where(avenue, _AVENUE_M, np.where(built, _STREET_M, _LANE_M)).astype(np.float32)
    which = built | lanes
    chosen = blocks.take(which)
    # lanes run along rows only
    across = np.where(built | park, np.where(built, _STREET_M, _LANE_M), 0)
    widths = np.concatenate([along[which], across[which]])
    # a pixel that holds more of houses than of street is built-up
    drawn = widths > 1.2 * grid.gsd_m
    shapes = chosen.streets(np.maximum(widths, unbroken_m(0, grid.gsd_m)))[drawn]
    own = np.concatenate([chosen.lattice, chosen.lattice])[drawn]
    flat_cover, flat_net = landcover.reshape(-1), net.reshape(-1)
    for flat, street in fill_in_parts(grid, shapes):
        flat_cover[flat[flat_net[flat] == own[street]]] = LandCover.ROAD
    return along


def _sites(
    blocks: Blocks, plots: Plots, harbour: Harbour | None, along_m: NDArray[np.float32]
) -> tuple[Sites, NDArray[np.int32]]:
    """The blocks and yards that are built up, and the net each belongs to."""
    style = plots.style[plots.first_block :]
    which = style != Style.NONE
    m = int(which.sum())
    inset = np.stack([along_m[which] / 2 + 1, np.full(m, _STREET_M / 2 + 1, np.float32)], axis=1).astype(np.float32)
    sites = Sites(blocks.corners_xy_m[which], inset, style[which], blocks.density[which], blocks.pick[which])
    net = blocks.lattice[which]
    if harbour is None:
        return sites, net
    y = len(harbour.yards)
    yards = Sites(
        harbour.yards.astype(np.float32),
        np.full((y, 2), 1.0, np.float32),
        np.array(harbour.styles, np.uint8),
        np.full(y, 0.3, np.float32),
        plots.pick[plots.first_yard : plots.first_block],
    )
    both = (np.concatenate([getattr(sites, f), getattr(yards, f)]) for f in Sites.__dataclass_fields__)
    return Sites(*both), np.concatenate([net, np.full(y, PORT_LATTICE, np.int32)])


def _inside(structures: Structures, grid: Grid) -> NDArray[np.bool_]:
    width, height = grid.size_m
    return (structures.x_m > 0) & (structures.y_m > 0) & (structures.x_m < width) & (structures.y_m < height)


def _fits(
    grid: Grid, buildings: Structures, home: NDArray[np.int32] | None, net: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Buildings whose whole outline lies on free ground of the net they belong to, or of any one net."""
    keep = _inside(buildings, grid)
    W, per_m = grid.shape[1], np.float32(1 / grid.gsd_m)
    flat = net.reshape(-1)
    at = np.nonzero(keep)[0]
    x, y = buildings.x_m[at], buildings.y_m[at]
    here = flat[(y * per_m).astype(np.intp) * W + (x * per_m).astype(np.intp)]
    good = here != -1 if home is None else here == home[at]
    # pixels larger than houses say nothing about a house's corners
    tested = good if grid.gsd_m <= HOUSES_BELOW_M else good & (buildings.length_m[at] > 1.5 * grid.gsd_m)
    which = np.nonzero(tested)[0]
    some = buildings.take(at[which])
    a = np.deg2rad(some.axis_deg)
    lx, ly = np.sin(a) * some.length_m / 2, -np.cos(a) * some.length_m / 2
    wx, wy = np.cos(a) * some.width_m / 2, np.sin(a) * some.width_m / 2
    ok = np.ones(len(some), bool)
    for i, j in ((1, 1), (1, -1), (-1, -1), (-1, 1), (1, 0), (-1, 0)):
        rows, cols = grid.pixel(some.x_m + i * lx + j * wx, some.y_m + i * ly + j * wy)
        ok &= flat[rows * W + cols] == here[which]
    good[which] &= ok
    keep[at] = good
    return keep


def _chimneys(zone: NDArray[np.uint8], buildings: Structures, grid: Grid, rng: np.random.Generator) -> Structures:
    """Chimneys beside some halls of industry and ports."""
    halls = buildings.take((buildings.kind == Kind.BUILDING) & (buildings.width_m > 24))
    use = zone[grid.pixel(halls.x_m, halls.y_m)]
    works = np.isin(use, (Zone.INDUSTRIAL, Zone.PORT)) & (rng.random(len(halls)) < 0.06)
    halls = halls.take(works)
    a = np.deg2rad(halls.axis_deg)
    off = halls.width_m / 2 + 6
    n = len(halls)
    wide = rng.uniform(3, 8, n).astype(np.float32)
    table = Structures(
        np.full(n, Kind.CHIMNEY, np.uint8),
        (halls.x_m + np.cos(a) * off).astype(np.float32),
        (halls.y_m + np.sin(a) * off).astype(np.float32),
        wide,
        wide,
        rng.uniform(35, 180, n).astype(np.float32),
        np.zeros(n, np.float32),
    )
    dry = _inside(table, grid)
    dry[dry] &= np.isin(zone[grid.pixel(table.x_m[dry], table.y_m[dry])], (Zone.INDUSTRIAL, Zone.PORT))
    return table.take(dry)


def _cranes(harbour: Harbour, grid: Grid, water: NDArray[np.bool_], rng: np.random.Generator) -> Structures:
    """Gantry cranes in groups along the quays of container terminals, a few slewing cranes at the others."""
    rows: list[tuple[float, ...]] = []
    for quay in harbour.quays:
        start, end, normal = np.array(quay.start_xy_m), np.array(quay.end_xy_m), np.array(quay.normal_xy)
        total = float(np.hypot(*(end - start)))
        if total < 80:
            continue
        along = (end - start) / total
        box = quay.terminal == Style.CONTAINERS
        pitch = _CRANE_PITCH_M * (1.0 if box else 2.2)
        for at in np.arange(30.0, total - 25, pitch):
            if rng.random() < (0.8 if box else 0.35):
                xy = start + along * (at + float(rng.uniform(-12, 12))) - normal * 17
                axis = float(np.rad2deg(np.arctan2(normal[0], -normal[1]))) % 180
                size = (34.0, 26.0, float(rng.uniform(55, 78))) if box else (12.0, 12.0, float(rng.uniform(28, 42)))
                rows.append((float(xy[0]), float(xy[1]), *size, axis))
    if not rows:
        return Structures.join([])
    x, y, length, width, height, axis_deg = np.array(rows, np.float32).T
    table = Structures(np.full(len(x), Kind.CRANE, np.uint8), x, y, length, width, height, axis_deg % np.float32(180))
    inside = _inside(table, grid)
    inside[inside] &= ~water[grid.pixel(table.x_m[inside], table.y_m[inside])]
    return table.take(inside)
