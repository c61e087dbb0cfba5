"""The one plotly.js of the product: the file that the Python package brings."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def plotly_js_path() -> Path:
    """Where plotly.js lies on this machine; serve this file as ``plotly_url``.

    Raises:
        FileNotFoundError: If the plotly package is not installed or came without it.
    """
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("plotly.js is part of the Python package `plotly`, not found here.")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    if not path.is_file():
        raise FileNotFoundError(f"No plotly.js at {path}; reinstall the Python package `plotly`.")
    return path


@cache
def plotly_js_gz() -> bytes:
    """plotly.js gzipped (about 1.5 MB of 4.8 MB), packed once per process."""
    return gzip.compress(plotly_js_path().read_bytes(), compresslevel=6, mtime=0)
