"""`knowlip corpus`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowlip.cli.common import (
    AsJson,
    Chips,
    CorpusArgument,
    Crs,
    Dem,
    DemHeight,
    Nodata,
    Out,
    Polarisations,
    Quiet,
    Radiometry,
    Undulation,
    Workers,
    declared,
    processes,
    show,
    show_rejected,
)
from knowlip.core.progress import progress_bar

if TYPE_CHECKING:
    from knowlip.core.parallel import Engine
    from knowlip.corpus.splits import SplitSpec

Seed = Annotated[int, typer.Option(min=0, help="Which places go to which split.")]
By = Annotated[str, typer.Option(help="What a place is: block (of touching scenes) or city (the nearest one).")]
Fractions = Annotated[str, typer.Option(help="Shares of train, val and test; 0.7,0.1,0.2 without it.")]

app = typer.Typer(no_args_is_help=True, help="Build a corpus of scenes, and look at one.")


@app.command()
def build(
    context: typer.Context,
    out: Out,
    scenes: Annotated[
        list[str] | None, typer.Argument(help="Scene files, or folders of them.", show_default=False)
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="YAML configuration, which may also order simulated scenes; options go before."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key of the configuration, such as split.by=city; repeat for more."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the corpus.")] = "corpus",
    licence: Annotated[str, typer.Option(help="Licence of the scenes, as an SPDX expression.")] = "other",
    tile_size: Annotated[int, typer.Option(help="Rows and columns of a tile, pixels.")] = 256,
    ground_size: Annotated[
        str, typer.Option(help="Side of a tile on the ground, such as 640m; pixels follow from each scene.")
    ] = "",
    resample_gsd: Annotated[
        str, typer.Option(help="Resample to UTM grids of this pixel, such as 10m; own pixels without it.")
    ] = "",
    kernel: Annotated[
        str, typer.Option(help="What resamples: nearest, bilinear, cubic, cubic_spline, lanczos or average.")
    ] = "bilinear",
    min_valid: Annotated[float, typer.Option(help="Smallest share of valid pixels of a tile.")] = 0.5,
    radiometry: Radiometry = "",
    polarisations: Polarisations = "",
    crs: Crs = "",
    nodata: Nodata = None,
    chips: Chips = False,
    dem: Dem = "",
    dem_height: DemHeight = "",
    undulation: Undulation = "",
    geocoded: Annotated[
        str, typer.Option(help="Folder that keeps the rasters made of products; dropped once cut without it.")
    ] = "",
    seed: Seed = 0,
    workers: Workers = 0,
    engine: Annotated[str, typer.Option(help="local, or ray for the cluster at RAY_ADDRESS.")] = "local",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Cut scenes into tiles with complete geographic properties, split by place."""
    from knowlip.core.errors import ConfigError
    from knowlip.core.settings import read_settings
    from knowlip.corpus.build import BuildConfig, build_corpus

    options = {
        "name": ("name", name),
        "licence": ("licence", licence),
        "tile_size": ("tiles.tile_size", tile_size),
        "ground_size": ("tiles.ground_size_m", _metres("--ground-size", ground_size)),
        "resample_gsd": ("tiles.resample_gsd_m", _metres("--resample-gsd", resample_gsd)),
        "kernel": ("tiles.kernel", kernel),
        "min_valid": ("tiles.min_valid", min_valid),
        "seed": ("split.seed", seed),
    }
    overrides = list(set_ or ())
    for parameter, (key, value) in options.items():
        # what is not said on the command line is the configuration's, or its default
        source = context.get_parameter_source(parameter)
        if source is not None and source.name == "COMMANDLINE":
            overrides.append(f"{key}={json.dumps(value)}")
    try:
        config = read_settings(BuildConfig, config_file, overrides, "split.by=city")
    except ConfigError as error:
        # a person knows the option, not the key that it sets
        options_said = [
            f"--{p.replace('_', '-')} {value}" for p, (key, value) in options.items() if key == error.subject
        ]
        raise ConfigError(options_said[0], error.reason, error.remedy) if options_said else error from error
    if not scenes and not config.simulate:
        raise ConfigError("SCENES", "are missing", "Name scene files or folders, or a --config that simulates some")
    if engine not in ("local", "ray"):
        raise ConfigError(f"--engine {engine}", "is not a place to compute", "Use local or ray")
    said = declared(radiometry, polarisations, crs, nodata, chips, dem, dem_height, undulation)
    where: Engine = "ray" if engine == "ray" else "local"
    kept = Path(geocoded) if geocoded else None
    with progress_bar("building", quiet) as progress:
        result = build_corpus(scenes or (), out, config, said, processes(workers), progress, where, kept)
    show_rejected(result.rejected)
    counts = result.corpus.info["counts"]
    state = " (was complete already)" if result.already_complete else ""
    show(
        {
            "corpus": out,
            **counts,
            "already_complete": result.already_complete,
            "rejected_scenes": [vars(r) for r in result.rejected],
        },
        as_json,
        f"{counts['tiles']} tiles of {counts['scenes']} scenes in {out}{state}: "
        f"{counts['train_tiles']} train, {counts['val_tiles']} val, "
        f"{counts['test_tiles']} test; {counts['rejected']} inputs rejected\nnext: knowlip annotate {out}",
    )


