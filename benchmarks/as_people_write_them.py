"""The two tests that this project replaces, as people write them; see founding.py for what was repaired."""

import os
import socket
import time

from kafka import KafkaConsumer, KafkaProducer
from testcontainers.core.container import DockerContainer


def kafka_container():
    """A container with a fixed port, so that clients find it again (repaired: a restart would change it)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = DockerContainer(os.environ["BENCH_IMAGE"])
    container.ports["9092/tcp"] = ("127.0.0.1", port)
    for name, value in {
        "CLUSTER_ID": "MkU3OEVBNTcwNTJENDM2Qk",
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    }.items():
        container.with_env(name, value)
    return container, f"127.0.0.1:{port}"


def wait_for_kafka(server):
    while True:
        try:
            return KafkaProducer(bootstrap_servers=server)
        except Exception:  # noqa: BLE001 - as people write it
            time.sleep(1)


def test_persistence_after_restart():
    container, server = kafka_container()
    with container:
        producer = wait_for_kafka(server)
        producer.send("test_topic", b"Persistent Message").get(timeout=10)
        producer.flush()
        producer.close()

        container.get_wrapped_container().stop()  # repaired: container.stop() would remove it and its data
        time.sleep(5)
        container.get_wrapped_container().start()
        wait_for_kafka(server).close()

        consumer = KafkaConsumer(
            "test_topic", bootstrap_servers=server, auto_offset_reset="earliest", consumer_timeout_ms=5000
        )
        messages = [message.value.decode() for message in consumer]
        consumer.close()
        assert messages[0] == "Persistent Message"


def test_data_integrity():
    container, server = kafka_container()
    with container:
        producer = wait_for_kafka(server)
        sent = ["Message 1", "Message 2", "Message 3"]
        for message in sent:
            producer.send("data_integrity_topic", message.encode())
        producer.flush()
        producer.close()

        consumer = KafkaConsumer(
            "data_integrity_topic",
            bootstrap_servers=server,
            auto_offset_reset="earliest",
            group_id="test_group",
            consumer_timeout_ms=5000,
        )
        received = [message.value.decode() for message in consumer]
        consumer.close()
        assert received == sent
        assert len(received) == len(set(received))
        assert set(received) == set(sent)
