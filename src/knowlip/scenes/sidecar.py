"""What is said about a scene beside its pixels: a JSON sidecar, GeoTIFF tags, its name, and what the user declares."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import POLARISATIONS, Acquisition, Truth
from knowlip.scenes import sentinel1
from knowlip.scenes.heights import Terrain

MAX_SIDECAR_BYTES = 1 << 20


@dataclass(frozen=True)
class Declared:
    """What the user says about scenes that do not say it themselves; it wins over everything found.

    Attributes:
        terrain: Elevation model for products that are geocoded here.
        chips: Whether images without georeference are taken, as chips.
    """

    radiometry: Radiometry | None = None
    polarisations: tuple[str, ...] | None = None
    crs: str | None = None
    nodata: float | None = None
    terrain: Terrain | None = None
    chips: bool = False


@dataclass(frozen=True)
class Sidecar:
    """The parts of a `scene.json`."""

    scene_id: str | None = None
    acquisition: Acquisition | None = None
    radiometry: Radiometry | None = None
    truth: Truth | None = None


_OUTER = ("scene_id", "radiometry", "truth")


def read_sidecar(raster: Path) -> Sidecar:
    """Read `<name>.json` or `scene.json` beside a raster; an empty Sidecar when there is none of ours.

    A JSON file of another kind (a STAC item, a processor's log) is left alone: ours has at least one field of
    `Acquisition`, or `radiometry`.

    Raises:
        SceneError: It is ours by its keys but broken; the message names key and file.
    """
    path = next((p for p in (raster.with_suffix(".json"), raster.parent / "scene.json") if p.is_file()), None)
    if path is None:
        return Sidecar()
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise SceneError(path, "is larger than 1 MiB", "A scene's sidecar holds a few lines of metadata")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SceneError(path, f"is not readable JSON ({error})", "Mend or remove the sidecar") from error
    if not isinstance(content, dict) or not (set(content) & (set(Acquisition.model_fields) | {"radiometry"})):
        return Sidecar()
    if not isinstance(content.get("scene_id"), str | None):
        raise SceneError(path, "'scene_id': Input should be a string", "Mend this key")
    try:
        radiometry = content.get("radiometry")
        return Sidecar(
            scene_id=content.get("scene_id"),
            acquisition=Acquisition.model_validate({k: v for k, v in content.items() if k not in _OUTER}),
            radiometry=Radiometry.model_validate(radiometry | {"source": "sidecar"}) if radiometry else None,
            truth=Truth.model_validate(content["truth"]) if content.get("truth") else None,
        )
    except (ValidationError, TypeError) as error:
        detail = (
            error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("radiometry",), "msg": str(error)}
        )
        where = ".".join(str(part) for part in detail["loc"])
        raise SceneError(
            path, f"'{where}': {detail['msg']}", "Mend this key; docs/reference/scene-json.md lists all"
        ) from error


def polarisations_of(descriptions: tuple[str | None, ...], tags: dict[str, str], stem: str) -> tuple[str, ...]:
    """Polarisation labels by band: from band descriptions, tags, or the file's name; `unknown` otherwise."""
    described = [_polarisation_in(d or "") for d in descriptions]
    if all(described):
        return tuple(str(d) for d in described)
    tagged = next(
        (v for k, v in tags.items() if k.upper() in ("POLARISATION", "POLARIZATION", "POLARISATIONS", "POLARIZATIONS")),
        "",
    )
    for text in (tagged, stem):
        found = [w for w in re.split(r"[^A-Z]+", text.upper()) if w in POLARISATIONS]
        if len(found) == len(descriptions):
            return tuple(found)
    return tuple(d or "unknown" for d in described)


def _polarisation_in(text: str) -> str | None:
    words = [w for w in re.split(r"[^A-Z]+", text.upper()) if w in POLARISATIONS]
    return words[0] if len(words) == 1 else None


def acquisition_from_names(texts: list[str], tags: dict[str, str]) -> dict[str, Any]:
    """Acquisition fields from product names in tags or file names, then from single well-known tags."""
    for text in texts:
        if fields := sentinel1.from_product_name(text):
            return fields
    fields = {}
    for key in ("SENSING_START", "ACQUISITION_TIME", "TIFFTAG_DATETIME"):
        if (moment := _parse_time(tags.get(key, ""))) is not None:
            fields["acquired"] = moment
            break
    if mission := re.match(r"S1([A-D])_", texts[-1]):
        fields |= {"platform": f"sentinel-1{mission[1].lower()}", "frequency_band": "C", "look_side": "right"}
        fields |= {"centre_frequency_ghz": sentinel1.CENTRE_FREQUENCY_GHZ}
    return fields


def _parse_time(text: str) -> datetime | None:
    for pattern in ("%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y:%m:%d %H:%M:%S"):
        try:
            return datetime.strptime(text.strip(), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
