"""Land cover measured from backscatter and texture, without training.

`measure` a scene's tiles, fit its `scene_level`, and `classify` each tile; `segment` maps one image alone.
"""

from knowlip.hcot.cover.cells import CELL_PX, Cells, measure
from knowlip.hcot.cover.classify import CoverMap, classify
from knowlip.hcot.cover.levels import SceneLevel, scene_level
from knowlip.hcot.cover.polarimetry import PAULI
from knowlip.hcot.cover.segment import segment
from knowlip.hcot.cover.table import CLASSES, CODE

__all__ = [
    "CELL_PX",
    "CLASSES",
    "CODE",
    "PAULI",
    "Cells",
    "CoverMap",
    "SceneLevel",
    "classify",
    "measure",
    "scene_level",
    "segment",
]
