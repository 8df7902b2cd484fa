"""The page: all of it escaped and offline, readable without colour or script, and the first screen tells what broke."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from integrity.brokers import external
from integrity.reports import chart, html, timeline
from integrity.reports.model import Event, RunFacts, ScenarioFacts
from tests.report_samples import START, behave, history, project, sample
from tests.test_junit import STRANGE

#: Elements that have no end tag.
VOID = {"meta", "link", "br", "col", "path", "line", "rect"}

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


#: A limit alone: its page has no table of guarantees.
LIMIT = "Feature: A limit\n  Rule: R\n    Not promised: this.\n    Scenario: s\n      Given it works\n"


class Page(HTMLParser):
    """Reads a page strictly: every element closed in order; collects attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def page(page_path: Path) -> Page:
    return read(page_path)


def test_the_first_screen_says_what_broke_where_and_after_which_fault(page: Page) -> None:
    start = page.text[: page.text.index("The guarantees")]
    assert "1 of 8 scenarios did not hold." in start
    assert "2 of 10,000 acknowledged messages were lost after broker 1 was killed." in start
    assert "Everything acknowledged before the broker went down is read back (taken down: killed)" in start
    assert "Then every acknowledged message is read once, in order and unchanged" in start
    assert "broker 1 killed, 2.5 s into the scenario (SIGKILL to process 4711)" in start
    assert "behave features/persistence/restart.feature:21 -D broker=embedded -D seed=4711" in start


def test_the_table_has_guarantee_exception_scenario_and_verdict(page: Page) -> None:
    table = page.text[page.text.index("The guarantees") : page.text.index("The limits")]
    assert "Acknowledged messages survive a broker restart messages that were never acknowledged" in table
    assert "A partition keeps the order of its publisher" in table
    assert "order among several publishers" in table  # the Rule's own words, not the Feature's
    assert "Nothing is delivered twice" in table
    assert "any order across partitions" in table
    assert "✗ did not hold taken down: killed" in table
    assert "– skipped" in table
    assert "no Docker engine answers; start one, or leave it to CI." in table
    assert "Order across partitions is not promised" not in table


def test_features_and_rules_stand_as_written(page: Page) -> None:
    rule = "Rule: A partition keeps the order of its publisher Not promised: order among several publishers."
    assert rule in page.text
    assert "kept for as long as the topic's retention says, whether or not the broker stays up." in page.text
    assert "Message 1" in page.text


def test_a_scenario_shows_its_numbers_and_its_verdict(page: Page) -> None:
    numbers = ("10,000 ", "9,998 ", "broker 1 killed for (s)", "acknowledged per second")
    for words in (*numbers, "lost on disk: publisher 0"):
        assert words in page.text


def test_failed_scenarios_are_open_and_the_others_folded(page: Page) -> None:
    cards = [d for d in page.all("details") if str(d.get("class")).startswith("scenario")]
    assert len(cards) == 8
    assert [card["class"] for card in cards if "open" in card] == ["scenario failed"]


def test_links_stay_on_the_page_or_lead_to_the_evidence(page: Page, page_path: Path) -> None:
    ids = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for anchor in page.all("a"):
        target = str(anchor["href"])
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (page_path.parent / target / "verdict.txt").is_file()


def test_the_first_link_leads_on_where_there_is_no_table_of_guarantees(tmp_path: Path) -> None:
    """Protects who uses a keyboard: the link that skips the head is the first thing to get to."""
    behave(project(tmp_path, {"limits/l.feature": LIMIT}))
    page = read(tmp_path / "reports" / "report.html")
    assert "The guarantees" not in page.text
    first = str(page.all("a")[0]["href"])
    assert first[1:] in [attributes.get("id") for _, attributes in page.elements]


