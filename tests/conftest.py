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
from tests.fake_engine import FakeEngine, fake_engine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spark", action="store_true", help="have every history of the tests judged by DuckDB and Spark, and compare"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take Ctrl-C even in the background of a script, where it is ignored and whatever is started inherits that.

    A process of `pytest -n` that is ended from outside, since the whole takes too long, tells where its threads stand.
    """
    if config.getoption("--spark"):
        from tests.on_spark import BothEngines  # the tests without Spark must not pay for it

        both = BothEngines()
        both.install()
        config.pluginmanager.register(both, "both-engines")
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
def spark_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Spark, one for all tests. With --spark it must be there; otherwise what needs it is skipped."""
    from tests import on_spark

    try:
        session = on_spark.start(tmp_path_factory.mktemp("warehouse"))
    except Unavailable as error:
        if request.config.getoption("--spark"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    yield session
    session.stop()


@pytest.fixture(scope="session", autouse=True)
def _both_engines(request: pytest.FixtureRequest) -> None:
    """With --spark: Spark is there before a test asks for a verdict."""
    both = request.config.pluginmanager.get_plugin("both-engines")
    if both is not None:
        both.session = request.getfixturevalue("spark_engine")


@pytest.fixture(scope="session")
def docker_client() -> Iterator[Any]:
    """A client of the container engine of this machine; what needs one is skipped where there is none."""
    try:
        client = engine.engine()
    except Unavailable as error:
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """An engine that only pretends, where the suite looks for one."""
    with fake_engine() as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.address)
        yield fake
