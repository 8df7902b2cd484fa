"""The interface to a client library: a driver, which makes publishers, readers and admins.

The two implementations differ only in how a message is handed over and how a poll's records are taken apart;
identity, digests, outcomes, deadlines and records of what happened are decided in the modules here, once for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from integrity.clients.admin import Admin
from integrity.clients.publisher import Publisher
from integrity.clients.reader import Reader
from integrity.clients.types import (
    BEGINNING,
    END,
    Connection,
    NotAcknowledged,
    Partition,
    PartitionEnd,
    PublisherOptions,
    ReaderOptions,
    ReadResult,
    Receipt,
    Record,
)
from integrity.history.recorder import Recorder

__all__ = [
    "BEGINNING",
    "END",
    "Admin",
    "Connection",
    "Driver",
    "NotAcknowledged",
    "Partition",
    "PartitionEnd",
    "Publisher",
    "PublisherOptions",
    "ReadResult",
    "Reader",
    "ReaderOptions",
    "Receipt",
    "Record",
]


class Driver(ABC):
    """Makes the parts of one client library."""

    #: As the option ``client`` names it.
    name: str
    #: What its parts raise when something went wrong with the broker, the group or the transaction.
    errors: tuple[type[Exception], ...]

    @abstractmethod
    def _publisher(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> Publisher: ...

    @abstractmethod
    def _reader(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> Reader: ...

    @abstractmethod
    def admin(self, connection: Connection) -> Admin:
        """An admin for the connection."""

    def publisher(
        self,
        connection: Connection,
        recorder: Recorder | None = None,
        options: PublisherOptions | None = None,
        **changes: Any,
    ) -> Publisher:
        """A publisher; ``changes`` are fields of PublisherOptions, over ``options``."""
        return self._publisher(connection, recorder, replace(options or PublisherOptions(), **changes))

    def reader(
        self,
        connection: Connection,
        recorder: Recorder | None = None,
        options: ReaderOptions | None = None,
        **changes: Any,
    ) -> Reader:
        """A reader; ``changes`` are fields of ReaderOptions, over ``options``."""
        return self._reader(connection, recorder, replace(options or ReaderOptions(), **changes))
