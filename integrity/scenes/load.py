"""Publishers and readers that are at work while something happens to the broker.

They go on through every fault, as an application would: a publisher's client retries by itself, a reader polls
again. Whatever they send and see is in the history. The rate is modest (some hundred messages a second), so that a
restart takes as long as it would without them, but for the moment in which a fault is to meet messages under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import chain

from integrity.brokers.commands import COMMAND_SECONDS
from integrity.brokers.external import GONE_SECONDS, READY_SECONDS
from integrity.clients import Publisher, Reader, wire
from integrity.clients.base import ReaderOptions
from integrity.endings import end_all
from integrity.scene import PUBLISH_SECONDS
from integrity.scenes import stalls
from integrity.scenes.at_work import AtWork
from integrity.scenes.following import Following
from integrity.scenes.sending import MOST_HURRIED, MOST_UNSETTLED, NO_HURRY, SMALL_BURST, Hurry, Sending
from integrity.scenes.stalls import Stuck
from integrity.scenes.worker import Worker
from integrity.waiting import WaitTimeout, nothing, wait_until

#: What a message's value has unless a scenario says otherwise.
MESSAGE_BYTES = 100

#: Seconds for which nothing must come to clients that are cut off; their publishers take about as long to send
#: MOST_UNSETTLED messages.
SILENT_SECONDS = 0.2

#: Polls by which a reader that follows has taken in what its client had fetched, where none of them is in vain.
TAKING_IN_POLLS = 10

#: Seconds, before timeout_factor, within which clients must get on again once the broker is ready.
PROGRESS_SECONDS = 30.0

#: Seconds, before timeout_factor, for which a publisher tries to have a message acknowledged on somebody's cluster: for
#: longer than that may be away, its commands included. Of a message that was given up nothing is known, so it cannot be
#: missed; and kafka-python's idempotent publisher may not go on after that (see its ``_wait_for_room``).
PATIENT_SECONDS = 2 * COMMAND_SECONDS + GONE_SECONDS + READY_SECONDS + PROGRESS_SECONDS

#: Seconds without progress after which it is looked whether the topics are still there, and between two such looks.
LOOK_SECONDS = 3.0

#: Seconds that publishers which have stalled are given, at the end, for the outcomes of what they have sent; and that
#: everybody is given to notice that it is over.
STALLED_SECONDS = 1.0
NOTICE_SECONDS = 3.0

#: Seconds for which a broker with nothing new keeps a reader's fetch waiting.
FETCH_SECONDS = 0.5


class Load(AtWork):
    """Publishers and readers at work on the scene's topics, and what is expected of them: a part of the scene."""

    # -- at work --------------------------------------------------------------------------------------
    def publish(self, publishers: int = 1, *, size: int = MESSAGE_BYTES, **options: object) -> None:
        """Let so many publishers begin, each sending messages of ``size`` bytes to all topics.

        options: fields of PublisherOptions.
        """
        patience = PATIENT_SECONDS if self._scene.broker.kind == "external" else PUBLISH_SECONDS
        options = {"max_unsettled": MOST_UNSETTLED, "delivery_timeout": patience} | options
        for _ in range(publishers):
            named = {"client_id": self.client_id(len(self._sending))} | options
            # Made here, so that none of them still has to get to know a broker that is about to go away.
            publisher = self._scene.driver.publisher(self._scene.connection, self._scene.recorder, **named)
            sending = Sending(publisher, self._scene.topics, self._places(), size)
            self._sending.append(sending)
            self._publishing.append(self._begin(sending.name, publisher, sending.work))
        self.wait_for_progress()

    def read(self, readers: int = 1, **options: object) -> None:
        """Let so many readers follow all topics from their beginning; ``options`` are fields of ReaderOptions."""
        places = self._places()
        patience = float(options.get("request_timeout", ReaderOptions.request_timeout))
        options = {"fetch_wait": min(FETCH_SECONDS, patience / 2)} | options
        made = [
            self._scene.driver.reader(self._scene.connection, self._scene.recorder, **options) for _ in range(readers)
        ]
        following = [Following(reader.id) for reader in made]
        self._following += following
        # Taken before they begin: what is there may be few messages, all read before anybody looks.
        before = self._standing()
        for reader, its in zip(made, following, strict=True):
            reader.assign(dict.fromkeys(places, 0))
            self._reading.append(self._begin(f"reader {reader.id}", reader, partial(self._follow, its, reader)))
        self.wait_for_progress(since=before)

    def _begin(self, name: str, client: Publisher | Reader, work: Callable[[Worker], None]) -> Worker:
        def run(worker: Worker) -> None:
            closing: AbstractContextManager = client
            with closing:
                work(worker)

        return Worker(self._scene, name, run)

    @staticmethod
    def _follow(following: Following, reader: Reader, worker: Worker) -> None:
        while not worker.stopping.is_set():
            following.poll(reader)

    # -- seen from the scenario -------------------------------------------------------------------------
    @staticmethod
    def client_id(index: int) -> str:
        """What the publisher with this index calls itself to the brokers."""
        return f"publisher-at-work-{index + 1}"

    def wait_for_progress(self, besides: int | None = None, since: Mapping[str, int] | None = None) -> None:
        """Wait until every publisher and every reader has got further than it is now.

        besides: the index of a publisher of which nothing is expected. since: where each was, if that is not now.
        Raises Stalled when one does not within PROGRESS_SECONDS, or cannot because a topic is gone; see ``going_on``.
        """
        before = dict(since) if since is not None else self._standing()
        if besides is not None:
            del before[self._sending[besides].name]
        self._nudge()

        stalled: list[str] = []

        def all_got_on() -> bool:
            now = self._standing()
            # Kept for the words: whoever gets on after the last look has stalled nonetheless.
            stalled[:] = [name for name in before if now[name] <= before[name]]
            return not stalled

        with self.going_on():
            wait_until(
                all_got_on,
                what="every publisher and reader at work to get on",
                seconds=PROGRESS_SECONDS,
                check=self._watch(),
                detail=lambda: f"stalled: {', '.join(stalled)}",
            )

    def going_on(self) -> AbstractContextManager[None]:
        """What is waited for within is that the work goes on, whoever does it.

        A wait in vain is no error of the suite's: raises Stalled instead of WaitTimeout. Its words are who was waited
        for, after which fault, what has been sent, how the partitions stand, and the verdict on what was sent and read
        so far. Nobody is at work any more then.
        """
        return stalls.going_on(self._scene, self._account, self._give_up)

    def _watch(self) -> Callable[[], None]:
        """A check for a wait for progress: raises what the clients have raised, or Stuck."""
        next_look = time.monotonic() + LOOK_SECONDS

        def check() -> None:
            nonlocal next_look
            self.check()
            if time.monotonic() < next_look:
                return
            next_look = time.monotonic() + LOOK_SECONDS
            connection = self._scene.broker.connection
            gone = wire.missing(connection.bootstrap_servers, connection.properties, self._scene.topics)
            if gone:
                raise Stuck(f"{', '.join(gone)} is no longer there")

        return check

    def _give_up(self) -> None:
        """End everybody's work, and close the publishers under their workers' hands: what has no outcome by now is
        unknown for good.

        A worker may be held up in a call of its client's that nothing ends but its own time-out. It is left to that.
        """
        self._publishing, self._reading = [], []
        given_up, self._sending = self._sending, []
        at_work = list(self._scene.workers)
        for worker in at_work:
            worker.prepare_to_stop()
        for sending in given_up:
            sending.publisher.close(STALLED_SECONDS)
        with suppress(WaitTimeout):
            wait_until(lambda: not any(w.is_at_work for w in at_work), what="everybody to end", seconds=NOTICE_SECONDS)

    def wait_until_waiting(self, index: int | None = None) -> int:
        """Wait until every publisher, or the one with this index, has sent all it may without an answer.

        Returns how many of their messages have been acknowledged by then.
        """
        waiting = self._sending if index is None else [self._sending[index]]

        def all_wait() -> bool:
            self._nudge()
            return all(sending.waits for sending in waiting)

        self._wait(
            all_wait,
            f"{', '.join(sending.name for sending in waiting)} to wait for acknowledgements",
            lambda: f"without an outcome: {[sending.counts['open'] for sending in waiting]}",
        )
        return sum(sending.counts["acknowledged"] for sending in waiting)

    def meeting(self, how: str, check: Callable[[], None] = nothing) -> AbstractContextManager:
        """Within it a broker is taken down (a key of WAYS_DOWN), and that is to meet messages that are under way.

        A stop waits for those, and lasts: publishers that hurried all the while would only slow it down. A command of
        somebody's kills whenever it comes to that, so they hurry, in a small way, until it is seen to have done so.
        check, and what it raises besides: as ``in_the_middle``.
        """
        is_command = self._scene.broker.kind == "external"
        return self.in_the_middle(hurried=how == "killed", lasting=is_command, check=check)

    @contextmanager
    def in_the_middle(
        self, *, hurried: bool = True, lasting: bool = False, check: Callable[[], None] = nothing
    ) -> Iterator[None]:
        """Whatever is done within is done in the middle of publishing: it begins when each publisher has messages under
        way, and none of them makes a pause (hurried: until the end of it; lasting: which may come late, so they send
        less at a time, and make pauses again when they have sent MOST_HURRIED).

        How many were under way then is one of the report's numbers: the fewest, of several times. If it is lasting, how
        many were at its end, without those of publishers that made pauses again. Only the publishers of this load are
        meant. check: raises what speaks against doing it after all, when they have been waited for.
        Raises Stalled when one of them has nothing under way within the bound, or the check waits in vain.
        """
        under_way = 0

        def all_have_some() -> bool:
            nonlocal under_way
            self._nudge()
            counts = [sending.counts["open"] for sending in self._sending]
            under_way = sum(counts)
            return all(counts)

        def met() -> bool:
            if not all_have_some():
                return False
            # It may wait for somebody to have a role, and what was under way be answered by then.
            check()
            return all_have_some()

        for sending in self._sending:
            sending.hurry = Hurry()
        try:
            with self.going_on():
                self._wait(
                    met,
                    "every publisher at work to have messages under way",
                    lambda: f"without an outcome: {[sending.counts['open'] for sending in self._sending]}",
                )
            for sending in self._sending:
                sending.hurry = (Hurry(SMALL_BURST, MOST_HURRIED) if lasting else Hurry()) if hurried else NO_HURRY
            yield
            if hurried and lasting:
                under_way = sum(sending.counts["open"] for sending in self._sending if not sending.hurry.is_over)
            if self._sending:
                numbers, name = self._scene.facts.numbers, "under way at the fault, at least"
                numbers[name] = min(under_way, int(numbers.get(name, under_way)))
        finally:
            for sending in self._sending:
                sending.hurry = NO_HURRY

    def finish_everywhere(self) -> None:
        """See everybody get on, in every partition: each publisher has a message acknowledged there, which each reader
        gets in those it reads. Then as ``finish``. Raises Stalled where one does not.
        """
        self.wait_for_progress()
        for sending in self._sending:
            sending.last = PROGRESS_SECONDS
        for worker in self._publishing:
            worker.prepare_to_stop()
        with self.going_on():
            end_all(worker.stop for worker in self._publishing)
            # Of several publishers' messages in a partition the last.
            marks = dict(sorted(chain.from_iterable(sending.marks for sending in self._sending)))
            for following in self._following:
                following.seek(marks)
            wait_until(
                lambda: not any(following.unread for following in self._following),
                what="every reader at work to get what was published last, in every partition",
                seconds=PROGRESS_SECONDS,
                check=self._watch(),
                detail=lambda: f"not yet read: {'; '.join(filter(None, (each.unread for each in self._following)))}",
            )
        self.finish()

    def publish_once_everywhere(self) -> None:
        """Where nobody is at work: have a message acknowledged in each partition. Raises Stalled as ``going_on``."""
        with self.going_on(), self._scene.driver.publisher(self._scene.connection, self._scene.recorder) as publisher:
            Sending(publisher, self._scene.topics, self._places(), MESSAGE_BYTES).publish_everywhere(PROGRESS_SECONDS)

    def got_while_cut_off(self) -> dict[str, int]:
        """Wait until every publisher has sent all it may without an answer; for clients that are cut off by now.

        Returns who has got acknowledgements or messages meanwhile, and how many, by name: nobody when they were cut off
        indeed. It is looked at for SILENT_SECONDS at least, from when all have taken in what had come to them before,
        and ends at once when somebody gets anything.
        """
        sent = [(sending, sending.sent) for sending in self._sending]
        readers = [(following, following.polls, following.in_vain) for following in self._following]

        def taken_in() -> bool:
            self._nudge()
            # More than one burst: between two of them a publisher takes in what has come. Two polls in vain, as the
            # first of them may have begun before.
            return all(sending.has_sent_another_burst(before) for sending, before in sent) and all(
                reader.in_vain >= in_vain + 2 or reader.polls >= polls + TAKING_IN_POLLS
                for reader, polls, in_vain in readers
            )

        self._wait(
            taken_in,
            "every client to take in what had come to it before it was cut off",
            lambda: (
                f"polls: {[reader.polls - polls for reader, polls, _ in readers]}; "
                f"sent before: {[before for _, before in sent]}"
            ),
        )
        before, since = self._standing(), time.monotonic()

        def got() -> dict[str, int]:
            return {name: now - before[name] for name, now in self._standing().items() if now > before[name]}

        def over() -> bool:
            self._nudge()
            all_wait = all(sending.waits for sending in self._sending)
            return bool(got()) or (all_wait and time.monotonic() - since >= SILENT_SECONDS)

        self._wait(
            over,
            "every publisher to wait for acknowledgements",
            lambda: f"without an outcome: {[sending.counts['open'] for sending in self._sending]}",
        )
        return got()

    def _wait(self, condition: Callable[[], bool], what: str, detail: Callable[[], str]) -> None:
        """Wait for what the clients come to by themselves. Raises WaitTimeout, or what one of them has raised."""
        wait_until(condition, what=what, seconds=PROGRESS_SECONDS, check=self.check, detail=detail)

    def begin_nothing_more(self) -> None:
        """Let everybody only finish what is under way, and do not wait for that."""
        for worker in self._workers:
            worker.prepare_to_stop()

    def finish_what_is_under_way(self) -> None:
        """Wait until nothing is under way any more. Raises AssertionError when something was not acknowledged."""
        finished = list(self._sending)
        self.finish()
        for sending in finished:
            if sending.counts["acknowledged"] != sending.sent:
                errors = dict(sending.publisher.errors)
                raise AssertionError(f"{sending.name} could not finish: {sending.counts}, {errors}")

    def finish(self) -> None:
        """Stop everybody, wait for the outcome of every send, and close the clients. Raises what they raised."""
        self.begin_nothing_more()
        workers = self._workers
        self._publishing, self._reading = [], []
        try:
            end_all(worker.stop for worker in workers)
        finally:
            self._account_for_all()

    def _account_for_all(self) -> None:
        """Add to the report's numbers what became of the sends, and know these clients no longer."""
        numbers = self._scene.facts.numbers
        finished, self._sending, self._following = self._sending, [], []
        for sending in finished:
            for outcome, count in sending.counts.items():
                name = f"{outcome} under load"
                numbers[name] = count + int(numbers.get(name, 0))

    def close(self) -> None:
        """The scenario is over, however it went. Where its broker is down, nobody is waited for: they would try on."""
        if self._workers and self._scene.broker.started_at is None:
            self._give_up()
            self._scene.connection.check()  # one that has died on its own is told
        self.finish()
