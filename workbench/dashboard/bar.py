"""The top bar of every place: which places there are, where one is, how many runs, who waits."""

from __future__ import annotations

import os
from typing import Any

from workbench_widgets.words import count

from workbench.dashboard.hub import Hub


def bar(hub: Hub, place: str) -> dict[str, Any]:
    """What the bar shows: the machine, the place that is open, runs in all and runs that wait.

    Args:
        hub: The server's runs.
        place: ``start``, ``new``, ``runs``, ``compare``, ``models`` or ``pair``.
    """
    lines = hub.quickstart.listing.lines()
    waits = sum(line.waits and line.status == "queued" for line in lines)
    return {
        "machine": f"this machine: {count(os.cpu_count() or 1)} CPU cores",
        "place": place,
        "runs": count(len(lines)),
        "waiting": f"{count(waits)} waiting" if waits else "",
    }