def test_nothing_is_fetched(page: Page, page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert not re.search(r"url\(", text)
    assert not [a for _, a in page.elements if a.get("src")]
    assert [link["href"] for link in page.all("link")] == ["data:,"]


def test_everything_is_told_in_words_too(page: Page) -> None:
    for picture in page.all("svg"):
        assert picture["role"] == "img"
        assert picture["aria-label"]
    assert page.all("html")[0]["lang"] == "en"
    assert len([a for a in page.all("a") if a.get("class") == "skip"]) == 1


def test_secrets_are_not_on_the_page(page_path: Path) -> None:
    assert "hunter2" not in page_path.read_text(encoding="utf-8")


def test_strange_messages_stay_text(tmp_path: Path) -> None:
    folder = project(tmp_path, {"sub/strange.feature": STRANGE})
    behave(folder, "-n", "control|surrogate|markup|direction|printed")
    page = read(folder / "reports" / "report.html")
    assert ']]> <script>alert(1)</script> & "quotes"' in page.text
    assert r"a\x00b\x08cred\x85 d" in page.text
    assert r"lone \ud800 surrogate" in page.text
    assert len(page.all("script")) == 1
    assert "not selected in this run 11" in page.text
    assert "silent" not in page.text


def test_a_skipped_row_of_an_outline_has_its_reason_in_the_table(tmp_path: Path) -> None:
    rows = "    Examples:\n      | why |\n      | it rains |\n"
    text = "Feature: F\n  Scenario Outline: one\n    Given it is skipped because <why>\n" + rows
    folder = project(tmp_path, {"a.feature": text})
    behave(folder)
    [table] = [table for table in page_tables(folder) if "guarantees" in table]
    assert "it rains" in table.partition("</ul>")[0].partition("<ul>")[2].rpartition("</a>")[2]


def page_tables(folder: Path) -> list[str]:
    return re.findall(r"<table.*?</table>", (folder / "reports" / "report.html").read_text(), re.DOTALL)


def test_an_interrupted_run_has_its_page(tmp_path: Path) -> None:
    text = "Feature: F\n  Scenario: one\n    Given it works\n  Scenario: two\n    Given the person presses Ctrl-C\n"
    folder = project(tmp_path, {"a.feature": text, "b.feature": text})
    behave(folder)
    page = read(folder / "reports" / "report.html")
    assert "The run was interrupted before its end." in page.text
    assert "the run was interrupted before this scenario" in page.text


def test_a_run_without_scenarios_says_so(tmp_path: Path) -> None:
    html.write(RunFacts(), [], tmp_path / "report.html")
    assert "Nothing was checked." in read(tmp_path / "report.html").text


def test_a_page_costs_little_and_only_at_the_end(tmp_path: Path) -> None:
    """With the import of Jinja, which nothing pays for before. Processor time: a busy machine is no defect of ours."""
    folder = project(tmp_path, {"sub/strange.feature": STRANGE})
    steps = folder / "environment.py"
    steps.write_text(
        steps.read_text()
        + "\nimport time, sys\nfrom integrity.reports import Reports\nfinish = Reports.finish\n"
        + "def timed(self):\n    assert 'jinja2' not in sys.modules and 'duckdb' not in sys.modules\n"
        + "    began = time.process_time(); finish(self)\n"
        + "    open('took', 'w').write(str(time.process_time() - began))\nReports.finish = timed\n"
    )
    behave(folder)
    assert float((folder / "took").read_text()) < 0.6


def devtools(path: Path, width: int, tmp_path: Path) -> tuple[str, str, str]:
    """The page as Chromium made it, its console, and every request it sent."""
    log = tmp_path / "net.json"
    shell = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    watch = ["--enable-logging=stderr", f"--log-net-log={log}", "--disable-background-networking", "--no-first-run"]
    found = subprocess.run(
        [*shell, *watch, f"--window-size={width},900", "--virtual-time-budget=2000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return found.stdout, found.stderr, log.read_text(errors="replace")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_finds_no_fault(page_path: Path, tmp_path: Path, width: int) -> None:
    probe = tmp_path / "report.html"
    # A page wider than its window scrolls sideways; the probe writes down whether it does.
    script = "<script>document.title = 'wide ' + document.documentElement.scrollWidth</script></body>"
    probe.write_text(page_path.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    dom, console, _ = devtools(probe, width, tmp_path)
    assert "CONSOLE" not in console
    assert "Uncaught" not in console
    assert dom.count("<button") == 2, "the script has run"
    match = re.search(r"<title>wide (\d+)", dom)
    assert match
    # Headless Chromium makes no window narrower than 500 pixels.
    assert int(match.group(1)) <= max(width, 500)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_sends_no_request(page_path: Path, tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    spoilt = '<img src="//127.0.0.1:9/planted.png" alt=""><script>nowhere()</script></body>'
    planted.write_text(
        page_path.read_text(encoding="utf-8").replace("</body>", spoilt.replace("//", "http://", 1)), encoding="utf-8"
    )
    # A file's origin is "null" in Chromium's network log; requests of its own (updates, say) have none.
    by_the_page = '"initiator":"null"'
    _, console, log = devtools(planted, 1280, tmp_path)
    assert "nowhere is not defined" in console, "the control: an error would be seen"
    assert "planted.png" in log
    assert by_the_page in log, "the control: a request would be seen"
    _, console, log = devtools(page_path, 1280, tmp_path)
    assert by_the_page not in log
    assert "CONSOLE" not in console


def height(curve: list[tuple[float, int]], seconds: float) -> float:
    """Where the drawn line is at that time."""
    before = max((point for point in curve if point[0] <= seconds), default=(0.0, 0))
    after = min((point for point in curve if point[0] > seconds), default=before)
    share = (seconds - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
    return before[1] + share * (after[1] - before[1]) if curve and seconds >= curve[0][0] else 0


def test_a_timeline_tells_faults_counts_and_anomalies(tmp_path: Path) -> None:
    verdict = history(tmp_path / "h", messages=3000, lost=4)
    found = timeline.from_history(tmp_path / "h", verdict)
    assert found is not None
    assert [s.name for s in found.series] == ["orders-0", "orders-1", "orders-2"]
    assert sum(s.acknowledged[-1][1] for s in found.series) == 3000
    assert sum(s.read[-1][1] for s in found.series) == 2996
    assert [(f.words, round(f.begin, 1), round(f.end, 1)) for f in found.faults] == [("broker 1 killed", 2.5, 4.2)]
    assert sum(m.count for m in found.marks) == 4
    assert {m.series for m in found.marks} == {"orders-0", "orders-1", "orders-2"}
    assert found.rates["acknowledged after, median (ms)"] > 0
    assert all(curve == sorted(curve) for s in found.series for curve in (s.acknowledged, s.read))
    for series in found.series:
        assert height(series.acknowledged, 2.7) == height(series.acknowledged, 4.0), "flat while the broker was away"
        assert height(series.read, 7.0) == 0
    drawn = chart.timeline_svg(found)
    assert drawn.count('class="cross"') == len(found.marks)
    assert "broker 1 killed 1.7 s" in drawn
    Page(drawn)
    Page(chart.latency_svg(found, chart.NARROW))


def test_a_timeline_of_parts_and_of_nothing(tmp_path: Path) -> None:
    assert timeline.from_history(tmp_path) is None
    history(tmp_path / "h", messages=10)
    (tmp_path / "h" / "sends").mkdir()
    (tmp_path / "h" / "sends.parquet").rename(tmp_path / "h" / "sends" / "part-0-00001.parquet")
    found = timeline.from_history(tmp_path / "h")
    assert found is not None
    assert sum(s.acknowledged[-1][1] for s in found.series) == 10
    assert found.rates == {}


def test_many_partitions_share_a_lane_but_never_one_with_an_anomaly(tmp_path: Path) -> None:
    verdict = history(tmp_path / "h", messages=300, partitions=30, lost=1)
    found = timeline.from_history(tmp_path / "h", verdict)
    assert found is not None
    drawn = chart.timeline_svg(found)
    assert "19 more partitions" in drawn
    assert f">{found.marks[0].series}<" in drawn


def test_the_last_fault_is_what_somebody_did_not_what_came_of_it() -> None:
    def at(second: int) -> datetime:
        return START + timedelta(seconds=second)

    killed, ready = Event(at(1), "broker 1", "killed", "SIGKILL"), Event(at(2), "broker 1", "ready")
    assert timeline.last_fault([killed, ready, Event(at(3), "topic", "gone", "orders")]) == killed
    assert timeline.last_fault([killed, ready, Event(at(3), "broker 2", "is the leader")]) == killed
    assert timeline.last_fault([killed, ready, Event(at(3), "the cluster", external.INCOMPLETE, "brokers")]) == killed
    damaged = Event(at(4), "broker 1", "damaged", "an index")
    assert timeline.last_fault([killed, ready, damaged]) == damaged
    severed, joined = Event(at(5), "broker 1", "cut off"), Event(at(6), "broker 1", "connected")
    assert timeline.last_fault([killed, ready, severed, joined]) == severed
    assert timeline.last_fault([ready]) is None


def test_an_outage_lasts_until_its_subject_is_back() -> None:
    def at(seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    events = [
        Event(at(1), "broker 1", "frozen"),
        Event(at(2), "broker 2", "killed"),
        Event(at(3), "broker 1", "thawed"),
        Event(at(4), "broker 1", "leader elected", "orders-0"),
    ]
    assert timeline.outages(events) == [
        ("broker 1", "frozen", at(1), at(3)),
        ("broker 2", "killed", at(2), None),
    ]
    again = [*events, Event(at(2.5), "broker 2", "killed"), Event(at(5), "broker 2", "ready")]
    assert [(o.begin, o.end) for o in timeline.outages(again)] == [(at(1), at(3)), (at(2), at(2.5)), (at(2.5), at(5))]
    facts = ScenarioFacts(events=again)
    assert facts.figures() == {"broker 1 frozen for (s)": 2.0, "broker 2 killed for (s)": 3.0}
    assert timeline.moments(events) == [events[3]]


def test_faults_of_the_network_are_told_apart(tmp_path: Path) -> None:
    def at(seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    events = [
        Event(at(0), "network", "throttled to 100 bytes/s", "every connection"),
        Event(at(1), "network", "cut off", "client reader"),
        Event(at(2), "network", "lifted", "cut off, which struck 3 times"),
        *[Event(at(3 + n / 100), "network", "connection cut", "reader") for n in range(5)],
        Event(at(5), "network", "connection cut", "reader"),
        Event(at(6), "network", "lifted", "throttled to 100 bytes/s, which struck 9 times"),
    ]
    found = timeline.from_history(tmp_path, events=events)
    assert found is not None
    assert [(f.words, f.begin, f.end) for f in found.faults] == [
        ("network throttled to 100 bytes/s", 0, 6),
        ("network cut off", 1, 2),
        ("network connection cut x5", 3, 3),
        ("network connection cut", 5, 5),
    ]


def test_a_storm_of_faults_leaves_room_for_the_picture(tmp_path: Path) -> None:
    history(tmp_path / "h", messages=30)
    found = timeline.from_history(tmp_path / "h")
    assert found is not None
    found.faults = [timeline.Fault(f"broker {n} killed", n / 20, n / 20 + 0.1) for n in range(100)]
    drawn = chart.timeline_svg(found)
    assert drawn.count('class="fault"') == 100
    assert int(re.findall(r'viewBox="0 0 760 (\d+)"', drawn)[0]) < 400


def test_a_part_that_was_not_written_to_its_end_is_none_of_the_history(tmp_path: Path) -> None:
    """As the recorder of a run that was killed, or whose disk was full, leaves it; the checker passes over it too."""
    history(tmp_path / "h", messages=10)
    (tmp_path / "h" / "sends").mkdir(exist_ok=True)
    (tmp_path / "h" / "sends" / ".part-1-00007.parquet").write_bytes(b"PAR1")
    assert timeline.from_history(tmp_path / "h") is not None


def test_a_verdict_without_examples_or_with_strange_ones_is_drawn(tmp_path: Path) -> None:
    history(tmp_path / "h", messages=10)
    strange = [{}, {"publisher": 99, "sequence": 1}, "words", {"topic": "orders", "partition": 0, "offset": 10**6}]
    verdict = {"anomalies": {"phantom": {"count": 4, "examples": strange}, "lost": {"count": 1}}}
    found = timeline.from_history(tmp_path / "h", verdict)
    assert found is not None
    assert found.marks == []


def test_a_long_history_is_drawn_quickly(tmp_path: Path) -> None:
    history(tmp_path / "h", messages=50_000)
    began = time.process_time()
    timeline.from_history(tmp_path / "h")
    assert time.process_time() - began < 2
