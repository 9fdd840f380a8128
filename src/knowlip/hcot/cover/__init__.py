"""Land cover measured from backscatter and texture, without training.

`measure` a scene's tiles, fit its `scene_level`, and `classify` each tile.
"""

from knowlip.hcot.cover.cells import CELL_PX, Cells, measure
from knowlip.hcot.cover.classify import CoverMap, classify
from knowlip.hcot.cover.levels import SceneLevel, scene_level
from knowlip.hcot.cover.table import CODE

__all__ = ["CELL_PX", "CODE", "Cells", "CoverMap", "SceneLevel", "classify", "measure", "scene_level"]