@app.command()
def info(corpus: CorpusArgument, as_json: AsJson = False) -> None:
    """Show what a corpus holds."""
    from knowlip.corpus.store import open_corpus

    opened = open_corpus(corpus)
    tiles = opened.tiles
    boxes = [b for b in tiles["bbox"] if b is not None]
    edges = (
        [min(b[k] for b in boxes) for k in ("xmin", "ymin")] + [max(b[k] for b in boxes) for k in ("xmax", "ymax")]
        if boxes
        else None
    )
    facts = {
        "name": opened.info["name"],
        "counts": opened.info["counts"],
        "annotation": opened.info.get("annotation", {}).get("counts"),
        "rounds": opened.rounds(),
        "bbox": edges,
        "gsd_m": [float(tiles["gsd"].min()), float(tiles["gsd"].max())] if boxes else None,
        "platforms": tiles["platform"].fillna("unknown").value_counts().to_dict(),
        "countries": tiles["knowlip:country"].value_counts().to_dict(),
        "made_with": opened.info["made_with"],
    }
    lines = [
        f"{k:12} {', '.join(f'{a} {b}' for a, b in v.items()) if isinstance(v, dict) else v}" for k, v in facts.items()
    ]
    show(facts, as_json, "\n".join(lines))


@app.command()
def validate(corpus: CorpusArgument, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Check every tile's file, STAC item and GeoProperties, and that no footprint overlaps two splits."""
    from knowlip.core.errors import CorpusError
    from knowlip.corpus.store import open_corpus
    from knowlip.corpus.validate import validate as run

    with progress_bar("checking", quiet) as progress:
        problems = run(open_corpus(corpus), progress)
    show({"problems": problems}, as_json, "\n".join(problems) or "no problem found")
    if problems:
        raise CorpusError(corpus, f"has {len(problems)} problems", "Build it again")


@app.command()
def merge(
    corpora: Annotated[list[str], typer.Argument(help="Folders or URLs of corpora.", show_default=False)],
    out: Out,
    name: Annotated[str, typer.Option(help="Name of the new corpus; that of the first without it.")] = "",
    seed: Seed = 0,
    by: By = "block",
    fractions: Fractions = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Put corpora together into a new one, split by place over all their tiles."""
    from knowlip.corpus.merge import merge as run
    from knowlip.corpus.store import open_corpus

    with progress_bar("merging", quiet) as progress:
        made = run([open_corpus(c) for c in corpora], out, _split_spec(fractions, seed, by), name or None, progress)
    counts = made.info["counts"]
    text = f"{counts['tiles']} tiles of {counts['scenes']} scenes in {out}: {_split_line(counts)}"
    show({"corpus": out, "name": made.info["name"]} | counts, as_json, text)


@app.command()
def split(
    corpus: CorpusArgument,
    by: By = "block",
    fractions: Fractions = "",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Divide a corpus's places into training, validation and test anew."""
    from knowlip.corpus.merge import resplit, tiles_without_split
    from knowlip.corpus.store import open_corpus

    made = resplit(open_corpus(corpus), _split_spec(fractions, seed, by))
    counts, left_out = made.info["counts"], tiles_without_split(made)
    found = {k: counts[k] for k in ("tiles", "train_tiles", "val_tiles", "test_tiles")}
    text = f"{counts['tiles']} tiles in {corpus}: {_split_line(counts)}; {left_out} too near to another split"
    show({"corpus": corpus} | found | {"left_out": left_out}, as_json, text)


def _metres(option: str, text: str) -> float | None:
    """A length such as `640m`, `0.64km` or `640`, in metres; None for nothing.

    Raises:
        ConfigError: It is no length.
    """
    from knowlip.core.errors import ConfigError

    if not text:
        return None
    number, factor = (text[:-2], 1000.0) if text.endswith("km") else (text.removesuffix("m"), 1.0)
    try:
        metres = float(number) * factor
    except ValueError:
        metres = 0.0
    if not 0 < metres < 1e6:
        raise ConfigError(f"{option} {text}", "is not a length", f"For example: {option} 640m")
    return metres


def _split_line(counts: dict[str, int]) -> str:
    return f"{counts['train_tiles']} train, {counts['val_tiles']} val, {counts['test_tiles']} test"


def _split_spec(fractions: str, seed: int, by: str) -> SplitSpec:
    """What the options say of a split.

    Raises:
        ConfigError: The fractions are not three numbers that add up to one, or `by` is neither block nor city.
    """
    from knowlip.core.errors import ConfigError
    from knowlip.corpus.splits import SplitSpec

    if by not in ("block", "city"):
        raise ConfigError(f"--by {by}", "is not a kind of place", "Use block or city")
    try:
        shares = [float(f) for f in fractions.split(",")] if fractions else [0.7, 0.1, 0.2]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        reason = "is not three shares (train, val, test) that add up to 1"
        raise ConfigError(f"--fractions {fractions}", reason, "For example: --fractions 0.7,0.1,0.2")
    train, val, test = shares
    return SplitSpec(train=train, val=val, test=test, seed=seed, by="city" if by == "city" else "block")


@app.command()
def export(
    corpus: CorpusArgument,
    format: Annotated[str, typer.Option(help="webdataset, stac, coco, gpkg or hf.", show_default=False)],
    out: Out,
    split: Annotated[str, typer.Option(help="Only this split; all tiles without it.")] = "",
    shard_tiles: Annotated[int, typer.Option(min=1, help="Tiles of a shard, for webdataset and hf.")] = 1000,
    pixels: Annotated[str, typer.Option(help="webdataset: the tiles' files (tif) or NumPy arrays (npy).")] = "tif",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a corpus as WebDataset, STAC catalogue, COCO, GeoPackage or Hugging Face data set."""
    from knowlip.core.errors import ConfigError
    from knowlip.corpus.export import ExportSpec
    from knowlip.corpus.export import export as run
    from knowlip.corpus.store import open_corpus

    if pixels not in ("tif", "npy"):
        raise ConfigError(f"--pixels {pixels}", "is not a kind of pixels", "Use tif or npy")
    spec = ExportSpec(split or None, shard_tiles, "npy" if pixels == "npy" else "tif")
    with progress_bar("exporting", quiet) as progress:
        written = run(open_corpus(corpus), format, out, spec, progress)
    facts = ", ".join(f"{v} {k}" for k, v in written.items())
    show({"out": out, "format": format} | written, as_json, f"{facts} in {out}")
