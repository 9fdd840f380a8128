"""How fast worlds are made and imaged, beside the easy simulator that a user would write instead.

    python benchmarks/simulation.py [--quick]

The easy simulator colours a land-cover map with one mean level a class, blurs it and multiplies gamma speckle on: no
heights, no walls, no scatterers. Both start from the same worlds' class maps; ours is timed with the making of the
world, the easy one without. Two processes each, as on two cores; scenes are not written. The last line is a JSON
object.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from scipy import ndimage

from knowlip.simulation.cities import City
from knowlip.simulation.imaging import image_world
from knowlip.simulation.imaging.backscatter import mean_sigma0
from knowlip.simulation.sensors import Sensor, find_sensor
from knowlip.simulation.simulate import city_order
from knowlip.simulation.world import make_world

SENSORS = {"10 m": "sentinel1-iw", "1 m": "gaofen3-sl"}
WORKERS = 2


def ours(job: tuple[City, Sensor, int, int]) -> float:
    """Make and image one scene; gives the seconds and raises the process's peak memory."""
    city, sensor, size, seed = job
    started = time.perf_counter()
    world = make_world(city, (size, size), sensor.gsd_m, seed)
    image_world(world, sensor, 38.0, 79.0, seed)
    return time.perf_counter() - started


def easy(job: tuple[City, Sensor, int, int]) -> float:
    """Colour, blur and speckle one scene's class map."""
    city, sensor, size, seed = job
    landcover = make_world(city, (size, size), sensor.gsd_m, seed).landcover
    rng = np.random.default_rng(seed)
    started = time.perf_counter()
    for polarisation in sensor.polarisations:
        mean = ndimage.gaussian_filter(mean_sigma0(landcover, sensor.band, polarisation, 38.0), 0.8)
        (mean * rng.gamma(sensor.looks, 1 / sensor.looks, mean.shape)).astype(np.float32)
    return time.perf_counter() - started


def peak_mib() -> float:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(
    work: Callable[[tuple[City, Sensor, int, int]], float], sensor: Sensor, size: int, scenes: int
) -> tuple[float, float]:
    """Megapixels a second with two processes, and the larger of their peak memories."""
    jobs = [(city, sensor, size, 7 + k) for k, city in enumerate((city_order(7) * 3)[:scenes])]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        # imports and first uses are not counted
        list(pool.map(work, [(jobs[0][0], sensor, 256, 1)] * (2 * WORKERS)))
        seconds = sum(pool.map(work, jobs)) / WORKERS
        peak = max(pool.map(_peak, range(2 * WORKERS)))
    return scenes * size * size / seconds / 1e6, peak


def _peak(_: int) -> float:
    time.sleep(0.05)
    return peak_mib()


def main() -> None:
    """Print the table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller scenes, fewer of them")
    parser.add_argument("--size", type=int, default=1024, help="side of a scene in pixels")
    quick = parser.parse_args().quick
    size = 512 if quick else parser.parse_args().size
    few, many = (4, 8) if quick else (8, 24)
    figures: dict[str, float] = {}
    columns = ("ours MP/s", "easy MP/s", "ratio", f"MiB, {few}", f"MiB, {many}")
    print("pixel " + " ".join(f"{c:>10}" for c in columns))
    for label, name in SENSORS.items():
        sensor = find_sensor(name)
        timed = partial(run, sensor=sensor, size=size)
        _, memory_few = timed(ours, scenes=few)
        speed, memory_many = timed(ours, scenes=many)
        easy_speed, _ = timed(easy, scenes=few)
        values = (speed, easy_speed, speed / easy_speed, memory_few, memory_many)
        print(f"{label:5} " + " ".join(f"{v:10.2f}" for v in values))
        key = label.replace(" ", "")
        figures |= {
            f"mp_per_s_{key}": round(speed, 2),
            f"ratio_to_easy_{key}": round(speed / easy_speed, 3),
            f"peak_mib_few_scenes_{key}": round(memory_few),
            f"peak_mib_many_scenes_{key}": round(memory_many),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
