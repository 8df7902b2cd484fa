"""The bytes of generated messages: different for every message, made without computing anything per message."""

from __future__ import annotations

import random
from functools import lru_cache


class Values:
    """``size`` bytes for each number, cut out of one block of random bytes; the block's seed is fixed, so runs repeat.

    Two messages of one publisher share their bytes only when their numbers are a multiple of ``period`` apart, and even
    then their digests differ, since those cover the identity.
    """

    #: A prime, so that neither a power of two nor a round number of messages comes back to the same place.
    period = 999_983

    def __init__(self, size: int, seed: int = 0) -> None:
        if size < 0:
            raise ValueError(f"a size is not negative: {size}")
        self.size = size
        self.block = _block(self.period + size, seed)

    def __getitem__(self, number: int) -> bytes:
        start = number % self.period
        return self.block[start : start + self.size]

    def stretch(self, first: int, count: int) -> list[bytes]:
        """The bytes of ``count`` numbers from ``first`` on."""
        block, size, start = self.block, self.size, first % self.period
        if start + count > self.period:
            return [self[number] for number in range(first, first + count)]
        return [block[begin : begin + size] for begin in range(start, start + count)]


@lru_cache(maxsize=8)
def _block(size: int, seed: int) -> bytes:
    """Made once, and not for each burst of a publisher: it takes longer than sending some ten messages."""
    return random.Random(seed).randbytes(size)
