"""`knowlip annotate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowlip.cli.common import AsJson, CorpusArgument, Quiet, Workers, processes, show
from knowlip.core.progress import progress_bar

if TYPE_CHECKING:
    from knowlip.knowledge.source import Source


def annotate(
    corpus: CorpusArgument,
    engine: Annotated[str, typer.Option(help="What writes: evidence.")] = "evidence",
    sources: Annotated[
        str, typer.Option(help="What is asked about places, comma-separated; empty for none.")
    ] = "places,coast,airports,climate",
    dem: Annotated[str, typer.Option(help="Elevation model: a raster, a VRT or a folder of GeoTIFFs.")] = "",
    land_cover: Annotated[
        str,
        typer.Option(
            metavar="PATH[:MAPPING]",
            help="Raster of classes or a folder of them: ESA WorldCover, or any with a mapping.",
        ),
    ] = "",
    osm: Annotated[
        list[str] | None, typer.Option(help="Map extract: .osm.pbf or GeoParquet, also Overture's; may be repeated.")
    ] = None,
    ports: Annotated[str, typer.Option(help="World Port Index, as CSV or GeoPackage.")] = "",
    runways: Annotated[str, typer.Option(help="OurAirports' runways.csv.")] = "",
    workers: Workers = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write facts and statements for every tile, measured from its pixels and known of its place."""
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import annotate as run

    opened = open_corpus(corpus)
    asked = [s.strip() for s in sources.split(",") if s.strip()]
    maps = own_files(dem, land_cover, osm or [], ports, runways, quiet)
    with progress_bar("annotating", quiet) as progress:
        done = run(opened, engine, asked, maps, processes(workers), progress)
    state = " (was complete already)" if done.already_complete else ""
    show(
        vars(done),
        as_json,
        f"{done.statements} statements and {done.facts} facts for {done.tiles} tiles{state}\n"
        f"next: knowlip pretrain {corpus} --out MODEL, or search it with a trained MODEL",
    )


def own_files(dem: str, land_cover: str, osm: list[str], ports: str, runways: str, quiet: bool) -> list[Source]:
    """The sources that the options name; tables of ports and runways go before what a map has of them.

    Raises:
        SceneError: A file is not what its option needs.
        ConfigError: A file is not there, or the mapping of classes is none.
    """
    from knowlip.knowledge.elevation import elevation
    from knowlip.knowledge.features import map_features
    from knowlip.knowledge.landcover import class_raster
    from knowlip.knowledge.ports import ports as port_index
    from knowlip.knowledge.runways import runways as runway_table

    def note(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    found: list[Source] = []
    if ports:
        found.append(port_index(_there("--ports", ports)))
    if runways:
        found.append(runway_table(_there("--runways", runways)))
    if dem:
        found.append(elevation(_there("--dem", dem)))
    if land_cover:
        raster, _, mapping = land_cover.partition(":") if not Path(land_cover).exists() else (land_cover, "", "")
        own = _there("--land-cover", mapping) if mapping else None
        found.append(class_raster(_there("--land-cover", raster), own))
    if osm:
        found.append(map_features([_there("--osm", path) for path in osm], note=note))
    return found


def _there(option: str, path: str) -> Path:
    from knowlip.core.errors import ConfigError

    if not Path(path).exists():
        raise ConfigError(f"{option} {path}", "no such file or folder", "Check the path")
    return Path(path)
