"""How a scenario's topics are made, on whatever cluster."""

from __future__ import annotations

from collections.abc import Mapping

from integrity.brokers.base import Broker
from integrity.clients.base import Admin, Driver
from integrity.clients.errors import code_of
from integrity.errors import NotPossible
from integrity.reports.text import one_line

#: What every topic is given whose own settings do not say otherwise: Kafka's defaults, which somebody's cluster may
#: have changed. The publisher's timestamps, which must come back as all else does, and batches of up to a megabyte.
LIMIT = {"max.message.bytes": "1048588"}
TOPIC = {"message.timestamp.type": "CreateTime"} | LIMIT

#: What a cluster answers whose owner does not allow a topic: INVALID_CONFIG, POLICY_VIOLATION.
NOT_ALLOWED = (40, 44)

#: What it answers whose user may not look settings up: TOPIC_AUTHORIZATION_FAILED. Most scenarios do not need to.
NOT_TOLD = 29


def make(broker: Broker, driver: Driver, admin: Admin, topic: str, partitions: int, configs: Mapping[str, str]) -> bool:
    """Make the topic with as many replicas as it can have; returns whether it takes batches of a megabyte.

    configs: settings of its own, over TOPIC. Where the owner of somebody's cluster does not allow those of TOPIC, its
    defaults have to do. Raises NotPossible where the owner's rules (create.topic.policy.class.name) allow no such
    topic, or its messages would not keep their timestamps.
    """
    refusals = []
    for chosen in (TOPIC | dict(configs), configs):
        try:
            admin.create_topic(topic, partitions=partitions, replication=broker.replication, configs=chosen)
        except driver.errors as error:
            if broker.kind != "external" or code_of(error) not in NOT_ALLOWED:
                raise
            refusals.append(error)
        else:
            return not refusals or _is_good_enough(_told(driver, admin, topic), configs)
    [*_, last] = refusals
    raise NotPossible(f"the cluster does not allow a topic such as {topic}: {one_line(last)}") from last


def _told(driver: Driver, admin: Admin, topic: str) -> Mapping[str, str]:
    """The topic's settings; none where the user may not look them up."""
    try:
        return admin.configs(topic)
    except driver.errors as error:
        if code_of(error) != NOT_TOLD:
            raise
        return {}


def _is_good_enough(told: Mapping[str, str], configs: Mapping[str, str]) -> bool:
    """Whether a topic made with ``configs`` alone takes batches of a megabyte, as far as is told.

    Raises NotPossible where it does not keep its messages' timestamps.
    """
    wanted = {name: value for name, value in TOPIC.items() if name not in configs and name in told}
    stamped, largest = (wanted.get(name) for name in ("message.timestamp.type", "max.message.bytes"))
    if stamped is not None and told["message.timestamp.type"] != stamped:
        raise NotPossible(
            f"the cluster allows no other message.timestamp.type than its own, {told['message.timestamp.type']}"
        )
    return largest is None or int(told["max.message.bytes"]) >= int(largest)
