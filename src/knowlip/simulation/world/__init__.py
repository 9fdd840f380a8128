"""What stands on the ground, in metres: a made-up city region with a real city's traits."""

from knowlip.simulation.world.layout import make_world

__all__ = ["make_world"]
