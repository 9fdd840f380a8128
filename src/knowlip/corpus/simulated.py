"""Scenes that are simulated on the way into a corpus: made, cut and dropped, one at a time in each process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from platformdirs import user_cache_dir
from pydantic import BaseModel, ConfigDict, Field

from knowlip.core.errors import ConfigError
from knowlip.corpus.parts import finished_part
from knowlip.corpus.records import Rejected, ScenePart
from knowlip.corpus.tiling import SceneJob, tile_scene
from knowlip.simulation.simulate import SceneOrder, make_scene, scene_orders


class SimulateSpec(BaseModel):
    """Simulated scenes of one sensor.

    Attributes:
        sensor: Preset; `knowlip simulate --list-sensors` lists them.
        cities: How many cities.
        scenes_per_city: How many scenes of each.
        size_px: Rows and columns of a scene.
        seed: Sets which cities are taken and everything in the scenes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str
    cities: int = 135
    scenes_per_city: int = 1
    size_px: int = 1280
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class SimulatedJob:
    """A work item of the build: a scene to make, and how to cut it.

    Attributes:
        job: Its path is where the scene will be.
    """

    order: SceneOrder
    job: SceneJob


def simulated_jobs(specs: tuple[SimulateSpec, ...], like: SceneJob) -> list[SimulatedJob]:
    """The work items of all simulated scenes.

    Args:
        like: What the items have in common.

    Raises:
        ConfigError: A sensor is unknown or given twice, or a number is out of its range.
    """
    jobs = []
    if len({s.sensor for s in specs}) < len(specs):
        raise ConfigError("simulate", "names a sensor twice", "Put all scenes of a sensor into one entry")
    for spec in specs:
        try:
            orders = scene_orders(spec.cities, spec.scenes_per_city, spec.sensor, spec.size_px, spec.seed)
        except ValueError as error:
            raise ConfigError("simulate", str(error), "See `knowlip simulate --help`") from error
        jobs += [SimulatedJob(o, replace(like, path=_folder(o, like) / f"{o.scene_id}.tif")) for o in orders]
    return jobs


def _folder(order: SceneOrder, job: SceneJob) -> Path:
    kept = job.rasters or Path(user_cache_dir("knowlip"), "rasters")
    return kept / f"{order.scene_id}-{order.size_px}-{order.seed:016x}"


def tile_simulated(job: SimulatedJob) -> ScenePart | Rejected:
    """Make one scene, cut it and drop it again; one that was cut before is read back instead."""
    if (part := finished_part(job.job.out, job.order.scene_id)) is not None:
        return part
    folder = job.job.path.parent
    make_scene(job.order, folder)
    result = tile_scene(job.job)
    if job.job.rasters is None:
        # a build that is interrupted does not come here, and finds the scene again
        shutil.rmtree(folder, ignore_errors=True)
    return result
