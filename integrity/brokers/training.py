"""What a broker is put to while its ahead-of-time cache is recorded: a little of what the features ask of one.

The cache holds what Java had loaded, and learned, by then. Recorded on a broker that only started and stopped, it
lacked what serving takes: up to the first messages, group and transaction 1,700 classes were not in it, now 1,100, and
after the start these took 1.1 s of processor time, now 0.7 s (Kafka 4.3.1).
"""

from __future__ import annotations

from integrity.clients import Connection, Message, NotAcknowledged, driver
from integrity.waiting import WaitTimeout

TOPIC = "training"
GROUP = "trainees"
PARTITIONS = (0, 1, 2)

#: Messages of one burst, and bursts: what is published in several is appended in several batches.
BURST = 50
BURSTS = 10

#: Seconds, before timeout_factor, for each thing that is asked.
SECONDS = 30.0

#: What ``use`` raises when the broker does not do as it is asked.
ERRORS: tuple[type[Exception], ...] = (NotAcknowledged, WaitTimeout, *driver("kafka-python").errors)


def use(connection: Connection) -> None:
    """Publish, with every codec and in transactions, read as a group, ask and change what an admin may, clean up.

    Raises one of ERRORS when the broker does not do it in time.
    """
    client = driver("kafka-python")
    with client.admin(connection) as admin:
        admin.create_topic(TOPIC, partitions=len(PARTITIONS))
        published = 0
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            with client.publisher(connection, compression=codec) as publisher:
                for _ in range(BURSTS):
                    published += publisher.publish(TOPIC, BURST, partitions=PARTITIONS)
                    publisher.flush(SECONDS)
                publisher.send_and_wait(Message(TOPIC, b"value", key=b"key"), SECONDS)
        with client.reader(connection, group=GROUP) as reader:
            reader.subscribe([TOPIC])
            reader.read(published, SECONDS)
            offsets = reader.commit()
            with client.publisher(connection, transactional_id=TOPIC) as publisher:
                for end in (publisher.commit, publisher.commit, publisher.abort):
                    publisher.begin()
                    publisher.publish(TOPIC, BURST, partitions=PARTITIONS)
                    publisher.send_offsets(offsets, reader)
                    end(SECONDS)
        with client.reader(connection, committed_only=True) as reader:
            reader.read_to_end(TOPIC, SECONDS)
        admin.set_configs(TOPIC, {"segment.bytes": str(2 << 20)})
        admin.configs(TOPIC)
        admin.offsets_at([TOPIC], 0)
        admin.delete_records({(TOPIC, PARTITIONS[0]): BURST})
        admin.committed(GROUP)
        admin.members(GROUP)
        admin.delete_group(GROUP)
        admin.delete_topic(TOPIC)
