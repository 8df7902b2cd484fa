"""The files of a stopped container, lent to this machine as a folder and taken back.

Docker's archive calls work on a stopped container and with an engine in a virtual machine, where a volume's
path means nothing here. They can add and replace, but not delete; deleting is left to the caller.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

#: How the name of a lent folder begins, in the system's temporary folder.
LENT_PREFIX = "kafka-integrity-files-"

#: A file that is being replaced is looked at so often, at most.
MOST_LOOKS = 20

#: (size in bytes, modified and changed in nanoseconds): differs after any write, truncation or chmod.
Mark = tuple[int, int, int]


@dataclass
class _Lent:
    """A folder as it was lent: each entry's owner and mode in the container, each file's mark here."""

    entries: dict[str, tarfile.TarInfo]
    marks: dict[str, Mark]


@contextmanager
def lent(container, folder: str, delete: Callable[[list[str]], None]) -> Iterator[Path]:
    """Yield a copy of ``folder`` of the stopped ``container``; on a clean exit, changes go back into it.

    Owners stay what they were; what is new gets its parent's owner. When the block raises, nothing goes back.
    delete: called with paths relative to ``folder`` that are no longer in the copy.
    Raises docker.errors.APIError when the engine fails.
    """
    with tempfile.TemporaryDirectory(prefix=LENT_PREFIX) as place:
        root = Path(place) / "data"
        before = _fetch(container, folder, root)
        yield root
        gone = [name for name in before.entries if not (root / name).exists()]
        if gone:
            # A folder's deletion covers what was in it.
            delete([name for name in gone if str(PurePosixPath(name).parent) not in gone])
        with tempfile.TemporaryFile() as packed:
            if _pack(packed, root, before):
                packed.seek(0)
                container.put_archive(folder, packed)


@contextmanager
def copied(container, folder: str) -> Iterator[Path]:
    """Yield a copy of ``folder`` of the container, running or not; nothing goes back.

    Raises docker.errors.APIError when the engine fails.
    """
    with tempfile.TemporaryDirectory(prefix=LENT_PREFIX) as place:
        root = Path(place) / "data"
        _fetch(container, folder, root)
        yield root


def content(container, path: str) -> bytes:
    """The content of one file of a container, running or not, once two looks in a row have found the same.

    The engine looks how long a file is and then reads it: one that is replaced in between, as Kafka replaces its
    checkpoints, comes cut off, or not at all. Raises OSError when it is never found the same, docker.errors.NotFound
    when there is none.
    """
    before = None
    for _ in range(MOST_LOOKS):
        found = _content(container, path)
        if found is not None and found == before:
            return found
        before = found
    raise OSError(f"{path} was looked at {MOST_LOOKS} times and never found the same twice in a row")


def _content(container, path: str) -> bytes | None:
    """None where the archive ends before the file does, or has none."""
    chunks, _ = container.get_archive(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            for member in tar.getmembers():
                file = tar.extractfile(member)
                return file.read() if file is not None else b""
    except tarfile.TarError:
        pass
    return None


def _fetch(container, folder: str, root: Path) -> _Lent:
    chunks, _ = container.get_archive(folder)
    root.mkdir()
    lent = _Lent({}, {})
    with tempfile.TemporaryFile() as packed:
        for chunk in chunks:
            packed.write(chunk)
        packed.seek(0)
        with tarfile.open(fileobj=packed) as tar:
            for entry in tar:
                # Names begin with the folder's own: "data/topic-0/00000000000000000000.log".
                name = "/".join(PurePosixPath(entry.name).parts[1:])
                lent.entries[name or "."] = entry
                _extract(tar, entry, root / name)
    for name in lent.entries:
        if (root / name).is_file():
            lent.marks[name] = _mark(root / name)
    return lent


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    if ".." in target.parts:
        raise ValueError(f"the engine sent a path that leads out of the folder: {entry.name}")
    if entry.isdir():
        target.mkdir(exist_ok=True)
    elif (content := tar.extractfile(entry)) is not None:
        with open(target, "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        # The time of the container's last write, not of this copy: a write from now on will show.
        os.utime(target, (entry.mtime, entry.mtime))
    # Anything else (a socket, a device) is nothing a broker stores.


def _mark(file: Path) -> Mark:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _pack(packed: BinaryIO, root: Path, before: _Lent) -> int:
    """Write what is new or changed below ``root`` as a tar, and return how many entries that is."""
    count = 0
    owners = {name: (entry.uid, entry.gid) for name, entry in before.entries.items()}
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(root.rglob("*")):  # parents first
            name = path.relative_to(root).as_posix()
            if path.is_file() and before.marks.get(name) == _mark(path):
                continue
            if path.is_dir() and name in before.entries:
                continue
            entry = tar.gettarinfo(path, name)
            if entry is None or not (entry.isreg() or entry.isdir()):
                continue
            known = before.entries.get(name)
            entry.uid, entry.gid = owners.setdefault(name, owners[str(PurePosixPath(name).parent)])
            entry.uname = entry.gname = ""
            entry.mode = known.mode if known else stat.S_IMODE(path.stat().st_mode)
            if entry.isreg():
                with open(path, "rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
            count += 1
    return count
