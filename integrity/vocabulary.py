"""Words in sentences that stand for values."""

from __future__ import annotations


def count(text: str) -> int:
    """A number as people write it: "3", "10,000"."""
    return int(text.replace(",", ""))


count.pattern = r"\d[\d,]*"  # type: ignore[attr-defined] - how the parse library finds it in a sentence
