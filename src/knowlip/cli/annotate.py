"""`knowlip annotate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from knowlip.cli.common import (
    AsJson,
    Crs,
    Nodata,
    Polarisations,
    Quiet,
    Radiometry,
    Workers,
    declared,
    processes,
    show,
)
from knowlip.core.progress import progress_bar

if TYPE_CHECKING:
    from knowlip.hcot.annotate import Annotation, Model
    from knowlip.knowledge.source import Source
    from knowlip.scenes.sidecar import Declared


def annotate(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS|IMAGE", help="A corpus, or one image alone.", show_default=False)
    ],
    engine: Annotated[
        str, typer.Option(help="What writes: evidence; vlm, which asks a model; hybrid, where evidence is weak.")
    ] = "evidence",
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
    base_url: Annotated[
        str, typer.Option(help="OpenAI-compatible server of the model; OPENAI_BASE_URL without it.", show_default=False)
    ] = "",
    vlm_model: Annotated[str, typer.Option(help="The model's name at the server.", show_default=False)] = "",
    cache: Annotated[
        str, typer.Option(help="Where the model's answers are kept; your cache folder without it.", show_default=False)
    ] = "",
    replay: Annotated[
        bool, typer.Option("--replay", help="Take answers from the cache only, without a server.")
    ] = False,
    max_cost: Annotated[
        float | None, typer.Option(help="Send no request once this is spent, by price_in and price_out.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of the model's settings.", show_default=False)] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting, such as concurrency=8.", show_default=False)
    ] = None,
    window: Annotated[
        str, typer.Option(metavar="X,Y,W,H", help="Part of an image: first column and row, width, height, pixels.")
    ] = "",
    radiometry: Radiometry = "",
    polarisations: Polarisations = "",
    crs: Crs = "",
    nodata: Nodata = None,
    workers: Workers = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write facts and statements for every tile, measured from its pixels and known of its place.

    Of an image instead of a corpus, they are printed.
    """
    from knowlip.scenes.products import reader_of

    given = Path(corpus)
    asked = [s.strip() for s in sources.split(",") if s.strip()]
    if given.exists() and ((given.is_file() and given.suffix) or reader_of(given) is not None):
        from knowlip.core.errors import ConfigError

        if engine != "evidence":
            raise ConfigError(f"--engine {engine}", "describes corpora", "Build one of the image, or use evidence")
        maps = own_files(dem, land_cover, osm or [], ports, runways, quiet)
        return _image(given, window, asked, maps, declared(radiometry, polarisations, crs, nodata, chips=True), as_json)
    if window or radiometry or polarisations or crs or nodata is not None:
        from knowlip.core.errors import ConfigError

        raise ConfigError(corpus, "is no image, which --window and declarations are about", "Name an image")
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import annotate as run

    opened = open_corpus(corpus)
    maps = own_files(dem, land_cover, osm or [], ports, runways, quiet)
    options = {"base_url": base_url or None, "model": vlm_model or None, "max_cost": max_cost}
    model = _model(config, overrides or [], {k: v for k, v in options.items() if v is not None}, cache, replay)
    with progress_bar("annotating", quiet) as progress:
        done = run(opened, engine, asked, maps, processes(workers), progress, model)
    state = " (was complete already)" if done.already_complete else ""
    show(
        vars(done),
        as_json,
        f"{done.statements} statements and {done.facts} facts for {done.tiles} tiles{state}\n{_answers(done)}"
        f"next: knowlip pretrain {corpus} --out MODEL, or search it with a trained MODEL",
    )


def _image(path: Path, window: str, asked: list[str], maps: list[Source], said: Declared, as_json: bool) -> None:
    """Describe one image on standard output."""
    from knowlip.hcot.annotate import built_in
    from knowlip.hcot.image import describe_image, parse_window

    found = describe_image(path, said, parse_window(window) if window else None, [*built_in(asked), *maps]).plain()
    shares = ", ".join(f"{name} {share:.0%}" for name, share in found["cover"].items() if share is not None)
    lines = [f"{found['scene']}, window {','.join(map(str, found['window']))}: {shares}"]
    lines += [f"{s['dimension']:13} {s['text']}" for s in found["statements"]]
    lines += [found["description"]["text"]] if found["description"] else []
    show(found, as_json, "\n".join(lines))


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


def _model(config: Path | None, overrides: list[str], given: dict[str, Any], cache: str, replay: bool) -> Model:
    from knowlip.core.folder import Folder
    from knowlip.core.settings import read_settings
    from knowlip.hcot.annotate import Model
    from knowlip.hcot.engines.config import VlmConfig

    # an option is an override that came last
    settings = [*overrides, *(f"{key}={json.dumps(value)}" for key, value in given.items())]
    return Model(read_settings(VlmConfig, config, settings, "concurrency=8"), Folder(cache) if cache else None, replay)


def _answers(done: Annotation) -> str:
    """One line on what the model said and cost, or nothing."""
    if not done.answers:
        return ""
    n = {k: done.answers.get(k, 0) for k in ("accepted", "agrees", "dropped", "unanswered")}
    said = (
        f"the model's answers: {n['accepted']} accepted, {n['agrees']} agree, {n['dropped']} dropped, "
        f"{n['unanswered']} missing"
    )
    if not done.spent:
        return f"{said}\n"
    s = {k: int(v) for k, v in done.spent.items()}
    return (
        f"{said}; {s['requests']} requests, {s['from_cache']} from the cache, "
        f"{s['prompt_tokens']} + {s['completion_tokens']} tokens, cost {done.spent['cost']:g}\n"
    )
