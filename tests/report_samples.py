"""Real behave runs on tiny features that need no broker: what the tests of the reports look at.

``python -m tests.report_samples DIR`` makes a sample of everything a report can show in DIR, to look at in a browser.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from integrity.history import schema

ROOT = Path(__file__).resolve().parent.parent

INI = """\
[behave]
junit = true
junit_directory = reports/junit
"""

ENVIRONMENT = """\
from integrity.reports import RunFacts, install

def before_all(context):
    context.reports = install(context, RunFacts(broker="embedded", kafka="4.3.1", client="kafka-python 3.0.12", seed=7))

def before_scenario(context, scenario):
    context.facts = context.reports.scenario(scenario)

def after_scenario(context, scenario):
    context.reports.keep_evidence(
        scenario, keep=context.config.userdata.get("keep", "failed"), logs={"broker 1": "[1] started\\n"}
    )
"""

STEPS = r"""
import os
import signal
import sys
from behave import step
from integrity.faults.process import RestartNotProven

@step("it works")
def works(context):
    print("something was printed")

@step("it is false")
def false(context):
    raise AssertionError("Message 3 is missing. It was acknowledged at offset 2.")

@step("it says {what:w}")
def says(context, what):
    raise AssertionError({
        "control": "a\x00b\x08c\x1b[31mred\x1b[0m\x85 d",
        "surrogate": "lone \ud800 surrogate \uffff",
        "markup": "]]> <script>alert(1)</script> & \"quotes\"",
        "direction": "right \u202e left",
        "nothing": "",
        "hamcrest": "in order\nExpected: <[1, 2]>\n     but: was <[2, 1]>\n",
    }[what])

@step("nothing shows that the broker was down")
def not_proven(context):
    raise RestartNotProven("broker 1 was killed, and 127.0.0.1:1 still accepts connections")

@step("it breaks")
def breaks(context):
    {}["missing key"]

@step("it prints control characters")
def prints(context):
    print("out \x00 \x1b[1mbold\x1b[0m ]]>")
    print("err \x01 \ufffe", file=sys.stderr)

@step("it takes {words}")
def takes(context, words):
    context.facts.numbers["words"] = len(words)

@step("it is skipped because {reason}")
def skipped(context, reason):
    context.scenario.skip(reason)

@step("the person presses Ctrl-C")
def interrupted(context):
    raise KeyboardInterrupt

@step("the run is told to end")
def terminated(context):
    os.kill(os.getpid(), signal.SIGINT)
"""


def project(folder: Path, features: dict[str, str], environment: str = ENVIRONMENT, steps: str = STEPS) -> Path:
    """A behave project in ``folder``; ``features`` maps a path below features/ to a feature's text."""
    for path, text in features.items():
        file = folder / "features" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "steps").mkdir(exist_ok=True)
    (folder / "steps" / "steps.py").write_text(steps, encoding="utf-8")
    (folder / "environment.py").write_text(environment, encoding="utf-8")
    (folder / "behave.ini").write_text(INI, encoding="utf-8")
    return folder


