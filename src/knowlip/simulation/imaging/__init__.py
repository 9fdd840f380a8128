"""How a radar sees a piece of ground."""

from knowlip.simulation.imaging.image import image_world

__all__ = ["image_world"]
