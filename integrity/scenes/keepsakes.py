"""What is looked up before a fault, to be looked up again after it: a topic's settings, times, starts, members.

Nothing here is in the history, which knows messages only; so it is compared directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from integrity.clients.base import Partition
from integrity.clients.kafka_python.admin import KafkaPythonAdmin
from integrity.scene import Scene
from integrity.scenes.reading import DAY, MINUTE_MS, publish_a_day
from integrity.waiting import WaitTimeout

#: The session of members that are to stay members while their broker is restarted, even on a slow machine.
LONG_SESSION_SECONDS = 45.0

#: Seconds until every partition of a broker that is back has its leader, before timeout_factor.
LED_SECONDS = 10.0


class Keepsakes:
    """What a scenario looked up before a fault, by name: a part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._kept: dict[str, Any] = {}

    def keep(self, name: str, value: Any) -> None:
        self._kept[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._kept[name]

    def close(self) -> None:
        """Nothing is under way."""


# -- topics ---------------------------------------------------------------------------------------------
def create_topic_with(scene: Scene, partitions: int, settings: Mapping[str, str]) -> None:
    """A topic with these settings of its own."""
    scene.create_topic(partitions, **settings)
    scene.part(Keepsakes).keep("settings", dict(settings))


def change_settings(scene: Scene, settings: Mapping[str, str]) -> None:
    """Change these settings of the first topic, some that it was made with; the broker has acknowledged that."""
    with scene.driver.admin(scene.connection) as admin:
        admin.set_configs(scene.topics[0], settings)
    scene.part(Keepsakes).keep("settings", scene.part(Keepsakes)["settings"] | settings)


def add_partitions(scene: Scene, more: int) -> None:
    """Give every topic so many partitions more."""
    with scene.driver.admin(scene.connection) as admin:
        for topic in scene.topics:
            scene.partitions[topic] += more
            admin.add_partitions(topic, scene.partitions[topic])


def partition_counts(scene: Scene) -> list[int]:
    """How many partitions each topic has that somebody leads, which a broker does a moment after it is back."""
    with scene.driver.admin(scene.connection) as admin:
        for topic in scene.topics:
            with suppress(WaitTimeout):  # then there are more or fewer, which the numbers tell
                admin.wait_for_leaders(topic, scene.partitions[topic], LED_SECONDS)
        return [sum(leader >= 0 for leader in admin.leaders(topic).values()) for topic in scene.topics]


def settings_now(scene: Scene) -> dict[str, str]:
    """What the first topic's settings are now, of those it was made with or given later."""
    with scene.driver.admin(scene.connection) as admin:
        found = admin.configs(scene.topics[0])
    return {name: found.get(name, "") for name in scene.part(Keepsakes)["settings"]}


# -- times ----------------------------------------------------------------------------------------------
def publish_over_a_day(scene: Scene) -> None:
    """Publish a message for each minute of a day, and look up where each hour begins."""
    publish_a_day(scene)
    scene.part(Keepsakes).keep("hours", beginnings_of_hours(scene))


def beginnings_of_hours(scene: Scene) -> list[dict[Partition, int]]:
    """Where each hour of that day begins, and the time after it, in every partition: the broker's own answer."""
    with scene.driver.admin(scene.connection) as admin:
        return [admin.offsets_at(scene.topics, DAY + hour * 60 * MINUTE_MS) for hour in range(25)]


# -- groups ---------------------------------------------------------------------------------------------
def members(scene: Scene, group: str) -> dict[str, Any]:
    """The group's members and what each is assigned, as the coordinator sees it (kafka-python asks, for any client)."""
    admin = KafkaPythonAdmin(scene.connection)
    try:
        return admin.assignments(group)
    finally:
        admin.close()
