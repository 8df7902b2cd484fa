"""kafka-python and confluent-kafka behind one small interface.

``driver("confluent-kafka")`` returns a Driver, which makes publishers, readers and an admin for a Connection::

    client = driver("kafka-python")
    connection = Connection(broker.bootstrap_servers)
    with client.admin(connection) as admin:
        admin.create_topic("orders", partitions=3)
    with client.publisher(connection, recorder) as publisher:
        publisher.publish("orders", 10_000, size=100)
        publisher.flush(30)
    with client.reader(connection, recorder) as reader:
        result = reader.read_to_end("orders", seconds=30)

The recorder is optional everywhere: with None nothing is recorded. A client library is imported only when its driver is
asked for.
"""

from __future__ import annotations

from integrity.clients.base import (
    Admin,
    Connection,
    Driver,
    NotAcknowledged,
    Publisher,
    PublisherOptions,
    Reader,
    ReaderOptions,
    ReadResult,
    Receipt,
    Record,
)
from integrity.clients.messages import IDENTITY_HEADER, Message
from integrity.errors import BadOption

__all__ = [
    "DRIVERS",
    "IDENTITY_HEADER",
    "Admin",
    "Connection",
    "Driver",
    "Message",
    "NotAcknowledged",
    "Publisher",
    "PublisherOptions",
    "ReadResult",
    "Reader",
    "ReaderOptions",
    "Receipt",
    "Record",
    "driver",
]

#: The names that ``driver`` and the option ``client`` take.
DRIVERS = ("kafka-python", "confluent-kafka")


def driver(name: str) -> Driver:
    """The driver of that name. Raises BadOption for any other name."""
    if name == "kafka-python":
        from integrity.clients.kafka_python import KafkaPython

        return KafkaPython()
    if name == "confluent-kafka":
        from integrity.clients.confluent import Confluent

        return Confluent()
    raise BadOption(f"client is one of {', '.join(DRIVERS)}, not {name!r}")
