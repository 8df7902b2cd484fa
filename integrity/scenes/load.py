"""Publishers and readers that are at work while something happens to the broker.

They go on through every fault, as an application would: a publisher's client retries by itself, a reader polls
again. Whatever they send and see is in the history. The rate is modest (some hundred messages a second), so that a
restart takes as long as it would without them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TypeVar

from integrity.brokers import probe
from integrity.clients import Publisher, Reader
from integrity.clients.base import Partition, ReaderOptions
from integrity.endings import end_all
from integrity.reports.timeline import last_fault
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.waiting import WaitTimeout, wait_until

#: A publisher sends this many messages (of 100 bytes) at first, so that no fault meets a topic that is all but empty.
FIRST_BURST = 200

#: Then it sends this many, waits this long (seconds), and so on. A few large bursts cost clients and brokers a fraction
#: of what many small ones do: with three brokers 0.2 of a processor at one in 0.4 s, 0.8 at one in 0.02 s. That is left
#: to brokers that restart.
BURST = 60
PAUSE_SECONDS = 0.6

#: Seconds that it waits for the first outcome of a burst: librdkafka tells of none unless it is asked.
OUTCOME_SECONDS = 0.05

#: Sends without an outcome before a publisher waits: what it keeps on sending while the broker is away.
MOST_UNSETTLED = 500

#: Seconds, before timeout_factor, within which clients must get on again once the broker is ready.
PROGRESS_SECONDS = 30.0

#: Seconds without progress after which it is looked whether the topics are still there, and between two such looks.
LOOK_SECONDS = 3.0

#: Seconds that publishers which have stalled are given, at the end, for the outcomes of what they have sent; and that
#: everybody is given to notice that it is over.
STALLED_SECONDS = 1.0
NOTICE_SECONDS = 3.0

#: Seconds for which a reader's poll waits at most, and for which a broker with nothing new keeps its fetch waiting.
POLL_SECONDS = 0.1
FETCH_SECONDS = 0.5

C = TypeVar("C", Publisher, Reader)


class Stalled(AssertionError):
    """The work did not go on; its text says who stalls, and what the checks say of what was sent and read."""


class Worker:
    """A client in a thread of its own; what it raises is raised again where somebody waits for it."""

    def __init__(self, scene: Scene, name: str, work: Callable[[Worker], None]) -> None:
        self._scene = scene
        self.stopping = threading.Event()
        self._due = threading.Event()
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - raised by check, in the scenario's thread
            self._error = error

    @property
    def is_at_work(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def check(self) -> None:
        """Raise what the client has raised, if anything, or that a broker has died on its own."""
        self._scene.connection.check()
        if self._error is not None:
            raise self._error

    def pause(self, seconds: float) -> None:
        """Rest so long, or until somebody nudges: for the worker's own thread."""
        self._due.wait(seconds)
        self._due.clear()

    def nudge(self) -> None:
        """End its pause."""
        self._due.set()

    def prepare_to_stop(self) -> None:
        """Ask it to end. Returns at once."""
        self.stopping.set()
        self.nudge()

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.prepare_to_stop()
        wait_until(lambda: not self.is_at_work, what=f"{self._thread.name} to end", seconds=2 * PUBLISH_SECONDS)
        self.check()


