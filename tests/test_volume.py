"""Very many messages: what happens when their broker goes away for good."""

from __future__ import annotations

import threading

import pytest

from integrity import waiting
from integrity.brokers.choice import Brokers, choose
from integrity.clients import driver
from integrity.reports.model import ScenarioFacts
from integrity.scene import Scene
from integrity.scenes import volume
from integrity.settings import Settings
from integrity.waiting import WaitTimeout, wait_until

#: Ten times what may be under way at once, for each publisher.
MESSAGES = 10 * volume.MOST_UNSETTLED * volume.PUBLISHERS


@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_publishers_give_up_once_a_message_was_not_acknowledged(client, run, tmp_path, monkeypatch):
    """Each message that is under way takes its whole time to be given up; the others need not be sent at all.

    kafka-python gives up what it has sent, and then neither sends nor gives up anything else.
    """
    settings = Settings(broker="embedded", client=client)
    brokers = Brokers(settings, choose(settings), run)
    broker = brokers.create()
    try:
        broker.start()
        monkeypatch.setattr(waiting, "_timeout_factor", 0.1)  # a message is given up after three seconds
        scene = Scene(broker, {}, brokers, driver(client), tmp_path / "history", ScenarioFacts())
        scene.create_topic(partitions=2)
        work = volume.Volume(scene)

        def kill_when_under_way() -> None:
            wait_until(lambda: any(p.counts["acknowledged"] for p in work._publishers), what="messages", seconds=600)
            broker.kill()

        killer = threading.Thread(target=kill_when_under_way)
        killer.start()
        with pytest.raises((AssertionError, WaitTimeout), match=r"'acknowledged': .*, errors \{"):
            work.run(MESSAGES)
        killer.join()
        scene.recorder.close()
    finally:
        broker.discard()
    for publisher in work._publishers:
        in_vain = sum(publisher.counts.values()) - publisher.counts["acknowledged"]
        assert in_vain <= volume.MOST_UNSETTLED + volume.PIECE, publisher.counts
