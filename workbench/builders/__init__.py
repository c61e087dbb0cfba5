"""Which module do we train: builders find it first; nothing here loads torch.

Importing this fills the registry of models with every kind of ours.
"""

from workbench import models
from workbench.builders.builder import BuildContext, Builder, BuilderSpec, choice_of
from workbench.builders.space import Block, Candidate, Space, StageChoices
from workbench.builders.spec import SearchSpec

__all__ = [
    "Block",
    "BuildContext",
    "Builder",
    "BuilderSpec",
    "Candidate",
    "SearchSpec",
    "Space",
    "StageChoices",
    "choice_of",
    "models",
]
