"""behave's output, made to take any text.

behave writes an assertion's message to the terminal as it is: a lone surrogate anywhere, or a tick where the terminal
knows ASCII only, ends the whole run with a UnicodeEncodeError, and with it every report. Here its streams learn to
write what they cannot encode as an escape (``\\ud800``).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from behave.configuration import Configuration

_FORGIVING = "backslashreplace"


def forgive(config: Configuration) -> None:
    """Make the standard streams and every ``--outfile`` forgiving. Formatters may already hold them: they are kept."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_FORGIVING)
    for opener in config.outputs or []:
        if opener.stream is not None:
            _soften(opener.stream)
        # Never opened from here: for a formatter of somebody else's (Allure's) the name may be that of a folder.
        opener.open = _softened(opener.open)


def _softened(open_it: Callable[[], object]) -> Callable[[], object]:
    def open_softened() -> object:
        stream = open_it()
        _soften(stream)
        return stream

    return open_softened


def _soften(stream: object) -> None:
    # codecs.open gives a pair of reader and writer; the writer decides what becomes of a bad character.
    writer = getattr(stream, "writer", None)
    if writer is not None:
        writer.errors = _FORGIVING
