"""Reading while a transaction is open."""

from __future__ import annotations

from integrity.scene import READ_SECONDS, Scene

#: Seconds for which the reader waits for what should not come, once it has everything that should.
LINGER_SECONDS = 0.2


def read_committed(scene: Scene, count: int) -> None:
    """Let a reader of committed messages get so many records, and whatever else it is shown, into the history.

    Raises AssertionError when it does not get as many. A reader that asks for the end would wait for the open
    transaction: the end that it is told is behind it.
    """
    with scene.driver.reader(scene.connection, scene.recorder, committed_only=True) as reader:
        reader.assign_topics(scene.topics)
        got = len(reader.read(count, READ_SECONDS)) + len(reader.poll(LINGER_SECONDS))
    if got < count:
        raise AssertionError(f"a reader of committed messages got {got:,} of the {count:,} that are committed")
