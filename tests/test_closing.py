"""A container's port may be closed a moment after it has gone: an engine in a virtual machine has it forwarded."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from integrity.brokers.base import BrokerConfig
from integrity.brokers.docker import DockerBroker
from integrity.brokers.embedded import EmbeddedBroker
from integrity.faults import process
from integrity.runs import Run
from tests.fake_engine import FakeEngine


class Forwarded:
    """A container that is down, with a forwarder that still listens at its address."""

    def __init__(self, run: Run) -> None:
        self.broker = DockerBroker(BrokerConfig(node=1), image="kafka:1", run=run, port=run.lease_port())
        self.forwarder = socket.create_server(("127.0.0.1", self.broker.port))


@pytest.fixture
def forwarded(fake: FakeEngine, run: Run) -> Iterator[Forwarded]:
    forwarded = Forwarded(run)
    yield forwarded
    forwarded.forwarder.close()
    forwarded.broker.discard()


def test_a_forwarder_that_closes_late_is_waited_for(forwarded: Forwarded) -> None:
    began = time.monotonic()
    closing = threading.Timer(0.5, forwarded.forwarder.close)
    closing.start()
    process.require_down(forwarded.broker, "killed")
    assert 0.4 < time.monotonic() - began < forwarded.broker.closing_seconds
    assert forwarded.broker.refuses_connections()
    closing.join()


def test_one_that_never_closes_proves_no_restart(forwarded: Forwarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its strength: the address must still be seen to refuse."""
    monkeypatch.setattr(DockerBroker, "closing_seconds", 0.3)
    address = forwarded.broker.bootstrap_servers
    with pytest.raises(process.RestartNotProven, match=rf"^broker 1 was stopped, and {address} still accepts conn"):
        process.require_down(forwarded.broker, "stopped")


def test_no_time_is_lost_where_it_refuses_at_once(forwarded: Forwarded) -> None:
    forwarded.forwarder.close()
    began = time.monotonic()
    process.require_down(forwarded.broker, "killed")
    assert time.monotonic() - began < 0.2


def test_nobody_listens_for_a_process_of_this_machine() -> None:
    assert EmbeddedBroker.closing_seconds == 0
