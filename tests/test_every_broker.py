"""What is so when every broker says so: each is asked until it does, and then no more. No Kafka in here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from integrity.clients import Connection, wire
from integrity.clients.admin import Admin
from integrity.waiting import WaitTimeout

FIRST = "kafka:9090"


class Several:
    """Brokers that answer in turn, the last answer from then on: each says which leaders a topic has, or raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[list[int] | Exception]) -> None:
        self.answers = {f"kafka:909{number}": told for number, told in enumerate(answers, 1)}
        self.asked: list[str] = []
        monkeypatch.setattr(wire, "metadata", self.metadata)
        bare = type("Bare", (Admin,), {"leaders": lambda _, topic: self.client_says})
        bare.__abstractmethods__ = frozenset()
        self.client_says: dict[int, int] = {0: 1, 1: 2}
        self.admin = bare()
        self.admin.connection = Connection(FIRST)

    def metadata(self, address: str, properties: object, seconds: float, topics: list[str]) -> SimpleNamespace:
        brokers = [SimpleNamespace(host="kafka", port=each[-4:]) for each in self.answers]
        told: list[int] | Exception = []
        if address != FIRST:
            self.asked.append(address)
            left = self.answers[address]
            told = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(told, Exception):
            raise told
        parts = [SimpleNamespace(partition_index=number, leader_id=node) for number, node in enumerate(told)]
        return SimpleNamespace(brokers=brokers, topics=[SimpleNamespace(partitions=parts)])


LED, UNLED, UNKNOWN = [1, 2], [1, -1], []


def test_one_that_knows_the_leaders_is_not_asked_again_for_the_sake_of_others(monkeypatch):
    several = Several(monkeypatch, [LED], [UNKNOWN, wire.NoAnswer("slow"), UNLED, LED], [LED])
    several.admin.wait_for_leaders("topic", 2)
    assert several.asked == ["kafka:9091", *["kafka:9092"] * 4, "kafka:9093"]


def test_one_that_has_forgotten_a_topic_is_not_asked_again_for_the_sake_of_others(monkeypatch):
    several = Several(monkeypatch, [UNKNOWN], [LED, UNKNOWN], [LED, LED, UNKNOWN])
    several.client_says = {}
    monkeypatch.setattr(several.admin, "_delete_topic", lambda *_: None)
    several.admin.delete_topic("topic")
    assert several.asked == ["kafka:9091", *["kafka:9092"] * 2, *["kafka:9093"] * 3]


def test_one_that_never_says_so_is_waited_for_in_vain(monkeypatch):
    several = Several(monkeypatch, [LED], [UNLED])
    with pytest.raises(WaitTimeout, match="for every broker to know a leader for every partition of topic topic"):
        several.admin.wait_for_leaders("topic", 2, seconds=0.1)


def test_what_is_asked_at_another_time_is_asked_of_every_broker_again(monkeypatch):
    several = Several(monkeypatch, [LED], [LED])
    for _ in range(2):
        several.admin.wait_for_leaders("topic", 2)
    assert several.asked == ["kafka:9091", "kafka:9092"] * 2
