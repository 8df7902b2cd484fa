"""What a run and its workers say to each other, pickled, over a pair of sockets and a pipe.

Worker to run: an :class:`Outcome` after each feature, which also asks for the next; None before the first.
Run to worker: :class:`Terms` once; then the index of a feature, or None when there is none left.
The pipe says nothing: it closes when the run is gone, however it ended, and then the worker ends too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: The environment variable that makes a behave process a worker: the two file descriptors, "connection,lifeline".
VARIABLE = "KAFKA_INTEGRITY_WORKER"


@dataclass(frozen=True)
class Terms:
    """What the run has decided for all: the broker's kind, the seed, and whether people watch on a terminal."""

    broker: str
    seed: int
    interactive: bool


@dataclass(frozen=True)
class Outcome:
    """How the feature with this index went; view: as the reports show it, opaque here; failed: behave's verdict."""

    index: int
    view: Any
    failed: bool
