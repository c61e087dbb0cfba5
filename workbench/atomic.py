"""Files that are written whole or not at all: beside the target, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import uuid
from pathlib import Path

from workbench.errors import BadFile, DiskFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, no quota, or more than the process may write into one file."""
FULL_WORDS = ("os error 28", "os error 27", "os error 122", "No space left")
"""How libraries that wrap the system's error say the same."""


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> str:
    """Make ``path`` in one step: a reader sees the old file or the new one, never a half.

    Args:
        path: Target; its folder is made if absent.
        content: All of it.
        durable: Flush file and folder to the disk, so that a power cut loses neither.

    Returns:
        SHA-256 of the bytes, hexadecimal.

    Raises:
        DiskFull: If there is no space: names the bytes. An older ``path`` stays.
        BadFile: If the place cannot be written for another reason.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        try:
            _write(temporary, path, content, durable=durable)
        except FileNotFoundError:  # somebody deleted the folder in that very moment
            _write(temporary, path, content, durable=durable)
    except OSError as error:
        _discard(temporary)
        if says_full(error):
            raise disk_full(path, len(content)) from None
        raise BadFile(f"{path}: cannot be written: {error.strerror or error}.") from None
    return hashlib.sha256(content).hexdigest()


def _write(temporary: Path, path: Path, content: bytes, *, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content)
    if durable:
        _sync(temporary)
    temporary.replace(path)
    if durable:
        _sync_folder(path.parent)


def disk_full(path: Path, size: int) -> DiskFull:
    """The error for a full disk: what could not be written, what is free, what to do.

    Args:
        path: What was to be written.
        size: Its bytes; 0 where they are not known.
    """
    try:
        found = os.statvfs(path.parent)
        free = f"{found.f_bavail * found.f_frsize} bytes are free there"
    except OSError:
        free = "how much is free is not known"
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    limited = most != resource.RLIM_INFINITY  # a full disk and this limit look alike from within
    limit = f", and a file may have {most} (`ulimit -f`)" if limited else ""
    return DiskFull(
        f"{path}: no space for {f'{size} bytes' if size else 'what was to be written'}; {free}"
        f"{limit}. {'Raise that limit, or free' if limited else 'Free'} some space; what was "
        "written before stays as it was."
    )


def says_full(error: BaseException) -> bool:
    """Whether an error means that there is no space; some libraries say it in their text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return any(words in str(error) for words in FULL_WORDS)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _discard(path: Path) -> None:
    """Remove what is half written; where that is refused, the first error is the one to tell."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # a folder cannot be opened elsewhere
        _sync(folder)
