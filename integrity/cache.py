"""The user's cache folder: what is fetched or made once per machine (jars, AOT caches)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integrity.errors import Unavailable

#: Names another folder for the cache, for a home that is read-only or small.
VARIABLE = "KAFKA_INTEGRITY_CACHE"


def directory() -> Path:
    """The cache folder, not necessarily there yet."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("kafka-integrity", appauthor=False)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make ``folder`` if needed and hold its lock, so that runs side by side fetch everything once.

    Raises Unavailable, in one line, when the folder cannot be written to or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "a")  # noqa: SIM115 - held until the end of the block below
    except OSError as error:
        raise Unavailable(
            f"the cache folder {folder} is not writable ({error.strerror}); "
            f"name another one in the environment variable {VARIABLE}"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:  # a network's file system may know no locks
            raise Unavailable(
                f"the cache folder {folder} cannot be locked ({error.strerror}); "
                f"name another one, on a disk of this machine, in the environment variable {VARIABLE}"
            ) from error
        yield