def behave(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run behave in ``folder`` as a person would, without a terminal; output and errors come back as one text."""
    return subprocess.run(
        [sys.executable, "-m", "behave", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )


START = datetime(2026, 1, 2, 3, 4, 5)


def history(
    folder: Path, *, messages: int = 300, partitions: int = 3, lost: int = 0, seed: int = 7, start: datetime = START
) -> dict[str, object]:
    """A history in ``folder``: publishing, broker 1 killed for 1.7 s, reading. Returns its verdict.

    ``lost``: that many acknowledged messages around the kill are read by nobody.
    """
    choice = random.Random(seed)
    sends: list[dict[str, object]] = []
    reads: list[dict[str, object]] = []
    examples: list[dict[str, object]] = []
    offsets = [0] * partitions
    for sequence in range(messages):
        partition = sequence % partitions
        share = sequence / messages
        # The middle third of the time nothing is acknowledged: the broker is away.
        sent = start + timedelta(seconds=5 * share if share < 0.5 else 5 * share + 1.7)
        settled = sent + timedelta(milliseconds=choice.lognormvariate(1.2, 0.6))
        offset, offsets[partition] = offsets[partition], offsets[partition] + 1
        place = {"topic": "orders", "partition": partition, "offset": offset, "publisher": 0, "sequence": sequence}
        sends.append({**place, "outcome": "acknowledged", "digest": sequence, "sent_at": sent, "settled_at": settled})
        if messages // 2 - lost <= sequence < messages // 2:
            examples.append(place)
            continue
        read = start + timedelta(seconds=7.2 + 1.5 * share)
        reads.append({**place, "reader": 0, "poll": 0, "digest": sequence, "committed_only": False, "read_at": read})
        reads[-1]["position"] = len(reads) - 1
    events = [
        (2.5, "killed", "SIGKILL to process 4711"),
        (3.1, "started", ""),
        (4.2, "ready", ""),
    ]
    rows = [
        {"at": start + timedelta(seconds=at), "subject": "broker 1", "what": what, "detail": detail}
        for at, what, detail in events
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for table, data in ((schema.SENDS, sends), (schema.READS, reads), (schema.EVENTS, rows)):
        pq.write_table(pa.Table.from_pylist(data, schema=table.arrow), folder / f"{table.name}.parquet")
    found = {"lost": {"count": lost, "examples": examples[:20]}} if lost else {}
    return {"intact": not lost, "anomalies": found, "acknowledged": messages, "read": len(reads)}


SAMPLE_FEATURES = {
    "persistence/restart.feature": """\
@persistence
Feature: Acknowledged messages survive a broker restart
  Once a broker has acknowledged a message it is kept for as long as the topic's retention says,
  whether or not the broker stays up. Not promised: messages that were never acknowledged.

  Scenario: A message is still there after the broker was stopped and started
    Given a running broker
    And the message "Persistent Message" was acknowledged on topic "test_topic"
    When the broker is stopped and started again
    Then topic "test_topic" holds exactly the message "Persistent Message"

  Scenario Outline: Everything acknowledged before the broker went down is read back
    Given a topic with 3 partitions
    And 10,000 messages were acknowledged
    When the broker is <taken down> and started again
    Then every acknowledged message is read once, in order and unchanged

    Examples:
      | taken down |
      | stopped    |
      | killed     |
      | cut off    |
""",
    "delivery/data_integrity.feature": """\
Feature: Messages arrive complete, in order and unchanged
  What one publisher sends to one partition is read in the order it was sent, each message once.
  Not promised: any order across partitions.

  Rule: A partition keeps the order of its publisher
    Not promised: order among several publishers.

    Scenario: Three messages are read in the order they were sent
      Given these messages were acknowledged on topic "data_integrity_topic"
        | message   |
        | Message 1 |
        | Message 2 |
        | Message 3 |
      When a consumer group reads the topic from the beginning
      Then their order is preserved

  Rule: Nothing is delivered twice
    Scenario: A million messages are read once each under load
      Given 5,000 messages were acknowledged
      Then every acknowledged message is read once, in order and unchanged

    @docker
    Scenario: A container that is removed takes its messages along
      Given the broker runs in a container
      Then every acknowledged message is read once, in order and unchanged
""",
    "limits/across_partitions.feature": """\
Feature: Order across partitions is not promised
  Two messages in different partitions may be read in either order.

  Scenario: Messages of two partitions are read in another order than they were sent
    Given 300 messages were acknowledged
    Then a reader sees them in another order
""",
}

SAMPLE_ENVIRONMENT = """\
from integrity.reports import RunFacts, install

def before_all(context):
    context.reports = install(context, RunFacts(
        broker="embedded", broker_why="auto: no Docker engine answers", kafka="4.3.1", client="kafka-python 3.0.12",
        seed=4711, settings={"broker": "auto", "client": "kafka-python", "sasl_password": "hunter2", "keep": "failed"}))

def before_scenario(context, scenario):
    context.facts = context.reports.scenario(scenario)
    context.history = None

def after_scenario(context, scenario):
    context.reports.keep_evidence(scenario, logs={"broker 1": "[2026-01-02] INFO started\\n"}, history=context.history)
"""

SAMPLE_STEPS = """\
import tempfile
from pathlib import Path
from behave import step, use_step_matcher
from tests.report_samples import history
from integrity.reports import timeline

use_step_matcher("re")

def record(context, **how):
    context.history = Path(tempfile.mkdtemp(dir=".")) / "history"
    context.facts.verdict = history(context.history, **how)
    context.facts.timeline = timeline.from_history(context.history, context.facts.verdict)

@step("(?P<count>[0-9,]+) messages were acknowledged")
def acknowledged(context, count):
    context.messages = int(count.replace(",", ""))

@step("the broker is (?P<how>stopped|killed|cut off) and started again")
def down(context, how):
    record(context, messages=getattr(context, "messages", 30), lost=2 if how == "killed" else 0)

@step("every acknowledged message is read once, in order and unchanged")
def judged(context):
    if context.history is None:
        record(context, messages=context.messages, partitions=6)
    verdict = context.facts.verdict
    if verdict["intact"]:
        context.facts.verdict_words = f"Every one of {verdict['acknowledged']:,} messages was read once."
        return
    context.facts.verdict_words = (
        "lost on disk: publisher 0's messages 4,998 and 4,999 were acknowledged at offsets 1,666 of orders-0 and "
        "1,666 of orders-1, and neither is in the broker's files.")
    raise AssertionError(
        "2 of 10,000 acknowledged messages were lost after broker 1 was killed.\\n\\nFirst: orders-0 1666")

@step("the broker runs in a container")
def container(context):
    context.scenario.skip("no Docker engine answers; start one, or leave it to CI.")

@step(".*")
def anything(context):
    pass
"""


def sample(folder: Path) -> Path:
    """Everything a report shows, in ``folder``; returns the page."""
    project(folder, SAMPLE_FEATURES, SAMPLE_ENVIRONMENT, SAMPLE_STEPS)
    result = behave(folder, "-f", "progress")
    page = folder / "reports" / "report.html"
    if not page.is_file():
        raise RuntimeError(result.stdout)
    return page


if __name__ == "__main__":
    sample(Path(sys.argv[1]))
