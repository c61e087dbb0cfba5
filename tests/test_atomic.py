"""Files written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
from pathlib import Path

import pytest

from workbench.atomic import sha256, write_atomically
from workbench.errors import BadFile, DiskFull


def test_bytes_arrive_with_their_hash_and_leave_nothing_beside_them(tmp_path):
    path = tmp_path / "new" / "file.bin"
    digest = write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert digest == sha256(path) == hashlib.sha256(b"content").hexdigest()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("moment", ["write_bytes", "replace"])
def test_without_space_the_old_file_stays_and_the_bytes_are_named(
    tmp_path, monkeypatch, number, moment
):
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, moment, full)
    with pytest.raises(DiskFull, match=r"WB202.*file\.bin: no space for 1234 bytes; \d+ bytes are"):
        write_atomically(path, bytes(1234))
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_limit_on_the_size_of_files_is_named(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(DiskFull, match=r"may have 4096 \(`ulimit -f`\)\. Raise that limit"):
            write_atomically(tmp_path / "file.bin", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_durable_content_is_synced_before_it_gets_its_name_and_then_its_folder(
    tmp_path, monkeypatch
):
    happened: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        happened.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_atomically(tmp_path / "file", b"x")
    assert happened == ["file", "rename", "folder"]
    happened.clear()
    write_atomically(tmp_path / "file", b"x", durable=False)
    assert happened == ["rename"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadFile, match=r"WB104.*cannot be written: (Not a directory|File exists)"):
        write_atomically(tmp_path / "file" / "below", b"x")
