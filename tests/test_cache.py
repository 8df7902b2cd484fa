"""The cache folder: what it is written under, and what becomes of one that cannot be locked."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from integrity import cache
from integrity.errors import Unavailable


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_folder_whose_file_system_knows_no_locks_is_one_line(tmp_path: Path, monkeypatch, number: int) -> None:
    """As on NFS without its lock service, where homes may be."""

    def refuses(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuses)
    with (
        pytest.raises(Unavailable, match=r"cannot be locked \(.+\); name another one, .* KAFKA_INTEGRITY_CACHE$") as it,
        cache.writing(tmp_path),
    ):
        pytest.fail("nobody writes without the lock")
    assert str(tmp_path) in str(it.value)
    assert "\n" not in str(it.value)


def test_what_goes_wrong_under_the_lock_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="something else"), cache.writing(tmp_path):
        raise OSError("something else")
