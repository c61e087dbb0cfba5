"""What the student should match; nothing here loads torch."""

from workbench.targets.kinds import (
    MixTarget,
    Moment,
    PastTarget,
    StageTarget,
    TargetContext,
    TargetKind,
    TeacherTarget,
)

__all__ = [
    "MixTarget",
    "Moment",
    "PastTarget",
    "StageTarget",
    "TargetContext",
    "TargetKind",
    "TeacherTarget",
]
