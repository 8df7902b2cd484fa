"""What is said of the Kafka that answers is what it says of itself, and the names are Kafka's own."""

from __future__ import annotations

import subprocess

import pytest

from integrity.brokers import metadata_version
from integrity.brokers.distribution import Distribution
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients.types import Connection
from tests.report_samples import ENVIRONMENT, behave, project


def test_a_broker_tells_the_level_of_its_release(broker: EmbeddedBroker) -> None:
    assert metadata_version.told_by(broker.connection) == "4.3-IV0"


def test_who_does_not_answer_tells_nothing(run) -> None:
    port = run.lease_port()
    assert metadata_version.told_by(Connection(f"127.0.0.1:{port}")) == ""
    run.release_port(port)


@pytest.mark.parametrize(
    ("settled", "known", "words"),
    [
        (30, 30, "4.3-IV0"),
        (7, 7, "3.3-IV3"),
        (21, 30, "3.9-IV0 (the broker knows up to 4.3-IV0)"),
        (99, 99, "level 99"),
        (30, 0, "4.3-IV0"),
        (0, 30, ""),
    ],
)
def test_levels_in_words(settled: int, known: int, words: str) -> None:
    assert metadata_version.words(settled, known) == words


def test_the_names_are_those_of_kafkas_own_table(kafka: Distribution) -> None:
    """Its tool, asked for a release that there is not, lists the names of all levels in their order."""
    words = [str(kafka.java), "-XX:TieredStopAtLevel=1", "-cp", ":".join(map(str, kafka.jars))]
    tool = [*words, "kafka.tools.StorageTool", "version-mapping", "--release-version"]

    def says(release: str) -> str:
        done = subprocess.run([*tool, release], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    known = says("9.9").splitlines()[0].partition(" are: ")[2].split(", ")
    named = [metadata_version.name(level) for level in range(7, 31)]
    assert known[: len(named)] == named
    assert "metadata.version=30 (4.3-IV0)" in says("4.3-IV0")


def test_what_a_broker_told_elsewhere_is_in_the_reports(tmp_path) -> None:
    """Features that another process ran: this one has had no broker to ask."""
    told = """
def before_feature(context, feature):
    view = context.reports.view(feature)
    view.metadata_version = "4.3-IV0"
    context.reports.receive(feature, view)
"""
    text = "Feature: F\n  Scenario: one\n    Given it works\n"
    folder = project(tmp_path, {"f.feature": text}, environment=ENVIRONMENT + told)
    behave(folder)
    assert '"metadata.version" value="4.3-IV0"' in (folder / "reports/junit/TESTS-features.f.xml").read_text()
    assert "<dt>metadata.version</dt><dd>4.3-IV0</dd>" in (folder / "reports/report.html").read_text()
