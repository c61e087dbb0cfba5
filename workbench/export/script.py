"""A run as one Python file that trains it again and compares the numbers.

The program is a text file that never changes; the run goes into it as literals, in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.export.literal import literal
from workbench.export.story import Story

PROGRAM = Path(__file__).with_name("script.txt")
PLACE = "# DATA\n"
"""Line of the program where the data goes."""


def script(story: Story, expected: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    """Source of the file.

    Args:
        story: The run as plain data.
        expected: Numbers to compare with.
        recorded: When and on what they were made.
    """
    before, _, after = PROGRAM.read_text(encoding="utf-8").partition(PLACE)
    return f"{before}{_data(story, expected, recorded)}{after}"


def _data(story: Story, expected: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    base = str(story.base) if story.needs_base else None
    return (
        f"RECORDED: dict[str, Any] = {literal(recorded)}\n\n"
        f"EXPERIMENT: dict[str, Any] = {literal(story.experiment)}\n\n"
        f"EXPECTED: dict[str, Any] = {literal(expected)}\n\n"
        f"BASE: str | None = {literal(base)}  # folder that relative paths start from\n"
        f"STORE: str | None = {literal(story.store)}  # holds runs that it names; None: a new one\n"
    )
