"""An experiment that somebody is writing: as a form, as text, checked before it starts."""

from workbench.runs.draft.draft import Draft, Wrong

__all__ = ["Draft", "Wrong"]
