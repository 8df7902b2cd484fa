"""Who hears what happens to brokers and to the network: as a rule the history, as its ``events``.

A module of its own, so that the proxy's process imports no client library for it.
"""

from __future__ import annotations

from collections.abc import Callable

#: Called with (subject, what, detail) at each change, to become a row of the history's ``events``.
Listener = Callable[[str, str, str], None]


def ignore(subject: str, what: str, detail: str) -> None:
    """The listener of what nobody listens to."""
