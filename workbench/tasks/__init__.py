"""What a prediction is, and how it is judged."""

from workbench.tasks.classification import Classification
from workbench.tasks.task import Task

__all__ = ["Classification", "Task"]
