"""What can be learned: the system's own objective and controls, as classes that run in one loop."""

from knowlip.training.objectives.blip import Blip
from knowlip.training.objectives.contrast import Clip, SigLip
from knowlip.training.objectives.knowlip import KnowLipObjective
from knowlip.training.objectives.masked import Mae, SarJepa
from knowlip.training.objectives.moco import MoCoV3
from knowlip.training.objectives.objective import Bank, Losses, Moment, Objective

OBJECTIVES: dict[str, type[Objective]] = {
    "knowlip": KnowLipObjective,
    "clip": Clip,
    "siglip": SigLip,
    "blip": Blip,
    # differs in what is learned from after a while, see knowlip.training.capfilt
    "blip+capfilt": Blip,
    "mae": Mae,
    "mocov3": MoCoV3,
    "sarjepa": SarJepa,
}

__all__ = ["OBJECTIVES", "Bank", "Losses", "Moment", "Objective"]
