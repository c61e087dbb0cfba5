"""Files of a run: written whole or not at all, found again by name.

``runs/RUN/`` holds ``experiment.yaml``, ``log.txt``, ``snapshots/``, ``checkpoints/`` and, at the
end, ``student.safetensors``; ``teachers/KEY/`` holds cached teachers. Names are made by us (run ids,
step numbers, hashes), never from a user's text.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from workbench.errors import DiskFull

BALLAST_BYTES = 1 << 20
"""Space kept aside by a running run, so that a full disk can still be reported."""


def write_atomically(path: Path, write: Callable[[Path], None], *, durable: bool = True) -> str:
    """Make ``path`` by ``write(temporary path)``, then rename; returns the SHA-256 of the bytes.

    Raises:
        DiskFull: If there is no space; the temporary file is removed, an older ``path`` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        digest = sha256(temporary)
        if durable:
            _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        size = temporary.stat().st_size if temporary.exists() else 0
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise disk_full(path, size) from None
        raise
    except BaseException as error:
        size = temporary.stat().st_size if temporary.exists() else 0
        temporary.unlink(missing_ok=True)
        if _says_full(error):
            raise disk_full(path, size) from None
        raise
    return digest


def disk_full(path: Path, written: int) -> DiskFull:
    """The error for a full disk: what could not be written, what is free, what to do."""
    try:
        stat = os.statvfs(path.parent)
        free = stat.f_bavail * stat.f_frsize
    except OSError:
        free = 0
    return DiskFull(
        f"No space left to write {path.name} in {path.parent}: more than {written} bytes are needed, "
        f"{free} bytes are free. Free some space; the last good checkpoint is kept."
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_ballast(folder: Path) -> None:
    """Set space aside in a run's folder."""
    write_atomically(folder / "ballast", lambda path: _fill(path, BALLAST_BYTES), durable=False)


def drop_ballast(folder: Path) -> None:
    """Give the space back, so that the failure can be written down."""
    (folder / "ballast").unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A UTF-8 text file, whole or not at all."""
    write_atomically(path, lambda temporary: _write_bytes(temporary, text.encode()))


def write_arrays(path: Path, arrays: Mapping[str, object], metadata: Mapping[str, str]) -> int:
    """Numpy arrays as safetensors; returns the size in bytes. Not synced: snapshots can be re-made."""
    import numpy as np
    from safetensors.numpy import save

    blob = save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(metadata)
    )
    write_atomically(path, lambda temporary: _write_bytes(temporary, blob), durable=False)
    return len(blob)


def read_arrays(path: Path) -> tuple[dict[str, object], dict[str, str]]:
    """Arrays and metadata of a file that :func:`write_arrays` made."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)


def _fill(path: Path, count: int) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(count))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _says_full(error: BaseException) -> bool:
    """Safetensors wraps ENOSPC in an error of its own, with the number in its text only."""
    text = str(error)
    return "os error 28" in text or "No space left" in text or "os error 27" in text
