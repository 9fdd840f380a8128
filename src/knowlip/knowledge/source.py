"""A source of knowledge about places: it has a name, a version and a licence, and answers for many tiles at once.

A source answers with facts of step 1, and with grids over the tile where later steps need to know where something is.
What it does not know it says, with the reason; nothing is guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from knowlip.core.scene import SIMULATED_GROUND
from knowlip.core.statements import Fact, FactValue

Ground = Literal["real", "simulated", "any"]
"""Which ground a source tells about: the Earth's, that of simulated scenes, or names of places, which both have."""

MISSING = "knowledge.missing"
"""The fact that lists which sources did not know something about a tile, and why."""


@dataclass(frozen=True)
class Footprint:
    """Where a tile lies.

    Attributes:
        lon_deg, lat_deg: Its middle, WGS 84.
        geobox: Its pixel grid.
        made_up: It is of a simulated scene, whose ground is not that of the real place.
    """

    tile_id: str
    lon_deg: float
    lat_deg: float
    geobox: GeoBox
    made_up: bool = False


@dataclass(frozen=True)
class Answer:
    """What is known about one tile.

    Attributes:
        facts: Of step 1.
        grids: Arrays over the tile by name, rows and columns as the tile's: `sea` `(k, k)` bool, and on the tile's own
            pixels `(H, W)` uint8 codes of `core.statements.LANDCOVER`: `land_cover` from a raster, `map` from features.
        missing: Why something is not known.
    """

    facts: tuple[Fact, ...] = ()
    grids: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def facts_with_missing(self) -> tuple[Fact, ...]:
        """The facts, and one that lists what is missing where something is."""
        if not self.missing:
            return self.facts
        said = Fact(MISSING, list(self.missing), 1, "knowledge", 1.0, None, "what sources that were asked do not know")
        return (*self.facts, said)


class Source(Protocol):
    """What every source has.

    Attributes:
        name: One word, unique among the sources asked.
        version: Of the data, as it stands in facts.
        licence: Of the data.
        ground: Which ground it tells about; it is not asked about tiles of another.
        at_once: It is asked once for all tiles, as opening it costs more than asking; others are asked by the process
            that works on a scene.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def licence(self) -> str: ...  # noqa: D102
    @property
    def ground(self) -> Ground: ...  # noqa: D102
    @property
    def at_once(self) -> bool: ...  # noqa: D102

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """One answer for each tile, in their order."""
        ...


_ELSEWHERE: dict[Ground, str] = {
    "real": "the scene is simulated, so its ground is not that of the place",
    "simulated": "the map is of simulated ground, and the scene is not simulated",
    "any": "not asked",
}
"""Why a source of each ground is not asked about a tile of the other."""


def _ground_under(footprint: Footprint) -> Ground:
    return "simulated" if footprint.made_up else "real"


def ground_of(path: Path) -> Ground:
    """Which ground the maps of a path tell about, by the mark of simulated ones."""
    folder = path if path.is_dir() else path.parent
    return "simulated" if (folder / SIMULATED_GROUND).is_file() else "real"


def ask_all(sources: Iterable[Source], footprints: Sequence[Footprint]) -> list[Answer]:
    """What all sources together know, one answer a tile; of two facts of one name, that of the earlier source stays."""
    known = [Answer() for _ in footprints]
    for source in sources:
        asked = [i for i, f in enumerate(footprints) if source.ground in ("any", _ground_under(f))]
        answers = dict(zip(asked, source.ask([footprints[i] for i in asked]), strict=True)) if asked else {}
        elsewhere = Answer(missing=(_ELSEWHERE[source.ground],))
        known = [joined(k, answers.get(i, elsewhere), source.name) for i, k in enumerate(known)]
    return known


def joined(known: Answer, more: Answer, name: str = "") -> Answer:
    """Two answers about one tile as one; the first prevails. A name is put before the second's reasons."""
    names = {f.name for f in known.facts}
    facts = known.facts + tuple(f for f in more.facts if f.name not in names)
    reasons = tuple(f"{name}: {reason}" if name else reason for reason in more.missing)
    return Answer(facts, {**more.grids, **known.grids}, known.missing + reasons)


def fact(
    source: Source, name: str, value: FactValue, confidence: float, unit: str | None = None, why: str = ""
) -> Fact:
    """A fact of step 1 from a source."""
    return Fact(name, value, 1, source.version, confidence, unit, why)


def file_version(path: Path, files: Sequence[Path] = ()) -> str:
    """A file's name with the first 12 digits of the SHA-256 of its content; of several files, of their names and sizes.

    Args:
        files: Those that a folder or a virtual raster consists of, which may be more than one can read through.
    """
    if len(files) > 1:
        listed = "".join(f"{file.name}\t{file.stat().st_size}\n" for file in sorted(files))
        digest = hashlib.sha256(listed.encode()).hexdigest()
        return f"{path.name} ({len(files)} files, sha256 of names and sizes {digest[:12]})"
    with path.open("rb") if not files else files[0].open("rb") as stream:
        return f"{path.name} (sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()[:12]})"


def provenance(sources: Iterable[Source]) -> dict[str, dict[str, str]]:
    """Version and licence by name, for a corpus's record."""
    return {s.name: {"version": s.version, "licence": s.licence} for s in sources}
