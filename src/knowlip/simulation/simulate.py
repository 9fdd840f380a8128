"""Many simulated scenes of many cities, in one process or several, with the same bytes either way."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from knowlip.core.parallel import map_items
from knowlip.simulation.cities import City, cities, find_city
from knowlip.simulation.scene_files import scene_id, simulate_scene
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
class SceneOrder:
    """A scene to be simulated.

    Attributes:
        size_px: Rows and columns.
        seed: Of this scene alone.
        index: Which of the city's scenes it is.
        incidence_deg: In its middle; drawn from the sensor's range when None.
    """

    city: City
    sensor: Sensor
    size_px: int
    seed: int
    index: int
    incidence_deg: float | None = None

    @property
    def scene_id(self) -> str:
        """The id that the scene will have."""
        return scene_id(self.city, self.sensor, self.index)


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


def scene_orders(
    cities_n: int,
    scenes_per_city: int,
    sensor_name: str,
    size_px: int,
    seed: int,
    city_names: Sequence[str] = (),
    incidence_deg: float | None = None,
) -> list[SceneOrder]:
    """The scenes of a simulation, by city and index.

    Args:
        cities_n: How many cities; not used when they are named.
        scenes_per_city: How many scenes of each.
        sensor_name: Preset of `sensors.SENSORS`.
        size_px: Side of the square scenes in pixels.
        seed: Sets which cities are taken and everything in the scenes.
        city_names: Cities to take instead of choosing.
        incidence_deg: Incidence angle in the middle of all scenes; drawn scene by scene when None.

    Raises:
        ValueError: A city or sensor is unknown, or a number is out of its range.
    """
    sensor = find_sensor(sensor_name)
    if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise ValueError(f"size must be {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels, not {size_px}")
    if scenes_per_city < 1:
        raise ValueError(f"scenes per city must be at least 1, not {scenes_per_city}")
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
    return [
        SceneOrder(city, sensor, size_px, scene_seed(seed, city, index), index, incidence_deg)
        for city in chosen
        for index in range(scenes_per_city)
    ]


def make_scene(order: SceneOrder, out: Path, preview: bool = False, maps: Path | None = None) -> Path:
    """Simulate a scene into a folder, unless it is there already; returns its GeoTIFF."""
    shape = (order.size_px, order.size_px)
    return simulate_scene(
        order.city, order.sensor, shape, order.seed, out, order.index, order.incidence_deg, preview, maps
    )


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
    maps: Path | None = None,
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
        maps: Folder for maps of the ground as a user would have them; none are written without it.

    Returns:
        Paths of the scenes' GeoTIFFs, by city and scene.

    Raises:
        ValueError: A city or sensor is unknown, or a number is out of its range.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    orders = scene_orders(cities_n, scenes_per_city, sensor_name, size_px, seed, city_names, incidence_deg)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for done, path in enumerate(
        map_items(partial(make_scene, out=out, preview=preview, maps=maps), orders, workers), start=1
    ):
        paths.append(path)
        if progress is not None:
            progress(done, len(orders))
    return paths
