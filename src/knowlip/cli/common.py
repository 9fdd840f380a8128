"""What the verbs share: options, progress, output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from knowlip.scenes.heights import Terrain
    from knowlip.scenes.sidecar import Declared

Out = Annotated[str, typer.Option("--out", "-o", help="Folder or fsspec URL to write to.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Workers = Annotated[int, typer.Option("--workers", "-j", min=0, help="Processes; 0 takes every processor.")]
Radiometry = Annotated[
    str,
    typer.Option(
        help="What pixel values mean, where scenes do not say: power, db, amplitude, or sigma0-db, gamma0-power …"
    ),
]
Polarisations = Annotated[str, typer.Option(help="Labels by band, such as VV,VH.")]
Crs = Annotated[str, typer.Option(help="CRS of scenes without one, such as EPSG:32611.")]
Nodata = Annotated[float | None, typer.Option(help="Value of absent pixels, where scenes do not say.")]
Chips = Annotated[
    bool, typer.Option("--chips", help="Take pictures without georeference too, as chips that belong to no split.")
]
Dem = Annotated[
    str, typer.Option(help="Elevation model for products that are geocoded here: a raster or a folder of them.")
]
DemHeight = Annotated[str, typer.Option(help="What the elevation model counts from: geoid or ellipsoid.")]
Undulation = Annotated[
    str, typer.Option(help="Geoid above ellipsoid, metres at the scene, or a raster of it; EGM96 without it.")
]
CorpusArgument = Annotated[str, typer.Argument(metavar="CORPUS", help="Folder or URL of a corpus.", show_default=False)]


def processes(workers: int) -> int:
    """The number of processes that `--workers` asks for."""
    from knowlip.core.parallel import default_workers

    return workers or default_workers()


def declared(
    radiometry: str,
    polarisations: str,
    crs: str,
    nodata: float | None,
    chips: bool = False,
    dem: str = "",
    dem_height: str = "",
    undulation: str = "",
) -> Declared:
    """What the options say about scenes that do not say it themselves.

    Raises:
        ConfigError: The radiometry is not one, or the elevation model is not there.
    """
    from knowlip.core.errors import ConfigError
    from knowlip.core.radiometry import parse_radiometry
    from knowlip.scenes.sidecar import Declared

    try:
        known = parse_radiometry(radiometry) if radiometry else None
    except ValueError as error:
        raise ConfigError("--radiometry", str(error), "For example: --radiometry sigma0-db") from error
    labels = tuple(p.strip().upper() for p in polarisations.split(",")) if polarisations else None
    terrain = _terrain(dem, dem_height, undulation)
    return Declared(known, labels, crs or None, nodata, terrain, chips)


def _terrain(dem: str, height: str, undulation: str) -> Terrain | None:
    from pathlib import Path

    from knowlip.core.errors import ConfigError
    from knowlip.scenes.heights import Terrain

    if not dem:
        if height or undulation:
            raise ConfigError(
                "--dem-height", "says something of an elevation model that is not given", "Give --dem too"
            )
        return None
    if not Path(dem).exists():
        raise ConfigError(f"--dem {dem}", "no such file or folder", "Check the path")
    if height not in ("", "geoid", "ellipsoid"):
        raise ConfigError(f"--dem-height {height}", "is not what heights are counted from", "Use geoid or ellipsoid")
    datum = "geoid" if height == "geoid" else "ellipsoid" if height else None
    return Terrain(Path(dem), datum, undulation or None)  # type: ignore[arg-type]


def show(value: Any, as_json: bool, text: str) -> None:
    """Print an answer: one JSON object, or lines for a person."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, default=str))
    else:
        typer.echo(text)


def show_rejected(rejected: list[Any]) -> None:
    """List inputs that gave nothing, one line each, on standard error."""
    for r in rejected:
        typer.echo(f"rejected: {r.path}: {r.reason}. {r.remedy}", err=True)
