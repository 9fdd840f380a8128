"""`knowlip scenes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from knowlip.cli.common import (
    AsJson,
    Chips,
    Crs,
    Dem,
    DemHeight,
    Nodata,
    Polarisations,
    Quiet,
    Radiometry,
    Undulation,
    declared,
    show,
)

if TYPE_CHECKING:
    from knowlip.scenes.catalog import Found

app = typer.Typer(no_args_is_help=True, help="Find scenes, and look at them before building a corpus.")


@app.callback()
def _group() -> None:
    """Find scenes, and look at them before building a corpus."""


@app.command()
def info(
    path: Annotated[str, typer.Argument(help="A scene, or a folder of scenes.", show_default=False)],
    radiometry: Radiometry = "",
    polarisations: Polarisations = "",
    crs: Crs = "",
    nodata: Nodata = None,
    chips: Chips = False,
    dem: Dem = "",
    dem_height: DemHeight = "",
    undulation: Undulation = "",
    as_json: AsJson = False,
) -> None:
    """Show what is understood of a scene: grid, radiometry, acquisition, and what is unknown and why."""
    from pathlib import Path

    from knowlip.core.errors import SceneError
    from knowlip.scenes.products import find_scenes, open_scene, reader_of

    said = declared(radiometry, polarisations, crs, nodata, chips, dem, dem_height, undulation)
    found: list[dict[str, Any]] = []
    failures: list[SceneError] = []
    for raster in find_scenes(Path(path), chips):
        try:
            scene = open_scene(raster, said)
        except SceneError as error:
            failures.append(error)
            continue
        known = scene.acquisition.model_dump(exclude_none=True, exclude={"unknown", "simulated"})
        record = {
            "scene": scene.scene_id,
            "path": str(raster),
            "format": reader.name
            if (reader := reader_of(raster))
            else "chip"
            if scene.geobox.crs is None
            else "GeoTIFF",
            "crs": _crs(scene.geobox.crs),
            "shape": tuple(scene.geobox.shape),
            "resolution": (abs(scene.geobox.resolution.x), abs(scene.geobox.resolution.y)),
            "polarisations": scene.polarisations,
            "dtype": scene.dtype,
            "nodata": "nan" if scene.nodata is not None and scene.nodata != scene.nodata else scene.nodata,
            "radiometry": scene.radiometry.model_dump(),
            "acquisition": known,
            "unknown": scene.acquisition.unknown,
            "made": scene.recipe is not None,
        }
        found.append(record)
        if not as_json:
            typer.echo(_lines(record))
    if not found:
        raise failures[0]
    if as_json:
        show({"scenes": found}, True, "")
    for failure in failures:
        typer.echo(f"rejected: {failure}", err=True)


def _crs(crs: Any) -> str | None:
    """A CRS as people write it; None for a chip, which has none."""
    if crs is None:
        return None
    return f"EPSG:{epsg}" if (epsg := crs.to_epsg()) else "custom"


def _lines(r: dict[str, Any]) -> str:
    radiometry = r["radiometry"]
    lines = [
        f"{r['scene']}",
        f"  format         {r['format']}{', its raster is made when it is used' if r['made'] else ''}",
        f"  grid           {r['shape'][1]} x {r['shape'][0]} pixels of "
        f"{r['resolution'][0]:g} x {r['resolution'][1]:g}, {r['crs'] or 'without georeference'}",
        f"  bands          {', '.join(r['polarisations'])} as {r['dtype']}, no-data {r['nodata']}",
        f"  radiometry     {radiometry['convention']} {radiometry['quantity']} ({radiometry['source']})",
    ]
    lines += [f"  {k:22} {v}" for k, v in r["acquisition"].items() if k != "polarisations"]
    lines += [f"  {k:22} unknown: {v}" for k, v in r["unknown"].items()]
    return "\n".join(lines)


@app.command()
def find(
    city: Annotated[str, typer.Option(help="City by name, such as 'Los Angeles' or 'Springfield, US'.")] = "",
    bbox: Annotated[str, typer.Option(help="West,south,east,north in degrees, instead of a city.")] = "",
    start: Annotated[str, typer.Option("--from", help="First day or moment, UTC.")] = "",
    end: Annotated[str, typer.Option("--to", help="Last day or moment, UTC.")] = "",
    catalog: Annotated[
        str, typer.Option(help="umbra, capella, earth-search, cdse, or a STAC catalogue's URL or path.")
    ] = "earth-search",
    side_km: Annotated[float, typer.Option(min=1, max=500, help="Side of the box about a city.")] = 20.0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most acquisitions to show.")] = 20,
    plan: Annotated[
        int,
        typer.Option(min=0, max=135, help="Instead: what to fetch for so many cities, as CSV in --out."),
    ] = 0,
    per_city: Annotated[int, typer.Option(min=1, max=100, help="Acquisitions a city in a plan.")] = 3,
    download: Annotated[bool, typer.Option("--download", help="Fetch what was found into --out.")] = False,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for downloads, or for the plan.")] = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find acquisitions over a place in static and API STAC catalogues, and fetch them."""
    from pathlib import Path

    from knowlip.core.errors import ConfigError
    from knowlip.core.progress import progress_bar
    from knowlip.scenes.catalog import Query, box_about, parse_moment, search

    try:
        period = parse_moment(start), parse_moment(end, end=True)
    except ValueError as error:
        raise ConfigError("--from/--to", str(error), "Write dates as 2024-07-01") from error
    if period[0] and period[1] and period[0] > period[1]:
        raise ConfigError("--from/--to", "the first moment lies after the last", "Swap the two")
    if (download or plan) and not out:
        raise ConfigError("--out", "is missing", "Name a folder")
    if plan:
        return _plan(plan, per_city, catalog, period, side_km, Path(out), as_json, quiet)
    if bool(city) == bool(bbox):
        raise ConfigError("--city/--bbox", "exactly one of the two is needed", "For example --city 'Los Angeles'")
    box = _box(bbox) if bbox else box_about(*_place(city), side_km)
    with progress_bar("searching", quiet) as progress:
        found = search(catalog, Query(box, period[0], period[1], limit), lambda seen: progress(seen, seen, "items"))
    if not download:
        lines = [_found_line(f) for f in found] or ["nothing found; try a longer period or another --catalog"]
        return show({"found": [f.record() for f in found]}, as_json, "\n".join(lines))
    paths = _fetch(found, Path(out), quiet)
    return show(
        {"files": paths}, as_json, f"{len(paths)} files in {out}\nnext: knowlip corpus build {out} --out CORPUS"
    )


