"""Whether somebody else's cluster is any good, as it is looked at before anything is done. No Kafka in here."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from integrity.brokers import access
from integrity.clients import wire
from integrity.errors import Unavailable
from integrity.settings import Settings


def _checked(monkeypatch: pytest.MonkeyPatch, *answers: SimpleNamespace, topics: Exception | None = None) -> list[str]:
    """The addresses that are asked whether topics may be made, when a cluster is checked that answers so.

    topics: what comes of asking that; None, that they may.
    """
    asked: list[str] = []

    def ask(address: str, properties: object, request: object, seconds: float) -> SimpleNamespace:
        asked.append(address)
        if topics is not None:
            raise topics
        assert request.version <= 3, "what Kafka 2.3 takes"
        return SimpleNamespace(topics=[SimpleNamespace(error_code=0)])

    left = list(answers)
    monkeypatch.setattr(access.wire, "metadata", lambda *_: left.pop(0) if len(left) > 1 else left[0])
    monkeypatch.setattr(access, "THERE_SECONDS", 0.3)
    monkeypatch.setattr(access.wire, "ask", ask)
    client = SimpleNamespace(admin=lambda _: contextlib.nullcontext(SimpleNamespace(topics=list)))
    monkeypatch.setattr(access, "driver", lambda _: client)
    monkeypatch.setattr(access.leavings, "sweep", lambda _: [])
    number = access.check(Settings(broker="external", bootstrap_servers="somewhere:9092")).partition(" ")[0]
    assert number == str(len(answers[-1].brokers))
    return asked


def _listening(*nodes: int, controller: int = -1) -> SimpleNamespace:
    brokers = [SimpleNamespace(node_id=node, host="kafka", port=f"909{node}") for node in nodes]
    return SimpleNamespace(brokers=brokers, controller_id=controller, topics=[])


@pytest.mark.parametrize(("controller", "asked"), [(2, "kafka:9092"), (-1, "kafka:9091"), (7, "kafka:9091")])
def test_a_cluster_that_is_just_starting_is_waited_for_until_it_knows_of_a_broker(monkeypatch, controller, asked):
    """Protects from an IndexError: a broker answers before it is registered, and knows of none then."""
    assert _checked(monkeypatch, _listening(), _listening(1, 2, controller=controller)) == [asked]


def test_a_cluster_that_never_knows_of_a_broker_is_one_line(monkeypatch):
    with pytest.raises(
        Unavailable, match="somewhere:9092 answers, but knows of no broker, itself included: waited 0"
    ) as it:
        _checked(monkeypatch, _listening())
    assert "\n" not in str(it.value)


@pytest.mark.parametrize("error", [wire.Closed("it may want another security.protocol"), wire.NoAnswer("slow")])
def test_whether_topics_may_be_made_is_for_the_scenarios_where_that_is_not_told(monkeypatch, error):
    """Protects from shutting out, for a reason that is none, a service that does not take the question."""
    assert _checked(monkeypatch, _listening(1), topics=error) == ["kafka:9091"]
