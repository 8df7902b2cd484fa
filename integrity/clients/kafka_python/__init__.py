"""The driver for kafka-python."""

from __future__ import annotations

from kafka.errors import KafkaError

from integrity.clients.base import Connection, Driver, PublisherOptions, ReaderOptions
from integrity.clients.kafka_python.admin import KafkaPythonAdmin
from integrity.clients.kafka_python.publisher import KafkaPythonPublisher
from integrity.clients.kafka_python.reader import KafkaPythonReader
from integrity.history.recorder import Recorder


class KafkaPython(Driver):
    """Makes kafka-python's publishers, readers and admins."""

    name = "kafka-python"
    errors = (KafkaError,)

    def _publisher(
        self, connection: Connection, recorder: Recorder | None, options: PublisherOptions
    ) -> KafkaPythonPublisher:
        return KafkaPythonPublisher(connection, recorder, options)

    def _reader(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> KafkaPythonReader:
        return KafkaPythonReader(connection, recorder, options)

    def admin(self, connection: Connection) -> KafkaPythonAdmin:
        return KafkaPythonAdmin(connection)