def _place(name: str) -> tuple[float, float]:
    from knowlip.core.errors import ConfigError
    from knowlip.knowledge.places import find_city

    try:
        return find_city(name)
    except ValueError as error:
        raise ConfigError(f"--city {name}", str(error), "Give its country too, or use --bbox") from error


def _box(text: str) -> tuple[float, float, float, float]:
    from knowlip.core.errors import ConfigError

    try:
        west, south, east, north = (float(v) for v in text.split(","))
    except ValueError as error:
        raise ConfigError("--bbox", "is not four numbers", "Write it as -118.4,33.7,-118.1,33.9") from error
    if not (-180 <= west <= 180 and -90 <= south < north <= 90 and west < east):
        raise ConfigError("--bbox", "is not west,south,east,north in degrees", "Check their order")
    return west, south, east, north


def _found_line(f: Found) -> str:
    when = f"{f.acquired:%Y-%m-%d %H:%M}" if f.acquired else "time unknown    "
    sar = f.properties
    what = "/".join(sar.get("sar:polarizations") or ()) or "-"
    return (
        f"{when}  {f.platform or '-':14} {sar.get('sar:instrument_mode', '-'):5} {what:6} {f.covers:4.0%}  {f.item_id}"
    )


def _fetch(found: list[Found], out: Any, quiet: bool) -> list[str]:
    from knowlip.core.progress import progress_bar
    from knowlip.scenes.download import download

    assets = [(f, a) for f in found for a in f.assets]
    paths = []
    with progress_bar("fetching", quiet) as progress:
        for done, (item, asset) in enumerate(assets):
            progress(done, len(assets), item.item_id)
            # files of different acquisitions may have the same name
            paths.append(str(download(asset, out / item.item_id)))
        progress(len(assets), len(assets), "")
    return paths


def _plan(
    cities: int, per_city: int, catalog: str, period: Any, side_km: float, out: Any, as_json: bool, quiet: bool
) -> None:
    """For each city the acquisitions that cover it best: what to fetch for a corpus of that many cities."""
    import csv
    import io

    from knowlip.core.folder import Folder
    from knowlip.core.progress import progress_bar
    from knowlip.scenes.catalog import Query, box_about, search_many
    from knowlip.simulation.simulate import city_order

    chosen = city_order(0)[:cities]
    queries = [Query(box_about(c.lat_deg, c.lon_deg, side_km), period[0], period[1], per_city) for c in chosen]
    with progress_bar("planning", quiet) as progress:
        answers = search_many(catalog, queries, lambda seen: progress(seen, seen, "items"))
    rows: list[dict[str, Any]] = []
    for city, found in zip(chosen, answers, strict=True):
        place = {"city": city.name, "country": city.country_code}
        rows += [{**place, "rank": k, **f.record()} for k, f in enumerate(found)]
        if not found:
            rows.append({**place, "rank": None, "id": None, "covers": 0.0})
    columns = ["city", "country", "rank", "id", "platform", "acquired", "covers", "assets"]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows({**r, "assets": " ".join(r.get("assets", ()))} for r in rows)
    Folder(str(out)).write_bytes("plan.csv", text.getvalue().encode())
    without = [r["city"] for r in rows if r["id"] is None]
    note = f"; nothing for {', '.join(without)}" if without else ""
    show(
        {"plan": str(out / "plan.csv"), "cities": len(chosen), "without": without},
        as_json,
        f"{sum(r['id'] is not None for r in rows)} acquisitions of {len(chosen)} cities in {out}/plan.csv{note}",
    )
