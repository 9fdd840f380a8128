"""`knowlip scenes`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from knowlip.cli.common import AsJson, Crs, Nodata, Polarisations, Radiometry, declared, show

app = typer.Typer(no_args_is_help=True, help="Look at scenes before building a corpus of them.")


@app.callback()
def _group() -> None:
    """Look at scenes before building a corpus of them."""


@app.command()
def info(
    path: Annotated[str, typer.Argument(help="A scene, or a folder of scenes.", show_default=False)],
    radiometry: Radiometry = "",
    polarisations: Polarisations = "",
    crs: Crs = "",
    nodata: Nodata = None,
    as_json: AsJson = False,
) -> None:
    """Show what is understood of a scene: grid, radiometry, acquisition, and what is unknown and why."""
    from pathlib import Path

    from knowlip.core.errors import SceneError
    from knowlip.core.scene import crs_of
    from knowlip.scenes.geotiff import find_rasters, open_scene

    said = declared(radiometry, polarisations, crs, nodata)
    found: list[dict[str, Any]] = []
    failures: list[SceneError] = []
    for raster in find_rasters(Path(path)):
        try:
            scene = open_scene(raster, said)
        except SceneError as error:
            failures.append(error)
            continue
        known = scene.acquisition.model_dump(exclude_none=True, exclude={"unknown", "simulated"})
        record = {
            "scene": scene.scene_id,
            "path": str(raster),
            "crs": f"EPSG:{epsg}" if (epsg := crs_of(scene.geobox).to_epsg()) else "custom",
            "shape": tuple(scene.geobox.shape),
            "resolution": (abs(scene.geobox.resolution.x), abs(scene.geobox.resolution.y)),
            "polarisations": scene.polarisations,
            "dtype": scene.dtype,
            "nodata": "nan" if scene.nodata is not None and scene.nodata != scene.nodata else scene.nodata,
            "radiometry": scene.radiometry.model_dump(),
            "acquisition": known,
            "unknown": scene.acquisition.unknown,
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


def _lines(r: dict[str, Any]) -> str:
    radiometry = r["radiometry"]
    lines = [
        f"{r['scene']}",
        f"  grid           {r['shape'][1]} x {r['shape'][0]} pixels of "
        f"{r['resolution'][0]:g} x {r['resolution'][1]:g}, {r['crs']}",
        f"  bands          {', '.join(r['polarisations'])} as {r['dtype']}, no-data {r['nodata']}",
        f"  radiometry     {radiometry['convention']} {radiometry['quantity']} ({radiometry['source']})",
    ]
    lines += [f"  {k:22} {v}" for k, v in r["acquisition"].items() if k != "polarisations"]
    lines += [f"  {k:22} unknown: {v}" for k, v in r["unknown"].items()]
    return "\n".join(lines)
