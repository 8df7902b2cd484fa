"""The bytes of generated messages: different for every message, made without computing anything per message."""

from __future__ import annotations

import random


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
        self.block = random.Random(seed).randbytes(self.period + size)

    def __getitem__(self, number: int) -> bytes:
        start = number % self.period
        return self.block[start : start + self.size]