class Load:
    """Publishers and readers at work on the scene's topics: a part of the scene.

    acknowledged, seen: how many messages so far, over all publishers and readers.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._workers: list[Worker] = []
        self._publishers: list[Publisher] = []
        self._seen: list[int] = []

    # -- at work --------------------------------------------------------------------------------------
    def publish(self, publishers: int = 1, *, size: int = 100, **options: object) -> None:
        """Let so many publishers begin, each sending messages of ``size`` bytes to all topics.

        options: fields of PublisherOptions.
        """
        options = {"max_unsettled": MOST_UNSETTLED, "delivery_timeout": PUBLISH_SECONDS} | options
        for _ in range(publishers):
            named = {"client_id": self.client_id(len(self._publishers))} | options
            # Made here, so that none of them still has to get to know a broker that is about to go away.
            publisher = self._scene.driver.publisher(self._scene.connection, self._scene.recorder, **named)
            self._publishers.append(publisher)
            self._begin(f"publisher {publisher.id}", publisher, partial(self._send, size))
        self.wait_for_progress()

    def read(self, readers: int = 1, **options: object) -> None:
        """Let so many readers follow all topics from their beginning; ``options`` are fields of ReaderOptions."""
        places = self._partitions()
        # Taken before they begin: what is there may be few messages, all read before anybody looks.
        before = self._standing() | {f"reader {len(self._seen) + number}": 0 for number in range(1, readers + 1)}
        patience = float(options.get("request_timeout", ReaderOptions.request_timeout))
        options = {"fetch_wait": min(FETCH_SECONDS, patience / 2)} | options
        for _ in range(readers):
            reader = self._scene.driver.reader(self._scene.connection, self._scene.recorder, **options)
            reader.assign(dict.fromkeys(places, 0))
            self._seen.append(0)
            index = len(self._seen) - 1
            self._begin(f"reader {reader.id}", reader, lambda r, worker, index=index: self._follow(r, worker, index))
        self.wait_for_progress(since=before)

    def _begin(self, name: str, client: C, work: Callable[[C, Worker], None]) -> None:
        def run(worker: Worker) -> None:
            closing: AbstractContextManager = client
            with closing:
                work(client, worker)

        self._workers.append(Worker(self._scene, name, run))

    def _send(self, size: int, publisher: Publisher, worker: Worker) -> None:
        burst = FIRST_BURST
        while not worker.stopping.is_set():
            for topic in self._scene.topics:
                publisher.publish(topic, burst, size=size)
            burst = BURST
            publisher.serve(OUTCOME_SECONDS)
            worker.pause(PAUSE_SECONDS)
            publisher.serve()
        publisher.flush(PUBLISH_SECONDS)

    def _follow(self, reader: Reader, worker: Worker, index: int) -> None:
        while not worker.stopping.is_set():
            self._seen[index] += reader.drain(POLL_SECONDS)

    def _partitions(self) -> list[Partition]:
        with self._scene.driver.admin(self._scene.connection) as admin:
            return [(topic, number) for topic in self._scene.topics for number in admin.leaders(topic)]

    # -- seen from the scenario -------------------------------------------------------------------------
    @staticmethod
    def client_id(index: int) -> str:
        """What the publisher with this index calls itself to the brokers."""
        return f"publisher-at-work-{index + 1}"

    @property
    def is_under_way(self) -> bool:
        """Whether anybody is at work."""
        return bool(self._workers)

    @property
    def acknowledged(self) -> int:
        return sum(publisher.counts["acknowledged"] for publisher in self._publishers)

    @property
    def rejected(self) -> int:
        """Messages that were surely not appended."""
        return sum(publisher.counts["rejected"] for publisher in self._publishers)

    @property
    def open(self) -> int:
        """Messages sent and neither acknowledged nor given up."""
        return sum(publisher.counts["open"] for publisher in self._publishers)

    def check(self) -> None:
        """Raise what any of the clients has raised, or that a broker has died on its own."""
        for worker in self._workers:
            worker.check()

    def wait_for_progress(self, besides: int | None = None, since: Mapping[str, int] | None = None) -> None:
        """Wait until every publisher and every reader has got further than it is now.

        besides: the index of a publisher of which nothing is expected. since: where each was, if that is not now.
        Raises Stalled, with the verdict on what was sent and read so far, when one does not within PROGRESS_SECONDS, or
        cannot because a topic is gone.
        """
        before = dict(since) if since is not None else self._standing()
        if besides is not None:
            del before[f"publisher {self._publishers[besides].id}"]
        for worker in self._workers:
            worker.nudge()

        stalled: list[str] = []

        def all_got_on() -> bool:
            now = self._standing()
            # Kept for the words: whoever gets on after the last look has stalled nonetheless.
            stalled[:] = [name for name in before if now[name] <= before[name]]
            return not stalled

        try:
            wait_until(
                all_got_on,
                what="every publisher and reader at work to get on",
                seconds=PROGRESS_SECONDS,
                check=self._watch(),
                detail=lambda: f"stalled: {', '.join(stalled)}; errors so far: {self._errors()}",
            )
        except (WaitTimeout, Stalled) as stall:
            raise Stalled(f"the work does not go on{self._last_fault()}: {stall}\n{self._known_by_now()}") from None

    def _last_fault(self) -> str:
        fault = last_fault(self._scene.facts.events)
        return f" (last fault: {fault.subject} {fault.what})" if fault is not None else ""

    def _watch(self) -> Callable[[], None]:
        """A check for a wait for progress: raises what the clients have raised, or Stalled when a topic is gone."""
        next_look = time.monotonic() + LOOK_SECONDS

        def check() -> None:
            nonlocal next_look
            self.check()
            if time.monotonic() < next_look:
                return
            next_look = time.monotonic() + LOOK_SECONDS
            gone = probe.missing(self._scene.broker.bootstrap_servers, self._scene.topics)
            if gone:
                raise Stalled(f"{', '.join(gone)} is no longer there")

        return check

    def _known_by_now(self) -> str:
        """What the checks say of a history that will not go on, or why they can say nothing."""
        try:
            self._give_up()
            return self._scene.verdict().words()
        except Exception as error:  # noqa: BLE001 - the stall is what matters; this is told with it
            return f"what was sent and read so far could not be judged: {error}"

    def _give_up(self) -> None:
        """Close the publishers under their workers' hands: what has no outcome by now is unknown for good.

        A worker may be held up in a call of its client's that nothing ends but its own time-out. It is left to that.
        """
        workers, self._workers = self._workers, []
        publishers, self._publishers = self._publishers, []
        for worker in workers:
            worker.prepare_to_stop()
        for publisher in publishers:
            publisher.close(STALLED_SECONDS)
        with suppress(WaitTimeout):
            wait_until(lambda: not any(w.is_at_work for w in workers), what="everybody to end", seconds=NOTICE_SECONDS)

    def wait_until_waiting(self, index: int | None = None) -> int:
        """Wait until every publisher, or the one with this index, has sent all it may without an answer.

        Returns how many of their messages have been acknowledged by then.
        """
        waiting = self._publishers if index is None else [self._publishers[index]]

        def all_wait() -> bool:
            for worker in self._workers:
                worker.nudge()
            return all(publisher.counts["open"] >= MOST_UNSETTLED for publisher in waiting)

        wait_until(
            all_wait,
            what=f"publisher {', '.join(str(p.id) for p in waiting)} to wait for acknowledgements",
            seconds=PROGRESS_SECONDS,
            check=self.check,
            detail=lambda: f"without an outcome: {[publisher.counts['open'] for publisher in waiting]}",
        )
        return sum(publisher.counts["acknowledged"] for publisher in waiting)

    def begin_nothing_more(self) -> None:
        """Let everybody only finish what is under way, and do not wait for that."""
        for worker in self._workers:
            worker.prepare_to_stop()

    def finish_what_is_under_way(self) -> None:
        """Wait until nothing is under way any more. Raises AssertionError when something was not acknowledged."""
        publishers = list(self._publishers)
        self.finish()
        for publisher in publishers:
            counts = publisher.counts
            if counts["acknowledged"] != sum(counts.values()):
                raise AssertionError(f"publisher {publisher.id} could not finish: {counts}, {dict(publisher.errors)}")

    def finish(self) -> None:
        """Stop everybody, wait for the outcome of every send, and close the clients. Raises what they raised."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.prepare_to_stop()
        try:
            end_all(worker.stop for worker in workers)
        finally:
            self._count()

    def _count(self) -> None:
        """Add to the report's numbers what became of the sends, and know these publishers no longer."""
        numbers = self._scene.facts.numbers
        publishers, self._publishers = self._publishers, []
        for publisher in publishers:
            for outcome, count in publisher.counts.items():
                name = f"{outcome} under load"
                numbers[name] = count + int(numbers.get(name, 0))

    def close(self) -> None:
        """The scenario is over, however it went."""
        self.finish()

    def _standing(self) -> dict[str, int]:
        standing = {f"publisher {p.id}": p.counts["acknowledged"] for p in self._publishers}
        return standing | {f"reader {number + 1}": seen for number, seen in enumerate(self._seen)}

    def _errors(self) -> dict[str, int]:
        return {error: count for publisher in self._publishers for error, count in publisher.errors.items()}
