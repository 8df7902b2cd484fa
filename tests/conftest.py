"""What the tests share: one run of the suite's own, and one real embedded broker per test session."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from integrity.brokers import distribution, engine, jvm
from integrity.brokers.base import BrokerConfig
from integrity.brokers.embedded import EmbeddedBroker
from integrity.errors import Unavailable
from integrity.runs import Run
from integrity.settings import Settings


def pytest_configure() -> None:
    """Take Ctrl-C even in the background of a script, where it is ignored and whatever is started inherits that.

    A process of `pytest -n` that is ended from outside, since the whole takes too long, tells where its threads stand.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # A copy: the tests' output goes elsewhere while they run.
        faulthandler.register(signal.SIGTERM, file=os.dup(sys.__stderr__.fileno()), chain=True)


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """A run with a folder and port leases, ended after the last test."""
    run = Run.begin()
    yield run
    run.end()


@pytest.fixture(scope="session")
def kafka(run: Run) -> distribution.Distribution:
    """The pinned Kafka, fetched and prepared."""
    fetched = distribution.fetch(Settings().kafka)
    jvm.prepare(fetched, run)
    return fetched


@pytest.fixture(scope="session")
def broker(run: Run, kafka: distribution.Distribution) -> Iterator[EmbeddedBroker]:
    """A running broker shared by all tests that do not harm it; each uses topics of its own."""
    broker = EmbeddedBroker(BrokerConfig(node=1), distribution=kafka, run=run)
    try:
        broker.start()
        yield broker
    finally:
        broker.discard()


@pytest.fixture(scope="session")
def docker_client() -> Iterator[Any]:
    """A client of the container engine of this machine; what needs one is skipped where there is none."""
    try:
        client = engine.engine()
    except Unavailable as error:
        pytest.skip(str(error))
    yield client
    client.close()
