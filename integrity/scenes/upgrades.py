"""Another version of Kafka, or another container, under the same data."""

from __future__ import annotations

from typing import Any

from kafka import KafkaAdminClient

from integrity.brokers.base import READY_SECONDS
from integrity.clients.kafka_python.settings import connection_arguments
from integrity.faults.process import FaultNotProven
from integrity.scene import Scene
from integrity.waiting import scaled, wait_until

#: Raised before all others, which need it; and left as it is, since it belongs to a kind of quorum that the suite's
#: brokers do not have.
FIRST = "metadata.version"
NOT_RAISED = "kraft.version"


def upgrade(scene: Scene) -> None:
    """Stop the broker and start the version under test on its data, at its address."""
    before = scene.broker.version
    scene.restart("stopped", while_down=lambda: scene.broker.become(None))
    scene.note(scene.broker.label, "upgraded", f"from {before} to {scene.broker.version}")


def raise_features(scene: Scene) -> None:
    """Raise every feature but NOT_RAISED to the highest level that the broker supports, as after an upgrade.

    Raises AssertionError when there is nothing to raise: then no upgrade happened.
    """
    admin = KafkaAdminClient(
        bootstrap_timeout_ms=int(scaled(30.0) * 1000),
        **connection_arguments(scene.connection, "kafka-integrity-upgrade", 10.0),
    )
    try:
        raised = []
        for name in sorted(admin.describe_features().keys() - {NOT_RAISED}, key=lambda name: (name != FIRST, name)):
            highest = _level(admin.describe_features(), name, "supported")
            if highest > _level(admin.describe_features(), name, "finalized"):
                admin.update_features({name: highest})
                wait_until(
                    lambda name=name, highest=highest: _level(admin.describe_features(), name, "finalized") == highest,
                    what=f"{name} to be raised to level {highest}",
                    seconds=READY_SECONDS,
                    check=scene.connection.check,
                )
                raised.append(f"{name} {highest}")
    finally:
        admin.close()
    if not raised:
        raise FaultNotProven("every feature was at its highest level already: no upgrade happened")
    scene.note(scene.broker.label, "features raised", ", ".join(raised))


def _level(features: dict[str, Any], name: str, kind: str) -> int:
    """The level of a feature, 0 when it is not there: the upper end of what is supported or finalized."""
    return features.get(name, {}).get(kind, (0, 0))[1]


def recreate_container(scene: Scene, how: str) -> None:
    """Take the broker, which is in a container, down, remove its container, and start a new one on the same volume."""
    scene.restart(how, while_down=scene.broker.recreate)
