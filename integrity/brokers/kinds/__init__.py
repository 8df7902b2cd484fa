"""The kinds of brokers a run can have: one module each, by the name that ``-D broker=`` takes.

A module has a class ``Kind`` that says whether such brokers can be had and makes them. A new module in this folder is
a new kind. A kind is loaded when it was chosen and not before: the others' libraries need not be there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from integrity import machine

if TYPE_CHECKING:
    # The options ask this package for the kinds' names; so it asks nothing of them while it is loaded.
    from integrity.brokers.base import Broker, BrokerConfig
    from integrity.brokers.cluster import Network
    from integrity.runs import Run
    from integrity.settings import Settings

NAMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__"))


class BrokerKind(ABC):
    """Makes the brokers of one run. Its ``__init__`` gets ready; it may raise Unavailable, in one line."""

    #: Whether its brokers have to boot, so that the next one is worth launching ahead.
    boots = True

    #: Whether there is nothing of anybody else's on its brokers. One of these may serve several features, and between
    #: any two scenarios every topic on it is deleted, whoever has made it. Only a kind that makes them can know.
    owned = False

    #: How many features at a time keep one processor busy: half their time is waiting. 0: one at a time, always.
    features_per_processor = 1.5

    #: Why its brokers cannot be members of a cluster that are taken down one by one; empty where they can.
    alone = ""

    def __init__(self, settings: Settings, run: Run) -> None:
        self.settings = settings
        self.run = run

    @staticmethod
    @abstractmethod
    def reason(settings: Settings) -> str:
        """What was found, in words for the console and the report.

        Raises Unavailable or BadOption, in one line, when there can be no such brokers with these options.
        """

    @staticmethod
    def room() -> machine.Room:
        """What there is for brokers and for what works with them."""
        return machine.room()

    @property
    @abstractmethod
    def version(self) -> str:
        """Kafka's version, or the image, in words for reports."""

    @abstractmethod
    def make(self, config: BrokerConfig) -> Broker:
        """A broker, not started yet. Raises NotPossible when it cannot be what ``config`` asks for."""

    def network(self, nodes: Sequence[Broker], severable: bool) -> Network | None:
        """What connects the brokers of a cluster, none of them started yet; None is this machine's loopback.

        severable: it can be cut.
        """
        if not severable:
            return None
        from integrity.faults.network.between import Between

        return Between(self.run, nodes)


def load(name: str) -> type[BrokerKind]:
    """The kind of that name."""
    return import_module(f"{__name__}.{name}").Kind
