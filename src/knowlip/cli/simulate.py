"""`knowlip simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowlip.cli.common import AsJson, Quiet, Workers, processes, show
from knowlip.core.progress import progress_bar


def simulate(
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the scenes.")] = "",
    cities: Annotated[int, typer.Option(min=1, max=135, help="How many cities.")] = 3,
    city: Annotated[list[str] | None, typer.Option(help="A city by name; repeat for more.")] = None,
    scenes_per_city: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    sensor: Annotated[str, typer.Option(help="Sensor preset; see --list-sensors.")] = "sentinel1-iw",
    size: Annotated[int, typer.Option(help="Rows and columns of a scene, pixels.")] = 1024,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    incidence: Annotated[
        float | None, typer.Option(help="Incidence angle in degrees; drawn from the sensor's range without it.")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Also write a picture of each scene.")] = False,
    maps: Annotated[
        Path | None, typer.Option(help="Folder for maps of the made-up ground, as wrong as real ones are.")
    ] = None,
    list_sensors: Annotated[bool, typer.Option("--list-sensors", help="List the sensor presets and exit.")] = False,
    list_cities: Annotated[bool, typer.Option("--list-cities", help="List the cities and exit.")] = False,
    workers: Workers = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Simulate georeferenced radar scenes of real cities, with exact land cover and targets."""
    from dataclasses import asdict

    from knowlip.core.errors import ConfigError
    from knowlip.core.folder import cannot_write
    from knowlip.simulation.cities import cities as all_cities
    from knowlip.simulation.sensors import SENSORS
    from knowlip.simulation.simulate import simulate as run

    if list_sensors:
        rows = [asdict(s) for s in SENSORS.values()]
        lines = [
            f"{s.name:18} {s.band:3} {s.gsd_m:5.2f} m  {' '.join(s.polarisations):6} "
            f"{s.incidence_range_deg[0]:4.1f}-{s.incidence_range_deg[1]:4.1f} deg  {s.platform}"
            for s in SENSORS.values()
        ]
        return show(rows, as_json, "\n".join(lines))
    if list_cities:
        rows = [vars(c) for c in all_cities()]
        return show(
            rows,
            as_json,
            "\n".join(
                f"{c.name:24} {c.country_code}  {c.lat_deg:8.3f} {c.lon_deg:9.3f}  {' '.join(c.character)}"
                for c in all_cities()
            ),
        )
    if not out:
        raise ConfigError("--out", "is missing", "Name a folder for the scenes")
    try:
        with progress_bar("simulating", quiet) as progress:
            paths = run(
                Path(out),
                cities,
                scenes_per_city,
                sensor,
                size,
                seed,
                city or (),
                processes(workers),
                lambda done, total: progress(done, total, ""),
                incidence,
                preview,
                maps,
            )
    except ValueError as error:
        raise ConfigError("simulate", str(error), "See `knowlip simulate --help`") from error
    except OSError as error:
        raise cannot_write(out, error) from error
    return show(
        {"scenes": [str(p) for p in paths]},
        as_json,
        f"{len(paths)} scenes in {out}\nnext: knowlip corpus build {out} --out CORPUS" + _then(maps),
    )


def _then(maps: Path | None) -> str:
    """How the maps are used."""
    if maps is None:
        return ""
    return (
        f"\nthen: knowlip annotate CORPUS --land-cover {maps / 'landcover'} --dem {maps / 'dem'}"
        f" --osm {maps / 'features'}"
    )
