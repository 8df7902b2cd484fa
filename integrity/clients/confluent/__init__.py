"""The driver for confluent-kafka (librdkafka)."""

from __future__ import annotations

from confluent_kafka import KafkaException

from integrity.clients.base import Connection, Driver, PublisherOptions, ReaderOptions
from integrity.clients.confluent.admin import ConfluentAdmin
from integrity.clients.confluent.publisher import ConfluentPublisher
from integrity.clients.confluent.reader import ConfluentReader
from integrity.history.recorder import Recorder


class Confluent(Driver):
    """Makes confluent-kafka's publishers, readers and admins."""

    name = "confluent-kafka"
    errors = (KafkaException,)

    def _publisher(
        self, connection: Connection, recorder: Recorder | None, options: PublisherOptions
    ) -> ConfluentPublisher:
        return ConfluentPublisher(connection, recorder, options)

    def _reader(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> ConfluentReader:
        return ConfluentReader(connection, recorder, options)

    def admin(self, connection: Connection) -> ConfluentAdmin:
        return ConfluentAdmin(connection)
