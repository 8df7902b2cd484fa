"""What happens to a broker's files between two starts, and what the scenario expects to be gone afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from integrity.faults import process
from integrity.faults.disk import checkpoints, own_files, power
from integrity.faults.disk.damage import DAMAGES
from integrity.scene import PUBLISH_SECONDS, READ_SECONDS, Scene
from integrity.scenes.load import Load
from integrity.waiting import wait_until

#: A broker with these settings notes every 100 ms what it has flushed, and not every minute. It flushes no more often
#: for that.
QUICK_NOTES = {"log.flush.offset.checkpoint.interval.ms": "100"}

#: What makes Kafka flush a topic with every message, and its default: never, that is left to the system.
EVERY_MESSAGE = {"flush.messages": "1"}
NEVER = {"flush.messages": str(2**63 - 1)}

#: A setting of a topic that may be changed without consequence: the ms until it is flushed, by default 2 ** 63 - 1.
_HARMLESS = "flush.ms"

#: What a reader's error says of a batch whose checksum is wrong: kafka-python's words, and librdkafka's.
DAMAGE_WORDS = ("crc", "corrupt", "bad message")

#: What the system says, and Kafka's log with it, when a disk is full.
NO_SPACE = "No space left on device"

#: Seconds for the broker to note what it has flushed.
NOTE_SECONDS = 20.0

#: Seconds for it to take up a changed setting.
SETTING_SECONDS = 20.0


def damage(scene: Scene, how: str, what: str) -> None:
    """Take the broker down, do ``what`` (of DAMAGES) to its files, start it again."""
    scene.tampered = True

    def harm() -> None:
        with own_files(scene.broker) as files:
            changed = DAMAGES[what](files, scene.topics)
        if not changed:
            raise process.FaultNotProven(f"{what}: there was nothing to do it to")
        scene.note(scene.broker.label, "damaged", f"{what} ({changed} files)")

    scene.restart(how, while_down=harm)


def _set_configs(scene: Scene, configs: Mapping[str, str]) -> None:
    """Change all topics' settings, and wait until the broker goes by them.

    It names new settings a moment before it goes by them, and opens every log of a new topic in between. But it takes
    up one change after the other (KRaft's MetadataLoader): once it names a second one, made when it named the first,
    it goes by the first.
    """
    with scene.driver.admin(scene.connection) as admin:
        for topic in scene.topics:
            second = {_HARMLESS: str(int(admin.configs(topic)[_HARMLESS]) - 1)}
            for change in (configs, second):
                admin.set_configs(topic, change)
                wait_until(
                    lambda topic=topic, change=change: change.items() <= admin.configs(topic).items(),
                    what=f"{scene.broker.label} to take up {change} for topic {topic}",
                    seconds=SETTING_SECONDS,
                    check=scene.connection.check,
                )


def publish_flushed(scene: Scene, count: int) -> None:
    """Publish with a flush for every message, and wait until the broker has noted that all of it is flushed."""
    _set_configs(scene, EVERY_MESSAGE)
    scene.publish(count)
    with scene.driver.admin(scene.connection) as admin:
        ends = admin.end_offsets(scene.topics, PUBLISH_SECONDS)

    def noted() -> bool:
        points = checkpoints.parse(scene.broker.peek(checkpoints.RECOVERY_POINT).decode())
        return all(points.get(place, 0) >= end for place, end in ends.items())

    what = f"{scene.broker.label} to note what it has flushed"
    wait_until(noted, what=what, seconds=NOTE_SECONDS, check=scene.connection.check)


def publish_unflushed(scene: Scene, count: int) -> None:
    """Publish without any flush; from here on the messages may go with the power."""
    _set_configs(scene, NEVER)
    with scene.driver.admin(scene.connection) as admin:
        before = admin.end_offsets(scene.topics, PUBLISH_SECONDS)
        scene.publish(count)
        after = admin.end_offsets(scene.topics, PUBLISH_SECONDS)
    for (topic, partition), begin in before.items():
        if after[topic, partition] > begin:
            scene.recorder.excuse(topic, partition, begin, after[topic, partition] - 1, "power loss before a flush")


def fill_disk(scene: Scene) -> None:
    """Wait until the publishers at work have filled the disk and the broker has given up; then make room and start it.

    The publishers begin nothing more then, so that they do not fill it again, and only finish what is under way.
    Raises FaultNotProven when it gave up for another reason.
    """
    broker, load = scene.broker, scene.part(Load)
    mark = broker.log_mark()
    broker.wait_for_death("its disk is full")
    if NO_SPACE not in broker.log(mark):
        raise process.FaultNotProven(f"{broker.label} gave up, but not for want of space:\n{broker.log_tail()}")
    load.begin_nothing_more()
    broker.make_room()
    broker.start()


def lose_power(scene: Scene, remains: str = "nothing", *, must_take: bool = True) -> None:
    """Kill the broker, take away what it had not flushed, and start it again.

    remains: of integrity.faults.disk.power.REMAINS. Raises FaultNotProven when nothing of the scenario's topics
    was taken although ``must_take``.
    """
    scene.tampered = True

    def cut() -> None:
        with own_files(scene.broker) as files:
            cuts = [each for each in power.lose_unflushed(files, remains) if each.partition[0] in scene.topics]
        taken = sum(each.batches for each in cuts)
        if must_take and not taken:
            raise process.FaultNotProven("the power failed, and everything had been flushed: nothing was lost")
        scene.facts.numbers["batches lost with the power"] = taken
        scene.note(scene.broker.label, "lost power", f"{taken} batches that were not flushed are gone")

    scene.restart("killed", while_down=cut)


def told_of_damage(scene: Scene) -> list[str]:
    """Read every partition with a reader of its own; returns what those were told that could not read on.

    What they got until then is in the history, and is judged as it is: nothing is read again for the verdict.
    """
    scene.spoiled = True  # what is damaged so that readers are told stays damaged
    told = []
    with scene.driver.admin(scene.connection) as admin:
        ends = admin.end_offsets(scene.topics, READ_SECONDS)
    for (topic, partition), end in ends.items():
        with scene.driver.reader(scene.connection, scene.recorder) as reader:
            try:
                reader.read_to_end(topic, READ_SECONDS, ends={(topic, partition): end})
            except Exception as error:  # the two clients have nothing in common but the words
                if not any(word in str(error).lower() for word in DAMAGE_WORDS):
                    raise
                reader.log.end(topic, partition, end, False)
                told.append(f"{topic}-{partition}: {error}")
    scene.already_read.update(scene.topics)
    return told
