"""What the student should match; nothing here loads torch."""

from workbench.targets.kinds import MixTarget, TargetContext, TargetKind, TeacherTarget

__all__ = ["MixTarget", "TargetContext", "TargetKind", "TeacherTarget"]
