"""What happens to a broker's files between two starts, and what the scenario expects to be gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from integrity.clients.types import DamagedMessages
from integrity.faults import process
from integrity.faults.disk import checkpoints, own_files, power
from integrity.faults.disk.damage import DAMAGES, LOGGED
from integrity.scene import PUBLISH_SECONDS, READ_SECONDS, Scene
from integrity.scenes.load import Load
from integrity.waiting import WaitTimeout, wait_until

#: A broker with these settings notes every 100 ms what it has flushed, and not every minute. It flushes no more often
#: for that.
QUICK_NOTES = {"log.flush.offset.checkpoint.interval.ms": "100"}

#: What makes Kafka flush a topic with every message, and its default: never, that is left to the system.
EVERY_MESSAGE = {"flush.messages": "1"}
NEVER = {"flush.messages": str(2**63 - 1)}

#: A setting of a topic that may be changed without consequence: the ms until it is flushed, by default 2 ** 63 - 1.
_HARMLESS = "flush.ms"

#: What the system says, and Kafka's log with it, when a disk is full.
NO_SPACE = "No space left on device"

#: Seconds for the broker to note what it has flushed.
NOTE_SECONDS = 20.0

#: Seconds for it to take up a changed setting.
SETTING_SECONDS = 20.0


def damage(scene: Scene, how: str, what: str) -> None:
    """Take the broker down, do ``what`` (of DAMAGES) to its files, start it again.

    Raises FaultNotProven when there was nothing to do it to, or when the broker, which logs that it goes by such a
    thing, does not; AssertionError when it does not come back.
    """
    scene.tampered = True
    mark = scene.broker.log_mark()

    def harm() -> None:
        with own_files(scene.broker) as files:
            changed = DAMAGES[what](files, scene.topics)
        if not changed:
            raise process.FaultNotProven(f"{what}: there was nothing to do it to")
        scene.note(scene.broker.label, "damaged", f"{what} ({changed} files)")

    _restart(scene, how, harm, what)
    if what in LOGGED and LOGGED[what] not in scene.broker.log(mark):
        raise process.FaultNotProven(f"{what}: {scene.broker.label} was to log {LOGGED[what]!r} at its start")


def _restart(scene: Scene, how: str, harm: Callable[[], None], what: str) -> None:
    """Take the broker down, harm its files, start it again. Raises AssertionError when it does not come back.

    What is done to its files may cost it time, and messages where that is said; it has to start all the same. That it
    does not go down, or that its files cannot be had, is no promise of Kafka's: those errors stay what they are.
    """
    try:
        scene.restart(how, while_down=harm)
    except process.DoesNotComeBack as failed:
        raise AssertionError(f"{what}, and {failed}") from failed


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
    """Publish with a flush for every message, and wait until the broker has noted that all of it is flushed.

    Raises AssertionError when it does not: it has promised to flush before it acknowledges.
    """
    _set_configs(scene, EVERY_MESSAGE)
    scene.publish(count)
    with scene.driver.admin(scene.connection) as admin:
        ends = admin.end_offsets(scene.topics, PUBLISH_SECONDS)

    def unflushed() -> list[str]:
        points = checkpoints.parse(scene.broker.peek(checkpoints.RECOVERY_POINT).decode())
        behind = [(place, points.get(place, 0), end) for place, end in ends.items() if points.get(place, 0) < end]
        return [f"{topic}-{number} from offset {point} to {end}" for (topic, number), point, end in behind]

    what = f"{scene.broker.label} to note what it has flushed"
    try:
        wait_until(lambda: not unflushed(), what=what, seconds=NOTE_SECONDS, check=scene.connection.check)
    except WaitTimeout as timeout:
        raise AssertionError(
            "acknowledged, and not flushed although the topic asks for it with every message: "
            f"{', '.join(unflushed())} ({timeout})"
        ) from timeout


def publish_unflushed(scene: Scene, count: int) -> None:
    """Publish without any flush; from here on these messages may go with the power.

    They are excused by what they are and not by their places, which are given to others once they are gone.
    """
    _set_configs(scene, NEVER)
    publisher = scene.publish(count)
    scene.recorder.row("excused", None, None, None, None, publisher, 0, count - 1, "power loss before a flush")


def fill_disk(scene: Scene) -> None:
    """Wait until the publishers at work have filled the disk and the broker has given up; then make room and start it.

    The publishers begin nothing more then, so that they do not fill it again, and only finish what is under way.
    Raises FaultNotProven when it gave up for another reason.
    """
    broker, load = scene.broker, scene.part(Load)
    broker.wait_for_death("its disk is full")
    # In all of its log: it is this scenario's alone, and its disk may have been full before anybody came to look.
    if NO_SPACE not in broker.log():
        raise process.FaultNotProven(f"{broker.label} gave up, but not for want of space:\n{broker.log_tail()}")
    load.begin_nothing_more()
    broker.make_room()
    process.bring_back(broker)


def lose_power(scene: Scene, remains: str = "nothing", *, must_take: bool = True) -> None:
    """Kill the broker, take away what it had not flushed, and start it again.

    remains: of integrity.faults.disk.power.REMAINS. Raises FaultNotProven when nothing of the scenario's topics
    was taken although ``must_take``, AssertionError when the broker does not come back.
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

    _restart(scene, "killed", cut, "the power failed")


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
            except DamagedMessages as error:
                reader.log.end(topic, partition, end, False)
                told.append(f"{topic}-{partition}: {error}")
    scene.already_read.update(scene.topics)
    return told
