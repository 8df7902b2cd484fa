"""One file of a container, which its broker may replace while the engine reads it."""

from __future__ import annotations

import io
import itertools
import tarfile
from types import SimpleNamespace

import pytest

from integrity.brokers import container_files

CHECKPOINT = b"0\n3\nt 0 5\nt 1 5\nt 2 5\n"


def archive(content: bytes, size: int | None = None) -> bytes:
    """As the engine packs a file of which it has seen that it has so many bytes: no more, and fewer if there are."""
    packed = io.BytesIO()
    info = tarfile.TarInfo("checkpoint")
    info.size = len(content) if size is None else size
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(info, io.BytesIO(content[: info.size].ljust(info.size, b"\0")))
    whole = packed.getvalue()
    return whole if info.size <= len(content) else whole[: tarfile.BLOCKSIZE + len(content)]


def container(*archives: bytes) -> SimpleNamespace:
    """Of which the engine gives these, one look after the other, and the last from then on."""
    given = itertools.chain(archives, itertools.repeat(archives[-1]))
    return SimpleNamespace(get_archive=lambda path: ([next(given)], {}))


@pytest.mark.parametrize(
    "first",
    [
        (),
        (archive(CHECKPOINT, 4),),
        (archive(CHECKPOINT, 4), archive(CHECKPOINT, 20)),
        (archive(b"0\n0\n", len(CHECKPOINT)),),
        (archive(b"0\n0\n"),),
        (bytes(2 * tarfile.BLOCKSIZE),),
        (b"",),
    ],
    ids=["whole", "longer by now", "twice", "shorter by now", "an older one", "none", "nothing"],
)
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(first: tuple[bytes, ...]) -> None:
    assert container_files.content(container(*first, archive(CHECKPOINT)), "/data/checkpoint") == CHECKPOINT


def test_a_file_that_is_another_one_at_each_look_is_no_wait_without_an_end() -> None:
    looks = itertools.count()
    changing = SimpleNamespace(get_archive=lambda path: ([archive(str(next(looks)).encode())], {}))
    with pytest.raises(OSError, match="/data/checkpoint was looked at 20 times"):
        container_files.content(changing, "/data/checkpoint")
