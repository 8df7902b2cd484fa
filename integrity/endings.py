"""Ending several things of which each must be ended, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def end_all(endings: Iterable[Callable[[], object]]) -> None:
    """Call each of these, in their order; raise the first error once all have been called.

    What the others raised is in its notes, which a traceback shows.
    """
    errors: list[Exception] = []
    for end in endings:
        try:
            end()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
    if not errors:
        return
    first, *others = errors
    for other in others:
        first.add_note(f"And after that: {type(other).__name__}: {other}")
    raise first
