"""Many simulated scenes of many cities, in one process or several, with the same bytes either way."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knowlip.core.parallel import map_items
from knowlip.simulation.cities import City, cities, find_city
from knowlip.simulation.scene_files import simulate_scene
from knowlip.simulation.sensors import Sensor, find_sensor

MIN_SIZE_PX = 256
MAX_SIZE_PX = 32768

# One city of each kind in turn, so that even few cities show harbours, fields and hills.
_TURNS = (
    frozenset({"port", "coastal"}),
    frozenset({"plain", "river"}),
    frozenset({"hilly"}),
    frozenset({"plain", "airport"}),
    frozenset({"port", "river"}),
    frozenset({"coastal", "hilly"}),
)


@dataclass(frozen=True)
class _Job:
    city: City
    sensor: Sensor
    shape: tuple[int, int]
    seed: int
    out: Path
    index: int
    incidence_deg: float | None
    preview: bool


def city_order(seed: int) -> list[City]:
    """All cities in the order that scenes are made of them: shuffled by the seed, taking turns between characters."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(b"city order")]))
    everyone = cities()
    left = [everyone[int(k)] for k in rng.permutation(len(everyone))]
    order: list[City] = []
    while left:
        wanted = _TURNS[len(order) % len(_TURNS)]
        inland = "coastal" not in wanted
        fits = (c for c in left if wanted <= set(c.character) and not (inland and "coastal" in c.character))
        city = next(fits, left[0])
        left.remove(city)
        order.append(city)
    return order


def scene_seed(seed: int, city: City, index: int) -> int:
    """The seed of one scene, which no other scene's presence changes."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(city.name.encode()), index])
    return int(sequence.generate_state(1, np.uint64)[0])


def _run(job: _Job) -> Path:
    return simulate_scene(job.city, job.sensor, job.shape, job.seed, job.out, job.index, job.incidence_deg, job.preview)


def simulate(
    out: Path,
    cities_n: int,
    scenes_per_city: int,
    sensor_name: str,
    size_px: int,
    seed: int,
    city_names: Sequence[str] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    incidence_deg: float | None = None,
    preview: bool = False,
) -> list[Path]:
    """Simulate scenes into a folder; scenes that are there already are kept.

    Args:
        out: Folder, made when missing.
        cities_n: How many cities; not used when they are named.
        scenes_per_city: How many scenes of each.
        sensor_name: Preset of `sensors.SENSORS`.
        size_px: Side of the square scenes in pixels.
        seed: Sets which cities are taken and everything in the scenes.
        city_names: Cities to take instead of choosing.
        workers: Processes to spread the scenes over.
        progress: Called with the number of scenes done and of all, after each.
        incidence_deg: Incidence angle in the middle of all scenes; drawn scene by scene when None.
        preview: Also write a picture of each scene.

    Returns:
        Paths of the scenes' GeoTIFFs, by city and scene.

    Raises:
        ValueError: A city or sensor is unknown, or a number is out of its range.
    """
    sensor = find_sensor(sensor_name)
    if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise ValueError(f"size must be {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels, not {size_px}")
    for name, value in (("scenes per city", scenes_per_city), ("workers", workers)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    low, high = sensor.incidence_range_deg
    if incidence_deg is not None and not low <= incidence_deg <= high:
        raise ValueError(f"incidence of {sensor.name} must be {low:g} to {high:g} degrees, not {incidence_deg:g}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    if city_names:
        chosen = list(dict.fromkeys(find_city(name) for name in city_names))
    else:
        everyone = city_order(seed)
        if not 1 <= cities_n <= len(everyone):
            raise ValueError(f"number of cities must be 1 to {len(everyone)}, not {cities_n}")
        chosen = everyone[:cities_n]

    out.mkdir(parents=True, exist_ok=True)
    shape = (size_px, size_px)
    jobs: list[_Job] = [
        _Job(city, sensor, shape, scene_seed(seed, city, index), out, index, incidence_deg, preview)
        for city in chosen
        for index in range(scenes_per_city)
    ]

    paths = []
    for done, path in enumerate(map_items(_run, jobs, workers), start=1):
        paths.append(path)
        if progress is not None:
            progress(done, len(jobs))
    return paths
