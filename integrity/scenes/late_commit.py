"""A commit that is held on its way and arrives when its publisher's next transaction is open (KAFKA-17754).

The publisher's client does not know that the request is only late: it asks again on a new connection, is told that the
transaction is committed, and begins the next one. With the clients of this suite (EndTxn up to version 4) all of a
publisher's transactions have the same producer id and epoch, so the broker takes the late request for the commit of the
one that is open. A client that is given a new epoch with every transaction (EndTxn from version 5, KIP-890) is safe:
the late request is of an old epoch, and refused as PRODUCER_FENCED.
"""

from __future__ import annotations

import uuid

from kafka.errors import for_code

from integrity.clients import security
from integrity.clients.kafka_python.admin import COORDINATION
from integrity.errors import NotPossible
from integrity.history import schema
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes.wire import Wire

#: Messages of each transaction.
MESSAGES = 50

#: Seconds, before timeout_factor, until the client has asked to commit, and asked again.
HELD_SECONDS = 30.0

#: A broker that its machine has kept from a heartbeat keeps no account of transactions for a moment.
NOT_YET = tuple(error.errno for error in COORDINATION)


def publish(scene: Scene) -> None:
    """Commit a transaction whose commit is held on the way; release it into the next one, and abort that.

    Raises AssertionError when the late commit is refused: then this client and this broker are no longer in danger.
    NotPossible where clients log in: what arrives late comes on a connection of its own, which has not.
    """
    if security.parse(scene.connection.properties).uses_sasl:
        raise NotPossible("what arrives late comes on a connection of its own, and needs a cluster without SASL")
    identity = f"transactions-{uuid.uuid4().hex[:8]}"
    topic = scene.topics[0]
    held = scene.part(Wire).proxy.hold("EndTxn", transactional_id=scene.connection.own(identity))
    with scene.driver.publisher(scene.connection, scene.recorder, transactional_id=identity) as publisher:
        publisher.begin()
        publisher.publish(topic, MESSAGES)
        outcome = publisher.commit()
        held.wait(seconds=HELD_SECONDS)
        if outcome != schema.COMMITTED:
            raise AssertionError(f"the commit that was sent again ended as {outcome}: {publisher.last_error}")
        publisher.begin()
        publisher.publish(topic, MESSAGES)
        publisher.flush(PUBLISH_SECONDS)
        version = held.requests[0].API_VERSION
        (answer,) = held.release(not_yet=NOT_YET)
        if answer.error_code:
            raise AssertionError(
                f"the late commit (EndTxn version {version}) was refused with {for_code(answer.error_code).__name__}: "
                f"{scene.driver.name} on {scene.brokers.version} no longer shows KAFKA-17754: this limit is gone"
            )
        publisher.abort()
