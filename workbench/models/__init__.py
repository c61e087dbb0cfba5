"""Models behind one adapter; importing this fills the registry and loads no torch."""

from workbench.models.cell_kinds import CnnCells
from workbench.models.facts import Architecture, ModelContext, ModelFacts, StoredModel
from workbench.models.further_kinds import BorrowedHead, VitMicro
from workbench.models.kinds import (
    CnnSmall,
    CnnTiny,
    HubModel,
    Mlp,
    ModelSpec,
    OwnModelSpec,
    PathModel,
    RunModel,
    TimmModel,
)
from workbench.models.taps import Taps

__all__ = [
    "Architecture",
    "BorrowedHead",
    "CnnCells",
    "CnnSmall",
    "CnnTiny",
    "HubModel",
    "Mlp",
    "ModelContext",
    "ModelFacts",
    "ModelSpec",
    "OwnModelSpec",
    "PathModel",
    "RunModel",
    "StoredModel",
    "Taps",
    "TimmModel",
    "VitMicro",
]
