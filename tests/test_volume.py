"""Very many messages: how many, what is told of them, and what happens when their broker goes away for good."""

from __future__ import annotations

import threading
import time

import pyarrow.dataset as ds
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


CLIENTS = ["kafka-python", "confluent-kafka"]


def test_the_number_of_messages_by_default_is_the_clients():
    assert volume.DEFAULT_MESSAGES == {"kafka-python": 100_000, "confluent-kafka": 1_000_000}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("asked", [None, 3_001])
def test_the_report_has_the_rate_and_how_long_acknowledgements_took(client, asked, run, tmp_path, monkeypatch):
    """``asked``: the option ``messages``; without it there are as many as the client has by default."""
    monkeypatch.setitem(volume.DEFAULT_MESSAGES, client, 2_000)
    settings = Settings(broker="embedded", client=client)
    brokers = Brokers(settings, choose(settings), run)
    broker = brokers.create()
    try:
        broker.start()
        scene = Scene(broker, {}, brokers, driver(client), tmp_path / "history", ScenarioFacts())
        scene.create_topic(partitions=3)
        began = time.monotonic()
        scene.part(volume.Volume).run(asked)
        took = time.monotonic() - began
        verdict = scene.verdict()
        scene.close(passed=True)
    finally:
        broker.discard()
    count = asked or 2_000
    assert (verdict.intact, verdict.acknowledged, verdict.read) == (True, count, count), verdict.words()
    numbers = scene.facts.numbers
    assert numbers["published and read (messages/s)"] >= count / took - 1
    sends = ds.dataset(scene.folder / "sends").to_table().to_pylist()
    taken = sorted((send["settled_at"] - send["sent_at"]).total_seconds() * 1000 for send in sends)
    for name, share in (("median", 0.5), ("99 in 100", 0.99)):
        place = share * (count - 1)
        assert taken[int(place)] - 0.1 <= numbers[f"acknowledged after, {name} (ms)"] <= taken[int(place) + 1] + 0.1
    # The picture's own figures have the same names, so that nothing is told twice.
    shown = [name for name in scene.facts.figures() if name.endswith("(ms)")]
    assert shown == ["acknowledged after, median (ms)", "acknowledged after, 99 in 100 (ms)"]


@pytest.mark.parametrize("client", CLIENTS)
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
